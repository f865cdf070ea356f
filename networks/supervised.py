"""What training compares with labels."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Supervised(NamedTuple):
    """Logits that training compares with the label."""

    weight: float
    """Share of the frame's loss; the shares of a frame add up to 1."""
    logits: Tensor
    """[B, K, H, W]."""
