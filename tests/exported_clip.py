"""A clip of six frames with two named objects: size, times, ids."""

from __future__ import annotations

import numpy as np

H, W = 49, 63
TIMES = [0.0, 0.1, 0.2, 0.5, 0.6, 0.7]
NAMES = {1: "Ring", 7: "two pieces / é"}


def ids_of_frame(number: int) -> np.ndarray:
    """Ring 1 moves right and has a hole; object 7, of two pieces, is in frames 2, 3 and 5."""
    ids = np.zeros((H, W), np.uint8)
    ids[5:25, 5 + number : 25 + number] = 1
    ids[10:15, 12 + number : 17 + number] = 0
    if number in (2, 3, 5):
        ids[30:45, 3:20], ids[28:40, 40:50] = 7, 7
    return ids
