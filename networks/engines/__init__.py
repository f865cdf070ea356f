"""Engines: the state of one video while it is propagated."""

from networks.engines.aot import AOTEngine
from networks.engines.base import DepthChoice, Engine, Step
from networks.engines.objects import ObjectSlots
from networks.engines.prediction import Prediction, average
from networks.engines.scalable import ScalableEngine

__all__ = ["AOTEngine", "DepthChoice", "Engine", "ObjectSlots", "Prediction", "ScalableEngine", "Step", "average"]
