"""Usage of stored frames: the fraction of long-term attention that each one gets.

Shapes: B id groups, L positions of a frame, M positions of all stored frames, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from voskit.networks.layers.memory_part import MemoryPart
from voskit.networks.memory.matching import DotProductMatching
from voskit.networks.memory.policies import StoredFrame

_QUERIES = 64  # positions of a frame used as queries, evenly spread


def frame_shares(queries_BLC: Sequence[Tensor], memory: Sequence[MemoryPart], frames: int, heads: int) -> list[float]:
    """Return each memory frame's fraction of the attention, averaged over layers, heads and some positions.

    Args:
        queries_BLC: queries of each layer; only those of the first group are used.
        memory: keys and values of each layer.
        frames: number of stored frames.
        heads: attention heads.
    """
    matching = DotProductMatching(heads)
    total = torch.zeros(frames, device=queries_BLC[0].device)
    for query, part in zip(queries_BLC, memory, strict=False):
        step = -(-query.shape[1] // _QUERIES)
        scores = matching.similarity({"key": query[:1, ::step]}, {"key": part.key[:1]})
        total += scores.softmax(3).mean((0, 1, 2)).unflatten(0, (frames, -1)).sum(1)
    return (total / len(queries_BLC)).tolist()


def counted(frames: Sequence[StoredFrame], shares: Sequence[float]) -> list[StoredFrame]:
    """Return stored frames updated by a read with these fractions of the attention."""
    return [
        replace(frame, usage=(frame.usage * frame.reads + share) / (frame.reads + 1), reads=frame.reads + 1)
        for frame, share in zip(frames, shares, strict=True)
    ]
