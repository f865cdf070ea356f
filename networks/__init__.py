"""Networks for video object segmentation: encoders, layers, memories, models and engines.

>>> from voskit.networks import build_model
>>> model = build_model("r50_deaotl", checkpoint="R50_DeAOTL_PRE_YTB_DAV.pth")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the names of _MODULES, for type checkers
    from voskit.configs import list_models as list_models
    from voskit.networks.build import build_model as build_model
    from voskit.networks.build import default_device as default_device
    from voskit.networks.checkpoints import load_encoder as load_encoder
    from voskit.networks.checkpoints import load_weights as load_weights
    from voskit.networks.checkpoints import mean_of_weights as mean_of_weights
    from voskit.networks.checkpoints import save_weights as save_weights
    from voskit.networks.families import build_network as build_network
    from voskit.networks.families import new_engine as new_engine
    from voskit.networks.inference import compile_network as compile_network
    from voskit.networks.models.base import Network as Network

_MODULES = {
    "Network": "voskit.networks.models.base",
    "build_model": "voskit.networks.build",
    "build_network": "voskit.networks.families",
    "compile_network": "voskit.networks.inference",
    "default_device": "voskit.networks.build",
    "list_models": "voskit.configs",
    "load_encoder": "voskit.networks.checkpoints",
    "load_weights": "voskit.networks.checkpoints",
    "mean_of_weights": "voskit.networks.checkpoints",
    "new_engine": "voskit.networks.families",
    "save_weights": "voskit.networks.checkpoints",
}

__all__ = [*_MODULES]


def __getattr__(name: str) -> Any:
    """Import a public name on first access."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
