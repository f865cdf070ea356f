"""Detection and removal of smooth (anti-aliased) edges in masks.

Drawing programs blend the colors at an object's edge. Read as it is, each blend would be an object of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

REACHES = (6, 12)
"""Distances to try, in pixels, from blends to the inner pixels of their neighbors: for reduced and enlarged masks."""
_CONTRAST = 48.0
"""Smallest distance of two colors with blends between them. Gray levels that are ids counted from 1 are closer."""
_MOST = 0.8  # minimum fraction of a blend's pixels that lie between two other values
_CORE = 0.05  # minimum fraction of inner pixels in a value that fills an area


@dataclass(frozen=True)
class Edges:
    """Result of :func:`mend_edges`.

    Attributes:
        values: H x W uint8, the mask without blends.
        blends: number of values that were blends.
        leftover: values of thin lines and specks that aren't blends of their neighbors.
        areas: values that fill areas.
        inner: fraction of the pixels whose 3 x 3 neighbors all have the same value: near 1 in masks, low in photos.
    """

    values: np.ndarray
    blends: int
    leftover: int
    areas: tuple[int, ...]
    inner: float


def mend_edges(values: np.ndarray, colors: np.ndarray, reach: int = REACHES[0]) -> Edges:
    """Give the pixels of blended edges to neighboring areas.

    A value is a blend if it fills no area (a pixel with 8 equal neighbors), and nearly all of its pixels lie near two
    areas with its color between theirs. If a mask has blends, the following pixels go to the near area with the most
    similar color:

    - the pixels of blends;
    - pixels far from the area of their own value that are blends of two areas near them;
    - pixels of other values without an area that lie near two areas.

    Args:
        values: H x W uint8.
        colors: [256, 3], the RGB color of each value.
        reach: distance in pixels that counts as near.
    """
    counts = np.bincount(values.ravel(), minlength=256)
    kernel = np.ones((3, 3), np.uint8)
    inner_HW = cv2.erode(values, kernel) == cv2.dilate(values, kernel)
    inner = np.bincount(values[inner_HW], minlength=256)
    areas = np.flatnonzero((inner > 0) & (inner >= _CORE * counts))
    thin = np.setdiff1d(np.flatnonzero(counts), areas)
    result = Edges(values, 0, len(thin), tuple(areas.tolist()), float(inner_HW.mean()))
    thin_HW = np.isin(values, thin)
    if not len(thin) or len(areas) < 2 or thin_HW.mean() > 0.5:
        return result

    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    near_AHW = np.stack([cv2.dilate((inner_HW & (values == area)).astype(np.uint8), disk) > 0 for area in areas])
    between = {int(value): _pairs(colors, areas, int(value)) for value in np.flatnonzero(counts)}
    blends = [v for v in map(int, thin) if _is_between(near_AHW[:, values == v], between[v]).mean() >= _MOST]
    if not blends or (len(blends) == 1 and counts[blends[0]] < 8):
        return result

    own_HW = np.zeros(values.shape, bool)  # pixels near the area of their own value
    for place, area in enumerate(areas):
        own_HW |= near_AHW[place] & (values == area)
    mended_HW = np.zeros(values.shape, bool)
    leftover = 0
    for value in map(int, np.flatnonzero(counts)):
        pixels = (values == value) & ~own_HW
        near = near_AHW[:, pixels]
        if value in thin:
            beside = (near.sum(axis=0) >= 2) | (near & _similar(colors, areas, value)[:, None]).any(axis=0)
            if value not in blends and beside.mean() < _MOST:
                leftover += 1
                continue
            mended_HW[pixels] = near.any(axis=0)
        elif pixels.any():
            mended_HW[pixels] = _is_between(near, between[value])
    distance = np.linalg.norm(colors[areas][:, None].astype(float) - colors[None], axis=2)  # [areas, 256]
    cost = np.where(near_AHW[:, mended_HW], distance[:, values[mended_HW]], np.inf)
    mended = values.copy()
    mended[mended_HW] = areas[cost.argmin(axis=0)]
    return Edges(mended, len(blends), leftover, result.areas, result.inner)


def _pairs(colors: np.ndarray, areas: np.ndarray, value: int) -> np.ndarray:
    """Return [areas, areas] bool: the color of ``value`` lies on the line between the colors of both areas."""
    ends = colors[areas].astype(float)
    line = ends[None] - ends[:, None]
    length = np.linalg.norm(line, axis=2)
    place = colors[value].astype(float) - ends[:, None]
    along = (place * line).sum(axis=2) / np.maximum(length, 1) ** 2
    off = np.linalg.norm(place - along[..., None] * line, axis=2)
    pairs = (length >= _CONTRAST) & (off <= np.maximum(24, 0.12 * length)) & (along > 0) & (along < 1)
    pairs[areas == value] = False
    pairs[:, areas == value] = False
    return pairs


def _is_between(near_AN: np.ndarray, pairs_AA: np.ndarray) -> np.ndarray:
    """Return [N] bool: both areas of one of the pairs are near."""
    near = near_AN.astype(np.float32)
    return np.any((pairs_AA.astype(np.float32) @ near) * near, axis=0)


def _similar(colors: np.ndarray, areas: np.ndarray, value: int) -> np.ndarray:
    return np.linalg.norm(colors[areas].astype(float) - colors[value], axis=1) < _CONTRAST


def is_feathered(values: np.ndarray) -> bool:
    """True if gray levels are one white object on black with a soft edge of any width, not ids.

    That is: there are more white pixels than pixels of all levels in between, several levels lie on either side of
    the middle, and none of them fills an area of its own.
    """
    counts = np.bincount(values.ravel(), minlength=256)
    levels = np.flatnonzero(counts[1:255]) + 1
    if not counts[255] or min(np.count_nonzero(levels < 128), np.count_nonzero(levels > 127)) < 2:
        return False
    if 2 * counts[232:].sum() <= counts[24:].sum():
        return False
    kernel = np.ones((5, 5), np.uint8)
    inner = values[cv2.erode(values, kernel) == cv2.dilate(values, kernel)]
    areas = np.bincount(inner, minlength=256)[24:232]
    return bool((areas <= 0.01 * counts[255]).all())
