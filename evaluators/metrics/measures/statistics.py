"""Statistics of per-frame values: mean, recall and decay (Perazzi et al., CVPR 2016, section 3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray


def mean(values: ArrayLike) -> float:
    """Return the mean, ignoring NaN; NaN if no value is left."""
    array = np.asarray(values, np.float64)
    array = array[~np.isnan(array)]
    return float(array.mean()) if array.size else float("nan")


def recall(values: ArrayLike) -> float:
    """Return the fraction of values above 0.5, which NaN isn't; NaN for an empty list."""
    array = np.asarray(values, np.float64)
    return float((array > 0.5).mean()) if array.size else float("nan")


def decay(values: ArrayLike) -> float:
    """Return the mean of the first quarter minus the mean of the last; NaN for an empty list."""
    first, *_, last = quarters(values)
    return mean(first) - mean(last)


def quarters(values: ArrayLike) -> list[NDArray[np.float64]]:
    """Return the four quarters of a list; adjacent ones share a value.

    The DAVIS tools store frame numbers in 8 bits, which overflow from 257 values on. This function doesn't.
    """
    array = np.asarray(values, np.float64)
    marks = np.round(1 + np.arange(5) * (array.size - 1) / 4 + 1e-10).astype(int) - 1
    return [array[begin : end + 1] for begin, end in pairwise(marks)]


def summary(name: str, values: ArrayLike) -> dict[str, float]:
    """Return ``{name}-Mean``, ``{name}-Recall`` and ``{name}-Decay`` of the values of one object."""
    return {f"{name}-Mean": mean(values), f"{name}-Recall": recall(values), f"{name}-Decay": decay(values)}


def mean_of(rows: Iterable[Mapping[str, float]], keys: Sequence[str]) -> dict[str, float]:
    """Return the plain mean over rows for each key; NaN if a row has NaN or there are no rows."""
    listed = list(rows)
    return {key: float(np.mean([row[key] for row in listed])) if listed else float("nan") for key in keys}
