"""Input transforms: resizing and normalization of frames, and input sizes of networks."""

from __future__ import annotations

import functools
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
    min_short_edge: int | None = None,
    max_short_edge: float | None = None,
    max_long_edge: float | None = None,
    align_corners: bool = True,
    exact: bool = False,
) -> tuple[int, int]:
    """Return (height, width) at which a network sees a frame of ``height`` x ``width`` pixels.

    The steps, in order:

    1. scale the short edge to ``short_edge`` (-1: keep the size; None: enlarge it to ``min_short_edge``, if set),
    2. reduce to ``max_short_edge``, then to ``max_long_edge``,
    3. multiply by ``scale`` and truncate,
    4. round each side to the nearest 16 k + 1 (``align_corners``) or 16 k; halves go to even k.

    With ``exact``, for networks that pad their input, step 4 is skipped, see :func:`_exact_size`.
    """
    if short_edge is None and min_short_edge is not None and min(height, width) < min_short_edge:
        short_edge = min_short_edge
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
    """Round the short edge, and truncate the long edge so that the aspect ratio stays, as XMem does."""
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
    """Resize and normalize a frame.

    Args:
        image_HW3: uint8 RGB.
        size: (height, width) of the result.
        interpolation: ``bicubic``: OpenCV, on float32 values of 0 to 255, neither rounded nor clipped (AOT).
            ``bilinear``: PyTorch, on normalized values (XMem).
            ``antialiased``: Pillow's bilinear filter, on 8-bit values (ReferFormer). Only the last one antialiases.
        device: device of the result.

    Returns:
        [3, *size] float32, normalized by the mean and standard deviation of ImageNet. Its memory format is
        channels-last, unless ``bilinear`` resized it.
    """
    if image_HW3.shape[:2] != size and interpolation == "antialiased":
        image_HW3 = np.asarray(Image.fromarray(image_HW3).resize((size[1], size[0]), Image.Resampling.BILINEAR))
    values: np.ndarray = image_HW3.astype(np.float32)
    if values.shape[:2] != size and interpolation == "bicubic":
        values = cv2.resize(values, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    mean, std = _mean_and_deviation(device)
    planes = torch.from_numpy(values).to(device).div_(255).sub_(mean).div_(std).permute(2, 0, 1)
    if planes.shape[1:] != size:
        planes = F.interpolate(planes[None].contiguous(), size, mode="bilinear", align_corners=False)[0]
    return planes


@functools.lru_cache(maxsize=16)
def _mean_and_deviation(device: torch.device | None) -> tuple[Tensor, Tensor]:
    """Return the mean and standard deviation of ImageNet, [3] float32 each, copied to a GPU only once."""
    with torch.inference_mode(False):  # otherwise they could be used only for inference
        mean, std = (torch.tensor(x, dtype=torch.float32, device=device) for x in (IMAGENET_MEAN, IMAGENET_STD))
    return mean, std
