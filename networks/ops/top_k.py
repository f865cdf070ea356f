"""Sparse reads: the largest of many scores, their softmax, and weighted sums of the values that they select.

Shapes: Q positions of the frame, M elements of the memory, N selected elements, K objects, D channels of values.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_GROUPS = 8


def largest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the ``k`` largest values of the last axis and their places, in any order.

    The result is that of ``topk``, but faster on a CPU. There, values are divided into groups of ``_GROUPS``. The ``k``
    largest values lie in the ``k`` groups with the largest maxima, since each of these groups has a value at least as
    large as any value of another group. So the search is among few values.
    """
    length = scores.shape[-1]
    if scores.device.type != "cpu" or length < 2 * _GROUPS * k:
        values, places = scores.topk(k, sorted=False)
        return values, places
    count = length // _GROUPS  # number of groups; group i has the places i, i + count, i + 2 count, ...
    grouped = scores[..., : count * _GROUPS].unflatten(-1, (_GROUPS, count))
    best = grouped.amax(-2).topk(k, sorted=False).indices
    among = grouped.gather(-1, best[..., None, :].expand(*best.shape[:-1], _GROUPS, k)).flatten(-2)
    values, places = torch.cat([among, scores[..., count * _GROUPS :]], -1).topk(k, sorted=False)
    in_group = places // k * count + best.gather(-1, places % k)
    rest = places + (count - k) * _GROUPS
    return values, torch.where(places < k * _GROUPS, in_group, rest)


def top_k_weights(similarity_BQM: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """Compute the softmax over the ``top_k`` most similar elements of each position, or over all if there are fewer.

    Returns:
        weights and numbers of the elements, both [B, Q, k].
    """
    values, indices = largest(similarity_BQM, min(top_k, similarity_BQM.shape[2]))
    return values.softmax(2), indices


def read_sparse(weights_QN: Tensor, indices_QN: Tensor, value_KMD: Tensor) -> Tensor:
    """Compute weighted sums of a few elements' values for each position -> [K, Q, D].

    Values are gathered; a dense product would be M / N times the work. On MPS the dense product is used, since not all
    supported versions of PyTorch can gather there.
    """
    weights = weights_QN.to(value_KMD.dtype)
    if value_KMD.device.type == "mps":
        return spread_weights(weights, indices_QN, value_KMD.shape[1]) @ value_KMD
    return torch.stack([F.embedding_bag(indices_QN, v, mode="sum", per_sample_weights=weights) for v in value_KMD])


def spread_weights(weights_QN: Tensor, indices_QN: Tensor, elements: int) -> Tensor:
    """Spread the weights of a few elements to all, [Q, M]."""
    return weights_QN.new_zeros(len(weights_QN), elements).scatter_add(1, indices_QN, weights_QN)


def add_up_weights(weights_QN: Tensor, indices_QN: Tensor, elements: int) -> Tensor:
    """Sum up the weights of each element over all positions -> [M] float32."""
    total = torch.zeros(elements, dtype=torch.float32, device=weights_QN.device)
    return total.scatter_add_(0, indices_QN.flatten(), weights_QN.float().flatten())
