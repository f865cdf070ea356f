"""Affinities between positions of a frame and elements of a memory (XMem, section 3.2).

Shapes: Q positions of the frame, M elements of the memory, C channels of keys, K objects, D channels of values.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from voskit.networks.ops.top_k import largest


def anisotropic_similarity(
    key_BMC: Tensor, shrinkage_BM1: Tensor, query_BQC: Tensor, selection_BQC: Tensor | None
) -> Tensor:
    """-shrinkage * sum over channels of selection * (key - query)^2 / sqrt(C) -> [B, Q, M] float32.

    It runs in float32 whatever the precision around it: squares of keys leave the range of half precision.
    """
    with torch.autocast(query_BQC.device.type, enabled=False):
        key, query = key_BMC.float(), query_BQC.float()
        if selection_BQC is None:
            selection_BQC = torch.ones_like(query)
        selection = selection_BQC.float()
        # the square is expanded so that it becomes one matrix product
        left = torch.cat([2 * selection * query, -selection], 2)
        right = torch.cat([key, key**2], 2)
        constant = (selection * query**2).sum(2, keepdim=True)
        scaled = shrinkage_BM1.float().transpose(1, 2) / math.sqrt(key.shape[2])
        return (left @ right.transpose(1, 2) - constant) * scaled


def top_k_weights(similarity_BQM: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """Softmax over the ``top_k`` nearest elements of each position (all, where there are fewer).

    Returns:
        Weights and the elements' numbers, both [B, Q, k].
    """
    values, indices = largest(similarity_BQM, min(top_k, similarity_BQM.shape[2]))
    return values.softmax(2), indices


def read_sparse(weights_QN: Tensor, indices_QN: Tensor, value_KMD: Tensor) -> Tensor:
    """Weighted sums of a few elements' values for each position -> [K, Q, D].

    Each value is gathered as it is needed: the dense product would take M / N times the work. Apple's GPUs do that
    product all the same, for which PyTorch has no such gathering in all versions that are supported.
    """
    weights = weights_QN.to(value_KMD.dtype)
    if value_KMD.device.type == "mps":
        return spread_weights(weights, indices_QN, value_KMD.shape[1]) @ value_KMD
    return torch.stack([F.embedding_bag(indices_QN, v, mode="sum", per_sample_weights=weights) for v in value_KMD])


def spread_weights(weights_QN: Tensor, indices_QN: Tensor, elements: int) -> Tensor:
    """Weights of a few elements -> weights of all, [Q, M]."""
    return weights_QN.new_zeros(len(weights_QN), elements).scatter_add(1, indices_QN, weights_QN)


def add_up_weights(weights_QN: Tensor, indices_QN: Tensor, elements: int) -> Tensor:
    """The weight that each element got from all positions -> [M] float32."""
    total = torch.zeros(elements, dtype=torch.float32, device=weights_QN.device)
    return total.scatter_add_(0, indices_QN.flatten(), weights_QN.float().flatten())
