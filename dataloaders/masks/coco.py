"""COCO segmentations: run-length encodings, compressed or not, and polygons."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
from pycocotools import mask as coco

_MAX_PIXELS = 2**31 - 1  # pycocotools counts pixels in 32 bits and crashes on more
_FAR = 10  # a point this many long sides away is a mistake, on which pycocotools would run out of memory


def decode_run_lengths(where: str, counts: Any, size: tuple[int, int]) -> np.ndarray:
    """Decode one run-length encoding, compressed or not.

    Args:
        where: prefix of error messages.
        counts: COCO's compressed string or a list of run lengths.
        size: (height, width).

    Returns:
        H x W bool.

    Raises:
        ValueError: the encoding is damaged or has another size.
    """
    return decode_region(where, {"size": list(size), "counts": counts}, None)


def decode_segmentation(where: str, segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """Decode the ``segmentation`` of an annotation: a run-length encoding or polygons.

    Args:
        where: prefix of error messages.
        segmentation: polygons, or an encoding, with or without its size.
        size: (height, width) of the image.

    Returns:
        H x W bool.

    Raises:
        ValueError: the segmentation is neither, or it is damaged or has another size.
    """
    if isinstance(segmentation, dict):
        segmentation = {"size": list(size), **segmentation}
    region = decode_region(where, segmentation, size)
    if region.shape != size:
        found = f"{region.shape[0]}x{region.shape[1]}"
        raise ValueError(f"{where}: the mask is {found} (height x width), the image is {size[0]}x{size[1]}")
    return region


def checked_size(where: str, size: Any) -> tuple[int, int]:
    """Validate a size from a file and return it as (height, width); raise ValueError unless it suits an image."""
    if not (isinstance(size, list | tuple) and len(size) == 2 and all(type(side) is int and side > 0 for side in size)):
        raise ValueError(f"{where}: the size must be two positive integers (height, width), not {size}")
    if size[0] * size[1] > _MAX_PIXELS:
        raise ValueError(f"{where}: {size[0]}x{size[1]} (height x width) is too large for an image: correct it")
    return size[0], size[1]


def check_points(where: str, values: Iterable[float], size: tuple[int, int]) -> None:
    """Raise ValueError if a coordinate isn't finite or lies far outside an image of ``size``, (height, width)."""
    if not all(abs(value) <= _FAR * max(size) for value in values):  # also false for NaN
        raise ValueError(f"{where}: a point lies far outside the image of {size[0]}x{size[1]}: draw the shape again")


def check_pixels(where: str, values: Collection[float]) -> None:
    """Raise ValueError if all coordinates are between 0 and 1: they are fractions of the image size, not pixels."""
    if values and all(0 <= value <= 1 for value in values):
        raise ValueError(
            f"{where}: all coordinates are between 0 and 1, like fractions of the image size: convert them to pixels"
        )


def decode_region(where: str, segmentation: Any, size: tuple[int, int] | None) -> np.ndarray:
    """Decode a run-length encoding or polygons to H x W bool.

    Args:
        where: prefix of error messages.
        segmentation: value of the annotation's key ``segmentation``.
        size: (height, width) of the image, required for polygons; None: unknown.

    Raises:
        ValueError: the segmentation is neither, or it is damaged.
    """
    if isinstance(segmentation, dict) and "counts" in segmentation:
        height, width = checked_size(where, segmentation.get("size"))
        counts = segmentation["counts"]
        runs = _runs(where, counts)
        if sum(runs) != height * width:  # pycocotools would write out of bounds, or leave the rest empty
            raise ValueError(
                f"{where}: the run-length encoding covers {sum(runs)} of {height}x{width} = {height * width} pixels: "
                "it is damaged or its size is wrong: export it again"
            )
        rle = coco.frPyObjects({"size": [height, width], "counts": runs}, height, width)
        return coco.decode(rle).astype(bool)
    if isinstance(segmentation, list) and segmentation:
        if size is None:
            raise ValueError(f"{where}: polygons need the size of the image: add height and width to the file's images")
        polygons = segmentation if isinstance(segmentation[0], list) else [segmentation]
        for polygon in polygons:
            numbers = isinstance(polygon, list) and all(type(value) in (int, float) for value in polygon)
            if not numbers or len(polygon) < 6 or len(polygon) % 2 or not all(math.isfinite(v) for v in polygon):
                raise ValueError(f"{where}: a polygon must be at least 3 points [x1, y1, x2, y2, x3, y3, ...]")
            check_points(where, polygon, size)
        return coco.decode(coco.merge(coco.frPyObjects(polygons, *size))).astype(bool)
    raise ValueError(f"{where}: no segmentation: expected a run-length encoding or polygons")


def _runs(where: str, counts: Any) -> list[int]:
    """Return the lengths of alternating runs of zeros and ones, from a list or from COCO's compressed string.

    Each character of the string has 5 bits of a number; a sixth bit is set if more follow. From the third run on, a
    number is the difference from the run two before it. ``rleFrString`` of pycocotools does the same without checks.
    """
    damaged = ValueError(f"{where}: the run-length encoding is damaged: export it again")
    if isinstance(counts, list):
        if not all(type(run) is int and run >= 0 for run in counts):
            raise damaged
        return counts
    if not isinstance(counts, str):
        raise damaged
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            raise damaged
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        if runs[-1] < 0:
            raise damaged
        value = shift = 0
    if shift:
        raise damaged
    return runs
