"""Global attention with bounded working memory.

Shapes: B batch, N heads, L query positions, M key positions, C channels a head of query and key, D of the value.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_SCORES = 2**23
"""Most scores that exist at a time where no fused kernel applies."""


def sharpness(positions: int, trained: int | None) -> float:
    """Factor of the scores over so many positions that keeps softmax as sharp as it was over ``trained`` ones.

    It is the ratio of their logarithms (Chiang and Cholak, ACL 2022), and 1 where there are no more than in training,
    or ``trained`` is None.
    """
    return 1.0 if trained is None else max(1.0, math.log(max(1, positions)) / math.log(trained))


def attention(q_BNLC: Tensor, k_BNMC: Tensor, v_BNMD: Tensor, top_k: int | None = None) -> Tensor:
    """softmax(q k^T / sqrt(C)) v -> [B, N, L, D]; key and value may have batch 1, which stands for all.

    Equal widths of key and value go to PyTorch's fused kernels. They don't take unequal ones (DeAOT) on every device,
    there blocks of queries are worked off one after another.

    Args:
        top_k: each query attends to the keys of its highest scores only; None: to all.
    """
    batch, _, length, channels = q_BNLC.shape
    k_BNMC = k_BNMC.expand(batch, *k_BNMC.shape[1:])
    v_BNMD = v_BNMD.expand(batch, *v_BNMD.shape[1:])
    if top_k is not None and top_k >= k_BNMC.shape[2]:
        top_k = None
    if v_BNMD.shape[-1] == channels and top_k is None:
        return F.scaled_dot_product_attention(q_BNLC, k_BNMC, v_BNMD)
    scaled = q_BNLC * channels**-0.5
    rows = max(1, MAX_SCORES // (batch * q_BNLC.shape[1] * k_BNMC.shape[2]))

    def of_block(q: Tensor) -> Tensor:
        scores = q @ k_BNMC.transpose(2, 3)
        if top_k is not None:
            least = scores.topk(top_k, sorted=False).values.amin(-1, keepdim=True)
            scores = scores.masked_fill(scores < least, -torch.inf)
        return scores.softmax(-1, dtype=v_BNMD.dtype) @ v_BNMD

    blocks = [of_block(scaled[:, :, i : i + rows]) for i in range(0, length, rows)]
    return blocks[0] if len(blocks) == 1 else torch.cat(blocks, 2)
