"""Which frames enter a memory bank, and which make room for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class StoredFrame:
    """What a policy knows of a frame in the bank."""

    frame: int
    """Number of the frame in its video."""
    reference: bool
    """Its mask was given by the user."""
    passing: bool = False
    """It is there as the latest frame only, until the next one."""


class MemoryPolicy(Protocol):
    """Decides for one bank."""

    @property
    def max_frames(self) -> int | None:
        """Most frames that the bank may hold; None: no bound."""
        ...

    def due(self, frame: int, last: int) -> bool:
        """Whether a frame that was predicted is stored; ``last`` is the newest stored one."""
        ...

    def place(self, stored: Sequence[StoredFrame], new: StoredFrame) -> int | None:
        """Slot of the new frame: ``len(stored)`` appends, a smaller number overwrites, None stores nothing.

        ``stored`` is in order of slots, which is not the order of time once a frame was overwritten.
        """
        ...


@dataclass(frozen=True)
class EveryNthFrame:
    """Store each frame once ``gap`` frames have passed since the last; keep the first and the latest where bounded.

    With ``max_frames`` the oldest predicted frame makes room for a new one; where all are references, the oldest
    reference but the first does. A bound of 1 keeps references only.
    """

    gap: int
    max_frames: int | None = None

    def due(self, frame: int, last: int) -> bool:
        return frame - last >= self.gap

    def place(self, stored: Sequence[StoredFrame], new: StoredFrame) -> int | None:
        if self.max_frames is None or len(stored) < self.max_frames:
            return len(stored)
        oldest = sorted(range(len(stored)), key=lambda slot: stored[slot].frame)
        predicted = [slot for slot in oldest if not stored[slot].reference]
        if predicted:
            return predicted[0]
        if self.max_frames > 1:
            return oldest[1]
        return 0 if new.reference else None


@dataclass(frozen=True)
class FirstAndLatest:
    """Keep the first frame and, up to ``max_kept`` with it, those after it, besides one that is passing (JointFormer).

    A further frame to be kept takes the place of the oldest one but the first, whether its mask was given or not. A
    passing frame takes the place of the one before: it stays as it is while frames come that are kept.
    """

    gap: int
    max_kept: int | None = None

    @property
    def max_frames(self) -> int | None:
        return None if self.max_kept is None else self.max_kept + 1

    def due(self, frame: int, last: int) -> bool:
        return frame - last >= self.gap

    def place(self, stored: Sequence[StoredFrame], new: StoredFrame) -> int | None:
        alike = [slot for slot in range(len(stored)) if stored[slot].passing == new.passing]
        if len(alike) < (1 if new.passing else self.max_kept or len(alike) + 1):
            return len(stored)
        return min(alike if new.passing else alike[1:], key=lambda slot: stored[slot].frame, default=None)
