"""From a person's frame to a network's input, and the sizes at which that happens."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
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
    exact: bool = False,
) -> tuple[int, int]:
    """Size at which a network sees a frame.

    The frame is brought to ``short_edge`` (None or -1: as it is), then down to each limit in turn, then multiplied by
    ``scale`` and truncated; each side is rounded to the nearest 16 k + 1 (``align_corners``) or 16 k, halves to even k.
    With ``exact`` there is no such rounding, see :func:`_exact_size`: such networks pad.
    """
    if exact:
        return _exact_size(height, width, scale, short_edge, max_short_edge, max_long_edge)
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


def _exact_size(
    height: int,
    width: int,
    scale: float,
    short_edge: int | None,
    max_short_edge: float | None,
    max_long_edge: float | None,
) -> tuple[int, int]:
    """The short edge is a whole number, the long one is truncated to the same ratio, as XMem does it."""
    short, long = min(height, width), max(height, width)
    edge: float = short_edge if short_edge is not None and short_edge > 0 else short
    if max_short_edge is not None:
        edge = min(edge, max_short_edge)
    if max_long_edge is not None:
        edge = min(edge, max_long_edge * short / long)
    whole = max(1, round(edge * scale))
    other = max(1, whole * long // short)
    return (whole, other) if height <= width else (other, whole)


def prepare_image(
    image_HW3: np.ndarray,
    size: tuple[int, int],
    interpolation: Literal["bicubic", "bilinear", "antialiased"] = "bicubic",
    device: torch.device | None = None,
) -> Tensor:
    """uint8 RGB -> normalised float32 [3, *size] on ``device``.

    ``bicubic``: OpenCV's, of 8-bit values, as AOT does it. ``bilinear``: PyTorch's, of normalised ones, as XMem does.
    ``antialiased``: Pillow's bilinear one, of 8-bit values, as ReferFormer does; the others don't antialias.
    Colours stay together in memory (channels last) unless a bilinear resizing separates them.
    """
    if image_HW3.shape[:2] != size and interpolation == "antialiased":
        image_HW3 = np.asarray(Image.fromarray(image_HW3).resize((size[1], size[0]), Image.Resampling.BILINEAR))
    values: np.ndarray = image_HW3.astype(np.float32)
    if values.shape[:2] != size and interpolation == "bicubic":
        values = cv2.resize(values, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    mean, std = (torch.tensor(x, dtype=torch.float32, device=device) for x in (IMAGENET_MEAN, IMAGENET_STD))
    planes = torch.from_numpy(values).to(device).div_(255).sub_(mean).div_(std).permute(2, 0, 1)
    if planes.shape[1:] != size:
        planes = F.interpolate(planes[None].contiguous(), size, mode="bilinear", align_corners=False)[0]
    return planes
