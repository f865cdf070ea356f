"""Smooth random paths and camera shake."""

from __future__ import annotations

import numpy as np


class Path:
    """A smooth curve through points that are evenly spaced in time (Catmull-Rom).

    Args:
        points: [N, D], at times 0 to 1.
    """

    def __init__(self, points: np.ndarray) -> None:
        self.points = np.asarray(points, float)

    def __call__(self, time: float) -> np.ndarray:
        """Return the point at a time, extrapolated linearly below 0 and above 1."""
        last = len(self.points) - 1
        if last == 0:
            return self.points[0]
        at = time * last
        begin = int(np.clip(np.floor(at), 0, last - 1))
        u = at - begin
        before, p, q, after = (self.points[np.clip(begin + k, 0, last)] for k in (-1, 0, 1, 2))
        slope_p, slope_q = (q - before) / 2, (after - p) / 2
        if u < 0:
            return p + u * slope_p
        if u > 1:
            return q + (u - 1) * slope_q
        h = 2 * u**3 - 3 * u**2
        return (h + 1) * p - h * q + (u**3 - 2 * u**2 + u) * slope_p + (u**3 - u**2) * slope_q


def wander(rng: np.random.Generator, start: np.ndarray, amount: np.ndarray | float, turns: int) -> Path:
    """Draw a path from a point, with ``turns`` random steps of standard deviation ``amount``."""
    start = np.asarray(start, float)
    steps = rng.normal(size=(turns, len(start))) * amount
    return Path(np.vstack((start, start + np.cumsum(steps, axis=0))))


class Shake:
    """Tremor of a hand-held camera: sines with random phases.

    Args:
        rng: source of random numbers.
        size: number of channels.
        amount: standard deviation of each channel.
        frames: frames from time 0 to 1.
    """

    def __init__(self, rng: np.random.Generator, size: int, amount: float, frames: int) -> None:
        cycles = frames * rng.uniform(0.04, 0.35, (4, 1))
        self.amount = amount
        self.frequency = 2 * np.pi * cycles * rng.uniform(0.8, 1.25, (4, size))
        self.phase = rng.uniform(0, 2 * np.pi, (4, size))

    def __call__(self, time: float) -> np.ndarray:
        """Return the offset of each channel at a time."""
        return self.amount * np.sin(self.frequency * time + self.phase).sum(0) / np.sqrt(2)


def ease(u: float) -> float:
    """Map 0 to 1 onto itself with zero slope at both ends."""
    u = min(max(u, 0.0), 1.0)
    return u * u * (3 - 2 * u)
