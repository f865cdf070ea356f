"""Engines: the state of one video while it is propagated."""

from networks.engines.aot import AOTEngine
from networks.engines.base import DepthChoice, Engine, Step
from networks.engines.constants import look_up
from networks.engines.jointformer import JointFormerEngine
from networks.engines.objects import ObjectSlots
from networks.engines.prediction import (
    FrameProbabilities,
    GivenOver,
    Prediction,
    ResizedProbabilities,
    average,
    likeliest,
)
from networks.engines.scalable import ScalableEngine
from networks.engines.together import Work, run, run_together
from networks.engines.xmem import XMemEngine

__all__ = [
    "AOTEngine",
    "DepthChoice",
    "Engine",
    "FrameProbabilities",
    "GivenOver",
    "JointFormerEngine",
    "ObjectSlots",
    "Prediction",
    "ResizedProbabilities",
    "ScalableEngine",
    "Step",
    "Work",
    "XMemEngine",
    "average",
    "likeliest",
    "look_up",
    "run",
    "run_together",
]
