"""Exported graphs of a model, with the manifest that describes them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

FORMAT = "voskit-onnx"
VERSION = 1
MANIFEST = "manifest.json"

Tensors = dict[str, np.ndarray]
"""Arrays by the names of a graph's inputs or outputs."""


def read_manifest(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Read and check the manifest of an exported model.

    Raises:
        FileNotFoundError: the folder has no manifest.
        ValueError: the manifest can't be read, or was written for another version.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(f"{path} doesn't exist: name a folder that voskit export --format onnx wrote")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        found = (manifest["format"], manifest["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not the manifest of an exported model: {error}") from error
    if found != (FORMAT, VERSION):
        raise ValueError(
            f"{path} has format {found[0]} {found[1]}, this program reads {FORMAT} {VERSION}: export again"
        )
    return manifest


class Graphs:
    """The graphs of an exported model, each an ONNX Runtime session.

    Args:
        folder: written by ``voskit export --format onnx``.
        threads: threads of an operation. Default: one for each core.
        providers: execution providers of ONNX Runtime, best first. Default: the CPU.

    Raises:
        FileNotFoundError: the folder has no manifest, or a graph is missing.
        ValueError: a graph isn't the one that was exported, or a provider isn't installed.
    """

    def __init__(
        self, folder: str | os.PathLike[str], threads: int | None = None, providers: Sequence[str] | None = None
    ) -> None:
        self.manifest = read_manifest(folder)
        chosen = list(providers or ["CPUExecutionProvider"])
        available = onnxruntime.get_available_providers()
        if missing := [name for name in chosen if name not in available]:
            raise ValueError(f"ONNX Runtime has no provider {missing[0]} here; it has {', '.join(available)}")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only
        options.intra_op_num_threads = threads or 0
        self._sessions = {}
        for name, entry in self.manifest["graphs"].items():
            path = _checked(Path(folder) / entry["file"], entry["sha256"])
            self._sessions[name] = onnxruntime.InferenceSession(str(path), options, providers=chosen)
        self.inputs = {name: [x.name for x in s.get_inputs()] for name, s in self._sessions.items()}
        self._outputs = {name: [x.name for x in s.get_outputs()] for name, s in self._sessions.items()}

    def run(self, graph: str, inputs: Mapping[str, np.ndarray]) -> Tensors:
        """Run a graph; inputs that it doesn't have are left out."""
        feed = {name: np.ascontiguousarray(inputs[name]) for name in self.inputs[graph]}
        return dict(zip(self._outputs[graph], self._sessions[graph].run(None, feed), strict=True))

    def resize(self, x_BCHW: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Resize maps bilinearly, by the convention of the model."""
        if x_BCHW.shape[2:] == size:
            return x_BCHW
        return self.run("resize", {"x": x_BCHW, "size": np.array([*x_BCHW.shape[:2], *size], np.int64)})["y"]


def _checked(path: Path, digest: str) -> Path:
    """Return the path of a graph after comparing its content with the manifest."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: export the model again")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != digest:
        raise ValueError(f"{path} is not the file that was exported: its SHA-256 begins with {found[:12]}")
    return path
