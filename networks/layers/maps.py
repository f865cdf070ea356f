"""Between maps [B, C, H, W] and sequences [B, L, C] of their positions, row by row. Both directions are views."""

from __future__ import annotations

import torch
from torch import Tensor


def to_sequence(x_BCHW: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, H * W, C]."""
    return x_BCHW.flatten(2).transpose(1, 2)


def to_map(x_BLC: Tensor, size: tuple[int, int]) -> Tensor:
    """[B, H * W, C] -> [B, C, H, W], channels last."""
    return x_BLC.unflatten(1, size).permute(0, 3, 1, 2)  # a transpose would leave a batch of 1 a stride that hides it


def split_heads(x_BLC: Tensor, heads: int) -> Tensor:
    """[B, L, heads * C] -> [B, heads, L, C]."""
    return x_BLC.unflatten(2, (heads, -1)).transpose(1, 2)


def merge_heads(x_BNLC: Tensor) -> Tensor:
    """[B, heads, L, C] -> [B, L, heads * C]."""
    return x_BNLC.transpose(1, 2).flatten(2)


def share(x_BCHW: Tensor, rows: int) -> Tensor:
    """Maps of B images for the objects of each, which stand side by side on the batch axis -> [rows, C, H, W]."""
    return x_BCHW.expand(rows, -1, -1, -1) if len(x_BCHW) == 1 else x_BCHW.repeat_interleave(rows // len(x_BCHW), 0)


def with_masks(image_B3HW: Tensor, masks_KHW: Tensor, *, others: bool) -> Tensor:
    """Images, each with the mask of one of its objects and, if wanted, the sum of the others' -> [K, 4 or 5, H, W]."""
    objects = len(masks_KHW)
    channels = [share(image_B3HW, objects), masks_KHW[:, None]]
    if others:
        total = masks_KHW.unflatten(0, (len(image_B3HW), -1)).sum(1)
        channels.append(share(total[:, None], objects) - masks_KHW[:, None])
    return torch.cat(channels, 1)
