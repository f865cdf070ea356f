"""Similarity between queries and memory elements, as each family defines it for a long-term memory.

Shapes: B groups or objects (1 if they share a tensor), N heads, Q queries, M memory elements, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from voskit.networks.layers.maps import split_heads
from voskit.networks.ops.affinity import anisotropic_similarity

Columns = Mapping[str, Tensor]
"""Named tensors [B, Q or M, C] of queries or of memory elements."""


class Matching(Protocol):
    """Comparison of queries with memory elements."""

    heads: int
    """Number of attention heads."""
    averaged: tuple[str, ...]
    """Columns that a prototype averages over the elements that it replaces; all other columns are copied. The first one
    is the value that is read, with a row for each object or group."""

    def similarity(self, query: Columns, memory: Columns) -> Tensor:
        """Compute the logits of the attention weights, [B, N, Q, M]."""
        ...


class AnisotropicMatching:
    """Negative distance scaled by the element's shrinkage and the query's selection of channels (XMem, section 3.2)."""

    heads = 1
    averaged: tuple[str, ...] = ("value", "shrinkage")

    def similarity(self, query: Columns, memory: Columns) -> Tensor:
        return anisotropic_similarity(memory["key"], memory["shrinkage"], query["key"], query["selection"])[:, None]


class DotProductMatching:
    """Scaled dot product of one or more heads, as in attention."""

    averaged: tuple[str, ...] = ("value",)

    def __init__(self, heads: int) -> None:
        self.heads = heads

    def similarity(self, query: Columns, memory: Columns) -> Tensor:
        q, k = split_heads(query["key"].float(), self.heads), split_heads(memory["key"].float(), self.heads)
        return q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
