"""Exported graphs of a model, with the manifest that describes them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voskit.runtime.sessions import BACKENDS, OnnxRuntimeSession, OpenVinoSession, Session, Tensors

FORMAT = "voskit-onnx"
VERSION = 1
MANIFEST = "manifest.json"


def read_manifest(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Read and check the manifest of an exported model.

    Raises:
        FileNotFoundError: the folder has no manifest.
        ValueError: the manifest can't be read, or was written for another version.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(f"{path} doesn't exist: give a folder that voskit export --format onnx wrote")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        found = (manifest["format"], manifest["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not the manifest of an exported model: {error}") from error
    if found != (FORMAT, VERSION):
        raise ValueError(
            f"{path} has format {found[0]} {found[1]}, but {FORMAT} {VERSION} is needed: export the model again"
        )
    return manifest


class Graphs:
    """The graphs of an exported model.

    Args:
        folder: written by ``voskit export --format onnx``.
        threads: threads of an operation. Default: one for each core.
        providers: execution providers of ONNX Runtime, best first. Default: the CPU.
        backend: ``"onnxruntime"`` or ``"openvino"``.
        precision: precision of OpenVINO, ``"f32"``, ``"bf16"`` or ``"f16"``.

    Raises:
        FileNotFoundError: the folder has no manifest, or a graph is missing.
        ValueError: a graph isn't the one that was exported, a provider or OpenVINO isn't installed, or an argument
            is for the other backend.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        threads: int | None = None,
        providers: Sequence[str] | None = None,
        backend: str = "onnxruntime",
        precision: str | None = None,
    ) -> None:
        if backend not in BACKENDS:
            raise ValueError(f"backend must be {' or '.join(BACKENDS)}, got {backend!r}")
        if backend == "openvino" and providers is not None:
            raise ValueError("providers are those of ONNX Runtime: leave them out with backend='openvino'")
        if threads is not None:
            check_count("threads", threads)
        if isinstance(providers, str):
            providers = [providers]
        if providers is not None and not isinstance(providers, Sequence):
            raise ValueError(f"providers are names of ONNX Runtime in a list, got {providers!r}")
        if backend == "onnxruntime" and precision is not None:
            raise ValueError("precision is for backend='openvino': export with --precision fp16 or int8 instead")
        self.manifest = read_manifest(folder)
        self._sessions: dict[str, Session] = {}
        for name, entry in self.manifest["graphs"].items():
            path = checked_file(Path(folder), entry)
            if backend == "openvino":
                self._sessions[name] = OpenVinoSession(path, threads, precision or "f32")
            else:
                self._sessions[name] = OnnxRuntimeSession(path, threads, providers or ["CPUExecutionProvider"])
        self.inputs = {name: session.inputs for name, session in self._sessions.items()}

    def run(self, graph: str, inputs: Mapping[str, np.ndarray]) -> Tensors:
        """Run a graph; inputs that it doesn't have are left out."""
        return self._sessions[graph].run({name: np.ascontiguousarray(inputs[name]) for name in self.inputs[graph]})

    def resize(self, x_BCHW: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Resize maps bilinearly, by the convention of the model."""
        if x_BCHW.shape[2:] == size:
            return x_BCHW
        return self.run("resize", {"x": x_BCHW, "size": np.array([*x_BCHW.shape[:2], *size], np.int64)})["y"]


def check_count(name: str, value: Any) -> None:
    """Check that an argument is a positive integer.

    Raises:
        ValueError: it isn't.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")


def checked_file(folder: Path, entry: Mapping[str, Any]) -> Path:
    """Return the path of a file after comparing its content with its entry in the manifest.

    Raises:
        FileNotFoundError: it is missing.
        ValueError: it isn't the one that was exported.
    """
    path = folder / entry["file"]
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: export the model again")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != entry["sha256"]:
        raise ValueError(f"{path} is not the file that was exported: its SHA-256 begins with {found[:12]}")
    return path
