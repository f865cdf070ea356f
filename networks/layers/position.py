"""Sine position embeddings of maps and words, and tables of position embeddings."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor


@lru_cache(maxsize=8)
def sine_position(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """Return the position embedding of a map -> [1, height * width, channels].

    The first half of the channels encodes y, the second x. The angle of index i is 2 pi i / (last + 1e-6), divided by
    10000^(2 floor(c / 2) / half). Even channels are its sine, odd ones its cosine.
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


def sine_cosine_table(side: int, channels: int) -> Tensor:
    """Return the embedding of a token (0) and of the positions of a square map -> [1, 1 + side * side, channels].

    The first half of the channels encodes x, the second y, as in MAE: first the sines of i / 10000^(4 c / channels),
    then the cosines.
    """
    quarter = channels // 4
    angle = torch.arange(side, dtype=torch.float64)[:, None] / 10000.0 ** (torch.arange(quarter) / quarter)
    axis = torch.cat([angle.sin(), angle.cos()], 1)
    y = axis[:, None].expand(side, side, -1)
    x = axis[None].expand(side, side, -1)
    table = torch.cat([x, y], 2).flatten(0, 1)
    return torch.cat([table.new_zeros(1, channels), table])[None].float()


def resize_table(table_1LC: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize a position table of a square map bicubically -> [1, height * width, C]."""
    side = math.isqrt(table_1LC.shape[1])
    if size == (side, side):
        return table_1LC
    square = table_1LC.transpose(1, 2).unflatten(2, (side, side))
    return F.interpolate(square, size, mode="bicubic", align_corners=False).flatten(2).transpose(1, 2)


def valid_position(padding_BHW: Tensor, channels: int) -> Tensor:
    """Return the position embedding of padded maps -> [B, channels, H, W] (visual positions of ReferFormer).

    As ``sine_position``, but with positions counted without padding, from 0.5 on, relative to the last count.
    """
    valid = (~padding_BHW).float()

    def axis(dim: int) -> Tensor:
        count = valid.cumsum(dim)
        last = count.select(dim, -1).unsqueeze(dim)
        return _sine((count - 0.5) / (last + 1e-6) * 2 * math.pi, channels // 2)

    return torch.cat([axis(1), axis(2)], 3).permute(0, 3, 1, 2)


def word_position(padding_BL: Tensor, channels: int) -> Tensor:
    """Return the position embedding of words, counted without padding from 1 on -> [B, L, channels]."""
    count = (~padding_BL).float().cumsum(1)
    return _sine(count / (count[:, -1:] + 1e-6) * 2 * math.pi, channels)


def _sine(angle: Tensor, channels: int) -> Tensor:
    """Encode angles [...] as [..., channels]: sines in even channels, cosines in odd ones, of falling frequency."""
    c = torch.arange(channels, device=angle.device, dtype=torch.float32)
    angle = angle[..., None] / 10000.0 ** (2 * (c // 2) / channels)
    return torch.stack([angle[..., 0::2].sin(), angle[..., 1::2].cos()], -1).flatten(-2)
