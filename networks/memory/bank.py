"""Memory bank: keys and values of frames in one allocation that grows by blocks.

Shapes: B id groups, L positions of a frame, M positions of all stored frames, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from voskit.networks.layers.memory_part import MemoryPart
from voskit.networks.memory.policies import MemoryPolicy, StoredFrame, asks_for

if TYPE_CHECKING:
    from voskit.networks.engines.quality import ObjectQuality

NO_QUALITY: Mapping[int, ObjectQuality] = {}
"""Placeholder quality for policies that don't need it. It must not be changed."""


class Bank(Protocol):
    """Long-term memory of some id groups, for all layers of a network."""

    def __len__(self) -> int:
        """Return the number of stored frames."""
        ...

    @property
    def nbytes(self) -> int:
        """Number of allocated bytes."""
        ...

    @property
    def groups(self) -> int:
        """Number of id groups that are served."""
        ...

    def due(self, frame: int) -> bool:
        """Return True if the policy wants this predicted frame."""
        ...

    def write(
        self,
        layers: Sequence[MemoryPart],
        frame: int,
        reference: bool = False,
        *,
        quality: Mapping[int, ObjectQuality] = NO_QUALITY,
        partial: bool = False,
    ) -> None:
        """Store a frame: its key [B or 1, L, C] and value [B, L, C'] of each layer.

        Args:
            layers: keys and values of the layers.
            frame: number of the frame in the video.
            reference: the user gave the frame's mask.
            quality, partial: see :class:`~voskit.networks.memory.policies.StoredFrame`.
        """
        ...

    def read(self) -> Sequence[Any]:
        """Return keys [B or 1, M, C] and values [B, M, C'] of each layer: MemoryPart, MaskedPart or MergedPart."""
        ...

    @property
    def frame_numbers(self) -> list[int]:
        """Numbers of the stored frames, in order of slots."""
        ...

    def memory_of(self, frame: int) -> list[MemoryPart] | None:
        """Return keys and values of a stored frame in each layer, as views; None: not all layers hold it."""
        ...

    def keep_groups(self, groups: Sequence[int]) -> None:
        """Forget all id groups but these, by their numbers."""
        ...


class UsageBank(Bank, Protocol):
    """A bank that tracks how much attention its elements or frames get."""

    def count_usage(self, queries_BLC: Sequence[Tensor]) -> None:
        """Record a read of the memory by the queries of each layer."""
        ...


class FrameBank:
    """A bank that stores whole frames.

    Memory is allocated in blocks of frames and written in place; reading returns views. So nothing is concatenated, and
    under a policy with a bound, the allocation stops growing once the bound is reached.

    Args:
        policy: decides which frames are stored and which are overwritten.
        block: minimum number of frames by which the allocation grows; a large bank grows by half its size.
        heads: attention heads of the readers, to count usage for policies that need it.
    """

    def __init__(self, policy: MemoryPolicy, block: int = 4, heads: int = 1) -> None:
        self.policy = policy
        self.block = block
        self.heads = heads
        self.frames: list[StoredFrame] = []
        self._storage: list[Tensor] = []
        self._length = 0

    def __len__(self) -> int:
        """Return the number of stored frames."""
        return len(self.frames)

    @property
    def nbytes(self) -> int:
        """Number of allocated bytes."""
        return sum(x.numel() * x.element_size() for x in self._storage)

    def due(self, frame: int) -> bool:
        """Return True if the policy wants this predicted frame."""
        return self.policy.due(frame, max(f.frame for f in self.frames))

    def write(
        self,
        layers: Sequence[MemoryPart],
        frame: int,
        reference: bool = False,
        passing: bool = False,
        *,
        quality: Mapping[int, ObjectQuality] = NO_QUALITY,
        partial: bool = False,
    ) -> None:
        """Store a frame in the slot that the policy chooses, or not at all.

        Args:
            layers: key [B or 1, L, C] and value [B, L, C'] of each layer.
            frame: number of the frame in the video.
            reference: the user gave the frame's mask.
            passing: the frame is stored only until the next one.
            quality, partial: see :class:`~voskit.networks.memory.policies.StoredFrame`.
        """
        new = StoredFrame(frame, reference, passing, dict(quality), partial)
        slot = self.policy.place(self.frames, new)
        if slot is None:
            return
        tensors = [x for part in layers for x in part]
        self._length = tensors[0].shape[1]
        if slot == len(self.frames):
            self._reserve(tensors, slot + 1)
            self.frames.append(new)
        else:
            self.frames[slot] = new
        start = slot * self._length
        for storage, x in zip(self._storage, tensors, strict=True):
            storage[:, start : start + self._length] = x

    def read(self) -> list[MemoryPart]:
        """Return keys [B or 1, M, C] and values [B, M, C'] of each layer, as views."""
        filled = [x[:, : len(self.frames) * self._length] for x in self._storage]
        return [MemoryPart(k, v) for k, v in zip(filled[::2], filled[1::2], strict=True)]

    @property
    def frame_numbers(self) -> list[int]:
        """Numbers of the stored frames, in order of slots."""
        return [frame.frame for frame in self.frames]

    def memory_of(self, frame: int) -> list[MemoryPart] | None:
        """Return a stored frame's keys and values of each layer, as views; None: it isn't stored."""
        if frame not in self.frame_numbers:
            return None
        start = self.frame_numbers.index(frame) * self._length
        own = [x[:, start : start + self._length] for x in self._storage]
        return [MemoryPart(k, v) for k, v in zip(own[::2], own[1::2], strict=True)]

    def count_usage(self, queries_BLC: Sequence[Tensor]) -> None:
        """Record a read of the memory by the queries of each layer, if the policy needs that."""
        if asks_for(self.policy, "needs_usage"):
            from voskit.networks.memory.usage import counted, frame_shares

            shares = frame_shares(queries_BLC, self.read(), len(self.frames), self.heads)
            self.frames = counted(self.frames, shares)

    def drop_passing(self) -> None:
        """Drop the passing frame, if there is one."""
        slot = next((slot for slot, frame in enumerate(self.frames) if frame.passing), None)
        if slot is None:
            return
        last = len(self.frames) - 1
        for storage in self._storage:  # the last frame takes its slot
            rows = storage.unflatten(1, (-1, self._length))
            rows[:, slot] = rows[:, last]
        self.frames[slot] = self.frames[last]
        self.frames.pop()

    def keep_groups(self, groups: Sequence[int]) -> None:
        """Forget all id groups but these, by their numbers."""
        rows = torch.as_tensor(groups, device=self._storage[0].device)
        self._storage = [x if x.shape[0] == 1 < self.groups else x[rows] for x in self._storage]

    @property
    def groups(self) -> int:
        """Number of id groups that are served."""
        return max((x.shape[0] for x in self._storage), default=0)

    def clear(self) -> None:
        """Drop all frames and free the memory."""
        self.frames, self._storage, self._length = [], [], 0

    def _reserve(self, tensors: Sequence[Tensor], frames: int) -> None:
        """Make room for ``frames`` frames."""
        if self._storage and self._storage[0].shape[1] >= frames * self._length:
            return
        capacity = max(frames - 1 + self.block, (frames - 1) * 3 // 2)
        if self.policy.max_frames is not None:
            capacity = min(capacity, self.policy.max_frames)
        for i, x in enumerate(tensors):
            grown = x.new_empty(x.shape[0], capacity * self._length, x.shape[2])
            if i < len(self._storage):
                grown[:, : self._storage[i].shape[1]] = self._storage[i]
                self._storage[i] = grown
            else:
                self._storage.append(grown)
