"""Conversions between maps [B, C, H, W], sequences [B, L, C] of their positions, and heads.

All but ``append_masks`` and ``expand_to_objects`` return views.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def to_sequence(x_BCHW: Tensor) -> Tensor:
    """Convert a map [B, C, H, W] to a sequence [B, H * W, C], row by row."""
    return x_BCHW.flatten(2).transpose(1, 2)


def to_map(x_BLC: Tensor, size: tuple[int, int]) -> Tensor:
    """Convert a sequence [B, H * W, C] to a map [B, C, H, W], channels last."""
    # not by a transpose: with a batch of 1 its strides wouldn't be recognized as channels last
    return x_BLC.unflatten(1, size).permute(0, 3, 1, 2)


def split_heads(x_BLC: Tensor, heads: int) -> Tensor:
    """Split channels into heads, [B, L, heads * C] -> [B, heads, L, C]."""
    return x_BLC.unflatten(2, (heads, -1)).transpose(1, 2)


def merge_heads(x_BNLC: Tensor) -> Tensor:
    """Merge heads, [B, heads, L, C] -> [B, L, heads * C]."""
    return x_BNLC.transpose(1, 2).flatten(2)


def runs_eagerly_on_cpu(x: Tensor) -> bool:
    """Return True for inference on a CPU, outside of compiled or exported code."""
    traced = torch.compiler.is_compiling() or torch.compiler.is_exporting()
    return not (traced or torch.is_grad_enabled()) and x.device.type == "cpu"


def one_by_one(x: Tensor) -> Sequence[Tensor]:
    """Split the batch into its entries for inference on a CPU, whose caches hold the intermediate results of one.

    With gradients, on other devices, and in compiled or exported code the batch stays whole.
    """
    return x.split(1) if runs_eagerly_on_cpu(x) else [x]


def expand_to_objects(x_BCHW: Tensor, rows: int) -> Tensor:
    """Repeat the maps of B images for their objects, which are adjacent on the batch axis -> [rows, C, H, W]."""
    return x_BCHW.expand(rows, -1, -1, -1) if len(x_BCHW) == 1 else x_BCHW.repeat_interleave(rows // len(x_BCHW), 0)


def append_masks(image_B3HW: Tensor, masks_KHW: Tensor, *, others: bool) -> Tensor:
    """Append to an image the mask of each object and, with ``others``, the sum of the others' -> [K, 4 or 5, H, W]."""
    objects = masks_KHW.shape[0]
    channels = [expand_to_objects(image_B3HW, objects), masks_KHW[:, None]]
    if others:
        total = masks_KHW.unflatten(0, (len(image_B3HW), -1)).sum(1)
        channels.append(expand_to_objects(total[:, None], objects) - masks_KHW[:, None])
    return torch.cat(channels, 1)
