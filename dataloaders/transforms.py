"""From a person's frame to a network's input, and the sizes at which that happens."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

IMAGENET_MEAN = np.array((0.485, 0.456, 0.406))
IMAGENET_STD = np.array((0.229, 0.224, 0.225))
STRIDE = 16


def input_size(
    height: int,
    width: int,
    *,
    scale: float = 1.0,
    short_edge: int | None = None,
    max_short_edge: float | None = None,
    max_long_edge: float | None = None,
    align_corners: bool = True,
) -> tuple[int, int]:
    """Size at which a network sees a frame.

    The frame is brought to ``short_edge`` (None or -1: as it is), then down to each limit in turn, then multiplied by
    ``scale`` and truncated; each side is rounded to the nearest 16 k + 1 (``align_corners``) or 16 k, halves to even k.
    """
    sides = np.array((height, width), dtype=np.float64)
    if short_edge is not None and short_edge > 0:
        sides *= short_edge / sides.min()
    for limit, edge in ((max_short_edge, np.min), (max_long_edge, np.max)):
        if limit is not None and edge(sides) > limit:
            sides *= limit / edge(sides)
    extra = 1 if align_corners else 0
    whole = (sides * scale).astype(int)
    rounded = np.maximum(np.around((whole - extra) / STRIDE), 1).astype(int) * STRIDE + extra
    return int(rounded[0]), int(rounded[1])


def prepare_image(image_HW3: np.ndarray, size: tuple[int, int]) -> Tensor:
    """uint8 RGB -> normalised float32 [3, *size], by OpenCV's bicubic interpolation without antialiasing."""
    x: np.ndarray = image_HW3.astype(np.float32)
    if x.shape[:2] != size:
        x = cv2.resize(x, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    x /= np.float32(255)
    x -= IMAGENET_MEAN.astype(np.float32)
    x /= IMAGENET_STD.astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1)))
