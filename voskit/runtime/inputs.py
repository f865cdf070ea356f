"""Checks of frames and masks, and their conversion to arrays."""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import cv2
import numpy as np

MAX_ID = 65535
VOID = 255
_CHANNELS = (1, 3, 4)  # gray, RGB, RGBA
_SMOOTH = 100  # a mask with more values up to 255 may have smooth edges
_LEVELS = 2  # minimum number of gray values of an edge; a single one may be an object


def check_output_size(output_size: Any) -> None:
    """Raise ValueError unless ``output_size`` is (height, width) in pixels, or None."""
    if output_size is not None and not (
        isinstance(output_size, Sequence)
        and len(output_size) == 2
        and all(isinstance(edge, (int, np.integer)) and edge >= 1 for edge in output_size)
    ):
        raise ValueError(f"output_size must be (height, width) in pixels or None, got {output_size!r}")


def rgb_array(frame: Any) -> np.ndarray:
    """Convert a frame to an H x W x 3 uint8 RGB array.

    Args:
        frame: an array, uint8 or float from 0 to 1, of shape H x W x C, C x H x W or H x W, C = 3 (RGB), 1 (gray) or
            4 (RGBA); or a batch of one frame; or a PIL image of 8 bits. An alpha channel must be opaque.

    Raises:
        ValueError: anything else.
    """
    if hasattr(frame, "convert"):  # a PIL image; PIL itself isn't needed
        frame = _pixels(frame)
    if not isinstance(frame, np.ndarray):
        raise ValueError(f"a frame must be an H x W x 3 uint8 RGB array, got {type(frame).__name__}")
    values = frame[0] if frame.ndim == 4 and len(frame) == 1 else frame
    values = values[..., None] if values.ndim == 2 else values
    if values.ndim == 3 and values.shape[2] not in _CHANNELS and values.shape[0] in _CHANNELS:
        values = np.moveaxis(values, 0, 2)
    if values.ndim != 3 or values.shape[2] not in _CHANNELS or not values.size:
        raise ValueError(f"a frame must be an H x W x 3 uint8 RGB array, got shape {frame.shape}")
    if np.issubdtype(values.dtype, np.floating):
        low, high = float(values.min()), float(values.max())
        if not (low >= 0 and high <= 1):
            raise ValueError(f"a frame of {values.dtype} must be in [0, 1], not in [{low:.4g}, {high:.4g}]")
        values = np.rint(values.astype(np.float32) * 255).astype(np.uint8)
    if values.dtype != np.uint8:
        raise ValueError(f"a frame must be uint8, or float from 0 to 1, got {values.dtype}: scale its values to uint8")
    if values.shape[2] == 1:
        return np.repeat(values, 3, 2)
    return np.ascontiguousarray(_opaque(values))


def _pixels(image: Any) -> np.ndarray:
    """Return the pixels of a PIL image, [H, W, 3] or [H, W, 4]."""
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"the frame is a PIL image of mode {image.mode}: scale its values to 8 bits, mode L or RGB")
    if getattr(image, "has_transparency_data", "A" in image.mode):
        return np.asarray(image.convert("RGBA"))
    return np.asarray(image.convert("RGB"))


def _opaque(pixels_HWC: np.ndarray) -> np.ndarray:
    """Convert RGB or RGBA pixels, none of them transparent, to RGB."""
    if pixels_HWC.shape[2] == 4 and pixels_HWC[..., 3].min() < 255:
        raise ValueError("the frame has transparent pixels: draw it over a background, or drop the fourth channel")
    return pixels_HWC[..., :3]


def mask_ids(mask: Any, shape: tuple[int, ...], object_ids: Collection[int], white: bool) -> tuple[np.ndarray, bool]:
    """Return the ids of a mask, H x W int32, and True if its 255 was read as "on".

    255 is the object with id 1 if the mask has no other value and no object has the id 255. In uint16 arrays and
    palette images, all values are ids.

    Args:
        mask: H x W integers or bool, or a PIL image of one channel.
        shape: height and width of the frame.
        object_ids: ids of the objects so far.
        white: an earlier mask was read as "on".

    Raises:
        ValueError: a wrong shape, type or size, ids out of range, a mask with smooth edges, or 255 next to other values
            after it was "on".
    """
    try:
        array = np.asarray(mask)
    except ValueError:  # rows of different lengths
        raise ValueError("a mask must be an H x W array of object ids: its rows have different lengths") from None
    if getattr(mask, "mode", None) == "P":
        array = array.astype(np.uint16)
    if array.ndim == 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 2:
        raise ValueError(f"a mask must be an H x W array of object ids, got shape {array.shape}")
    if array.shape != shape:
        raise ValueError(
            f"the mask has size {array.shape[0]}x{array.shape[1]}, the frame {shape[0]}x{shape[1]}: they must be equal"
        )
    if not (np.issubdtype(array.dtype, np.integer) or array.dtype == bool):
        raise ValueError(f"a mask must hold integer object ids, got {array.dtype}")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > MAX_ID:
        raise ValueError(f"object ids are 1 to {MAX_ID} (0 is the background), the mask holds {low} to {high}")
    if array.dtype != np.uint16 and high <= VOID and (_is_blurred(array) or _has_smooth_edges(array)):
        raise ValueError("the mask has smooth edges: pass ids, such as mask > 127 for one white object")
    if array.dtype == np.uint16 or high != VOID or VOID in object_ids:
        return array.astype(np.int32), False
    if not ((array != 0) & (array != VOID)).any():
        return (array > 0).astype(np.int32), True
    if white:
        raise ValueError("an earlier mask of 0 and 255 was read as object 1, and this one has 255 next to other values")
    return array.astype(np.int32), False


def _is_blurred(mask_HW: np.ndarray) -> bool:
    """Return True if a mask has many values, and hardly any of them fills an area, as in photos and blurred masks."""
    if len(np.unique(mask_HW)) <= _SMOOTH:
        return False
    values, near = mask_HW.astype(np.uint8), np.ones((3, 3), np.uint8)
    inner_HW = cv2.erode(values, near) == cv2.dilate(values, near)
    return bool(inner_HW[(values > 0) & (values < VOID)].mean() < 0.2)


def _has_smooth_edges(mask_HW: np.ndarray) -> bool:
    """Return True if nearly all other values lie between an area of 0 and one of 255, at most four pixels from both."""
    between = (mask_HW > 0) & (mask_HW < VOID)
    if not between.any() or len(np.unique(mask_HW[between])) < _LEVELS:
        return False
    near = np.ones((9, 9), np.uint8)
    ground, white = (cv2.dilate((mask_HW == value).astype(np.uint8), near) > 0 for value in (0, VOID))
    return bool((ground & white)[between].mean() > 0.9)


def integers(ids: int | Iterable[int]) -> list[int]:
    """Return one or more object ids as a list.

    Raises:
        ValueError: an id isn't an integer.
    """
    try:
        return [operator.index(ids)]  # type: ignore[arg-type]
    except TypeError:
        try:
            return [operator.index(i) for i in ids]  # type: ignore[union-attr]
        except TypeError as error:
            raise ValueError(f"object ids must be integers, got {ids!r}") from error
