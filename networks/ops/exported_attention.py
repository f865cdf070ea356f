"""Global attention built from operations that exported graphs support, for any number of id groups.

Shapes: as in :mod:`voskit.networks.ops.attention`.
"""

from __future__ import annotations

import torch
from torch import Tensor

QUERIES_AT_ONCE = 64
"""Queries whose chosen values are gathered at a time."""


def exported_attention(
    q_BNLC: Tensor, k_BNMC: Tensor, v_BNMD: Tensor, top_k: int | None, valid_BM: Tensor | None
) -> Tensor:
    """Compute what :func:`voskit.networks.ops.attention.attention` does; inputs of batch 1 are broadcast."""
    scores = (q_BNLC * q_BNLC.shape[-1] ** -0.5) @ k_BNMC.transpose(2, 3)
    if valid_BM is not None:
        scores = scores.masked_fill(~valid_BM[:, None, None], -torch.inf)
    elements = k_BNMC.shape[2]  # not an int if it may vary, and then not less than top_k
    if top_k is None or (isinstance(elements, int) and top_k >= elements):
        return scores.softmax(-1) @ v_BNMD
    best, places = scores.topk(top_k, sorted=False)
    return _sums_of_chosen(best.softmax(-1), places, v_BNMD)


def _sums_of_chosen(weights_BNLK: Tensor, places_BNLK: Tensor, v_BNMD: Tensor) -> Tensor:
    """Compute weighted sums of the values at some places -> [B, N, L, D], for some queries at a time."""
    batch, heads, elements, _ = v_BNMD.shape
    first_BN11 = torch.arange(batch * heads, device=v_BNMD.device).view(batch, heads, 1, 1) * elements
    flat, places = v_BNMD.flatten(0, 2), places_BNLK + first_BN11
    sums = []
    for start in range(0, weights_BNLK.shape[2], QUERIES_AT_ONCE):
        block = slice(start, start + QUERIES_AT_ONCE)
        own, weights = places[:, :, block], weights_BNLK[:, :, block]
        chosen = flat.index_select(0, own.flatten()).view(*own.shape, -1)
        sums.append((weights[:, :, :, None] @ chosen)[:, :, :, 0])
    return torch.cat(sums, 2)


def shared_sums_of_chosen(weights_LK: Tensor, places_LK: Tensor, value_BMD: Tensor) -> Tensor:
    """Compute weighted sums of the values at some places, which all objects share -> [B, L, D]."""
    sums = []
    for start in range(0, len(weights_LK), QUERIES_AT_ONCE):
        block = slice(start, start + QUERIES_AT_ONCE)
        own, weights = places_LK[block], weights_LK[block]
        chosen = value_BMD.index_select(1, own.flatten()).unflatten(1, own.shape)
        sums.append((weights[None, :, None] @ chosen)[:, :, 0])
    return torch.cat(sums, 1)
