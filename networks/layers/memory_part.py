"""Keys and values of stored frames, as attention layers read them and memory banks keep them."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class MemoryPart(NamedTuple):
    """Keys and values that serve some id groups; a key of batch 1 is shared by all of them.

    Shapes: B id groups or objects, M memory positions, C and D channels.
    """

    key: Tensor
    """[B or 1, M, C]."""
    value: Tensor
    """[B, M, D]."""


class MergedPart(NamedTuple):
    """A :class:`MemoryPart` in which some positions are means of several positions of a frame."""

    key: Tensor
    """[B or 1, M, C]."""
    value: Tensor
    """[B, M, D]."""
    counts: Tensor
    """[1, M] float32, the number of positions that each one averages."""


class MaskedPart(NamedTuple):
    """A :class:`MemoryPart` of a fixed size, some of whose positions hold nothing yet."""

    key: Tensor
    """[B or 1, M, C]."""
    value: Tensor
    """[B, M, D], finite everywhere."""
    valid: Tensor
    """[B or 1, M] bool, True for positions that hold something; at least one in each row."""
