"""Conversion of frames (arrays, tensors, PIL images) to RGB arrays, and checks of frames and masks."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np
from PIL import Image

from voskit.dataloaders import MAX_ID

if TYPE_CHECKING:
    from torch import Tensor

ImageLike: TypeAlias = "np.ndarray | Tensor | Image.Image"
"""An image as array, tensor or PIL image."""

_CHANNELS = (1, 3, 4)  # gray, RGB, RGBA
_DEEP_MODES = ("F", "I", "I;16", "I;16B", "I;16L", "I;16N")


def check_frame(frame: Any, what: str = "a frame") -> None:
    """Raise a ValueError unless ``frame`` is a non-empty H x W x 3 uint8 array.

    Args:
        frame: the caller's argument.
        what: the name of the frame in the error message.
    """
    is_array = isinstance(frame, np.ndarray)
    if not is_array or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
        found = f"{frame.dtype} of shape {frame.shape}" if is_array else type(frame).__name__
        raise ValueError(f"{what} must be an H x W x 3 uint8 RGB array, got {found}")


def check_output_size(output_size: Any) -> None:
    """Raise ValueError unless ``output_size`` is (height, width) in pixels, or None."""
    if output_size is not None and not (
        isinstance(output_size, Sequence)
        and len(output_size) == 2
        and all(isinstance(edge, (int, np.integer)) and edge >= 1 for edge in output_size)
    ):
        raise ValueError(f"output_size must be (height, width) in pixels or None, got {output_size!r}")


def frame_array(frame: Any) -> np.ndarray:
    """Convert a frame to an H x W x 3 uint8 RGB array. Such an array is returned as it is.

    Args:
        frame: a PIL image of 8 bits; or an array or tensor, uint8 or float from 0 to 1, of shape H x W x C, C x H x W
            or H x W, C = 3 (RGB), 1 (gray) or 4 (RGBA); or a batch of one frame. An alpha channel must be opaque.

    Raises:
        ValueError: anything else; the message says what to do.
    """
    if isinstance(frame, Image.Image):
        return _opaque(_pixels(frame))
    if not (isinstance(frame, np.ndarray) or is_tensor(frame)):
        hint = ": open it with PIL.Image.open" if isinstance(frame, (str, os.PathLike)) else ""
        hint = ": pass its image" if hasattr(frame, "image") else hint
        raise ValueError(f"a frame must be an RGB array, a tensor or a PIL image, got {type(frame).__name__}{hint}")
    values_HWC = _channels_last(frame)
    return _opaque(_bytes(values_HWC))


def _pixels(image: Image.Image) -> np.ndarray:
    """Return the pixels of a PIL image, [H, W, 3] or [H, W, 4]."""
    if image.mode in _DEEP_MODES:
        raise ValueError(f"the frame is a PIL image of mode {image.mode}: scale its values to 8 bits, mode L or RGB")
    if not image.width or not image.height:
        raise ValueError("the frame is an empty PIL image")
    return np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))


def _channels_last(frame: np.ndarray | Tensor) -> np.ndarray:
    """Return the values of an array or tensor, [H, W, C].

    Raises:
        ValueError: the shape isn't that of an image, or both the first and the last axis may be channels.
    """
    tensor = is_tensor(frame)
    values = _numpy(frame) if is_tensor(frame) else np.asarray(frame)
    shape = tuple(values.shape)
    if values.ndim == 4 and shape[0] == 1:
        values = values[0]
    if values.ndim == 2:
        values = values[..., None]
    first, last = (values.ndim == 3 and values.shape[axis] in _CHANNELS for axis in (0, 2))
    if not values.size or not (first or last):
        raise ValueError(f"a frame must be H x W x 3 or 3 x H x W, got shape {shape}: pass one frame at a time")
    if first and last and tensor and values.shape[0] > 1 and values.shape[1] > 1:
        raise ValueError(f"a tensor of shape {shape} may be H x W x C or C x H x W: pass an H x W x 3 array")
    return values if last else np.moveaxis(values, 0, 2)


def is_tensor(frame: Any) -> TypeGuard[Tensor]:
    """Return True for a tensor, without importing torch: whoever made a tensor has imported it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(frame, torch.Tensor)


def _numpy(tensor: Tensor) -> np.ndarray:
    values = tensor.detach().cpu()
    return (values.float() if values.is_floating_point() else values).numpy()


def _bytes(values: np.ndarray) -> np.ndarray:
    """Return uint8 values as they are, and floats from 0 to 1 as 0 to 255.

    Raises:
        ValueError: the values have a different type or range.
    """
    if values.dtype == np.uint8:
        return values
    if not np.issubdtype(values.dtype, np.floating):
        raise ValueError(f"a frame must be uint8, or float from 0 to 1, got {values.dtype}: scale its values to uint8")
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):
        advice = "undo the normalization" if low < 0 else "convert values from 0 to 255 to uint8"
        raise ValueError(f"a frame of {values.dtype} must be in [0, 1], not in [{low:.4g}, {high:.4g}]: {advice}")
    return np.rint(values.astype(np.float32) * 255).astype(np.uint8)


def _opaque(pixels_HWC: np.ndarray) -> np.ndarray:
    """Convert gray, RGB or RGBA pixels to RGB.

    Raises:
        ValueError: some pixels are transparent.
    """
    if pixels_HWC.shape[2] == 4:
        if pixels_HWC[..., 3].min() < 255:
            raise ValueError("the frame has transparent pixels: draw it over a background, or drop the fourth channel")
        return pixels_HWC[..., :3]
    return np.repeat(pixels_HWC, 3, axis=2) if pixels_HWC.shape[2] == 1 else pixels_HWC


def check_mask(mask: np.ndarray, frame: np.ndarray) -> None:
    """Raise a ValueError unless ``mask`` is H x W ids of the frame's size."""
    if mask.ndim != 2:
        raise ValueError(
            f"a mask must be an H x W array of object ids, got shape {mask.shape}: "
            "convert colors to ids first (palette PNGs keep them)"
        )
    if mask.shape != frame.shape[:2]:
        raise ValueError(
            f"the mask has size {mask.shape[0]}x{mask.shape[1]}, the frame {frame.shape[0]}x{frame.shape[1]}: "
            "they must be equal"
        )
    if not (np.issubdtype(mask.dtype, np.integer) or mask.dtype == bool):
        raise ValueError(f"a mask must hold integer object ids, got {mask.dtype}")
    low, high = int(mask.min()), int(mask.max())
    if low < 0 or high > MAX_ID:
        raise ValueError(f"object ids are 1 to {MAX_ID} (0 is the background), the mask holds {low} to {high}")
