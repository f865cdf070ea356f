"""Soft aggregation: from each object's own probability to one decision among all of them."""

from __future__ import annotations

import torch
from torch import Tensor


def aggregate(probabilities: Tensor, dim: int = 0) -> Tensor:
    """Objects' own probabilities -> float32 logits of all classes, the background in front (STM, section 3.4).

    The background is where no object is; all are clamped to [1e-7, 1 - 1e-7] and become log odds.

    Args:
        probabilities: any shape.
        dim: the objects' axis, which has one entry more in the result.
    """
    p = probabilities.float()
    p = torch.cat([(1 - p).prod(dim, keepdim=True), p], dim).clamp(1e-7, 1 - 1e-7)
    return torch.log(p / (1 - p))
