"""Choice of the frame whose correction helps most."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

import numpy as np

_REACH = 8  # frames on each side that a correction improves


def next_correction(confidences: Mapping[int, Mapping[int, float]]) -> tuple[int, int] | None:
    """Return the frame and the object with the lowest confidence in and around the frame; None: there are none.

    A correction improves the frames around it, up to the nearest given ones. So a frame's score sums the uncertainty
    (1 - confidence) of the frame itself and of up to eight frames on each side, with higher weights for nearer frames.

    Args:
        confidences: confidence by frame number and object id, for propagated frames only.
    """
    kernel = np.bartlett(2 * _REACH + 3)[1:-1]
    best: tuple[float, int, int] | None = None
    for _, stretch in groupby(enumerate(sorted(confidences)), lambda pair: pair[1] - pair[0]):
        numbers = [number for _, number in stretch]
        ids = sorted({object_id for number in numbers for object_id in confidences[number]})
        for object_id in ids:
            unsure = np.array([1 - confidences[number].get(object_id, 1.0) for number in numbers])
            there = np.array([object_id in confidences[number] for number in numbers])
            sums = np.where(there, np.convolve(unsure, kernel)[_REACH : _REACH + len(numbers)], -1.0)
            place = int(np.argmax(sums))
            if best is None or sums[place] > best[0]:
                best = float(sums[place]), numbers[place], object_id
    return None if best is None else best[1:]
