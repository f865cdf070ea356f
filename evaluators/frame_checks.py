"""Checks of frames: shape and type."""

from __future__ import annotations

from typing import Any

import numpy as np


def check_frame(frame: Any, what: str = "a frame") -> None:
    """Raise a ValueError unless ``frame`` is a non-empty H x W x 3 uint8 array.

    Args:
        frame: the argument of a caller.
        what: the name of the frame in the error message.
    """
    is_array = isinstance(frame, np.ndarray)
    if not is_array or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
        found = f"{frame.dtype} of shape {frame.shape}" if is_array else type(frame).__name__
        raise ValueError(f"{what} must be an H x W x 3 uint8 RGB array, got {found}")
