"""Orientation of video frames: rotation and mirroring by a video's display matrix."""

from __future__ import annotations

import logging

import numpy as np
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame

logger = logging.getLogger(__name__)


def upright_rgb(frame: VideoFrame) -> np.ndarray:
    """Convert a decoded frame of any pixel format to H x W x 3 uint8 RGB, rotated upright by its display matrix.

    Phones store portrait videos lying on their side, with such a matrix.
    """
    image = np.asarray(frame.to_ndarray(format="rgb24"))
    matrix = _display_matrix(frame)
    return image if matrix is None else apply_display_matrix(image, matrix)


def is_turned(frame: VideoFrame) -> bool:
    """True if :func:`upright_rgb` swaps the rows and columns of the frame."""
    matrix = _display_matrix(frame)
    return matrix is not None and not matrix[[0, 4]].any() and bool(matrix[[1, 3]].all())


def _display_matrix(frame: VideoFrame) -> np.ndarray | None:
    matrix = frame.side_data.get("DISPLAYMATRIX")
    return np.frombuffer(bytes(matrix), np.int32) if isinstance(matrix, SideData) else None


def apply_display_matrix(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Rotate and mirror an H x W x C image by the 9 integers of a display matrix (ISO/IEC 14496-12, section 8.3.2).

    The matrix (a, b, u, c, d, v, x, y, w) maps (x, y) to (a x + c y, b x + d y). Quarter turns and reflections are
    applied. At any other angle, the image stays as stored and a warning is logged.
    """
    a, b, c, d = (int(matrix[index]) for index in (0, 1, 3, 4))
    if a and d and not b and not c:
        flip_x, flip_y = a < 0, d < 0
    elif b and c and not a and not d:
        image = image.swapaxes(0, 1)
        flip_x, flip_y = c < 0, b < 0
    else:
        logger.warning("display matrix %s is not a quarter turn: frames stay as stored", matrix.tolist())
        return image
    image = image[:, ::-1] if flip_x else image
    image = image[::-1] if flip_y else image
    return np.ascontiguousarray(image)
