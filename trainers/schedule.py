"""Learning rate over the steps of a stage."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Linear warm-up from the least rate to the base one, then a fall back to it by a power or a cosine.

    The fall ends a step after the last one, as published, so no step has the least rate itself.
    """

    base: float
    least: float
    total_steps: int
    warm_up_ratio: float = 0.05
    power: float = 0.9
    cosine: bool = False
    cycles: int = 1
    """Repeat the whole curve so many times, each over its share of the steps."""
    milestones: tuple[int, ...] | None = None
    """In place of all that: the base rate, which falls to ``gamma`` times what it was at these steps."""
    gamma: float = 0.1

    def lr(self, step: int, scale: float = 1.0) -> float:
        """Rate of a step; ``scale`` reduces the rise above the least rate (0.1 for encoders)."""
        if self.milestones is not None:
            return self.base * scale * self.gamma ** sum(step >= m for m in self.milestones)
        length = self.total_steps / self.cycles
        position = step % length if self.cycles > 1 else step
        warm_up = self.warm_up_ratio * length
        if position < warm_up:
            height = position / warm_up
        else:
            passed = (position - warm_up) / (length - warm_up + 1)
            height = 0.5 * (1 + math.cos(math.pi * passed)) if self.cosine else (1 - passed) ** self.power
        return self.least + (self.base - self.least) * scale * height
