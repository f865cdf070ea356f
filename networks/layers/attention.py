"""Attention layers of AOT and DeAOT. Names of tensors are those of the published checkpoints.

Shapes: B batch (id groups), L positions of the frame, M positions in memory, C channels of all heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voskit.networks.layers.maps import merge_heads, split_heads
from voskit.networks.layers.memory_part import MaskedPart, MemoryPart, MergedPart
from voskit.networks.layers.norms import Depthwise
from voskit.networks.ops.attention import attention, masked_sharpness, read_each, sharpness
from voskit.networks.ops.local_attention import local_attention


def read_memory(
    q_BLC: Tensor,
    memory: Sequence[MemoryPart | MaskedPart | MergedPart],
    heads: int,
    top_k: int | None,
    trained_positions: int | None,
    distance: DistancePenalty | None = None,
) -> Tensor:
    """Attend to a memory whose parts each serve some of the id groups -> [B, L, heads * D].

    Args:
        q_BLC: queries; batch 1 is shared by all groups.
        memory: parts, in the order of their groups.
        heads: attention heads.
        top_k: number of positions that each query reads; None: all.
        trained_positions: see ``voskit.networks.ops.sharpness``.
        distance: penalty of memory positions far from the query's own.
    """
    q = split_heads(q_BLC, heads)
    read = []
    first = 0
    for part in memory:
        groups = part.value.shape[0]
        own, key = q[first : first + groups] if len(memory) > 1 and len(q) > 1 else q, split_heads(part.key, heads)
        if distance is not None:
            own, key = distance.appended(own, key)
        own, valid = _adapted(own, part, trained_positions)
        read.append(attention(own, key, split_heads(part.value, heads), top_k, valid))
        first += groups
    return merge_heads(read[0] if len(read) == 1 else torch.cat(read))


class DistancePenalty(NamedTuple):
    """A penalty of attention scores: ``weight`` times the squared distance, in short edges of the map."""

    weight: float
    size: tuple[int, int]
    """Height and width of the map."""

    def appended(self, q_BNLC: Tensor, k_BNMC: Tensor) -> tuple[Tensor, Tensor]:
        """Append channels to queries and keys of whole frames, whose products add the penalty to the scores.

        For places a and b it is -|a - b|^2 = 2 a b - |b|^2 - |a|^2, whose last term all keys of a query share.
        """
        a, b = self._places(q_BNLC), self._places(k_BNMC)
        channels = q_BNLC.shape[3] + 3
        scale = channels**0.5  # attention will divide by this
        a = self.weight * scale * torch.cat([2 * a, -a.new_ones(len(a), 1)], 1)
        b = torch.cat([b, (b**2).sum(1, keepdim=True)], 1)
        q = q_BNLC * (scale / q_BNLC.shape[3] ** 0.5)
        return (
            torch.cat([q, a.expand(*q.shape[:2], -1, -1)], 3),
            torch.cat([k_BNMC, b.expand(*k_BNMC.shape[:2], -1, -1)], 3),
        )

    def _places(self, x_BNLC: Tensor) -> Tensor:
        """Return row and column of each position of one or more frames, in short edges, [L, 2]."""
        height, width = self.size
        numbers = torch.arange(x_BNLC.shape[2], device=x_BNLC.device) % (height * width)
        return torch.stack([numbers // width, numbers % width], 1).to(x_BNLC.dtype) / min(height, width)


def _adapted(
    q_BNLC: Tensor, part: MemoryPart | MaskedPart | MergedPart, trained_positions: int | None
) -> tuple[Tensor, Tensor | None]:
    """Return queries as sharp as in training, and a mask of the positions to read or terms to add to their scores."""
    if isinstance(part, MemoryPart):
        factor = sharpness(part.key.shape[1], trained_positions)
        return q_BNLC if factor == 1 else q_BNLC * factor, None
    if isinstance(part, MergedPart):
        positions = 1 if trained_positions is None else round(part.counts.sum().item())
        # a position that stands for four has the weight of four
        return q_BNLC * sharpness(positions, trained_positions), part.counts.log()
    return q_BNLC if trained_positions is None else q_BNLC * masked_sharpness(part.valid, trained_positions), part.valid


class SelfAttention(nn.Module):
    """Multi-head self-attention; the caller adds position embeddings to query and key."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.linear_Q = nn.Linear(dim, dim)
        self.linear_K = nn.Linear(dim, dim)
        self.linear_V = nn.Linear(dim, dim)
        self.projection = nn.Linear(dim, dim)

    def forward(self, query_BLC: Tensor, key_BLC: Tensor, value_BLC: Tensor) -> Tensor:
        q, k, v = self.linear_Q(query_BLC), self.linear_K(key_BLC), self.linear_V(value_BLC)
        q, k, v = (split_heads(x, self.heads) for x in (q, k, v))
        return self.projection(merge_heads(attention(q, k, v)))


class _MemoryReader(nn.Module):
    """Base of long-term attention: to all frames in memory; ``top_k`` and the penalty are for inference only."""

    def __init__(
        self, heads: int, top_k: int | None, trained_positions: int | None, distance_penalty: float | None
    ) -> None:
        super().__init__()
        self.heads, self.top_k, self.trained_positions = heads, top_k, trained_positions
        self.distance_penalty = distance_penalty

    def read(self, query_BLC: Tensor, memory: Sequence[MemoryPart], size: tuple[int, int]) -> Tensor:
        top_k = None if self.training else self.top_k
        return read_memory(query_BLC, memory, self.heads, top_k, self.trained_positions, self._penalty(size))

    def _penalty(self, size: tuple[int, int]) -> DistancePenalty | None:
        if self.training or self.distance_penalty is None:
            return None
        return DistancePenalty(self.distance_penalty, size)


class MemoryAttention(_MemoryReader):
    """Long-term attention of AOT (section 4.2)."""

    def __init__(
        self,
        dim: int,
        heads: int,
        top_k: int | None = None,
        trained_positions: int | None = None,
        distance_penalty: float | None = None,
    ) -> None:
        super().__init__(heads, top_k, trained_positions, distance_penalty)
        self.projection = nn.Linear(dim, dim)

    def forward(self, query_BLC: Tensor, memory: Sequence[MemoryPart], size: tuple[int, int]) -> Tensor:
        return self.projection(self.read(query_BLC, memory, size))


class _LocalReader(nn.Module):
    """Base of short-term attention: window attention with a learned relative bias of the scores."""

    def __init__(self, key_dim: int, heads: int, window: int, backend: str | None) -> None:
        super().__init__()
        self.heads, self.window, self.backend = heads, window, backend
        self.relative_emb_k = nn.Conv2d(key_dim, heads * window**2, 1, groups=heads)

    def read(
        self, query_BLC: Tensor, part: MemoryPart, size: tuple[int, int], relative_v: Tensor | None = None
    ) -> Tensor:
        q, k, v = (x.unflatten(2, (self.heads, -1)).unflatten(1, size) for x in (query_BLC, part.key, part.value))
        rel_k = self.relative_emb_k.weight.view(self.heads, self.window**2, -1)
        assert self.relative_emb_k.bias is not None
        bias = self.relative_emb_k.bias.view(self.heads, -1)
        read = local_attention(q, k, v, rel_k, bias, relative_v, window=self.window, backend=self.backend)
        return read.flatten(1, 2).flatten(2)


class LocalAttention(_LocalReader):
    """Short-term attention of AOT to a window of the previous frame, with relative terms for scores and values."""

    def __init__(self, dim: int, heads: int, window: int, backend: str | None = None) -> None:
        super().__init__(dim, heads, window, backend)
        self.relative_emb_v = nn.Parameter(torch.zeros(heads, dim // heads, window**2))
        self.projection = nn.Linear(dim, dim)

    def forward(self, query_BLC: Tensor, part: MemoryPart, size: tuple[int, int]) -> Tensor:
        return self.projection(self.read(query_BLC, part, size, self.relative_emb_v.transpose(1, 2)))


class GatedMemoryAttention(_MemoryReader):
    """Long-term propagation of DeAOT: attention, gate, depthwise convolution, projection (section 4.2)."""

    def __init__(
        self,
        value_dim: int,
        out_dim: int,
        heads: int,
        top_k: int | None = None,
        trained_positions: int | None = None,
        distance_penalty: float | None = None,
    ) -> None:
        super().__init__(heads, top_k, trained_positions, distance_penalty)
        self.dw_conv = Depthwise(value_dim)
        self.projection = nn.Linear(value_dim, out_dim)

    def forward(
        self, query_BLC: Tensor, memory: Sequence[MemoryPart], gate_BLC: Tensor, size: tuple[int, int]
    ) -> Tensor:
        return self.projection(self.dw_conv(self.read(query_BLC, memory, size) * gate_BLC, size))

    def propagate_halves(
        self, query_1LC: Tensor, part: MemoryPart | MaskedPart | MergedPart, gate_1LV: Tensor, size: tuple[int, int]
    ) -> list[Tensor]:
        """Propagate values whose first half all groups share and whose second half has no gate, in one head.

        Returns:
            the output of the first half, which has the bias, and that of each group's second half, [1, L, C] each.
        """
        query, key = query_1LC[None], part.key[None]
        if (distance := self._penalty(size)) is not None:
            query, key = distance.appended(query, key)
        query, valid = _adapted(query, part, self.trained_positions)
        values = [half[None] for half in _halves(part.value, gate_1LV.shape[2])]
        top_k = None if self.training else self.top_k
        return _finish_halves(self, read_each(query[0], key[0], values, top_k, valid), gate_1LV, size)


class GatedLocalAttention(_LocalReader):
    """Short-term propagation of DeAOT: window attention to the previous frame, gate, convolution, projection."""

    def __init__(
        self, key_dim: int, value_dim: int, out_dim: int, heads: int, window: int, backend: str | None = None
    ) -> None:
        super().__init__(key_dim, heads, window, backend)
        self.dw_conv = Depthwise(value_dim)
        self.projection = nn.Linear(value_dim, out_dim)

    def forward(self, query_BLC: Tensor, part: MemoryPart, gate_BLC: Tensor, size: tuple[int, int]) -> Tensor:
        return self.projection(self.dw_conv(self.read(query_BLC, part, size) * gate_BLC, size))

    def propagate_halves(
        self, query_1LC: Tensor, part: MemoryPart, gate_1LV: Tensor, size: tuple[int, int]
    ) -> list[Tensor]:
        """See :meth:`GatedMemoryAttention.propagate_halves`."""
        halves = torch.stack(_halves(part.value, gate_1LV.shape[2]))
        read = self.read(query_1LC, part._replace(value=halves), size)
        return _finish_halves(self, read.split(1), gate_1LV, size)


def _halves(value_GMD: Tensor, width: int) -> list[Tensor]:
    """Return the first half of the values, which all groups share, and the second half of each, [M, D / 2]."""
    return [value_GMD[0, :, :width], *value_GMD[:, :, width:]]


def _finish_halves(
    layer: GatedMemoryAttention | GatedLocalAttention,
    halves_1LV: Sequence[Tensor],
    gate_1LV: Tensor,
    size: tuple[int, int],
) -> list[Tensor]:
    """Gate the first half of what was read, convolve and project each half."""
    width = gate_1LV.shape[2]
    weight, bias = layer.projection.weight, layer.projection.bias
    first = F.linear(layer.dw_conv(halves_1LV[0] * gate_1LV, size, slice(width)), weight[:, :width], bias)
    last = slice(width, None)
    return [first, *(F.linear(layer.dw_conv(half, size, last), weight[:, last]) for half in halves_1LV[1:])]


class GatedSelfAttention(nn.Module):
    """Gated self-propagation of DeAOT: both branches share query and key, and have separate values and gates.

    ``top_k`` is ignored in training.
    """

    def __init__(self, dim: int, key_dim: int, value_dim: int, heads: int, top_k: int | None = None) -> None:
        super().__init__()
        self.heads, self.top_k = heads, top_k
        self.linear_QK = nn.Linear(2 * dim, key_dim)
        self.linear_V1 = nn.Linear(dim, value_dim)
        self.linear_V2 = nn.Linear(dim, value_dim)
        self.linear_U1 = nn.Linear(dim, value_dim)
        self.linear_U2 = nn.Linear(dim, value_dim)
        self.dw_conv = Depthwise(2 * value_dim)
        self.projection = nn.Linear(2 * value_dim, 2 * dim)

    def forward(self, visual_BLC: Tensor, ids_BLC: Tensor, size: tuple[int, int]) -> Tensor:
        """Propagate both branches, [B, L, C] each -> [B, L, 2 C]."""
        key = split_heads(self.linear_QK(torch.cat([visual_BLC, ids_BLC], -1)), self.heads)
        # concatenated per head, as the published weights expect
        branches = ((self.linear_V1, self.linear_U1, visual_BLC), (self.linear_V2, self.linear_U2, ids_BLC))
        value = F.silu(torch.cat([split_heads(v(x), self.heads) for v, _, x in branches], -1), inplace=True)
        gate = F.silu(torch.cat([split_heads(u(x), self.heads) for _, u, x in branches], -1), inplace=True)
        read = attention(key, key, value, None if self.training else self.top_k)
        return self.projection(self.dw_conv(merge_heads(read * gate), size))
