"""Engines: the state of one video while it is propagated."""

from voskit.networks.engines.aost import AOSTEngine
from voskit.networks.engines.aot import AOTEngine
from voskit.networks.engines.batching import Work, run, run_together
from voskit.networks.engines.cached_tensors import look_up
from voskit.networks.engines.jointformer import JointFormerEngine
from voskit.networks.engines.objects import ObjectSlots
from voskit.networks.engines.prediction import (
    FrameProbabilities,
    GivenOver,
    Prediction,
    ResizedProbabilities,
    average,
    likeliest,
)
from voskit.networks.engines.protocol import DepthChoice, Engine, Step
from voskit.networks.engines.xmem import XMemEngine

__all__ = [
    "AOSTEngine",
    "AOTEngine",
    "DepthChoice",
    "Engine",
    "FrameProbabilities",
    "GivenOver",
    "JointFormerEngine",
    "ObjectSlots",
    "Prediction",
    "ResizedProbabilities",
    "Step",
    "Work",
    "XMemEngine",
    "average",
    "likeliest",
    "look_up",
    "run",
    "run_together",
]
