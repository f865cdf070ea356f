"""Norm layers: frozen batch norm of maps; group norm and depthwise convolution of sequences; stochastic depth.

Names of tensors are those of the published checkpoints.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voskit.networks.layers.maps import to_map, to_sequence


class FrozenBatchNorm(nn.Module):
    """Batch norm of maps [B, C, H, W] with fixed statistics, scales and offsets."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        for name, value in {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}.items():
            self.register_buffer(name, torch.full((channels,), value))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        state_dict.pop(f"{prefix}num_batches_tracked", None)  # files of a batch norm have it
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


class DropPath(nn.Module):
    """Stochastic depth (Huang et al., ECCV 2016), for the end of a residual branch.

    In training, each sample of the batch is set to zero with probability ``p``; the others are scaled by 1 / (1 - p).
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        kept = x.new_empty([len(x)] + [1] * (x.ndim - 1)).bernoulli_(1 - self.p)
        return x * kept.div_(1 - self.p)


class GroupNorm(nn.Module):
    """Group norm of sequences [B, L, C], with statistics over all positions and the channels of a group."""

    def __init__(self, dim: int, groups: int) -> None:
        super().__init__()
        self.gn = nn.GroupNorm(groups, dim)

    def forward(self, x_BLC: Tensor) -> Tensor:
        return self.gn(x_BLC.transpose(1, 2)).transpose(1, 2)


class GroupNormGELUDepthwise(nn.Module):
    """Activation of AOT's feed-forward layer: group norm, GELU, 5 x 5 depthwise convolution of [B, L, C]."""

    def __init__(self, dim: int, groups: int = 32) -> None:
        super().__init__()
        self.gn = nn.GroupNorm(groups, dim)
        self.conv = nn.Conv2d(dim, dim, 5, padding=2, groups=dim, bias=False)

    def forward(self, x_BLC: Tensor, size: tuple[int, int]) -> Tensor:
        return to_sequence(_depthwise(self.conv, F.gelu(self.gn(to_map(x_BLC, size)))))


class Depthwise(nn.Module):
    """5 x 5 depthwise convolution of [B, L, C]; in training followed by dropout of whole channels."""

    def __init__(self, dim: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 5, padding=2, groups=dim, bias=False)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x_BLC: Tensor, size: tuple[int, int], channels: slice = slice(None)) -> Tensor:
        """Convolve; ``channels`` selects the channels that the sequence has."""
        return to_sequence(self.dropout(_depthwise(self.conv, to_map(x_BLC, size), channels)))


def _depthwise(conv: nn.Conv2d, x_BCHW: Tensor, channels: slice = slice(None)) -> Tensor:
    # a map made of a sequence is channels last; on a CPU in half precision its gradient would take 3 times as long
    x_BCHW = x_BCHW.contiguous() if conv.training else x_BCHW
    return F.conv2d(x_BCHW, conv.weight[channels], padding=conv.padding, groups=x_BCHW.shape[1])
