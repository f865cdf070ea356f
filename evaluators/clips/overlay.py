"""Overlay of object masks on a frame: blended colors, contours, ids.

Shape suffixes: H, W: height and width of the frame; N: objects.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from voskit.dataloaders import MAX_ID
from voskit.dataloaders.masks.palette import id_colors
from voskit.evaluators.frame_checks import check_frame

UInt8Array = NDArray[np.uint8]
ColorsOfIds = Callable[[NDArray[np.integer]], UInt8Array]

_LABEL_MAP_SIDE = 640  # labels are placed on a map of at most this side
_CENTER_PULL = 0.05  # pixels of room that a label gives up to be one pixel nearer to its object's center
_MAX_LABEL_OVERLAP = 0.3  # a label is left out if more than this fraction of its box covers other labels
_HALO_DARKNESS = 0.55
_LINE_WHITENESS = 0.92


def draw_overlay(
    image: UInt8Array,
    ids: NDArray[np.integer],
    *,
    alpha: float = 0.5,
    contours: bool = True,
    labels: bool = True,
    colors: ColorsOfIds | None = None,
) -> UInt8Array:
    """Draw object masks over a frame: blended colors, contours and ids.

    Line width and text size follow the resolution. An id is drawn in the middle of the widest part of its object, which
    also works for concave and split objects; objects that are too small for it get none. Background pixels away from
    contours keep the frame's values exactly.

    Args:
        image: H x W x 3 uint8 RGB; not changed.
        ids: H x W, any integer dtype; 0 is the background, ids are at most 65535.
        alpha: opacity of the colors, 0 (frame only) to 1 (colors only).
        contours: draw a white line with a dark rim between objects, and between objects and background.
        labels: write each object's id.
        colors: function from N integer ids to N x 3 uint8 RGB. None: ``voskit.dataloaders.masks.palette.id_colors``.

    Returns:
        H x W x 3 uint8 RGB, a new array.

    Raises:
        ValueError: an argument of a wrong shape, dtype or range.
    """
    check_frame(image)
    if not 0.0 <= alpha <= 1.0:
        raise ValueError(f"alpha must be between 0 and 1, got {alpha}")
    present_N, ranks_HW = _rank_ids(ids, image.shape[:2])
    if present_N.size == 0:
        return image.copy()
    colors_N3 = np.asarray((colors or id_colors)(present_N), dtype=np.uint8)
    if colors_N3.shape != (present_N.size, 3):
        raise ValueError(
            f"colors must return shape ({present_N.size}, 3) for {present_N.size} ids, got {colors_N3.shape}"
        )

    canvas = _blend(image, ranks_HW, colors_N3, alpha)
    if contours:
        _draw_contours(canvas, ranks_HW)
    if labels:
        _draw_labels(canvas, ranks_HW, present_N)
    return canvas


def _rank_ids(ids: NDArray[np.integer], size: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray]:
    """Return the ids in the map (N, ascending, without background) and a map of their ranks.

    The map of ranks is H x W, 0 for background and 1 to N for objects: uint8 if N <= 255, else uint16. Small integers
    make every later step a table look-up or a morphological filter of OpenCV.
    """
    if ids.dtype.kind not in "iu":
        raise ValueError(f"ids must have an integer dtype, got {ids.dtype}")
    if ids.shape != size:
        raise ValueError(f"ids of shape {ids.shape} don't fit a frame of shape {size}")
    if ids.dtype not in (np.uint8, np.uint16) and (ids.min() < 0 or ids.max() > MAX_ID):
        raise ValueError(f"ids must be between 0 and {MAX_ID}, got {ids.min()} to {ids.max()}")
    ids16_HW = np.ascontiguousarray(ids, dtype=np.uint16)
    counts = cv2.calcHist([ids16_HW], [0], None, [MAX_ID + 1], [0, MAX_ID + 1]).ravel()
    counts[0] = 0
    present_N = np.flatnonzero(counts)
    rank_dtype = np.uint8 if present_N.size <= 255 else np.uint16
    rank_of_id = np.zeros(MAX_ID + 1, rank_dtype)
    rank_of_id[present_N] = np.arange(1, present_N.size + 1)
    return present_N, rank_of_id[ids16_HW]


def _blend(image: UInt8Array, ranks_HW: NDArray, colors_N3: UInt8Array, alpha: float) -> UInt8Array:
    table = np.zeros((max(256, len(colors_N3) + 1), 3), np.uint8)
    table[1 : len(colors_N3) + 1] = colors_N3
    paint = cv2.applyColorMap(ranks_HW, table[:, None]) if ranks_HW.dtype == np.uint8 else table[ranks_HW]
    blended = cv2.addWeighted(np.ascontiguousarray(image), 1.0 - alpha, paint, alpha, 0.0)
    background_HW = (ranks_HW == 0).view(np.uint8)
    return np.asarray(cv2.copyTo(np.ascontiguousarray(image), background_HW, blended), np.uint8)


def _draw_contours(canvas: UInt8Array, ranks_HW: NDArray) -> None:
    """Draw the lines between regions into ``canvas``: a white, anti-aliased core over a wider, soft, dark rim."""
    width = max(1, round(min(ranks_HW.shape) / 480))
    core_HW = _borders(ranks_HW, width)
    rim_HW = cv2.dilate(core_HW, np.ones((3, 3), np.uint8), iterations=width)
    soft = 2 * width + 1
    dark_HW = cv2.blur(rim_HW, (soft, soft))
    white_HW = cv2.GaussianBlur(core_HW, (0, 0), 0.45 * width**0.5)
    touched = np.flatnonzero(dark_HW)
    pixels = canvas.reshape(-1, 3)
    values = pixels[touched].astype(np.float32)
    values *= 1.0 - dark_HW.ravel()[touched, None] * np.float32(_HALO_DARKNESS / 255)
    values += (255.0 - values) * (white_HW.ravel()[touched, None] * np.float32(_LINE_WHITENESS / 255))
    pixels[touched] = np.rint(values)


def _borders(ranks_HW: NDArray, width: int) -> UInt8Array:
    """Return H x W uint8: 255 in a line of ``width`` pixels along every border between two values, else 0."""
    kernel = np.ones((width + 1, width + 1), np.uint8)
    return np.asarray(cv2.compare(cv2.dilate(ranks_HW, kernel), cv2.erode(ranks_HW, kernel), cv2.CMP_NE), np.uint8)


def _draw_labels(canvas: UInt8Array, ranks_HW: NDArray, present_N: NDArray[np.int64]) -> None:
    """Draw the ids into ``canvas``, those of the largest objects first."""
    height, width = ranks_HW.shape
    base = max(11.0, min(height, width) / 30)
    areas_N, rows_N, columns_N, rooms_N = _label_places(ranks_HW, len(present_N))
    covered_HW = np.zeros((height, width), bool)
    for n in np.argsort(-areas_N, kind="stable"):
        size = round(float(np.clip(rooms_N[n], 0.8 * base, base)))
        stroke = max(2, round(size / 9))
        fill, outline = text_sprite(str(present_N[n]), size, stroke)
        if areas_N[n] < 0.35 * fill.size:
            continue
        top = int(np.clip(rows_N[n] - fill.shape[0] / 2, 0, max(0, height - fill.shape[0])))
        left = int(np.clip(columns_N[n] - fill.shape[1] / 2, 0, max(0, width - fill.shape[1])))
        box = covered_HW[top : top + fill.shape[0], left : left + fill.shape[1]]
        if box.mean() > _MAX_LABEL_OVERLAP:
            continue
        box[:] = True
        paint_text(canvas, fill, outline, top, left)


def _label_places(ranks_HW: NDArray, num_objects: int) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Find the place with most room in each object: the largest distance to a border.

    One distance transform serves all objects. A small pull towards the center decides between equal places, so the
    label of a bar doesn't jump along it from frame to frame.

    Returns:
        Four arrays of N float values in pixels of the full map: area, row, column, and distance to the border.
    """
    scale = max(1.0, max(ranks_HW.shape) / _LABEL_MAP_SIDE)
    size = (max(1, round(ranks_HW.shape[1] / scale)), max(1, round(ranks_HW.shape[0] / scale)))
    small_HW = cv2.resize(ranks_HW, size, interpolation=cv2.INTER_NEAREST)
    inside_HW = (_borders(small_HW, 1) == 0).view(np.uint8)
    framed_HW = cv2.copyMakeBorder(inside_HW, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    room_HW = cv2.distanceTransform(framed_HW, cv2.DIST_L2, 3)[1:-1, 1:-1]

    rows, columns = np.nonzero(small_HW)
    if rows.size == 0:
        return (np.zeros(num_objects),) * 4
    owners = small_HW[rows, columns].astype(np.intp) - 1
    counts_N = np.bincount(owners, minlength=num_objects)
    divisor_N = np.maximum(counts_N, 1)
    row_means_N = np.bincount(owners, rows, num_objects) / divisor_N
    column_means_N = np.bincount(owners, columns, num_objects) / divisor_N
    room = room_HW[rows, columns]
    off_center = np.hypot(rows - row_means_N[owners], columns - column_means_N[owners])
    score = room - _CENTER_PULL * off_center
    best_N = np.full(num_objects, -np.inf)
    np.maximum.at(best_N, owners, score)
    winners = np.flatnonzero(score == best_N[owners])
    at_N = np.zeros(num_objects, np.intp)
    at_N[owners[winners]] = winners  # an object that vanished in the smaller map has area 0 and gets no label
    return counts_N * scale**2, (rows[at_N] + 0.5) * scale, (columns[at_N] + 0.5) * scale, room[at_N] * scale


@lru_cache(maxsize=2048)
def text_sprite(text: str, size: int, stroke: int) -> tuple[UInt8Array, UInt8Array]:
    """Render text of ``size`` pixels: opacity of the letters, and of letters with outline, each h x w uint8."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = (round(v) for v in font.getbbox(text, stroke_width=stroke))
    drawn = []
    for width in (0, stroke):
        picture = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(picture).text((-left, -top), text, fill=255, font=font, stroke_width=width)
        drawn.append(np.array(picture))
        drawn[-1].flags.writeable = False
    return drawn[0], drawn[1]


def paint_text(canvas: UInt8Array, fill: UInt8Array, outline: UInt8Array | None, top: int, left: int) -> None:
    """Paint a text sprite into ``canvas``: white, with its outline in black, cropped to the canvas."""
    area = canvas[top : top + fill.shape[0], left : left + fill.shape[1]]
    height, width = area.shape[:2]
    values = area.astype(np.float32)
    if outline is not None:
        values *= 1.0 - outline[:height, :width, None] * np.float32(0.9 / 255)
    values += (255.0 - values) * (fill[:height, :width, None] * np.float32(1 / 255))
    area[:] = np.rint(values)
