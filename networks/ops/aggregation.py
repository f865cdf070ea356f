"""Soft aggregation: from each object's own probability to one decision among all of them."""

from __future__ import annotations

import torch
from torch import Tensor

LEAST_SURE = 1e-30
"""Where the background is no class, probabilities are clamped to at least this: the likeliest object is to be found
also where all are unlikely."""


def aggregate(probabilities: Tensor, dim: int = 0, background: bool = True) -> Tensor:
    """Objects' own probabilities -> float32 logits of all classes, the background in front (STM, section 3.4).

    The background is where no object is; all are clamped to [1e-7, 1 - 1e-7] and become log odds.

    Args:
        probabilities: any shape.
        dim: the objects' axis, which has one entry more in the result.
        background: whether the background is a class; else its logit is -1e10, and objects' aren't clamped below.
    """
    p = probabilities.float()
    p = torch.cat([(1 - p).prod(dim, keepdim=True), p], dim).clamp(1e-7 if background else LEAST_SURE, 1 - 1e-7)
    logits = torch.log(p / (1 - p))
    if not background:
        logits.narrow(dim, 0, 1).fill_(-1e10)
    return logits
