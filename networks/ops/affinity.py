"""Affinities between positions of a frame and elements of a memory (XMem, section 3.2).

Shapes: Q positions of the frame, M elements of the memory, C channels of keys.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def anisotropic_similarity(
    key_BMC: Tensor, shrinkage_BM1: Tensor, query_BQC: Tensor, selection_BQC: Tensor | None
) -> Tensor:
    """Compute -shrinkage * sum over channels of selection * (key - query)^2 / sqrt(C) -> [B, Q, M] float32.

    It runs in float32 also under autocast: squares of keys overflow half precision. Without a selection, all channels
    have weight 1.
    """
    with torch.autocast(query_BQC.device.type, enabled=False):
        key, query = key_BMC.float(), query_BQC.float()
        if selection_BQC is None:
            selection_BQC = torch.ones_like(query)
        selection = selection_BQC.float()
        # the expanded square is a single matrix product
        left = torch.cat([2 * selection * query, -selection], 2)
        right = torch.cat([key, key**2], 2)
        constant = (selection * query**2).sum(2, keepdim=True)
        scaled = shrinkage_BM1.float().transpose(1, 2) / math.sqrt(key.shape[2])
        return (left @ right.transpose(1, 2) - constant) * scaled
