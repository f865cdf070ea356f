"""Sensory memory: a recurrent state of each object that is carried from frame to frame (XMem, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class SensoryMemory:
    """Hidden states of objects, [K, C, h, w], 0 for new objects.

    Args:
        channels: C; 0: the network has no sensory memory, and ``state`` is None.
    """

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self.state: Tensor | None = None

    def add(self, count: int, like_1CHW: Tensor) -> None:
        """Append the states of ``count`` new objects, with the map size, dtype and device of ``like_1CHW``."""
        if not self.channels:
            return
        new = like_1CHW.new_zeros(count, self.channels, *like_1CHW.shape[2:])
        self.state = new if self.state is None else torch.cat([self.state, new])

    def clear(self) -> None:
        """Reset the states of all objects to 0."""
        if self.state is not None:
            self.state = torch.zeros_like(self.state)

    def keep(self, objects: Sequence[int]) -> None:
        """Keep only these objects, given by their indices."""
        if self.state is not None:
            self.state = self.state[list(objects)]
