"""Engines: the state of one video while its masks are propagated.

``voskit.networks.families.new_engine`` creates the engine of a network.
"""

from voskit.networks.engines.batching import Call, StepCalls, run_calls, run_calls_batched
from voskit.networks.engines.objects import ObjectSlots
from voskit.networks.engines.prediction import (
    FrameProbabilities,
    MaskOverlay,
    Prediction,
    ResizedProbabilities,
    average,
    likeliest,
    look_up,
)
from voskit.networks.engines.protocol import DepthChoice, Engine, Step

__all__ = [
    "Call",
    "DepthChoice",
    "Engine",
    "FrameProbabilities",
    "MaskOverlay",
    "ObjectSlots",
    "Prediction",
    "ResizedProbabilities",
    "Step",
    "StepCalls",
    "average",
    "likeliest",
    "look_up",
    "run_calls",
    "run_calls_batched",
]
