"""Checkpoint files: safe reading of PyTorch, safetensors and zip files, and the weights among their content."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import logging
import pickle
import re
import shutil
import tempfile
import types
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

logger = logging.getLogger(__name__)

WRAPPER_INSIDE = re.compile(r"(?<![^.])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""Parts that torch.compile, FSDP and activation checkpointing insert into names, at any position."""

_HOLDERS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "network",
    "net",
    "module",
    "params",
    "weights",
    "student",
)
"""Usual keys of weights, in order of preference."""
_AVERAGED = re.compile(r"(?<![a-z])(ema|swa|averaged?)(?![a-z])", re.IGNORECASE)
"""Keys and prefixes of weights averaged over training steps."""
_DEPTH = 4
"""Maximum nesting of keys, such as ``callbacks``, ``EMA``, ``state_dict``."""
_SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".safetensors", ".pyth", ".pkl", ".th", ".tar")
_ARCHIVES = {b"\x1f\x8b": "gzip", b"7z\xbc\xaf": "7z", b"Rar!": "RAR", b"\xfd7zXZ": "xz", b"BZh": "bzip2"}
_REFUSALS = ("GLOBAL", "reduce", "allowlisted")  # words in torch's messages about objects that aren't data


def _harmless() -> list[Any]:
    """Return the harmless classes in checkpoints: numpy values, arguments, paths, dates. None of them can run code."""
    scalar = np.float64(0).__reduce__()[0]
    rebuilt = np.zeros(1).__reduce__()[0]
    # their modules were renamed between versions of numpy and of Python
    renamed = [
        (value, f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")
        for value, name in ((scalar, "scalar"), (rebuilt, "_reconstruct"))
    ]
    paths = [
        (kind, f"{module}.{prefix}{name}")
        for module in ("pathlib", "pathlib._local")
        for kind, name in ((PurePosixPath, "PosixPath"), (PureWindowsPath, "WindowsPath"))
        for prefix in ("", "Pure")
    ]
    types_of_arrays = {type(np.dtype(code)) for code in np.typecodes["All"]}
    dates = [datetime.datetime, datetime.date, datetime.timedelta, datetime.timezone]
    plain = [argparse.Namespace, types.SimpleNamespace, bytes]
    return [np.ndarray, np.dtype, *types_of_arrays, *renamed, *paths, *dates, *plain]


@dataclass
class FileContent:
    """The weights in a file."""

    state: dict[str, Tensor]
    kind: str
    """Format of the file: ``"safetensors"`` or ``"torch"``."""
    metadata: dict[str, str] = field(default_factory=dict)
    """Name (``model``) and config (``config``, JSON) of the model, in files written by voskit."""


def read_file(path: Path) -> FileContent:
    """Read the weights in a file without executing pickled code.

    Raises:
        FileNotFoundError, ValueError: see ``voskit.networks.checkpoints.read_checkpoint``.
    """
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint {path} {_absence(path)}")
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise ValueError(f"checkpoint {path} is empty: download it again")
    if head.lstrip()[:1] == b"<":
        raise ValueError(f"checkpoint {path} is a web page, not weights: the download returned an error or login page")
    if head.startswith(b"version https://git-lfs"):
        raise ValueError(f"checkpoint {path} is a git-lfs pointer, not weights: run 'git lfs pull'")
    if kind := next((kind for start, kind in _ARCHIVES.items() if head.startswith(start)), "tar" * _is_tar(path)):
        raise ValueError(f"checkpoint {path} is a {kind} archive: unpack it, and give the file in it")
    if head[8:9] == b"{" or (path.suffix == ".safetensors" and not head.startswith(b"PK")):
        return _read_safetensors(path, path)
    if head.startswith(b"PK") and (member := _packed_file(path)):
        return _read_packed(path, member)
    if not head.startswith((b"PK", b"\x80")):
        raise ValueError(f"checkpoint {path} is not a PyTorch or safetensors file: check the path")
    return _read_torch(path, path)


def _absence(path: Path) -> str:
    if not path.is_dir():
        return "does not exist"
    if (path / "data.pkl").exists() or any(path.glob("*/data.pkl")):
        return "is a folder, not a file: an unpacked PyTorch file; download it again, and don't unpack it"
    return "is a folder, not a file"


def _is_tar(path: Path) -> bool:
    """True for tar archives, including files of the first versions of PyTorch."""
    with path.open("rb") as file:
        return file.read(262)[257:] == b"ustar"


def _packed_file(path: Path) -> str:
    """Return the name of the checkpoint in a zip file, or "" for PyTorch files, which are zip files, too.

    Raises:
        ValueError: the zip file contains no checkpoint, or several.
    """
    if not zipfile.is_zipfile(path):
        return ""  # truncated
    with zipfile.ZipFile(path) as archive:
        members = [i for i in archive.infolist() if not i.is_dir()]
    names = [i.filename for i in members]
    if any(PurePosixPath(n).name == "constants.pkl" for n in names):
        raise ValueError(f"checkpoint {path} is a TorchScript program: save the state_dict() of its model instead")
    if any(PurePosixPath(n).name == "data.pkl" for n in names):
        return ""
    names = [n for n in names if not n.startswith("__MACOSX/") and not PurePosixPath(n).name.startswith(".")]
    weights = [n for n in names if n.lower().endswith(_SUFFIXES)]
    if len(weights) != 1:
        found = f"{len(weights)} checkpoints ({', '.join(weights[:3])})" if weights else f"no checkpoint ({names[:3]})"
        raise ValueError(f"checkpoint {path} is a zip file with {found}: unpack it, and give the file to use")
    if next(i for i in members if i.filename == weights[0]).flag_bits & 1:
        raise ValueError(f"checkpoint {path} is a zip file with a password: unpack it, and give the file in it")
    return weights[0]


def _read_packed(path: Path, member: str) -> FileContent:
    """Read a checkpoint in a zip file."""
    logger.info("%s is a zip file: reading %s in it", path, member)
    inside = path / member
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / f"weights{PurePosixPath(member).suffix}"
        try:
            with zipfile.ZipFile(path) as archive, archive.open(member) as source, copy.open("wb") as target:
                shutil.copyfileobj(source, target, 2**20)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise ValueError(f"checkpoint {inside} is damaged ({error}): download or copy {path} again") from error
        with copy.open("rb") as file:
            is_safetensors = file.read(9)[8:] == b"{"
        return (_read_safetensors if is_safetensors else _read_torch)(copy, inside)


def _read_safetensors(file: Path, path: Path) -> FileContent:
    """Read a safetensors file; messages call it ``path``."""
    try:
        with safe_open(file, framework="pt") as f:
            state = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 - not a mapping
            return FileContent(state, "safetensors", dict(f.metadata() or {}))
    except SafetensorError as error:
        raise ValueError(
            f"checkpoint {path} is not a complete safetensors file ({error}): download or copy it again"
        ) from error


def _read_torch(file: Path, path: Path) -> FileContent:
    """Read a file of ``torch.save``; messages call it ``path``."""
    with _explained(path), torch.serialization.safe_globals(_harmless()):
        content = torch.load(file, map_location="cpu", weights_only=True)
    metadata = {}
    if isinstance(content, Mapping) and {"average", "weights", "model"} <= content.keys():  # written by the trainer
        metadata = {"config": json.dumps(content["model"]), "model": str(content.get("model_name", ""))}
        content = content["average"]["weights"]
    state = find_weights_in(path, content)
    return FileContent({name: x for name, x in state.items() if isinstance(x, Tensor)}, "torch", metadata)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn errors of ``torch.load`` into one-line messages that say what to do."""
    try:
        yield
    except pickle.UnpicklingError as error:
        reason = str(error)
        if any(word in reason for word in _REFUSALS):
            name = re.search(r"GLOBAL (\S+)", reason)
            what = f" ({name[1]})" if name else ""
            raise ValueError(
                f"checkpoint {path} holds objects other than tensors{what}, which could run code and are not read: "
                "save only its state_dict with torch.save"
            ) from error
        raise ValueError(
            f"checkpoint {path} is damaged, not a PyTorch file, or uses a pickle protocol other than 2: download it "
            "again, or save it with torch.save's default"
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # a damaged pickle raises errors of any type
        reason = (str(error) or type(error).__name__).splitlines()[0].partition(". ")[0][:120]
        raise ValueError(
            f"checkpoint {path} is truncated or not a PyTorch file ({reason}): download or copy it again"
        ) from error


def find_weights_in(path: Path, content: Any) -> dict[str, Any]:
    """Return the weights in the content of a PyTorch file, by their names.

    They are the content itself or are nested under keys. If there are several sets of weights, averaged ones are
    preferred, then those under the most usual key, and a warning is logged.

    Raises:
        ValueError: there are no weights, or several sets under unknown keys.
    """
    found = {"/".join(keys): state for keys, state in _states(content, ())}
    if not found:
        names = list(content)[:5] if isinstance(content, Mapping) else type(content).__name__
        raise ValueError(f"checkpoint {path} holds no weights under a known key; found {names}")
    return found[averaged_first(path, found)]


def _states(content: Any, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield the state dicts in a file's content, each with the keys that lead to it."""
    if not isinstance(content, Mapping) or not content or len(keys) > _DEPTH:
        return
    tensors = [name for name, x in content.items() if isinstance(x, Tensor) and isinstance(name, str)]
    parts = {name: part for name, part in content.items() if isinstance(part, Mapping) and isinstance(name, str)}
    is_known = not keys or keys[-1] in _HOLDERS or bool(_AVERAGED.search(keys[-1]))
    is_whole = is_known and len(tensors) == len(content)
    is_network = any("." in name for name in tensors) and any(content[name].ndim for name in tensors)  # not metrics
    if is_whole or (is_network and len(tensors) > len(parts)):
        yield keys, dict(content)
        return
    for name, part in parts.items():
        yield from _states(part, (*keys, name))


def averaged_first(path: Path, copies: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the key of the weights to read, and log a warning if there is a choice.

    Args:
        path: the file.
        copies: sets of weights by their key or prefix.

    Raises:
        ValueError: there are several sets, none of which is known to be the averaged or the trained one.
    """
    if len(copies) == 1:
        return next(iter(copies))
    trained = sorted((name for name in copies if not _AVERAGED.search(name)), key=_usualness)
    if len(trained) > 1 and _usualness(trained[0]) == len(_HOLDERS):
        raise ValueError(
            f"checkpoint {path} holds several networks ({', '.join(trained[:4])}): "
            "save the one to use in a file of its own"
        )
    sizes = {name: len(copy) for name, copy in copies.items()}
    averaged = [n for n in copies if n not in trained and sizes[n] >= max((sizes[t] for t in trained[:1]), default=0)]
    chosen = (averaged or trained)[0]
    others = ", ".join(repr(name) for name in copies if name != chosen)
    what = "averaged weights" if averaged else "weights"
    logger.warning("%s: reading the %s under %r, not those under %s", path, what, chosen, others)
    return chosen


def _usualness(name: str) -> int:
    """Return the index of a key or prefix among the usual keys; unknown ones come last."""
    first = re.split(r"[./]", name)[0]
    return _HOLDERS.index(first) if first in _HOLDERS else len(_HOLDERS)
