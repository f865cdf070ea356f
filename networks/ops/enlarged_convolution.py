"""Convolution of a map upsampled twofold, at the cost of the small map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_NUMBERS = 4_000_000  # of the products of a block of rows, so that a CPU's caches hold them


def convolve_enlarged(x_1CHW: Tensor, weight_OC33: Tensor, plus_1OHW: Tensor) -> Tensor:
    """Enlarge a map from n to 2 n - 1 rows and columns, convolve it 3 x 3 without bias, and add another map.

    The enlargement is bilinear with aligned corners. Both steps are linear, so that each of the nine weights is
    multiplied with the small map, and its products are enlarged, shifted and summed: a quarter of the multiplications.

    Args:
        x_1CHW: the small map, [1, C, n, m].
        weight_OC33: weights of the convolution, which pads with zeros.
        plus_1OHW: the map to add, [1, O, 2 n - 1, 2 m - 1].

    Returns:
        the sum, [1, O, 2 n - 1, 2 m - 1], channels last, without gradients.
    """
    channels, height, width = x_1CHW.shape[1:]
    x = x_1CHW[0].permute(1, 2, 0).contiguous()
    weight = (weight_OC33 / 4).permute(1, 2, 3, 0).reshape(channels, -1)  # _merge doubles along each dimension
    plus = plus_1OHW[0].permute(1, 2, 0)
    out = torch.empty_like(plus, memory_format=torch.contiguous_format)
    block = max(_NUMBERS // (width * weight.shape[1]), 1)
    for first in range(0, height, block):
        begin, end = max(first - 1, 0), min(first + block + 1, height)  # with a neighboring row on each side
        products = (x[begin:end].flatten(0, 1) @ weight).view(end - begin, width, 3, 3, -1)
        rows = _merge([_merge(row.unbind(2), dim=1) for row in products.unbind(2)], dim=0)
        chosen = slice(2 * first, 2 * min(first + block, height))
        torch.add(plus[chosen], rows[2 * (first - begin) :][: len(out[chosen])], out=out[chosen])
    return out[None].permute(0, 3, 1, 2)


def _merge(products: Sequence[Tensor], dim: int) -> Tensor:
    """Enlarge the products of three neighboring weights along a dimension, shift and sum them; twice the result.

    Beyond its border the enlarged map is 0, as if the small one continued with the opposite sign.
    """
    before, center, after = (x.transpose(0, dim) for x in products)
    shape = list(products[0].shape)
    shape[dim] = 2 * shape[dim] - 1
    out = products[0].new_empty(shape)
    even, odd = out.transpose(0, dim)[::2], out.transpose(0, dim)[1::2]
    torch.add(before, after, out=even).add_(center, alpha=2)
    even[1:] += before[:-1]
    even[0] -= before[0]
    even[:-1] += after[1:]
    even[-1] -= after[-1]
    torch.add(center[:-1], center[1:], out=odd).add_(before[:-1], alpha=2).add_(after[1:], alpha=2)
    return out
