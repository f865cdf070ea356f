"""Bit planes: eight binary masks in one uint8 image, processed together by bit operations.

Shape letters: H, W rows and columns; G groups of eight masks; N = 8 * G masks. Bit k of group g is mask 8 * g + k.
Unused masks of the last group are empty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Planes = NDArray[np.uint8]
BoundaryKind = Literal["plain", "compiled"]

_BITS = ((np.arange(256)[:, None] >> np.arange(8)) & 1).astype(np.float64)  # 256 x 8: masks in a byte
_EXACT_IN_FLOAT32 = 1 << 24


def pack_ids(ids: NDArray[np.integer], objects: Sequence[int]) -> Planes:
    """Pack the objects of a label map into bit planes.

    Args:
        ids: H x W, uint8 or uint16.
        objects: the ids to pack, in the order of the masks, without repetitions.

    Returns:
        G x H x W uint8, at least one group.
    """
    if ids.dtype == np.uint8 and max(objects, default=0) > 255:
        ids = ids.astype(np.uint16)
    planes = np.empty((max(1, -(-len(objects) // 8)), *ids.shape), np.uint8)
    for group, plane in enumerate(planes):
        table = np.zeros(256 if ids.dtype == np.uint8 else 65536, np.uint8)
        table[list(objects[8 * group : 8 * group + 8])] = 1 << np.arange(len(objects[8 * group : 8 * group + 8]))
        if ids.dtype == np.uint8:
            cv2.LUT(np.ascontiguousarray(ids), table, dst=plane)
        else:
            plane[:] = table[ids]
    return planes


def bounding_box(plane: Planes) -> tuple[slice, slice]:
    """Return the rows and columns of all non-zero pixels of an H x W plane, with a margin of one pixel.

    Boundaries drawn inside this box are those of the whole image.
    """
    left, top, width, height = cv2.boundingRect(plane)
    return slice(max(0, top - 1), top + height + 1), slice(max(0, left - 1), left + width + 1)


def boundaries(plane: Planes, kind: BoundaryKind = "plain") -> Planes:
    """Draw the boundaries of the eight masks of a plane.

    - ``plain``: pixels that differ from the pixel to the right, below, or below right. The last row is compared only
      with the right, the last column only with below, the corner with nothing (DAVIS; Perazzi et al., CVPR 2016, after
      Martin et al., PAMI 2004).
    - ``compiled``: mask XOR (right OR below OR below right), as in the optional compiled routine of the LVOS tool.

    Args:
        plane: H x W uint8, one group.
        kind: definition of boundaries.

    Returns:
        H x W uint8.
    """
    right, below = plane[:, 1:], plane[1:]
    result = np.zeros_like(plane)
    if kind == "plain":
        np.bitwise_xor(plane[:, :-1], right, out=result[:, :-1])
        result[:-1] |= plane[:-1] ^ below
        result[:-1, :-1] |= plane[:-1, :-1] ^ plane[1:, 1:]
        return result
    result[:, :-1] |= right
    result[:-1] |= below
    result[:-1, :-1] |= plane[1:, 1:]
    result ^= plane
    result[-1, -1] = 0
    return result


def tolerance(height: int, width: int) -> float:
    """Return the tolerance of F in pixels: 0.008 of the image diagonal, unrounded. DAVIS rounds it up."""
    return 0.008 * math.sqrt(height * height + width * width)


@lru_cache(maxsize=256)
def disc(radius: float) -> NDArray[np.bool_]:
    """Return the structuring element of a dilation: samples -radius, -radius + 1, ... with x² + y² <= radius².

    If the radius isn't an integer, neither are the samples, and the disc is asymmetric (MOSE v2).
    """
    samples = np.arange(-radius, radius + 1)
    return np.asarray(samples[:, None] ** 2 + samples[None] ** 2 <= radius**2)


@lru_cache(maxsize=256)
def _spans(radius: float) -> tuple[tuple[int, int, int], ...]:
    """Return the rows of a disc, shortest first, as (row, first column, last column), relative to its anchor."""
    element = disc(radius)
    anchor = len(element) // 2
    spans = []
    for row in range(len(element)):
        columns = np.flatnonzero(element[row])
        if len(columns):
            spans.append((row - anchor, int(columns[0]) - anchor, int(columns[-1]) - anchor))
    return tuple(sorted(spans, key=lambda span: span[2] - span[1]))


def dilate(plane: Planes, radius: float) -> Planes:
    """Dilate the eight masks of a plane by ``disc(radius)``. Pixels outside the image are 0.

    The rows of a disc are nested: a running OR of shifted images grows to the length of each row in turn, and is then
    placed at the offset of the row. This takes about four ORs for each pixel of the radius, for all masks at once.

    Args:
        plane: H x W uint8, one group.
        radius: radius of the disc in pixels. Pixel (y, x) of the result is set if, for an element (i, j) of the disc,
            pixel (y + i - n // 2, x + j - n // 2) is set, with n the side of the disc.

    Returns:
        H x W uint8.
    """
    height, width = plane.shape
    spans = _spans(radius)
    if not spans:
        return np.zeros_like(plane)
    reach = max(max(abs(low), abs(high), abs(row)) for row, low, high in spans)
    padded = np.zeros((height, width + 2 * reach), np.uint8)
    padded[:, reach : reach + width] = plane
    low, high = spans[0][1], spans[0][1] - 1
    grown = np.zeros((height, width), np.uint8)
    result = np.zeros((height, width), np.uint8)
    for row, first, last in spans:
        for offset in (*range(first, low), *range(high + 1, last + 1)):
            grown |= padded[:, reach + offset : reach + offset + width]
        low, high = first, last
        if row >= 0:
            result[: max(0, height - row)] |= grown[row:]
        else:
            result[-row:] |= grown[: max(0, height + row)]
    return result


def count(plane: Planes) -> NDArray[np.float64]:
    """Count the pixels of each of the eight masks of an H x W plane: 8 float64 integers."""
    if plane.size < _EXACT_IN_FLOAT32:
        histogram = cv2.calcHist([plane], [0], None, [256], [0, 256]).ravel().astype(np.float64)
    else:
        histogram = np.bincount(plane.ravel(), minlength=256).astype(np.float64)
    return histogram @ _BITS


def unpack(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Unpack bytes, M x G, into the values of their masks, M x 8G, 0.0 or 1.0."""
    return np.asarray(_BITS.astype(np.float32)[values]).reshape(len(values), 8 * values.shape[1])
