"""Memory bank of fixed capacity: written in place, read whole, with empty positions masked out.

Shapes: B id groups, L positions of a frame, M positions of all frames that fit, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from voskit.networks.layers.memory_part import MaskedPart
from voskit.networks.memory.bank import FrameBank
from voskit.networks.memory.policies import MemoryPolicy

if TYPE_CHECKING:
    from voskit.configs.models.base import ModelConfig

CAPACITY = 8
"""Initial capacity in frames of a bank without a bound; it doubles when it is full."""


def check_static(config: ModelConfig, policy: MemoryPolicy | None) -> None:
    """Check that the memory can have a fixed size.

    Raises:
        ValueError: the memory holds prototypes, or the policy decides by more than frame numbers.
    """
    if getattr(config, "enable_long_term", False):
        raise ValueError(
            "static_memory holds frames, not prototypes: set enable_long_term=False, and no policy of prototypes"
        )
    if any(getattr(policy, need, False) for need in ("needs_quality", "needs_usage", "per_object")):
        raise ValueError(f"static_memory can't follow {policy}: it supports only policies that decide by frame numbers")


class StaticBank(FrameBank):
    """A :class:`FrameBank` whose tensors have the same sizes and addresses at every read.

    Compiled code and CUDA graphs need that. The capacity is the policy's bound. Without a bound, it is initially
    ``CAPACITY`` frames and doubles whenever it is full, after which compiled code sees new sizes.
    """

    def __init__(self, policy: MemoryPolicy) -> None:
        super().__init__(policy)
        self._valid: Tensor | None = None

    def read(self) -> list[MaskedPart]:  # type: ignore[override]
        """Return keys [B or 1, M, C], values [B, M, C'] and a mask [1, M] of each layer; M counts empty positions."""
        assert self._valid is not None
        filled = len(self.frames) * self._length
        self._valid[:, :filled], self._valid[:, filled:] = True, False
        return [MaskedPart(k, v, self._valid) for k, v in zip(self._storage[::2], self._storage[1::2], strict=True)]

    def clear(self) -> None:
        """Drop all frames and free the memory."""
        super().clear()
        self._valid = None

    def _reserve(self, tensors: Sequence[Tensor], frames: int) -> None:
        """Make room for ``frames`` frames, filled with zeros: a weight of 0 times a value that isn't finite is NaN."""
        if self._storage and self._storage[0].shape[1] >= frames * self._length:
            return
        capacity = self.policy.max_frames or CAPACITY
        while capacity < frames:
            capacity *= 2
        old, self._storage = self._storage, []
        for i, x in enumerate(tensors):
            grown = x.new_zeros(x.shape[0], capacity * self._length, x.shape[2])
            if old:
                grown[:, : old[i].shape[1]] = old[i]
            self._storage.append(grown)
        self._valid = torch.zeros(1, capacity * self._length, dtype=torch.bool, device=tensors[0].device)
