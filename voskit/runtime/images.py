"""Preprocessing of frames: resizing and normalization as the manifest states."""

from __future__ import annotations

import logging
import math
from typing import Any

import cv2
import numpy as np

logger = logging.getLogger(__name__)

_DISTORTION = 1.1  # ratio of aspect ratios above which distorted frames are logged
_BITS = 22  # fraction of the antialiasing filter's weights, as in Pillow


def prepare_image(frame_HW3: np.ndarray, manifest: dict[str, Any]) -> np.ndarray:
    """Resize and normalize a uint8 RGB frame -> [1, 3, h, w] float32."""
    rule, size = manifest["preprocessing"], tuple(manifest["image_size"])
    if frame_HW3.shape[:2] != size and rule["interpolation"] == "antialiased":
        frame_HW3 = resize_antialiased(frame_HW3, size)
    values: np.ndarray = frame_HW3.astype(np.float32)
    if values.shape[:2] != size:
        kind = {"bicubic": cv2.INTER_CUBIC, "bilinear": cv2.INTER_LINEAR}[rule["interpolation"]]
        values = cv2.resize(values, (size[1], size[0]), interpolation=kind)
    values /= 255
    values -= np.array(rule["mean"], np.float32)
    values /= np.array(rule["std"], np.float32)
    return np.ascontiguousarray(values.transpose(2, 0, 1))[None]


def log_distortion(shape: tuple[int, int], manifest: dict[str, Any]) -> None:
    """Log a warning if resizing to the exported size distorts frames of this shape."""
    height, width = manifest["image_size"]
    ratio = shape[1] / shape[0] * height / width
    if max(ratio, 1 / ratio) > _DISTORTION:
        logger.warning(
            "frames of %dx%d (height x width) are distorted to %dx%d: export the model with --size %dx%d for them",
            *(*shape, height, width, *shape),
        )


def resize_antialiased(image_HWC: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a uint8 image exactly as Pillow's bilinear filter does: a triangle filter, widened when downscaling.

    Columns first, then rows, each rounded to 8 bits, with weights of 22 bits.
    """
    return _resample(_resample(image_HWC, size[1], 1), size[0], 0)


def _resample(image: np.ndarray, length: int, axis: int) -> np.ndarray:
    if image.shape[axis] == length:
        return image
    x = np.moveaxis(image, axis, 0).astype(np.int32)
    first, weights = _triangles(len(x), length)
    total = np.full((length, *x.shape[1:]), 1 << (_BITS - 1), np.int32)
    for tap, weight in enumerate(weights.T):
        total += x[np.minimum(first + tap, len(x) - 1)] * weight[:, None, None]
    return np.moveaxis((total >> _BITS).clip(0, 255).astype(np.uint8), 0, axis)


def _triangles(source: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first source pixel of each result [length] and the weights of the pixels from it on [length, taps]."""
    scale = source / length
    reach = max(scale, 1.0)
    centers = (np.arange(length) + 0.5) * scale
    first = np.maximum((centers - reach + 0.5).astype(np.int64), 0)
    end = np.minimum((centers + reach + 0.5).astype(np.int64), source)
    places = first[:, None] + np.arange(math.ceil(reach) * 2 + 1)
    weights = np.maximum(1 - np.abs((places - centers[:, None] + 0.5) / reach), 0)
    weights[places >= end[:, None]] = 0
    weights /= weights.sum(1, keepdims=True)
    return first, (weights * (1 << _BITS) + 0.5).astype(np.int32)
