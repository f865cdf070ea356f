"""Colors of object ids: the DAVIS palette for mask files, bright colors for overlays, distinct colors of all ids."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from voskit.dataloaders import MAX_ID

_DAVIS_COLORS = 22
_BRIGHT = (  # distinct to red-green color-blind viewers, too: CIEDE2000 is at least 15 in the first six, 9 in all ten
    (64, 159, 255), (255, 240, 0), (235, 50, 165), (64, 255, 225), (245, 140, 0),
    (205, 90, 90), (0, 215, 255), (95, 225, 110), (255, 130, 160), (235, 60, 0),
)  # fmt: skip


@lru_cache(maxsize=1)
def davis_palette() -> bytes:
    """Return the palette of DAVIS mask files as published with AOT: 768 values, 256 x RGB.

    The first 22 entries are the color map of PASCAL VOC, with 191 instead of 192; entry i >= 22 is (i, i, i).
    """
    return _davis_colors().tobytes()


@lru_cache(maxsize=1)
def voc_palette() -> bytes:
    """Return the color map of PASCAL VOC, 768 values, which DAVIS's own files and other code use."""
    return _voc_colors().tobytes()


def id_colors(ids: ArrayLike) -> np.ndarray:
    """Return the overlay colors of N object ids, (N, 3) uint8 RGB.

    Ids below 22 have the colors of ``davis_palette``. Larger ids, up to 65535, have a unique color each; neighboring
    ids differ strongly in hue.

    Raises:
        ValueError: an id isn't an integer from 0 to 65535.
    """
    return _look_up(_all_colors, ids)


def bright_colors(ids: ArrayLike) -> np.ndarray:
    """Return bright colors of N object ids, (N, 3) uint8 RGB; black for id 0.

    Ids 1 to 10 have colors that color-blind viewers distinguish, too. Larger ids, up to 65535, have bright colors whose
    hues differ strongly between neighboring ids.

    Raises:
        ValueError: an id isn't an integer from 0 to 65535.
    """
    return _look_up(_bright_colors, ids)


@lru_cache(maxsize=1)
def id_palette() -> bytes:
    """Return ``id_colors`` of the ids 0 to 255 as a palette for mask files, 768 values."""
    return _all_colors()[:256].tobytes()


@lru_cache(maxsize=1)
def bright_palette() -> bytes:
    """Return ``bright_colors`` of the ids 0 to 255 as a palette for mask files, 768 values."""
    return _bright_colors()[:256].tobytes()


def _look_up(table: Callable[[], np.ndarray], ids: ArrayLike) -> np.ndarray:
    values = np.asarray(ids).reshape(-1)
    if values.size == 0:
        return np.zeros((0, 3), np.uint8)
    if not np.issubdtype(values.dtype, np.integer) or values.min() < 0 or values.max() > MAX_ID:
        raise ValueError(f"object ids must be integers between 0 and {MAX_ID}, not {values.tolist()[:10]}")
    return table()[values]


def _davis_colors() -> np.ndarray:
    colors = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    voc = _voc_colors()[:_DAVIS_COLORS]
    colors[:_DAVIS_COLORS] = np.where(voc == 192, 191, voc)
    return colors


@lru_cache(maxsize=1)
def _voc_colors() -> np.ndarray:
    """Deal the bits of an index out to the three channels in turn, filling each channel from its highest bit."""
    index, channel, level = np.ogrid[:256, :3, :8]
    return ((index >> (3 * level + channel) & 1) << (7 - level)).sum(axis=2).astype(np.uint8)


@lru_cache(maxsize=1)
def _all_colors() -> np.ndarray:
    """Return 65536 different colors, (65536, 3) uint8."""
    ids = np.arange(MAX_ID + 1)
    colors = _spread_colors(ids, least_saturation=0.45, least_value=0.55)
    colors[:_DAVIS_COLORS] = _davis_colors()[:_DAVIS_COLORS]
    packed = colors @ np.array([1 << 16, 1 << 8, 1])
    while len(repeated := np.setdiff1d(ids, np.unique(packed, return_index=True)[1])):
        packed[repeated] = (packed[repeated] + 1) % (1 << 24)
    return np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1).astype(np.uint8)


@lru_cache(maxsize=1)
def _bright_colors() -> np.ndarray:
    colors = _spread_colors(np.arange(MAX_ID + 1), least_saturation=0.5, least_value=0.8).astype(np.uint8)
    colors[: len(_BRIGHT) + 1] = [(0, 0, 0), *_BRIGHT]
    return colors


def _spread_colors(ids: np.ndarray, *, least_saturation: float, least_value: float) -> np.ndarray:
    """Return a color for each of N ids, (N, 3) int64. Steps of the golden ratio's kind keep neighboring ids apart."""
    hue = (ids * 0.6180339887498949) % 1.0
    saturation = 1.0 - (1.0 - least_saturation) * ((ids * 0.7548776662466927) % 1.0)
    value = 1.0 - (1.0 - least_value) * ((ids * 0.5698402909980532) % 1.0)
    sector = hue[:, None] * 6.0 + np.array([5.0, 3.0, 1.0])  # HSV to RGB, one column a channel
    ramp = np.clip(np.minimum(sector % 6.0, 4.0 - sector % 6.0), 0.0, 1.0)
    return np.round(255 * value[:, None] * (1.0 - saturation[:, None] * ramp)).astype(np.int64)
