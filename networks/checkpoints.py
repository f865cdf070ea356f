"""Checkpoints: strict loading of published files and of the project's own, without running code from a file."""

from __future__ import annotations

import argparse
import json
import logging
import os
import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from voskit.configs import ModelConfig, get_model_config, list_models, model_name
from voskit.dataloaders.files import atomic_write
from voskit.networks.families import build_network
from voskit.networks.models.base import Network

logger = logging.getLogger(__name__)

COMPUTED = re.compile(r"(^|\.)relative_position_index$")
"""Tensors that follow from the architecture, which a file may omit."""
COUNTERS = re.compile(r"(^|\.)num_batches_tracked$")
"""Counters of batch norms, which frozen ones don't have."""

_HOLDERS = ("state_dict", "model", "network", "module", "params")
"""Keys under which files hold their weights, next to steps and optimizer states; the first one found is used."""
_WRAPPERS = ("module.", "_orig_mod.", "model.")
"""Prefixes that DistributedDataParallel, torch.compile and training frameworks add to every name."""

# classes in published files other than tensors, for optimizer states and command lines; none can run code of a file
_SCALAR = np.float64(0).__reduce__()[0]  # its module was renamed between versions of numpy
_HARMLESS: list[Any] = [
    argparse.Namespace,
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(t)) for t in ("float64", "float32", "int64", "int32", "bool")),
]


@dataclass
class Checkpoint:
    """Contents of a checkpoint file."""

    path: Path
    state: dict[str, Tensor]
    kind: str
    """Format of the file: ``"safetensors"`` or ``"torch"``."""
    metadata: dict[str, str] = field(default_factory=dict)
    """Name (``model``) and config (``config``, JSON) of the model, in files that this project wrote."""
    prefix: str = ""
    """Prefix that was removed from each name."""


@dataclass
class LoadReport:
    """Outcome of loading, for each tensor."""

    path: Path
    matched: list[str] = field(default_factory=list)
    converted: dict[str, str] = field(default_factory=dict)
    """Conversion of each converted tensor, by name."""
    ignored: dict[str, str] = field(default_factory=dict)
    """Reason for each tensor of the file that isn't used."""
    absent: dict[str, str] = field(default_factory=dict)
    """Reason for each tensor of the network that the file may lack."""

    def __str__(self) -> str:
        text = f"{self.path}: {len(self.matched)} tensors loaded"
        for what, entries in (("converted", self.converted), ("ignored", self.ignored), ("not in it", self.absent)):
            for reason in dict.fromkeys(entries.values()):
                names = [n for n, r in entries.items() if r == reason]
                text += f"; {len(names)} {what} ({reason}: {', '.join(names[:2])}{', ...' if len(names) > 2 else ''})"
        return text


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read the weights of a ``.safetensors`` or ``torch.save`` file.

    The weights may be the whole content or lie under a usual key such as ``state_dict``. Prefixes of wrappers
    (``module.``, ``_orig_mod.``, ``model.``) are removed from their names. From a checkpoint of the trainer, the
    averaged weights are read.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file isn't a checkpoint, is truncated, or holds objects that could run code; the message says
            which.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint {path} {'is a folder, not a file' if path.is_dir() else 'does not exist'}")
    with path.open("rb") as f:
        head = f.read(64)
    if not head:
        raise ValueError(f"checkpoint {path} is empty: download it again")
    if head.lstrip()[:1] == b"<":
        raise ValueError(f"checkpoint {path} is a web page, not weights: the download returned an error or login page")
    if head.startswith(b"version https://git-lfs"):
        raise ValueError(f"checkpoint {path} is a git-lfs pointer, not weights: run 'git lfs pull'")
    if path.suffix == ".safetensors" or head[8:9] == b"{":
        return _read_safetensors(path)
    if not head.startswith((b"PK", b"\x80")):
        raise ValueError(f"checkpoint {path} is not a PyTorch or safetensors file: check the path")
    return _read_torch(path)


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with safe_open(path, framework="pt") as f:
            state = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 - not a mapping
            return _unwrapped(path, state, "safetensors", dict(f.metadata() or {}))
    except SafetensorError as error:
        raise ValueError(
            f"checkpoint {path} is not a complete safetensors file ({error}): download or copy it again"
        ) from error


def _read_torch(path: Path) -> Checkpoint:
    try:
        with torch.serialization.safe_globals(_HARMLESS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error)
        if "GLOBAL" in reason or "reduce" in reason:
            name = re.search(r"GLOBAL (\S+)", reason)
            what = f" ({name[1]})" if name else ""
            raise ValueError(
                f"checkpoint {path} holds objects other than tensors{what}, which could run code and are not read: "
                "save only its state_dict with torch.save"
            ) from error
        raise ValueError(f"checkpoint {path} is damaged or not a PyTorch file: download or copy it again") from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, UnicodeDecodeError) as error:
        raise ValueError(
            f"checkpoint {path} is truncated or not a PyTorch file ({str(error).splitlines()[0][:120]}): "
            "download or copy it again"
        ) from error
    metadata = {}
    if (
        isinstance(content, Mapping) and {"average", "weights", "model"} <= content.keys()
    ):  # a checkpoint of the trainer
        metadata = {"config": json.dumps(content["model"]), "model": str(content.get("model_name", ""))}
        content = content["average"]["weights"]
    while isinstance(content, Mapping) and (key := next((k for k in _HOLDERS if _is_mapping(content.get(k))), None)):
        content = content[key]
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        found = list(content)[:5] if isinstance(content, Mapping) else type(content).__name__
        raise ValueError(f"checkpoint {path} holds no weights under a known key; found {found}")
    return _unwrapped(path, content, "torch", metadata)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping) and len(value) > 0


def _unwrapped(path: Path, state: Mapping[str, Tensor], kind: str, metadata: dict[str, str]) -> Checkpoint:
    """Remove the prefixes of wrappers that all names have."""
    prefix = ""
    while state and (more := next((p for p in _WRAPPERS if all(k.startswith(p) for k in state)), "")):
        prefix += more
        state = {k.removeprefix(more): v for k, v in state.items()}
    return Checkpoint(path, dict(state), kind, metadata, prefix)


def load_weights(network: Network, checkpoint: Checkpoint) -> LoadReport:
    """Load all weights of a network, strictly.

    Raises:
        ValueError: tensors are missing, unknown, of another shape or not finite. The message names the models that
            the file does fit.
    """
    report = LoadReport(checkpoint.path)
    own = network.state_dict()
    state = dict(checkpoint.state)
    if checkpoint.prefix:
        report.converted = dict.fromkeys(state, f"without the prefix {checkpoint.prefix!r}")
    for name, (adapted, conversion) in network.adapt_checkpoint(state).items():
        state[name] = adapted
        report.converted[name] = conversion
    for name in [n for n in state if COUNTERS.search(n) and n not in own]:
        del state[name]
        report.ignored[name] = "counters of batch norms, whose statistics are frozen"
    for name in [n for n in own if COMPUTED.search(n) and n not in state]:
        state[name] = own[name]
        report.absent[name] = "follows from the window's size"
    report.ignored |= network.ignored_tensors({name: x.shape for name, x in state.items()})
    state = {name: x for name, x in state.items() if name not in report.ignored}
    _check(network, own, state, checkpoint)
    _copy(network, state, report)
    return report


def _check(network: nn.Module, own: dict[str, Tensor], state: dict[str, Tensor], checkpoint: Checkpoint) -> None:
    """Raise a one-line error unless both sides have the same names and shapes and all values are finite."""
    wrong = []
    for what, names in (
        ("missing", [n for n in own if n not in state]),
        ("unknown", [n for n in state if n not in own]),
        ("of another shape", [n for n in own if n in state and own[n].shape != state[n].shape]),
    ):
        if names:
            n = names[0]
            shapes = f" {list(state[n].shape)} for {list(own[n].shape)}" if what == "of another shape" else ""
            wrong.append(f"{len(names)} tensors are {what} ({n}{shapes}{', ...' if len(names) > 1 else ''})")
    if wrong:
        config = getattr(network, "config", None)
        asked = model_name(config) if isinstance(config, ModelConfig) else type(network).__name__
        fits = [m for m in models_that_fit(checkpoint.state) if m != asked]
        hint = f"it fits {' or '.join(fits)}" if fits else f"{len(own)} tensors are expected, it has {len(state)}"
        written = checkpoint.metadata.get("model")
        hint = f"its metadata say that it is {written}" if written and written != asked else hint
        if written == asked and isinstance(config, ModelConfig) and (other := _other_fields(checkpoint, config)):
            hint = f"it was written with {other}"
        raise ValueError(f"checkpoint {checkpoint.path} doesn't fit {asked}: {'; '.join(wrong)}; {hint}")
    for name, x in state.items():
        if x.is_floating_point() and not x.to(own[name].dtype).isfinite().all():
            raise ValueError(f"checkpoint {checkpoint.path} is damaged: {name} holds values that are not finite")


def own_fields(checkpoint: Checkpoint, name: str) -> dict[str, Any]:
    """Return the config fields of one of this project's files that differ from the model's defaults.

    Training-only fields are left out. Files of other models, and published ones, have none.
    """
    if checkpoint.metadata.get("model") != name:
        return {}
    default = get_model_config(name)
    written = default.present_names(json.loads(checkpoint.metadata.get("config", "{}")))
    fields = default.to_dict().keys() - set(default.training_only)
    written = {k: tuple(v) if isinstance(v, list) else v for k, v in written.items() if k in fields}
    return {k: v for k, v in written.items() if v != getattr(default, k)}


def _other_fields(checkpoint: Checkpoint, config: ModelConfig) -> str:
    """List the config fields of one of this project's files that differ from a network's, as text."""
    written = config.present_names(json.loads(checkpoint.metadata.get("config", "{}")))
    return ", ".join(f"{k}={v}" for k, v in written.items() if config.to_dict().get(k, v) != v)


def _copy(network: nn.Module, state: dict[str, Tensor], report: LoadReport) -> None:
    """Copy tensors of equal names and shapes, and report changes of dtype."""
    own = network.state_dict()
    for name, x in state.items():
        if x.dtype != own[name].dtype:
            report.converted[name] = f"{x.dtype} to {own[name].dtype}".replace("torch.", "")
        if name not in report.absent:
            report.matched.append(name)
    network.load_state_dict(state, strict=True)


def models_that_fit(state: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the registered models whose tensors have exactly these names and shapes."""

    def shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
        return {k: v.shape for k, v in tensors.items() if not COMPUTED.search(k) and not COUNTERS.search(k)}

    fitting = []
    in_file = shapes(state)
    for name in list_models():
        config = get_model_config(name)
        try:
            with torch.device("meta"):
                network = build_network(config.override(**config.implied_fields(in_file)))
        except (ValueError, RuntimeError) as error:  # a package is missing, or building needs real tensors
            logger.debug("%s is not compared: %s", name, error)
            continue
        ignored = network.ignored_tensors(in_file)
        if shapes(network.state_dict()) == {k: v for k, v in in_file.items() if k not in ignored}:
            fitting.append(name)
    return fitting


def load_encoder(encoder: Any, path: str | os.PathLike[str]) -> LoadReport:
    """Load weights of an encoder as torchvision, timm, the Swin authors and transformers publish them.

    Args:
        encoder: a module that follows :class:`voskit.networks.encoders.base.Pretrained`.
        path: the file.

    Raises:
        FileNotFoundError, ValueError: as for whole networks.
    """
    checkpoint = read_checkpoint(path)
    report = LoadReport(checkpoint.path)
    own = encoder.state_dict()
    used = {}
    for name, x in checkpoint.state.items():
        if name.startswith(encoder.pretrained_unused):
            report.ignored[name] = "after the last map that is used"
        elif COUNTERS.search(name) and name not in own:
            report.ignored[name] = "counters of batch norms, whose statistics are frozen"
        else:
            used[name] = x
    used = encoder.convert_pretrained(used)
    for name in own:
        if name not in used and name.startswith(encoder.pretrained_absent or ("\0",)):
            used[name] = own[name]
            report.absent[name] = "not in ImageNet networks, keeps its initial value"
        elif name not in used and (COMPUTED.search(name) or COUNTERS.search(name)):
            used[name] = own[name]
            report.absent[name] = "follows from the architecture"
    _check(encoder, own, used, Checkpoint(checkpoint.path, used, checkpoint.kind))
    _copy(encoder, used, report)
    return report


def mean_of_weights(networks: Sequence[nn.Module], shares: Sequence[float]) -> dict[str, Tensor]:
    """Average the floating-point tensors of several networks, and take other tensors from the first one.

    Averages of several states of one training, or of trainings from one start, are often better than each of them
    (model soups, Wortsman et al., ICML 2022).

    Args:
        networks: networks with tensors of the same names and shapes.
        shares: positive weight of each network; they are normalized.

    Returns:
        a state dict.

    Raises:
        ValueError: the networks have different tensors, or the number of shares differs from theirs.
    """
    if len(shares) != len(networks) or sum(shares) <= 0:
        raise ValueError(f"the mean of {len(networks)} networks needs {len(networks)} shares, got {list(shares)}")
    states = [network.state_dict() for network in networks]
    shapes = [{k: v.shape for k, v in state.items()} for state in states]
    for place, own in enumerate(shapes):
        if other := sorted(k for k in own.keys() | shapes[0].keys() if own.get(k) != shapes[0].get(k)):
            raise ValueError(f"network {place + 1} can't be averaged with the first one: {other[0]} differs")
    parts = [share / sum(shares) for share in shares]

    def mean(name: str) -> Tensor:
        return torch.stack([p * s[name].cpu().double() for p, s in zip(parts, states, strict=True)]).sum(0)

    return {k: mean(k).to(x.dtype) if x.is_floating_point() else x for k, x in states[0].items()}


def save_weights(network: Network, path: str | os.PathLike[str], dtype: torch.dtype | None = None) -> None:
    """Write a network's weights and config as safetensors, atomically.

    Args:
        network: a network whose config is that of a registered model.
        path: file to write, ``*.safetensors``.
        dtype: dtype of floating-point tensors in the file. Default: unchanged.

    Raises:
        ValueError: a value overflows ``dtype``.
        OSError: the file can't be written.
    """
    path = Path(path)
    config = network.config
    state = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    if dtype is not None:
        state = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}
        if too_large := [k for k, v in state.items() if v.is_floating_point() and not v.isfinite().all()]:
            raise ValueError(f"{path}: {too_large[0]} holds values that overflow {dtype}")
    metadata = {"model": model_name(config), "config": json.dumps(config.to_dict())}
    with atomic_write(path, "the checkpoint") as temporary:
        temporary.write_bytes(save(state, metadata))  # save_file() ignores the umask: only the owner could read it
