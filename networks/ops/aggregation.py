"""Soft aggregation: from one probability per object to a distribution over all objects and the background."""

from __future__ import annotations

import torch
from torch import Tensor

MIN_PROBABILITY = 1e-30
"""Lower clamp of objects' probabilities if the background is not a class: even where all are unlikely, there must be a
likeliest object."""


def aggregate(probabilities: Tensor, dim: int = 0, background: bool = True) -> Tensor:
    """Aggregate probabilities of single objects to float32 logits of all classes, the background first (STM, 3.4).

    The background's probability is the product of all 1 - p. All are clamped to [1e-7, 1 - 1e-7] and become log odds.

    Args:
        probabilities: of each object, any shape.
        dim: the objects' axis, which has one more entry in the result.
        background: False if every pixel belongs to an object: the background's logit is -1e10 then, and objects'
            probabilities have no lower clamp.
    """
    p = probabilities.float()
    p = torch.cat([(1 - p).prod(dim, keepdim=True), p], dim).clamp(1e-7 if background else MIN_PROBABILITY, 1 - 1e-7)
    logits = torch.log(p / (1 - p))
    if not background:
        logits.narrow(dim, 0, 1).fill_(-1e10)
    return logits
