"""Statistics of a list of per-frame values: mean, recall and decay (Perazzi et al., CVPR 2016, section 3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike


def mean(values: ArrayLike) -> float:
    """Mean with NaN left out; NaN where nothing is left."""
    array = np.asarray(values, np.float64)
    array = array[~np.isnan(array)]
    return float(array.mean()) if array.size else float("nan")


def recall(values: ArrayLike) -> float:
    """Share of values strictly above 0.5; NaN is not above and is counted. NaN for an empty list."""
    array = np.asarray(values, np.float64)
    return float((array > 0.5).mean()) if array.size else float("nan")


def decay(values: ArrayLike) -> float:
    """Mean of the first quarter minus mean of the last; neighbouring quarters share a frame. NaN for an empty list.

    The DAVIS tools keep frame numbers in 8 bits, so theirs goes astray from 257 values on; this one doesn't.
    """
    array = np.asarray(values, np.float64)
    if not array.size:
        return float("nan")
    marks = np.round(1 + np.arange(5) * (array.size - 1) / 4 + 1e-10).astype(int) - 1
    return mean(array[marks[0] : marks[1] + 1]) - mean(array[marks[3] : marks[4] + 1])


def summary(name: str, values: ArrayLike) -> dict[str, float]:
    """``{name}-Mean``, ``-Recall`` and ``-Decay`` of one object's values."""
    return {f"{name}-Mean": mean(values), f"{name}-Recall": recall(values), f"{name}-Decay": decay(values)}


def mean_of(rows: Iterable[Mapping[str, float]], keys: Sequence[str]) -> dict[str, float]:
    """Plain mean over rows of each key; a NaN in a row makes the mean NaN, no rows make it NaN."""
    listed = list(rows)
    return {key: float(np.mean([row[key] for row in listed])) if listed else float("nan") for key in keys}
