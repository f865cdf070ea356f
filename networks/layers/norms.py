"""Norms and depthwise convolutions that work on sequences of a map's positions.

Names of tensors are those of the published checkpoints.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from voskit.networks.layers.maps import to_map, to_sequence


class GroupNorm(nn.Module):
    """Group norm of sequences [B, L, C]: statistics over all positions and the channels of a group."""

    def __init__(self, dim: int, groups: int) -> None:
        super().__init__()
        self.gn = nn.GroupNorm(groups, dim)

    def forward(self, x_BLC: Tensor) -> Tensor:
        return self.gn(x_BLC.transpose(1, 2)).transpose(1, 2)


class GroupNormGELUDepthwise(nn.Module):
    """The activation inside of AOT's feed-forward: group norm, GELU, 5x5 depthwise convolution of [B, L, C]."""

    def __init__(self, dim: int, groups: int = 32) -> None:
        super().__init__()
        self.gn = nn.GroupNorm(groups, dim)
        self.conv = nn.Conv2d(dim, dim, 5, padding=2, groups=dim, bias=False)

    def forward(self, x_BLC: Tensor, size: tuple[int, int]) -> Tensor:
        return to_sequence(_depthwise(self.conv, F.gelu(self.gn(to_map(x_BLC, size)))))


class Depthwise(nn.Module):
    """5x5 depthwise convolution of [B, L, C]; in training whole channels are dropped out behind it."""

    def __init__(self, dim: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 5, padding=2, groups=dim, bias=False)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x_BLC: Tensor, size: tuple[int, int]) -> Tensor:
        return to_sequence(self.dropout(_depthwise(self.conv, to_map(x_BLC, size))))


def _depthwise(conv: nn.Conv2d, x_BCHW: Tensor) -> Tensor:
    # a map made of a sequence is channels last, for which the gradient takes 3 times as long on a CPU in half precision
    return conv(x_BCHW.contiguous() if conv.training else x_BCHW)
