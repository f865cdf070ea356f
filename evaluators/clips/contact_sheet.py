"""Contact sheet: small frames of a clip in one picture."""

from __future__ import annotations

import threading

import cv2
import numpy as np

from voskit.evaluators.clips.overlay import UInt8Array, paint_text, text_sprite
from voskit.evaluators.frame_checks import check_frame


class ContactSheet:
    """A picture of about ``max_tiles`` small frames of a clip, evenly spread, each with the name of its frame.

    It takes a stream of frames and never holds more than ``2 * max_tiles`` tiles. If ``num_frames`` is known, the tiles
    are chosen in advance. Otherwise every ``stride``-th frame is kept; when there are too many, the stride doubles and
    every other tile is dropped. Several threads may add frames, in any order.

    Args:
        num_frames: number of frames of the clip; None: unknown, or an estimate of the video's header.
        columns: tiles in a row.
        tile_width: pixels; the height follows from the frames.
        max_tiles: maximum number of tiles in the picture.

    Raises:
        ValueError: a number below 1.
    """

    def __init__(
        self, num_frames: int | None = None, *, columns: int = 4, tile_width: int = 320, max_tiles: int = 12
    ) -> None:
        for name, value in (("columns", columns), ("tile_width", tile_width), ("max_tiles", max_tiles)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if num_frames is not None and num_frames < 1:
            raise ValueError(f"num_frames must be at least 1 or None, got {num_frames}")
        self._num_frames = num_frames
        self._columns = columns
        self._tile_width = tile_width
        self._max_tiles = max_tiles
        self._chosen = None if num_frames is None else frozenset(_spread(num_frames, max_tiles))
        self._stride = 1
        self._tiles: dict[int, tuple[UInt8Array, str]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return the number of tiles; up to twice ``max_tiles`` while the length of the clip is unknown."""
        return len(self._tiles)

    def wants(self, index: int) -> bool:
        """True if ``add`` would keep the frame of this index now, so that others need not be drawn."""
        if index < 0:
            raise ValueError(f"index must not be negative, got {index}")
        if self._num_frames is not None and index >= self._num_frames:
            raise ValueError(f"index {index} is outside of the {self._num_frames} frames of the contact sheet")
        return index % self._stride == 0 if self._chosen is None else index in self._chosen

    def add(self, index: int, frame: UInt8Array, name: str = "") -> None:
        """Add a frame, or ignore it if it isn't wanted.

        Args:
            index: the frame's number in the clip, from 0. An earlier tile of this number is replaced.
            frame: H x W x 3 uint8 RGB.
            name: the frame's name in the caption; empty: its number.

        Raises:
            ValueError: a wrong shape or dtype, or an index outside of the clip.
        """
        check_frame(frame)
        if not self.wants(index):
            return
        tile = _resize_to_width(frame, self._tile_width)
        with self._lock:
            if not self.wants(index):  # another thread doubled the stride
                return
            self._tiles[index] = tile, f"frame {name or index}"
            while len(self._tiles) > 2 * self._max_tiles:
                self._stride *= 2
                self._tiles = {i: kept for i, kept in self._tiles.items() if i % self._stride == 0}

    def image(self) -> UInt8Array:
        """Return the sheet of the frames so far, H x W x 3 uint8 RGB.

        Raises:
            ValueError: there are none.
        """
        with self._lock:
            tiles = dict(sorted(self._tiles.items()))
        if not tiles:
            raise ValueError("the contact sheet is empty: no frame was added")
        indices = list(tiles)
        shown = [indices[i] for i in _spread(len(indices), self._max_tiles)]

        caption_size = max(9, round(self._tile_width / 22))
        gap = max(2, self._tile_width // 40)
        strip = round(1.7 * caption_size)
        tile_height = max(tiles[i][0].shape[0] for i in shown)
        columns = min(self._columns, len(shown))
        rows = -(-len(shown) // columns)
        cell_height, cell_width = tile_height + strip + gap, self._tile_width + gap
        sheet = np.full((rows * cell_height + gap, columns * cell_width + gap, 3), 24, np.uint8)
        for place, index in enumerate(shown):
            tile, caption = tiles[index]
            top, left = gap + place // columns * cell_height, gap + place % columns * cell_width
            middle = top + (tile_height - tile.shape[0]) // 2
            sheet[middle : middle + tile.shape[0], left : left + tile.shape[1]] = tile
            text = text_sprite(caption, caption_size, 0)[0]
            paint_text(
                sheet[:, : left + self._tile_width], text, None, top + tile_height + (strip - text.shape[0]) // 2, left
            )
        return sheet


def _resize_to_width(frame: UInt8Array, width: int) -> UInt8Array:
    height = max(1, round(frame.shape[0] * width / frame.shape[1]))
    shrinks = width < frame.shape[1]
    return np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))


def _spread(count: int, most: int) -> list[int]:
    """Return at most ``most`` evenly spread indices below ``count``, with the first and, if ``most`` > 1, the last."""
    return sorted(set(np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()))
