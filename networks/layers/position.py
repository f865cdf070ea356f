"""Sine position embeddings of maps and sentences, and learned tables of positions."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
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


def sine_cosine_table(side: int, channels: int) -> Tensor:
    """Embedding of a token, which is 0, and of the positions of a square map -> [1, 1 + side * side, channels].

    The first half of the channels is for x, the second for y: sines of an index over 10000^(4 c / channels), then
    cosines, as ViTs of the MAE kind have it.
    """
    quarter = channels // 4
    angle = torch.arange(side, dtype=torch.float64)[:, None] / 10000.0 ** (torch.arange(quarter) / quarter)
    axis = torch.cat([angle.sin(), angle.cos()], 1)
    y = axis[:, None].expand(side, side, -1)
    x = axis[None].expand(side, side, -1)
    table = torch.cat([x, y], 2).flatten(0, 1)
    return torch.cat([table.new_zeros(1, channels), table])[None].float()


def resize_table(table_1LC: Tensor, size: tuple[int, int]) -> Tensor:
    """A table of the positions of a square map for maps of another size, bicubically -> [1, height * width, C]."""
    side = math.isqrt(table_1LC.shape[1])
    if size == (side, side):
        return table_1LC
    square = table_1LC.transpose(1, 2).unflatten(2, (side, side))
    return F.interpolate(square, size, mode="bicubic", align_corners=False).flatten(2).transpose(1, 2)


def valid_position(padding_BHW: Tensor, channels: int) -> Tensor:
    """Embedding of the positions of maps of which a part is padding -> [B, channels, H, W].

    As ``sine_position``, but of positions counted among those that aren't padding, from 0.5 on, over the last count
    (ReferFormer's visual positions).
    """
    valid = (~padding_BHW).float()

    def axis(dim: int) -> Tensor:
        count = valid.cumsum(dim)
        last = count.select(dim, -1).unsqueeze(dim)
        return _sine((count - 0.5) / (last + 1e-6) * 2 * math.pi, channels // 2)

    return torch.cat([axis(1), axis(2)], 3).permute(0, 3, 1, 2)


def word_position(padding_BL: Tensor, channels: int) -> Tensor:
    """The same of the words of sentences, counted from 1 on -> [B, L, channels]."""
    count = (~padding_BL).float().cumsum(1)
    return _sine(count / (count[:, -1:] + 1e-6) * 2 * math.pi, channels)


def _sine(angle: Tensor, channels: int) -> Tensor:
    """[...] -> [..., channels]: even channels are sines, odd ones cosines, of falling frequency."""
    c = torch.arange(channels, device=angle.device, dtype=torch.float32)
    angle = angle[..., None] / 10000.0 ** (2 * (c // 2) / channels)
    return torch.stack([angle[..., 0::2].sin(), angle[..., 1::2].cos()], -1).flatten(-2)
