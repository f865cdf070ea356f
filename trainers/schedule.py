"""Learning-rate schedule: warm-up and polynomial or cosine decay, or milestones."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Linear warm-up from the minimum learning rate to the base rate, then polynomial or cosine decay.

    The decay would end one step after the last one, as published, so no step has exactly the minimum rate.
    """

    base: float
    """Learning rate after warm-up."""
    least: float
    """Learning rate at the start of warm-up and at the end of the decay."""
    total_steps: int
    warm_up_ratio: float = 0.05
    """Fraction of the steps used for warm-up."""
    power: float = 0.9
    """Exponent of the polynomial decay."""
    cosine: bool = False
    """Cosine instead of polynomial decay."""
    cycles: int = 1
    """Repetitions of the whole curve."""
    milestones: tuple[int, ...] | None = None
    """Replaces the curve: start at the base rate and multiply it by ``gamma`` at each of these steps."""
    gamma: float = 0.1

    def lr(self, step: int, scale: float = 1.0) -> float:
        """Return the learning rate of a step.

        Args:
            step: from 0.
            scale: factor of the part above the minimum rate (0.1 for encoders).
        """
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
