"""Sine position embedding."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=8)
def sine_position(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """Embedding of a map's positions -> [1, height * width, channels].

    The first half of the channels is for y, the second for x. An index, divided by the last one (plus 1e-6) and times
    2 pi, is divided by 10000^(2 floor(c / 2) / half); even channels are its sine, odd ones its cosine.
    """
    half = channels // 2
    c = torch.arange(half, device=device)
    period = 10000.0 ** (2 * (c // 2) / half)

    def axis(length: int) -> Tensor:
        index = torch.arange(length, device=device, dtype=torch.float32)
        angle = (index / (length - 1 + 1e-6) * 2 * math.pi)[:, None] / period
        return torch.where(c % 2 == 0, angle.sin(), angle.cos())

    y = axis(height)[:, None].expand(height, width, half)
    x = axis(width)[None].expand(height, width, half)
    return torch.cat([y, x], -1).view(1, height * width, channels)
