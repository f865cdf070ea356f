"""Memory of frames in arrays of a fixed capacity, written in place.

Shapes: L positions of a frame, M positions of the stored frames, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


class FrameMemory:
    """Frames of a video: every ``gap``-th frame, the first and the latest ones.

    A new frame replaces the oldest predicted one once ``capacity`` frames are stored. If all of them are references, it
    replaces the oldest reference except the first. With a capacity of 1, only references are kept.

    Args:
        capacity: maximum number of frames.
        gap: number of frames between two stored ones.
        least: minimum number of frames that a graph reads; frames that don't exist yet are marked as empty.
    """

    def __init__(self, capacity: int, gap: int, least: int = 1) -> None:
        self.capacity, self.gap, self.least = capacity, gap, least
        self._room = max(capacity, least)  # in frames
        self.frames: list[tuple[int, bool]] = []
        self._storage: dict[str, np.ndarray] = {}
        self._length = 0

    def __len__(self) -> int:
        """Return the number of stored frames."""
        return len(self.frames)

    @property
    def nbytes(self) -> int:
        """Number of allocated bytes."""
        return sum(x.nbytes for x in self._storage.values())

    def due(self, frame: int) -> bool:
        """Return True if a predicted frame should be stored."""
        return frame - max(number for number, _ in self.frames) >= self.gap

    def write(self, columns: Mapping[str, np.ndarray], frame: int, reference: bool) -> None:
        """Store a frame if there is a place for it.

        Args:
            columns: named arrays [B, L, C].
            frame: number of the frame.
            reference: the user gave its mask.
        """
        slot = self._place(reference)
        if slot is None:
            return
        self.frames[slot : slot + 1] = [(frame, reference)]
        for name, x in columns.items():
            self._length = x.shape[1]
            if name not in self._storage:
                self._storage[name] = np.zeros((x.shape[0], self._room * x.shape[1], x.shape[2]), x.dtype)
            self._storage[name][:, slot * self._length : (slot + 1) * self._length] = x

    def read(self, since: int = 0) -> dict[str, np.ndarray]:
        """Return the columns [B, M, C] as views, and ``valid`` [1, M]: True for positions of frames ``since`` one."""
        positions = max(len(self.frames), self.least) * self._length
        wanted = [number >= since for number, _ in self.frames]
        valid = np.zeros((1, positions), bool)
        valid[0, : len(wanted) * self._length] = np.repeat(wanted, self._length)
        return {"valid": valid, **{name: x[:, :positions] for name, x in self._storage.items()}}

    def keep_rows(self, name: str, rows: Sequence[int]) -> None:
        """Keep only these rows of a column's first axis."""
        self._storage[name] = self._storage[name][list(rows)]

    def add_rows(self, name: str, count: int) -> None:
        """Append rows to a column's first axis, 0 for the frames so far."""
        x = self._storage[name]
        self._storage[name] = np.concatenate([x, np.zeros((count, *x.shape[1:]), x.dtype)])

    def forget_before(self, frame: int) -> None:
        """Forget all frames before this one."""
        kept = [slot for slot, (number, _) in enumerate(self.frames) if number >= frame]
        for x in self._storage.values():
            by_frame = x.reshape(x.shape[0], self._room, self._length, x.shape[2])
            by_frame[:, : len(kept)] = by_frame[:, kept]
        self.frames = [self.frames[slot] for slot in kept]

    def _place(self, reference: bool) -> int | None:
        if len(self.frames) < self.capacity:
            return len(self.frames)
        oldest = sorted(range(len(self.frames)), key=lambda slot: self.frames[slot][0])
        predicted = [slot for slot in oldest if not self.frames[slot][1]]
        if predicted:
            return predicted[0]
        if self.capacity > 1:
            return oldest[1]
        return 0 if reference else None
