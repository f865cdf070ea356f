"""Resizing of masks to the size of the frames, if the aspect ratio is the same."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

logger = logging.getLogger(__name__)


def fit_mask(path: Path | str, mask: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """Resize a mask to the size of the frames with nearest-neighbor interpolation, and log it.

    Args:
        path: file of the mask, for messages.
        mask: H x W.
        size: (height, width) of the frames; None: any.

    Raises:
        ValueError: the mask has another aspect ratio than the frames.
    """
    if size is None or mask.shape == tuple(size):
        return mask
    check_aspect(path, (mask.shape[0], mask.shape[1]), size)
    logger.warning(
        "%s: the mask is %dx%d (height x width), the frames are %dx%d: resized with nearest-neighbor interpolation",
        path, *mask.shape, *size,
    )  # fmt: skip
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int) for old, new in zip(mask.shape, size, strict=True)
    )
    return mask[rows[:, None], columns]


def check_aspect(path: Path | str, found: tuple[int, int], size: tuple[int, int]) -> None:
    """Raise ValueError if a mask of size ``found``, (height, width), can't be resized to ``size``.

    Sides may differ by rounding, up to one pixel of the smaller picture.
    """
    scale = size[0] / found[0]
    if abs(found[1] * scale - size[1]) <= max(1.0, scale):
        return
    turned = " (a quarter turn: was it drawn on the unrotated frame?)" if found == (size[1], size[0]) else ""
    raise ValueError(
        f"{path}: the mask is {found[0]}x{found[1]} (height x width), the frames are {size[0]}x{size[1]}{turned}: draw "
        "it on a frame of that size, or resize it with nearest-neighbor interpolation"
    )
