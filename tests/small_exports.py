"""Exports of small models; the bundled one is made once for all processes of a test run."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import pytest
from moving_clip import H, W

MEMORY_FRAMES = 3
OBJECTS = 20


def export_small(model: Any, folder: Path, name: str, **numbers: Any) -> None:
    """Export a model for frames of H x W. The exporter reads its table of operators, which takes seconds, only once."""
    from onnxscript._framework_apis import torch_2_5

    from voskit.evaluators.onnx.export import export_onnx

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_2_5, "get_torchlib_ops", functools.cache(torch_2_5.get_torchlib_ops))
        export_onnx(model, folder, name=name, size=(H, W), **numbers)


def bundled_network() -> Any:
    """The bundled DeAOT for frames of H x W that remembers every frame."""
    from voskit.networks import build_model

    return build_model("deaott", pretrained=True, device="cpu", short_edge=H, long_term_gap=1)


def exported_bundled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the exported ``bundled_network``. It is shared: don't write there."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "exported_bundled"
    if not folder.exists():
        own = tmp_path_factory.mktemp("exported") / "bundled"
        export_small(bundled_network(), own, "deaott", objects=OBJECTS, memory_frames=MEMORY_FRAMES)
        try:
            own.rename(folder)
        except OSError:  # another process was faster
            return own
    return folder
