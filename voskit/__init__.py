"""Video object segmentation with AOT, DeAOT, AOST, XMem, JointFormer and ReferFormer.

>>> from voskit import VideoSegmenter, build_model
>>> segmenter = VideoSegmenter(build_model("deaott", pretrained=True))
>>> ids = segmenter.step(frame, mask=first_mask)
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # mirrors _MODULES for type checkers
    from voskit.configs import get_model_config as get_model_config
    from voskit.configs import list_models as list_models
    from voskit.dataloaders.datasets import open_dataset as open_dataset
    from voskit.dataloaders.masks.files import read_mask as read_mask
    from voskit.dataloaders.masks.files import write_mask as write_mask
    from voskit.dataloaders.video.frames import open_frames as open_frames
    from voskit.evaluators.annotation.session import Annotation as Annotation
    from voskit.evaluators.benchmarks.run import evaluate as evaluate
    from voskit.evaluators.exports.results import export_masks as export_masks
    from voskit.evaluators.metrics import score as score
    from voskit.evaluators.referring import ReferringSegmenter as ReferringSegmenter
    from voskit.evaluators.segmenter import VideoSegmenter as VideoSegmenter
    from voskit.networks import build_model as build_model
    from voskit.trainers.run import train as train

__version__ = "0.2.0"

_ROOT = Path(__file__).resolve().parents[1]
if (_ROOT / "setup.py").is_file() and (_ROOT / "evaluators").is_dir():  # a checkout: packages are next to this one
    __path__.append(str(_ROOT))

_MODULES = {
    "Annotation": "voskit.evaluators.annotation.session",
    "ReferringSegmenter": "voskit.evaluators.referring",
    "VideoSegmenter": "voskit.evaluators.segmenter",
    "build_model": "voskit.networks",
    "evaluate": "voskit.evaluators.benchmarks.run",
    "export_masks": "voskit.evaluators.exports.results",
    "get_model_config": "voskit.configs",
    "list_models": "voskit.configs",
    "open_dataset": "voskit.dataloaders.datasets",
    "open_frames": "voskit.dataloaders.video.frames",
    "read_mask": "voskit.dataloaders.masks.files",
    "score": "voskit.evaluators.metrics",
    "train": "voskit.trainers.run",
    "write_mask": "voskit.dataloaders.masks.files",
}

__all__ = [*_MODULES, "__version__"]


def __getattr__(name: str) -> Any:
    """Import a public name on first use: torch takes seconds to import."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
