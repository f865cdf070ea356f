"""Global attention with bounded working memory.

Shapes: B batch, N heads, L query positions, M key positions, C channels per head of query and key, D of the value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from voskit.networks.ops.top_k import largest, read_sparse

MAX_SCORES = 2**23
"""Maximum number of scores in memory at a time without a fused kernel."""


def sharpness(positions: int, trained: int | None) -> float:
    """Return the factor of the scores that keeps a softmax over more positions as sharp as it was in training.

    It is the ratio of the logarithms of both numbers (Chiang and Cholak, ACL 2022), and 1 if there are no more
    positions than in training, or ``trained`` is None.
    """
    return 1.0 if trained is None else max(1.0, math.log(max(1, positions)) / math.log(trained))


def masked_sharpness(valid_BM: Tensor, trained: int) -> Tensor:
    """Return :func:`sharpness` for the positions that a mask allows, [B, 1, 1, 1]."""
    # in double precision, like the number that Python computes, on devices that have it
    single = torch.compiler.is_exporting() or valid_BM.device.type == "mps"
    positions = valid_BM.sum(1, dtype=torch.float32 if single else torch.float64).clamp(min=1)
    return (positions.log() / math.log(trained)).clamp(min=1).float()[:, None, None, None]


def attention(
    q_BNLC: Tensor, k_BNMC: Tensor, v_BNMD: Tensor, top_k: int | None = None, valid_BM: Tensor | None = None
) -> Tensor:
    """Compute softmax(q k^T / sqrt(C)) v -> [B, N, L, D]; any input may have batch 1, which is shared by all.

    If query and key are both shared, their weights are computed once for all values.

    PyTorch's fused kernels are used if key and value have equal widths, unless a CPU can share weights. Not all devices
    have kernels for unequal widths (DeAOT); for these, blocks of queries are processed one after another.

    Args:
        q_BNLC, k_BNMC, v_BNMD: queries, keys and values.
        top_k: number of keys with the highest scores that each query attends to; None: all.
        valid_BM: bool, False for keys that are not read; or float, terms to add to the scores; None: all are read.
    """
    if torch.compiler.is_exporting():
        from voskit.networks.ops.exported_attention import exported_attention

        return exported_attention(q_BNLC, k_BNMC, v_BNMD, top_k, valid_BM)
    length, channels = q_BNLC.shape[2:]
    batch = max(len(q_BNLC), len(k_BNMC), len(v_BNMD))
    shared = len(q_BNLC) == len(k_BNMC) == 1 < batch
    if top_k is not None and top_k >= k_BNMC.shape[2]:
        top_k = None
    fused = v_BNMD.shape[-1] == channels and top_k is None and not (shared and q_BNLC.device.type == "cpu")
    if shared and not fused:
        return torch.stack(read_each(q_BNLC[0], k_BNMC[0], list(v_BNMD), top_k, valid_BM))
    q_BNLC, k_BNMC, v_BNMD = (x.expand(batch, -1, -1, -1) for x in (q_BNLC, k_BNMC, v_BNMD))
    if fused:
        mask = None if valid_BM is None else valid_BM[:, None, None]
        if mask is not None and mask.is_floating_point():
            mask = mask.to(q_BNLC.dtype)
        return F.scaled_dot_product_attention(q_BNLC, k_BNMC, v_BNMD, mask)
    scaled = q_BNLC * channels**-0.5
    rows = max(1, MAX_SCORES // (batch * scaled.shape[1] * k_BNMC.shape[2]))
    keys = _aligned(k_BNMC)
    starts = range(0, length, rows)

    def weigh(start: int) -> tuple[Tensor, Tensor | None]:
        queries = scaled[:, :, start : start + rows]
        return _weights(queries, keys, k_BNMC.shape[2], top_k, valid_BM, v_BNMD.dtype)

    if top_k is None:
        return _concatenated([weigh(start)[0] @ v_BNMD for start in starts], 2)
    return _sum_of_chosen(*_joined([weigh(start) for start in starts]), v_BNMD)


def read_each(
    q_NLC: Tensor, k_NMC: Tensor, values_NMD: Sequence[Tensor], top_k: int | None = None, valid_1M: Tensor | None = None
) -> list[Tensor]:
    """Attend to several values with the same weights, which are computed once -> [N, L, D] for each value.

    Unlike a batched product, this neither copies the weights for each value nor needs values of equal widths.
    ``top_k`` and ``valid_1M`` are those of :func:`attention`.
    """
    if top_k is not None and top_k >= k_NMC.shape[1]:
        top_k = None
    heads, length, channels = q_NLC.shape
    scaled = q_NLC * channels**-0.5
    rows = max(1, MAX_SCORES // (heads * k_NMC.shape[1]))
    keys = _aligned(k_NMC[None])
    starts = range(0, length, rows)

    def weigh(start: int) -> tuple[Tensor, Tensor | None]:
        queries = scaled[None, :, start : start + rows]
        return _weights(queries, keys, k_NMC.shape[1], top_k, valid_1M, values_NMD[0].dtype)

    def read(start: int) -> list[Tensor]:
        weights_NLM = weigh(start)[0][0]
        return [weights_NLM @ v for v in values_NMD]

    if top_k is None:
        return [_concatenated(blocks, 1) for blocks in zip(*[read(start) for start in starts], strict=True)]
    weights, places = _joined([weigh(start) for start in starts])
    return [_sum_of_chosen(weights, places, v[None])[0] for v in values_NMD]


def _joined(blocks: Sequence[tuple[Tensor, Tensor | None]]) -> tuple[Tensor, Tensor]:
    """Join the weights and the places of blocks of queries, so that values are read once.

    A sparse read begins with a copy of values that aren't contiguous, however few queries there are.
    """
    weights, places = zip(*blocks, strict=True)
    return _concatenated(weights, 2), _concatenated(places, 2)


def _concatenated(blocks: Sequence[Tensor], dim: int) -> Tensor:
    return blocks[0] if len(blocks) == 1 else torch.cat(list(blocks), dim)


def _aligned(k_BNMC: Tensor) -> Tensor:
    """Append zeros up to a multiple of 16 keys for inference on a CPU.

    For other numbers of keys, MKL takes up to 1.5 times as long to compute the scores (AVX2).
    """
    if k_BNMC.device.type != "cpu" or torch.is_grad_enabled() or torch.compiler.is_compiling():
        return k_BNMC
    return F.pad(k_BNMC, (0, 0, 0, -k_BNMC.shape[2] % 16))


def _weights(
    q_BNLC: Tensor,
    aligned_k: Tensor,
    positions: int,
    top_k: int | None,
    valid_BM: Tensor | None,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor | None]:
    """Compute the weights of scaled queries, and the places of the ``top_k`` keys that they belong to.

    Only the first ``positions`` keys are read.
    """
    scores = q_BNLC @ aligned_k.transpose(2, 3)
    if top_k is None and valid_BM is None and scores.shape[3] > positions:
        scores[..., positions:] = -torch.inf
        return scores.softmax(-1, dtype=dtype)[..., :positions], None
    scores = scores[..., :positions]
    if valid_BM is not None and valid_BM.is_floating_point():
        scores = scores + valid_BM[:, None, None]
    elif valid_BM is not None:
        scores = scores.masked_fill(~valid_BM[:, None, None], -torch.inf)
    if top_k is None:
        return scores.softmax(-1, dtype=dtype), None
    best, places = largest(scores, top_k)
    return best.softmax(-1), places


def _sum_of_chosen(weights_BNLK: Tensor, places_BNLK: Tensor, v_BNMD: Tensor) -> Tensor:
    """Compute weighted sums of the values at some places -> [B, N, L, D]; weights of batch 1 are shared by all."""
    batch, heads = v_BNMD.shape[:2]
    weights, places = (x.expand(batch, -1, -1, -1) for x in (weights_BNLK, places_BNLK))
    sums = [read_sparse(weights[b, n], places[b, n], v_BNMD[b, n, None]) for b in range(batch) for n in range(heads)]
    return torch.cat(sums).unflatten(0, (batch, heads))


def selective_attention(
    q_BNLC: Tensor,
    k_BNLC: Tensor,
    v_BNLC: Tensor,
    memory_k: Tensor,
    memory_v: Tensor,
    top_k: int,
    frames: int = 1,
    valid_KM: Tensor | None = None,
) -> Tensor:
    """Attend to all keys of a frame and to the best ones of a memory, in one softmax -> [K, N, L, C].

    Args:
        q_BNLC, k_BNLC, v_BNLC: queries, keys and values of the frame; batch 1 is shared by all K.
        memory_k, memory_v: keys and values of the memory, [K, N, M, C].
        top_k: number of memory positions that each query attends to, or all if there are fewer.
        frames: number of frames in the memory, each of which has its own ``top_k``.
        valid_KM: bool, False for memory positions that hold nothing, [K or 1, M]; None: all hold something.
    """
    count, heads, positions, channels = memory_k.shape
    each = positions // frames
    top_k = min(top_k, each)
    starts = torch.arange(frames, device=memory_k.device)[:, None] * each
    rows = max(1, MAX_SCORES // (heads * (k_BNLC.shape[2] + positions)))
    scaled = q_BNLC * channels**-0.5

    def of_object(i: int) -> Tensor:
        own_q, own_k, own_v = (x[min(i, len(x) - 1)] for x in (scaled, k_BNLC, v_BNLC))
        own_reads, chosen = [], []
        for q in own_q.split(rows, 1):
            scores = q @ memory_k[i].transpose(1, 2)
            if valid_KM is not None:
                scores = scores.masked_fill(~valid_KM[min(i, len(valid_KM) - 1)], -torch.inf)
            best, places = largest(scores.unflatten(2, (frames, each)), top_k)
            weights = torch.cat([q @ own_k.transpose(1, 2), best.flatten(2)], 2).softmax(2).to(own_v.dtype)
            own_weights, weights = weights.split([own_k.shape[1], frames * top_k], 2)
            own_reads.append(own_weights @ own_v)
            chosen.append((weights[None], (places + starts).flatten(2)[None]))
        return _concatenated(own_reads, 1) + _sum_of_chosen(*_joined(chosen), memory_v[i : i + 1])[0]

    return torch.stack([of_object(i) for i in range(count)])
