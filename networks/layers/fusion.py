"""Convolutional blocks of XMem and later families that fuse features.

Names of tensors are those of the published checkpoints. Shapes: B batch (objects), C channels, H W any map.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voskit.networks.layers.maps import expand_to_objects


class ResidualBlock(nn.Module):
    """Residual block of two 3 x 3 convolutions, each after a ReLU, without norms.

    The shortcut is a 3 x 3 convolution if the widths differ.
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.downsample = nn.Conv2d(channels, out_channels, 3, padding=1) if channels != out_channels else None
        self.conv1 = nn.Conv2d(channels, out_channels, 3, padding=1)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        shortcut = x_BCHW if self.downsample is None else self.downsample(x_BCHW)
        return self.conv2(F.relu(self.conv1(F.relu(x_BCHW)))) + shortcut


class _ChannelGate(nn.Module):
    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        hidden = channels // reduction
        self.mlp = nn.Sequential(nn.Flatten(), nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        gate = self.mlp(F.adaptive_avg_pool2d(x_BCHW, 1)) + self.mlp(F.adaptive_max_pool2d(x_BCHW, 1))
        return x_BCHW * gate.sigmoid()[:, :, None, None]


class _SpatialGate(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.spatial = nn.ModuleDict({"conv": nn.Conv2d(2, 1, 7, padding=3)})

    def forward(self, x_BCHW: Tensor) -> Tensor:
        pooled = torch.stack([x_BCHW.amax(1), x_BCHW.mean(1)], 1)
        return x_BCHW * self.spatial["conv"](pooled).sigmoid()


class CBAM(nn.Module):
    """Convolutional block attention module: weights for channels, then for positions (Woo et al., ECCV 2018)."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.ChannelGate = _ChannelGate(channels, reduction)
        self.SpatialGate = _SpatialGate()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.SpatialGate(self.ChannelGate(x_BCHW))


class FeatureFusion(nn.Module):
    """Fusion of maps that all objects of an image share with maps of each object (XMem, section 3.4)."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.block1 = ResidualBlock(channels, out_channels)
        self.attention = CBAM(out_channels)
        self.block2 = ResidualBlock(out_channels, out_channels)

    def forward(self, shared_1CHW: Tensor, *own_BCHW: Tensor) -> Tensor:
        x = self.block1(torch.cat([expand_to_objects(shared_1CHW, own_BCHW[0].shape[0]), *own_BCHW], 1))
        return self.block2(x + self.attention(x))


class GatedUpdate(nn.Module):
    """Gated recurrent update of a hidden state by maps of its size (XMem, section 3.3, sensory memory)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.transform = nn.Conv2d(channels + hidden, 3 * hidden, 3, padding=1)
        nn.init.xavier_normal_(self.transform.weight)

    def forward(self, x_BCHW: Tensor, hidden_BCHW: Tensor) -> Tensor:
        forget, update, new = self.transform(torch.cat([x_BCHW, hidden_BCHW], 1)).chunk(3, 1)
        forget, update = forget.sigmoid(), update.sigmoid()
        return forget * hidden_BCHW * (1 - update) + update * new.tanh()
