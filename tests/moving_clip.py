"""A noise picture that moves, and masks of squares."""

from __future__ import annotations

import numpy as np

H, W = 65, 97


def moving_frames(count: int) -> list[np.ndarray]:
    """H x W x 3 uint8, each frame shifted by one pixel."""
    base = np.random.default_rng(0).integers(0, 255, (H + count + 8, W + count + 8, 3), dtype=np.uint8)
    return [base[t : t + H, t : t + W].copy() for t in range(count)]


def squares(*ids: int) -> np.ndarray:
    """A mask with a 9 x 9 square for each id."""
    mask = np.zeros((H, W), np.int64)
    for i, object_id in enumerate(ids):
        y, x = divmod(i, W // 10)
        mask[y * 10 : y * 10 + 9, x * 10 : x * 10 + 9] = object_id
    return mask
