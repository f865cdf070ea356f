"""Identity bank: embedding of the identities in a patch of pixels (AOT, section 4.1).

Shapes: G id groups, H W the input size, K identities with the background, C channels, P patches.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

NOTHING = 255
"""Label of pixels without any identity, not even the background's."""


def embed_identities(ids_GHW: Tensor, weight_CKSS: Tensor, bias_C: Tensor, *, stride: int, padding: int) -> Tensor:
    """Convolve one-hot identities with the bank -> [G, rows * columns, C].

    On a CPU, uncompiled and without a gradient, only patches with several identities are convolved. Patches with a
    single one, nine out of ten in most frames, get the sum of its weights.

    Args:
        ids_GHW: integer identities; other values are all-zero vectors.
        weight_CKSS, bias_C: the bank.
        stride, padding: of the convolution.
    """
    identities = torch.arange(weight_CKSS.shape[1], device=ids_GHW.device)
    traced = torch.compiler.is_compiling() or torch.compiler.is_exporting()
    if ids_GHW.device.type != "cpu" or torch.is_grad_enabled() or traced:
        one_hot = (ids_GHW[:, None] == identities[:, None, None]).to(weight_CKSS.dtype)
        return F.conv2d(one_hot, weight_CKSS, bias_C, stride, padding).flatten(2).transpose(1, 2)
    known = ids_GHW.where((ids_GHW >= 0) & (ids_GHW < len(identities)), NOTHING).to(torch.uint8)
    padded = F.pad(known, (padding,) * 4, value=NOTHING)
    side = weight_CKSS.shape[-1]
    windows = padded.unfold(1, side, stride).unfold(2, side, stride)
    patches = windows.reshape(-1, side * side)
    first = patches[:, 0]
    sums = F.pad(weight_CKSS.sum((2, 3), dtype=torch.float64).T, (0, 0, 0, 1)) + bias_C  # the last row: nothing
    out = sums[first.long().clamp(max=len(identities))]
    mixed = (patches != first[:, None]).any(1).nonzero()[:, 0]
    one_hot = (patches[mixed][:, None] == identities[:, None]).to(weight_CKSS.dtype)
    embedded = F.linear(one_hot.flatten(1), weight_CKSS.flatten(1), bias_C)
    return out.to(embedded.dtype).index_copy(0, mixed, embedded).view(len(ids_GHW), -1, out.shape[1])
