"""How a family compares positions with memory elements: what a long-term memory has to know of it.

Shapes: B groups or objects (1 where they share it), N heads, Q queries, M memory elements, C channels.
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
    """Compares queries with memory elements."""

    heads: int
    """Rows of logits of each query."""
    averaged: tuple[str, ...]
    """Columns that are read: a prototype's are weighted means of those of the elements that it stands for. The first
    has a row for each object or group. All other columns are copied."""

    def similarity(self, query: Columns, memory: Columns) -> Tensor:
        """Logits of the weights, [B, N, Q, M]."""
        ...


class AnisotropicMatching:
    """XMem's: negative distances, scaled by the element's shrinkage, with the query's selection of channels."""

    heads = 1
    averaged: tuple[str, ...] = ("value", "shrinkage")

    def similarity(self, query: Columns, memory: Columns) -> Tensor:
        return anisotropic_similarity(memory["key"], memory["shrinkage"], query["key"], query["selection"])[:, None]


class DotProductMatching:
    """Scaled dot products of one or more heads, as in attention."""

    averaged: tuple[str, ...] = ("value",)

    def __init__(self, heads: int) -> None:
        self.heads = heads

    def similarity(self, query: Columns, memory: Columns) -> Tensor:
        q, k = split_heads(query["key"].float(), self.heads), split_heads(memory["key"].float(), self.heads)
        return q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
