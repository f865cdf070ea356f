"""Weights, frames and masks from formulas in integers: equal on every machine, and no file is needed."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn


def uniform(name: str, *shape: int) -> np.ndarray:
    """Values in [-1, 1) that depend on a name and on the place in the array alone, float32."""
    x = np.arange(math.prod(shape), dtype=np.uint32)
    x *= np.uint32(0x9E3779B1)
    x += np.uint32(zlib.crc32(name.encode()))
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):  # murmur3's last mix
        x ^= x >> np.uint32(shift)
        x *= np.uint32(factor)
    x ^= x >> np.uint32(16)
    return ((x >> np.uint32(8)).astype(np.float32) / 2**23 - 1).reshape(shape)


def tensor(name: str, *shape: int) -> torch.Tensor:
    """The values of ``uniform`` as a tensor."""
    return torch.from_numpy(uniform(name, *shape))


def fill_network(network: nn.Module, gain: float = 1.0, factors: Mapping[str, float] | None = None) -> nn.Module:
    """Overwrite all parameters and running statistics, in place.

    Args:
        network: any module.
        gain: deviation of an output of a layer for inputs of deviation 1.
        factors: further factors of the parameters whose names start so.
    """
    named = dict(network.named_parameters())
    named |= {name: x for name, x in network.named_buffers() if name.endswith(("running_mean", "running_var"))}
    with torch.no_grad():
        for name, x in named.items():
            values = tensor(name, *x.shape)
            if name.endswith("running_var"):
                values = 1 + 0.1 * values.abs()
            elif x.ndim > 1:
                values *= gain * math.sqrt(3 / math.prod(x.shape[1:]))
            else:
                values = 0.1 * values + float(name.endswith("weight"))
            for prefix, factor in (factors or {}).items():
                if name.startswith(prefix):
                    values *= factor
            x.copy_(values)
    return network


def moving_frames(count: int, height: int = 64, width: int = 96) -> np.ndarray:
    """Three patches that move over a texture, [T, H, W, 3] uint8."""
    y, x = np.mgrid[:height, :width]
    frames = np.empty((count, height, width, 3), np.uint8)
    for t, frame in enumerate(frames):
        for channel in range(3):
            frame[..., channel] = (3 * x + (5 + channel) * y + (x + 2 * t) * y // 8) % 160
        for patch, color in zip(patches(t), ((230, 40 + 5 * t, 30), (30, 60, 220), (240, 220, 40)), strict=True):
            frame[patch] = color
    return frames


def mask_of_frame(t: int = 0, height: int = 64, width: int = 96) -> np.ndarray:
    """The patches of ``moving_frames`` as ids 2, 5 and 9."""
    mask = np.zeros((height, width), np.uint8)
    for patch, object_id in zip(patches(t), (2, 5, 9), strict=True):
        mask[patch] = object_id
    return mask


def patches(t: int) -> list[tuple[slice, slice]]:
    """Rows and columns of the three patches in frame ``t``."""
    return [
        np.s_[8 + t : 30 + t, 10 + 3 * t : 36 + 3 * t],
        np.s_[34 : 58 - t, 52 - 2 * t : 84 - 2 * t],
        np.s_[6:24, 60 + t : 80 + t],
    ]
