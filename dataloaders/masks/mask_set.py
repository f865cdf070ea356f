"""Consistent reading of a video's masks: whether 255 is an id, "on" or void, and which id each color has."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from voskit.dataloaders.masks.mask_images import RawMask, UnclearCutOutError, load_raw_mask

logger = logging.getLogger(__name__)

VOID = 255
"""Value of void pixels in VOC and DAVIS, and of the object in masks of black and white."""


@dataclass(frozen=True)
class _Summary:
    """Values and colors of one mask, from which the reading of all masks is decided."""

    path: Path
    kind: str
    by_color: bool
    values: frozenset[int]
    colors: dict[int, tuple[int, int, int]]
    transparent: bool
    photo: bool


class MaskSet:
    """Masks of one video, all interpreted the same way.

    - 255 in 8-bit grayscale masks is the object, id 1, if no mask of the video has any other value. Otherwise it is an
      id like the others, in all masks.
    - 255 is void if the other values are ids counted from 1, see :func:`is_void`.
    - Cut-outs: if one of them has the colors of a photo, the visible pixels of each are one object.
    - Palettes without black at index 0, different palettes, and RGB pixels: each color of the video is an object. The
      objects are numbered in the order of their colors (R, then G, then B); black is the background.

    If a mask needs such a decision, all masks are read twice.

    Args:
        paths: all masks of the video, images or NumPy arrays.
        quiet: log remarks at debug level, because the masks belong to a dataset.
        truth: true masks of the video in another folder, possibly of another form. If 255 is one of several ids in
            those that are grayscale, it is an id in ``paths``, too.
    """

    def __init__(self, paths: Sequence[Path], *, quiet: bool = False, truth: Sequence[Path] = ()) -> None:
        self._paths = paths
        self._truth = truth
        self._level = logging.DEBUG if quiet else logging.WARNING
        self._logged: set[str] = set()
        self._alone: _Summary | None = None

    def read(self, path: Path, *, lone: bool = True, void: int | None = None) -> np.ndarray:
        """Read the ids of one of the masks: H x W uint8, or uint16 if :func:`narrow` needs it.

        Args:
            path: the mask.
            lone: read 255 as id 1 if it is a gray mask's only value.
            void: replacement of void pixels; None: 255 is kept as an object, which is logged.

        Raises:
            ValueError: the file can't be read, or the masks contradict each other; the message names the file.
        """
        try:
            raw = load_raw_mask(path)
        except UnclearCutOutError as error:
            if len(self._paths) == 1 or not self._photos:
                raise
            raw = error.shape
        if raw.visible is not None and len(self._paths) > 1 and self._photos:
            raw = raw.as_shape()
        return self.read_raw(path, raw, lone=lone, void=void)

    def read_raw(self, path: Path, raw: RawMask, *, lone: bool = True, void: int | None = None) -> np.ndarray:
        """Return the ids of a raw mask of one of the paths, as ``read`` does."""
        if len(self._paths) == 1:  # spares the decision a second reading
            self._alone = _summary(path, raw)
        ids, on = self._ids(path, raw, lone)
        for note in raw.notes:
            self.log(path, f"{note} with id 1" if on and note.endswith("one object") else note)
        if on and not raw.notes:
            self.log(path, f"its only values are 0 and {raw.white}: read as one object with id 1")
        if (ids == VOID).any() and raw.kind != "colors":
            if void is not None:
                return np.where(ids == VOID, void, ids.astype(np.uint16)) if self.void else narrow(ids)
            if raw.values.dtype == np.uint8 and is_void(np.unique(ids).tolist()):
                self.log(path, "id 255, the void label of VOC and DAVIS, next to other ids: kept as an object")
        return narrow(ids)

    @cached_property
    def void(self) -> bool:
        """True if 255 is void in these masks, see :func:`is_void`."""
        return is_void(set().union(*(one.values for one in self._summaries)))

    def _ids(self, path: Path, raw: RawMask, lone: bool) -> tuple[np.ndarray, bool]:
        """Return the ids of a raw mask, and True if 255 was read as "on"."""
        values = raw.values
        if raw.kind == "ids":
            return values, False
        if (raw.kind != "gray" or len(self._paths) > 1) and self._colors is not None:
            table = np.array([self._colors.get(_packed(color), 0) for color in _table(raw).tolist()], np.uint16)
            return table[values], False
        if raw.white != VOID and not (lone and self._on):
            return np.where(values == VOID, np.uint16(raw.white), np.uint16(0)), False
        if raw.kind == "palette" or not lone or not (values == VOID).any():
            return values, False
        if self._on:
            return (values > 0).astype(np.uint8), raw.kind == "gray"
        if raw.kind == "bit" and not any(VOID in one.values for one in self._summaries if one.kind == "gray"):
            return (values > 0).astype(np.uint8), False
        return values, False

    @cached_property
    def _summaries(self) -> tuple[_Summary, ...]:
        """Summaries of all masks; if one is a cut-out of a photo, all with transparent pixels are read as cut-outs."""
        if self._alone is not None:
            return (self._alone,)
        if not self._photos:
            return self._found
        white = {0: (0, 0, 0), VOID: (255, 255, 255)}
        return tuple(
            replace(one, kind="gray", values=frozenset({VOID}), colors=white) if one.transparent else one
            for one in self._found
        )

    @cached_property
    def _found(self) -> tuple[_Summary, ...]:
        return tuple(map(_summary, self._paths))

    @cached_property
    def _photos(self) -> bool:
        """True if one of the masks is a cut-out of a photo."""
        return any(one.photo for one in self._found)

    @cached_property
    def _on(self) -> bool:
        """True if 255 is the object in all masks. Raises ValueError if some hold 0 and 1, others 0 and 255."""
        sets = [one.values for one in self._summaries]
        if lone_value(sets, {VOID}) is not None:
            true = set().union(*(one.values for one in map(_summary, self._truth) if one.kind == "gray"))
            return VOID not in true or len(true) == 1
        if {frozenset({1}), frozenset({VOID})} == {values for values in sets if values}:
            first = {value: next(s.path for s in self._summaries if value in s.values) for value in (1, VOID)}
            raise ValueError(
                f"{first[VOID]}: its only values are 0 and 255, those of {first[1].name} are 0 and 1: is 255 the same "
                "object? Use one value for it in all masks"
            )
        return False

    @cached_property
    def _colors(self) -> dict[int, int] | None:
        """Ids by color, as R * 65536 + G * 256 + B; None if values identify the objects, not colors."""
        if not self._by_color():
            return None
        found = sorted({_packed(color) for one in self._summaries for color in one.colors.values()})
        if not found or found[0]:
            raise ValueError(
                f"{self._paths[0]}: no pixel is black, so the background isn't clear: make it black, or save a palette "
                "PNG of object ids"
            )
        ids = {color: number for number, color in enumerate(found)}
        named = ", ".join(f"{_unpacked(color)} is {number}" for color, number in list(ids.items())[1:11])
        self.log(self._paths[0], f"each color is an object: {named}{', ...' * (len(ids) > 11)}; black is background")
        return ids

    def _by_color(self) -> bool:
        if any(one.by_color or one.kind == "colors" for one in self._summaries):
            return True
        indexed = [one for one in self._summaries if one.kind == "palette"]
        flat = [one for one in self._summaries if one.kind == "gray" and one.transparent]
        return _contradict(indexed) or _contradict(flat)

    def log(self, path: Path, note: str) -> None:
        """Log a remark once for all masks."""
        if note not in self._logged:
            self._logged.add(note)
            beside = sum(other.parent == path.parent for other in self._paths) > 1
            others = f" (the same holds for the other masks in {path.parent})" if beside else ""
            logger.log(self._level, "%s: %s%s", path, note, others)


def lone_value(sets: Iterable[Collection[int]], values: Collection[int]) -> int | None:
    """Return the only value other than 0 of all masks of a video, if it is one of ``values``, else None.

    Args:
        sets: the values of each mask, without 0. They are consumed lazily, until the answer is clear.
        values: the values to accept, such as {255}.
    """
    found = None
    for own in sets:
        for value in own:
            if value not in values or found not in (None, value):
                return None
            found = value
    return found


def is_void(values: Collection[int]) -> bool:
    """True if 255 is void next to these values of a video: the others are ids counted from 1, not gray levels.

    Few ids may be missing among them: the largest is at most 20, or twice their number.
    """
    others = set(values) - {0, VOID}
    return VOID in values and bool(others) and max(others) <= max(20, 2 * len(others))


def mask_values(path: Path) -> frozenset[int]:
    """Return the nonzero values of a mask of ids; a white object with smooth edges has only 255.

    Raises:
        ValueError: the mask can't be read, or has colors.
    """
    exact = _summary(path, load_raw_mask(path, exact=True)).values
    if VOID not in exact or len(exact) == 1:
        return exact
    try:
        return _summary(path).values
    except ValueError:  # edges that can't be mended
        return exact


def _contradict(summaries: Iterable[_Summary]) -> bool:
    """True if two masks give a value different colors."""
    seen: dict[int, tuple[int, int, int]] = {}
    return any(seen.setdefault(value, color) != color for one in summaries for value, color in one.colors.items())


def narrow(ids: np.ndarray) -> np.ndarray:
    """Return ids as uint8, or as uint16 if one is above 255, or if 255 is the only one.

    In uint8 masks, a lone 255 is "on" for ``VideoSegmenter.step``.
    """
    counts = np.bincount(ids.ravel(), minlength=256)
    present = np.flatnonzero(counts[1:]) + 1
    wide = len(present) and (present[-1] > 255 or present.tolist() == [VOID])
    return ids.astype(np.uint16 if wide else np.uint8)


def _summary(path: Path, raw: RawMask | None = None) -> _Summary:
    if raw is None:
        try:
            raw = load_raw_mask(path)
        except UnclearCutOutError as error:  # raised again when it is read, except next to cut-outs of photos
            raw = error.shape
    used = np.flatnonzero(np.bincount(raw.values.ravel()))
    rgb = _table(raw)[used].tolist() if raw.kind != "ids" else []
    colors = {int(value): (r, g, b) for value, (r, g, b) in zip(used, rgb, strict=False)}
    values = frozenset(used.tolist()) - {0}
    return _Summary(path, raw.kind, raw.by_color, values, colors, raw.visible is not None, raw.photo)


def _table(raw: RawMask) -> np.ndarray:
    return np.zeros((0, 3), np.uint8) if raw.colors is None else raw.colors


def _packed(color: Sequence[int]) -> int:
    return int(color[0]) << 16 | int(color[1]) << 8 | int(color[2])


def _unpacked(color: int) -> tuple[int, int, int]:
    return color >> 16, color >> 8 & 255, color & 255
