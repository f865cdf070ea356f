"""Engines: the state of one video while it is propagated."""

from networks.engines.aot import AOTEngine
from networks.engines.base import Engine, Step
from networks.engines.objects import ObjectSlots
from networks.engines.prediction import FrameProbabilities, GivenOver, Prediction, ResizedProbabilities, average
from networks.engines.xmem import XMemEngine

__all__ = [
    "AOTEngine",
    "Engine",
    "FrameProbabilities",
    "GivenOver",
    "ObjectSlots",
    "Prediction",
    "ResizedProbabilities",
    "Step",
    "XMemEngine",
    "average",
]
