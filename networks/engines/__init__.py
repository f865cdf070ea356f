"""Engines: the state of one video while it is propagated."""

from networks.engines.aot import AOTEngine
from networks.engines.base import Engine, Step
from networks.engines.objects import ObjectSlots
from networks.engines.prediction import Prediction, average

__all__ = ["AOTEngine", "Engine", "ObjectSlots", "Prediction", "Step", "average"]
