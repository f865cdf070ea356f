"""Working memory of objects in tensors of a fixed size: keys that all objects share, values of each.

Shapes: L positions of a frame, M positions of all frames that fit, C channels of keys, D of values.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from voskit.networks.layers.memory_part import MaskedPart
from voskit.networks.memory.policies import MemoryPolicy, StoredFrame
from voskit.networks.memory.static import CAPACITY


class StaticObjectBank:
    """Memory of frames whose tensors have the same sizes at every read, however many objects there are.

    The policy places a frame for all objects at once. An object reads only frames since it was added. Frames that no
    remaining object reads are dropped.

    Args:
        policy: decides which frames are stored and which are overwritten. Its bound is the capacity; without one, the
            capacity is initially ``CAPACITY`` frames and doubles when it is full.
    """

    def __init__(self, policy: MemoryPolicy) -> None:
        self.policy = policy
        self.clear()

    def clear(self) -> None:
        """Drop everything and free the memory."""
        self.frames: list[StoredFrame] = []
        self.begins: list[int] = []
        self._slots: list[int] = []  # of the frames
        self._storage: list[Tensor] = []  # keys, then the values of each object
        self._numbers = torch.empty(1, 0, dtype=torch.int64)  # of the frame at each position; -1: none
        self._length = 0

    @property
    def nbytes(self) -> int:
        """Number of allocated bytes."""
        return sum(x.numel() * x.element_size() for x in self._storage)

    def write(self, key_1LC: Tensor, value_KLD: Tensor, frame: int, reference: bool = False) -> None:
        """Store a frame in the slot that the policy chooses, or not at all; rows of new objects come last."""
        self.begins += [frame] * (len(value_KLD) - len(self.begins))
        new = StoredFrame(frame, reference)
        place = self.policy.place(self.frames, new)
        if place is not None and place < len(self.frames):
            slot = self._slots.pop(place)
            self.frames.pop(place)
        else:
            slot = next(i for i in range(len(self._slots) + 1) if i not in self._slots)
        rows = [key_1LC, *value_KLD.split(1)]
        self._length = key_1LC.shape[1]
        self._reserve(rows, 0 if place is None else slot + 1)
        if place is None:
            return
        self.frames.append(new)
        self._slots.append(slot)
        positions = slice(slot * self._length, (slot + 1) * self._length)
        for storage, x in zip(self._storage, rows, strict=True):
            storage[:, positions] = x
        self._numbers[:, positions] = frame

    def read(self) -> list[MaskedPart]:
        """Return keys [1, M, C], values [1, M, D] and a mask [1, M] for each object; all have the same keys."""
        key, *values = self._storage
        return [
            MaskedPart(key, value, self._numbers >= begin) for value, begin in zip(values, self.begins, strict=True)
        ]

    def keep_objects(self, objects: Sequence[int]) -> None:
        """Keep only these objects, at least one, and the frames that they read."""
        self.begins = [self.begins[i] for i in objects]
        self._storage = [self._storage[0], *(self._storage[1 + i] for i in objects)]
        kept = [place for place, stored in enumerate(self.frames) if stored.frame >= min(self.begins)]
        self.frames, self._slots = ([x[place] for place in kept] for x in (self.frames, self._slots))  # type: ignore[assignment]
        self._numbers[self._numbers < min(self.begins)] = -1

    def _reserve(self, rows: Sequence[Tensor], frames: int) -> None:
        """Make room for ``frames`` frames of keys and of each object's values, filled with zeros."""
        held = self._numbers.shape[1]
        capacity = max(held // self._length, self.policy.max_frames or CAPACITY)
        while capacity < frames:
            capacity *= 2
        for i, x in enumerate(rows):
            old = self._storage[i] if i < len(self._storage) else None
            if old is not None and old.shape[1] == capacity * self._length:
                continue
            grown = x.new_zeros(1, capacity * self._length, x.shape[2])
            if old is not None:
                grown[:, : old.shape[1]] = old
            self._storage[i : i + 1] = [grown]
        if held < capacity * self._length:
            numbers = torch.full((1, capacity * self._length), -1, device=rows[0].device)
            numbers[:, :held] = self._numbers
            self._numbers = numbers
