"""Groups of objects side by side that trade places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .motion import ease


@dataclass(frozen=True)
class Swap:
    """Two objects that trade places.

    Attributes:
        begin, end: times from 0 to 1.
        first, second: their places.
        bulge: how far each passes on its left, as a fraction of the distance between the places.
        lift: how high the object at ``first`` is lifted on its way.
    """

    begin: float
    end: float
    first: int
    second: int
    bulge: float
    lift: float


def draw_spots(rng: np.random.Generator, count: int, spacing: float) -> np.ndarray:
    """Return places [count, 2] about the origin: a row, an arc or a grid, with some jitter."""
    kind = rng.choice(("row", "arc", "grid"))
    at = np.arange(count) - (count - 1) / 2
    if kind == "row":
        spots = np.stack((at * spacing, np.zeros(count)), axis=1)
    elif kind == "arc":
        radius = spacing * max(count, 3) / 2
        spots = np.stack((radius * np.sin(at * spacing / radius), radius * (np.cos(at * spacing / radius) - 1)), axis=1)
    else:
        columns = int(np.ceil(np.sqrt(count)))
        spots = np.stack((np.arange(count) % columns, np.arange(count) // columns), axis=1) * spacing
        spots = spots - spots.mean(0)
    return spots + rng.normal(0, 0.06 * spacing, spots.shape)


def draw_swaps(rng: np.random.Generator, count: int, frames: int) -> list[Swap]:
    """Draw swaps, one after the other; each takes 6 to 16 frames."""
    swaps = []
    time = rng.uniform(-0.1, 0.2)
    while count > 1 and time < 1:
        length = rng.uniform(6, 16) / frames
        first, second = rng.choice(count, 2, replace=False).tolist()
        lift = rng.uniform(0.02, 0.15) if rng.random() < 0.3 else 0.0
        bulge = float(rng.choice((-1, 1)) * rng.uniform(0.35, 0.55))
        swaps.append(Swap(time, time + length, first, second, bulge, lift))
        time += length + rng.uniform(0, 4) / frames
    return swaps


def spot_at(time: float, place: int, spots: np.ndarray, swaps: Sequence[Swap]) -> tuple[np.ndarray, float]:
    """Return the spot and height at a time of the object that starts at a given place."""
    now, spot, height = place, spots[place], 0.0
    for swap in swaps:
        if now not in (swap.first, swap.second) or time <= swap.begin:
            continue
        goal = swap.second if now == swap.first else swap.first
        u = ease((time - swap.begin) / (swap.end - swap.begin))
        across = spots[goal] - spots[now]
        spot = spots[now] + u * across + swap.bulge * np.sin(np.pi * u) * np.array((-across[1], across[0]))
        height = swap.lift * np.sin(np.pi * u) if now == swap.first else 0.0
        if time < swap.end:
            break
        now = goal
    return spot, float(height)
