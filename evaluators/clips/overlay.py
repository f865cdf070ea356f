"""Pictures of results: objects drawn over a frame, and contact sheets of a clip.

Pure functions of numpy arrays; nothing here opens a file. Shape suffixes: H, W the frame's height and width, N objects.
"""

import threading
from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from voskit.dataloaders.masks.palette import MAX_ID, id_colors
from voskit.evaluators.frame_checks import check_frame

UInt8Array = NDArray[np.uint8]
ColorsOfIds = Callable[[NDArray[np.integer]], UInt8Array]

_LABEL_MAP_SIDE = 640  # labels are placed on a map of at most this side
_CENTRE_PULL = 0.05  # how many pixels of room a label gives up to be one pixel nearer to its object's centre
_MAX_LABEL_OVERLAP = 0.3  # of a label's box; a label that more of lies on others is left out
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
    """Draws object masks over a frame: blended colours, contours and the objects' ids.

    Line width and text size follow the resolution. The place of an id is the middle of the widest part of its object,
    so it stays readable for concave and for split objects; objects too small to carry a number get none. Background
    pixels away from contours keep the frame's values exactly.

    Args:
        image: HxWx3 uint8 RGB. Not changed.
        ids: HxW, any integer dtype, 0 = background, ids up to 65535.
        alpha: opacity of the colours, 0 (frame only) to 1 (colours only).
        contours: draw a white line with a dark rim between objects, and between objects and background.
        labels: write each object's id.
        colors: maps N integer ids to Nx3 uint8 RGB. None: the project's palette,
        `voskit.dataloaders.masks.files.id_colors`.

    Returns:
        HxWx3 uint8 RGB, a new array.

    Raises:
        ValueError: wrong shape, dtype, or range of an argument.
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


class ContactSheet:
    """A picture of a clip: about `max_tiles` small frames, evenly spread, each with its frame number.

    Works on a stream and never holds more than `2 * max_tiles` tiles. With `num_frames` known the tiles are chosen
    beforehand. Without it every `stride`-th frame is kept; when there are too many the stride doubles and every other
    tile is dropped. Safe to call from several threads, in any order of frames.

    Args:
        num_frames: the clip's number of frames. None where it is unknown, or only estimated (some video headers).
        columns: tiles in a row.
        tile_width: pixels; the height follows from the frames.
        max_tiles: most tiles in the picture.

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
        self._tiles: dict[int, UInt8Array] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Number of tiles held now; up to twice `max_tiles` while the length of the clip is unknown."""
        return len(self._tiles)

    def wants(self, index: int) -> bool:
        """Whether `add` would keep the frame with this index now; saves drawing frames that it would drop."""
        if index < 0:
            raise ValueError(f"index must not be negative, got {index}")
        if self._num_frames is not None and index >= self._num_frames:
            raise ValueError(f"index {index} is outside of the {self._num_frames} frames of the contact sheet")
        return index % self._stride == 0 if self._chosen is None else index in self._chosen

    def add(self, index: int, frame: UInt8Array) -> None:
        """Offers one frame.

        Args:
            index: the frame's number in the clip, from 0. A number that was there before replaces its tile.
            frame: HxWx3 uint8 RGB.

        Raises:
            ValueError: wrong shape or dtype, or an index outside of the clip.
        """
        check_frame(frame)
        if not self.wants(index):
            return
        tile = _resize_to_width(frame, self._tile_width)
        with self._lock:
            if not self.wants(index):  # another thread doubled the stride
                return
            self._tiles[index] = tile
            while len(self._tiles) > 2 * self._max_tiles:
                self._stride *= 2
                self._tiles = {i: kept for i, kept in self._tiles.items() if i % self._stride == 0}

    def image(self) -> UInt8Array:
        """Returns the sheet of the frames so far, HxWx3 uint8 RGB. Raises ValueError when there are none."""
        with self._lock:
            tiles = dict(sorted(self._tiles.items()))
        if not tiles:
            raise ValueError("the contact sheet is empty: no frame was added")
        indices = list(tiles)
        shown = [indices[i] for i in _spread(len(indices), self._max_tiles)]

        caption_size = max(9, round(self._tile_width / 22))
        gap = max(2, self._tile_width // 40)
        strip = round(1.7 * caption_size)
        tile_height = max(tiles[i].shape[0] for i in shown)
        columns = min(self._columns, len(shown))
        rows = -(-len(shown) // columns)
        cell_height, cell_width = tile_height + strip + gap, self._tile_width + gap
        sheet = np.full((rows * cell_height + gap, columns * cell_width + gap, 3), 24, np.uint8)
        for place, index in enumerate(shown):
            tile = tiles[index]
            top, left = gap + place // columns * cell_height, gap + place % columns * cell_width
            middle = top + (tile_height - tile.shape[0]) // 2
            sheet[middle : middle + tile.shape[0], left : left + tile.shape[1]] = tile
            text = _text_sprite(f"frame {index}", caption_size, 0)[0]
            _paint_text(sheet, text, None, top + tile_height + (strip - text.shape[0]) // 2, left)
        return sheet


def _rank_ids(ids: NDArray[np.integer], size: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray]:
    """Returns the ids present (N, ascending, without background) and a map of their ranks.

    The map is HxW with 0 for background and 1..N for objects: uint8 where N <= 255, else uint16. Small integers let
    every later step be a table look-up or a morphological filter of OpenCV.
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
    """Draws the lines between regions into `canvas`: a white core, anti-aliased, over a wider, soft dark rim."""
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
    """Returns HxW uint8, 255 in a line of `width` pixels along every border between two values, else 0."""
    kernel = np.ones((width + 1, width + 1), np.uint8)
    return np.asarray(cv2.compare(cv2.dilate(ranks_HW, kernel), cv2.erode(ranks_HW, kernel), cv2.CMP_NE), np.uint8)


def _draw_labels(canvas: UInt8Array, ranks_HW: NDArray, present_N: NDArray[np.int64]) -> None:
    """Writes the ids into `canvas`, the largest objects' first."""
    height, width = ranks_HW.shape
    base = max(11.0, min(height, width) / 30)
    areas_N, rows_N, columns_N, rooms_N = _label_places(ranks_HW, len(present_N))
    covered_HW = np.zeros((height, width), bool)
    for n in np.argsort(-areas_N, kind="stable"):
        size = round(float(np.clip(rooms_N[n], 0.8 * base, base)))
        stroke = max(2, round(size / 9))
        fill, outline = _text_sprite(str(present_N[n]), size, stroke)
        if areas_N[n] < 0.35 * fill.size:
            continue
        top = int(np.clip(rows_N[n] - fill.shape[0] / 2, 0, max(0, height - fill.shape[0])))
        left = int(np.clip(columns_N[n] - fill.shape[1] / 2, 0, max(0, width - fill.shape[1])))
        box = covered_HW[top : top + fill.shape[0], left : left + fill.shape[1]]
        if box.mean() > _MAX_LABEL_OVERLAP:
            continue
        box[:] = True
        _paint_text(canvas, fill, outline, top, left)


def _label_places(ranks_HW: NDArray, num_objects: int) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Finds where each object has most room: the maximum of the distance to the nearest border of any region.

    One distance transform serves all objects. The centre's small pull decides between equal places, so the number
    doesn't jump along a bar from frame to frame.

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
    off_centre = np.hypot(rows - row_means_N[owners], columns - column_means_N[owners])
    score = room - _CENTRE_PULL * off_centre
    best_N = np.full(num_objects, -np.inf)
    np.maximum.at(best_N, owners, score)
    winners = np.flatnonzero(score == best_N[owners])
    at_N = np.zeros(num_objects, np.intp)
    at_N[owners[winners]] = winners  # an object that the smaller map lost has no area and gets no label
    return counts_N * scale**2, (rows[at_N] + 0.5) * scale, (columns[at_N] + 0.5) * scale, room[at_N] * scale


@lru_cache(maxsize=2048)
def _text_sprite(text: str, size: int, stroke: int) -> tuple[UInt8Array, UInt8Array]:
    """Renders text of `size` pixels: opacity of the letters, and of the letters with an outline; same shape hxw."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = (round(v) for v in font.getbbox(text, stroke_width=stroke))
    drawn = []
    for width in (0, stroke):
        picture = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(picture).text((-left, -top), text, fill=255, font=font, stroke_width=width)
        drawn.append(np.array(picture))
        drawn[-1].flags.writeable = False
    return drawn[0], drawn[1]


def _paint_text(canvas: UInt8Array, fill: UInt8Array, outline: UInt8Array | None, top: int, left: int) -> None:
    """Paints a sprite of `_text_sprite` in white, with its outline in black, cut off at the canvas' edges."""
    area = canvas[top : top + fill.shape[0], left : left + fill.shape[1]]
    height, width = area.shape[:2]
    values = area.astype(np.float32)
    if outline is not None:
        values *= 1.0 - outline[:height, :width, None] * np.float32(0.9 / 255)
    values += (255.0 - values) * (fill[:height, :width, None] * np.float32(1 / 255))
    area[:] = np.rint(values)


def _resize_to_width(frame: UInt8Array, width: int) -> UInt8Array:
    height = max(1, round(frame.shape[0] * width / frame.shape[1]))
    shrinks = width < frame.shape[1]
    return np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))


def _spread(count: int, most: int) -> list[int]:
    """Returns at most `most` evenly spread indices below `count`, first and last included where `most` > 1."""
    return sorted(set(np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()))
