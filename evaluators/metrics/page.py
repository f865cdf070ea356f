"""Picture of the worst and best frames, with prediction and ground truth side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from voskit.dataloaders.files import atomic_write
from voskit.dataloaders.images import image_to_rgb, load_image
from voskit.evaluators.clips.overlay import draw_overlay
from voskit.evaluators.metrics.base import ScoredFrame
from voskit.evaluators.metrics.frames.label_maps import IdMap
from voskit.evaluators.metrics.frames.measure import read_pair

_TILE_WIDTH = 360
_GAP = 8
_STRIP = 26
_PAPER = 24
_NO_IMAGE = 96  # gray, for a frame without an image

Picture = NDArray[np.uint8]


def write_page(frames: Sequence[ScoredFrame], path: Path) -> Path:
    """Write :func:`frames_page` as a PNG, completely or not at all."""
    with atomic_write(path) as temporary:
        Image.fromarray(frames_page(frames)).save(temporary, format="PNG", compress_level=2)
    return path


def frames_page(frames: Sequence[ScoredFrame], *, rows: int = 4) -> Picture:
    """Draw the worst frames on the left and the best ones on the right, each with prediction and ground truth.

    Frames of different sequences come first. Frames without a value (no objects) are left out.

    Args:
        frames: the frames to choose from.
        rows: maximum number of worst frames, and of best ones.

    Returns:
        H x W x 3 uint8 RGB.

    Raises:
        ValueError: no frame has a value, ``rows`` is below 1, or a mask or image can't be read.
        FileNotFoundError: a mask or image is missing.
    """
    if rows < 1:
        raise ValueError(f"rows must be at least 1, got {rows}")
    valued = [frame for frame in frames if not np.isnan(frame.value)]
    if not valued:
        raise ValueError("no frame has a value, so there is no worst or best frame")
    rows = min(rows, len(valued))
    columns = [pick(valued, rows, best=best) for best in (False, True)]
    tiles = [[_tile(frame) for frame in column] for column in columns]
    heights = [max(tiles[0][row].shape[0], tiles[1][row].shape[0]) for row in range(rows)]
    width = 2 * _TILE_WIDTH + _GAP
    page = Image.new("RGB", (2 * width + 3 * _GAP, sum(heights) + _STRIP + rows * (_STRIP + _GAP)), (_PAPER,) * 3)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    for side, (title, column) in enumerate(zip(("worst", "best"), columns, strict=True)):
        left, top = _GAP + side * (width + _GAP), _STRIP
        pen.text((left, 5), f"{title} frames: prediction, ground truth", (255, 255, 255), font)
        for row, frame in enumerate(column):
            page.paste(Image.fromarray(tiles[side][row]), (left, top))
            text = f"{frame.sequence}  {frame.pair.name}  {frame.value:.3f}"
            pen.text((left, top + heights[row] + 4), text, (220, 220, 220), font)
            top += heights[row] + _STRIP + _GAP
    return np.asarray(page)


def pick(frames: Sequence[ScoredFrame], count: int, *, best: bool) -> list[ScoredFrame]:
    """Choose the ``count`` worst or best frames, one from each sequence before a second one from any."""
    ordered = sorted(frames, key=lambda frame: -frame.value if best else frame.value)
    first: dict[str, ScoredFrame] = {}
    for frame in ordered:
        first.setdefault(frame.sequence, frame)
    leading = {id(frame) for frame in first.values()}
    others = [frame for frame in ordered if id(frame) not in leading]
    return [*first.values(), *others][:count]


def _tile(frame: ScoredFrame) -> Picture:
    predicted, true = read_pair(frame.rules, frame.pair)
    image = _image(frame, (predicted.shape[0], predicted.shape[1]))
    height = max(1, round(image.shape[0] * _TILE_WIDTH / image.shape[1]))
    tile = np.full((height, 2 * _TILE_WIDTH + _GAP, 3), _PAPER, np.uint8)
    tile[:, :_TILE_WIDTH] = _small(draw_overlay(image, _drawable(predicted)), height)
    tile[:, _TILE_WIDTH + _GAP :] = _small(draw_overlay(image, _drawable(true)), height)
    return tile


def _drawable(ids: IdMap) -> IdMap:
    return ids if ids.dtype == np.uint16 else ids.astype(np.uint8, copy=False)


def _image(frame: ScoredFrame, size: tuple[int, int]) -> Picture:
    if frame.image is None:
        return np.full((*size, 3), _NO_IMAGE, np.uint8)
    image = image_to_rgb(load_image(frame.image), frame.image)
    if image.shape[:2] != size:
        image = np.asarray(cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA), np.uint8)
    return image


def _small(picture: Picture, height: int) -> Picture:
    interpolation = cv2.INTER_AREA if height < picture.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (_TILE_WIDTH, height), interpolation=interpolation), np.uint8)
