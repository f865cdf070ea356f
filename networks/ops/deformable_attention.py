"""Multi-scale deformable attention (Zhu et al., ICLR 2021, section 4.1) in plain PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_SAMPLES = 2**26
"""Maximum number of sampled values in memory at a time if no gradient is needed."""


def deformable_attention(
    value_BMNC: Tensor, sizes: Sequence[tuple[int, int]], locations_BLNSP2: Tensor, weights_BLNSP: Tensor
) -> Tensor:
    """Compute weighted sums of values at a few sampled points of several maps -> [B, L, N * C].

    Args:
        value_BMNC: values at the positions of all maps, concatenated, for N heads.
        sizes: height and width of the S maps.
        locations_BLNSP2: P points (x, y) on each map; 0 and 1 are its edges, and values outside are 0.
        weights_BLNSP: weights of the points.
    """
    batch, length, heads, _, points, _ = locations_BLNSP2.shape
    channels = value_BMNC.shape[-1]
    whole = torch.is_grad_enabled() or torch.compiler.is_exporting()
    rows = batch if whole else max(1, MAX_SAMPLES // (length * heads * points * channels))
    if rows < batch:
        parts = [slice(i, i + rows) for i in range(0, batch, rows)]
        return torch.cat(
            [deformable_attention(value_BMNC[p], sizes, locations_BLNSP2[p], weights_BLNSP[p]) for p in parts]
        )
    values = value_BMNC.split([h * w for h, w in sizes], 1)
    grids = (2 * locations_BLNSP2 - 1).permute(3, 0, 2, 1, 4, 5).flatten(1, 2)
    shares = weights_BLNSP.permute(3, 0, 2, 1, 4).flatten(1, 2)[:, :, None]
    total = value_BMNC.new_zeros(())
    for value, size, grid, share in zip(values, sizes, grids, shares, strict=True):
        map_XCHW = value.permute(0, 2, 3, 1).flatten(0, 1).unflatten(2, size)  # X: batch and heads
        sampled = F.grid_sample(map_XCHW.to(grid.dtype), grid, align_corners=False)  # half is too coarse for points
        total = total + (sampled * share).sum(-1)
    return total.unflatten(0, (batch, heads)).permute(0, 3, 1, 2).flatten(2)
