"""Transformer blocks for joint attention of frames, memory frames and object tokens (JointFormer, 3.2 to 3.4).

Names of tensors are those of the published checkpoints.

Shapes: K objects on the batch axis, B is K or 1 (shared by all objects), N heads, C channels, L positions of a frame, M
positions of all memory frames.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from voskit.networks.layers.maps import merge_heads, split_heads
from voskit.networks.layers.memory_part import MaskedPart, MemoryPart
from voskit.networks.layers.mlp import Mlp
from voskit.networks.ops.attention import attention, selective_attention


class MemoryReading(NamedTuple):
    """Limits on the memory positions that a position of a query frame reads."""

    top_k: int | None = None
    """Number of memory positions with the highest scores that each head reads; None: all."""
    each_frame: bool = False
    """``top_k`` applies to each memory frame, not to all frames together."""


class JointAttention(nn.Module):
    """Multi-head attention to a frame itself and to memory frames."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x_BLC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Project to queries, keys and values, [B, L, C] each."""
        q, k, v = self.qkv(x_BLC).chunk(3, 2)
        return q, k, v

    def attend(self, q_BLC: Tensor, k_KMC: Tensor, v_KMC: Tensor, valid_KM: Tensor | None = None) -> Tensor:
        """Attend to all keys, or to those that a mask allows, and project the result, [K, L, C]."""
        q, k, v = (split_heads(x, self.heads) for x in (q_BLC, k_KMC, v_KMC))
        return self.proj(merge_heads(attention(q, k, v, valid_BM=valid_KM)))

    def attend_with_memory(
        self, q_BLC: Tensor, k_BLC: Tensor, v_BLC: Tensor, memory: MemoryPart | MaskedPart, reading: MemoryReading
    ) -> Tensor:
        """Attend to the frame itself and to memory frames, within the reading limits, and project, [K, L, C]."""
        valid = memory.valid if isinstance(memory, MaskedPart) else None
        if reading.top_k is None:
            rows = len(memory.key)
            own = (x.expand(rows, -1, -1) for x in (k_BLC, v_BLC))
            k, v = (torch.cat([x, m], 1) for x, m in zip(own, memory[:2], strict=True))
            if valid is not None:
                valid = torch.cat([valid.new_ones(len(valid), k_BLC.shape[1]), valid], 1)
            return self.attend(q_BLC, k, v, valid)
        q, k, v, memory_k, memory_v = (split_heads(x, self.heads) for x in (q_BLC, k_BLC, v_BLC, *memory[:2]))
        frames = memory_k.shape[2] // k.shape[2] if reading.each_frame else 1
        return self.proj(merge_heads(selective_attention(q, k, v, memory_k, memory_v, reading.top_k, frames, valid)))


class JointBlock(nn.Module):
    """Pre-norm transformer block, with separate methods for query frames, memory frames and tokens."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = JointAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(self, x_BLC: Tensor, memory: MemoryPart | MaskedPart | None, reading: MemoryReading) -> Tensor:
        """Let a query frame attend to itself and to the memory, whose keys and values are [K, M, C] -> [K, L, C]."""
        q, k, v = self.attn(self.norm1(x_BLC))
        if memory is None:
            return self._then_mlp(x_BLC + self.attn.attend(q, k, v))
        return self._then_mlp(x_BLC + self.attn.attend_with_memory(q, k, v, memory, reading))

    def observe(
        self, x_KLC: Tensor, token_K1C: Tensor | None, top_k: int | None = None, *, only_token: bool = False
    ) -> tuple[Tensor, Tensor | None, MemoryPart]:
        """Let a memory frame attend to itself, and a token to itself and to the frame.

        Args:
            x_KLC: the frame.
            token_K1C: tokens of the objects, if any.
            top_k: positions of the frame that a token attends to in each head; None: all.
            only_token: skip the frame's own output and return the frame unchanged.

        Returns:
            frame, token, and keys and values of the frame.
        """
        q, k, v = self.attn(self.norm1(x_KLC))
        if token_K1C is not None:
            own_q, own_k, own_v = self.attn(self.norm1(token_K1C))
            read = self.attn.attend_with_memory(own_q, own_k, own_v, MemoryPart(k, v), MemoryReading(top_k))
            token_K1C = self._then_mlp(token_K1C + read)
        x = x_KLC if only_token else self._then_mlp(x_KLC + self.attn.attend(q, k, v))
        return x, token_K1C, MemoryPart(k, v)

    def gate(self, x_KLC: Tensor, token_K1C: Tensor) -> Tensor:
        """Add the token's value to each position, weighted by the match of the position's query with its key."""
        heads = self.attn.heads
        q = split_heads(self.attn(self.norm1(x_KLC))[0], heads)
        k, v = (split_heads(x, heads) for x in self.attn(self.norm1(token_K1C))[1:])
        fit = (q * k).sum(3, keepdim=True) * q.shape[3] ** -0.5
        return self._then_mlp(x_KLC + self.attn.proj(merge_heads(fit.sigmoid() * v)))

    def _then_mlp(self, x: Tensor) -> Tensor:
        return x + self.mlp(self.norm2(x))
