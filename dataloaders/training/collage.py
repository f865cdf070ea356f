"""Collage clips for training: many objects, cut out of still images, that move and occlude each other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from voskit.dataloaders.training import augment
from voskit.dataloaders.training.aot_images import StaticClips
from voskit.dataloaders.training.clip import VOID, RawClip, object_ids
from voskit.dataloaders.training.records import read_image, read_labels

_LAYERS = (6, 20)  # minimum and maximum number of cut-outs in a clip
_SIZES = (0.06, 0.6)  # square root of the area of a cut-out, as a fraction of the side of the clip
_MOST_TWINS = 4  # maximum number of equal cut-outs
_SHAPES = 0.5  # probability of a random shape instead of an object
_RIMS, _STROKES = 0.3, 0.25  # fractions of these shapes that are rims and strokes
_WIDTHS = (0.02, 0.1)  # width of rims and strokes, as a fraction of the shorter side of the image
_LEAST_FILLED = 0.3  # minimum fraction of its box that a cut-out is assumed to fill when it is scaled
_MOTIONS = (0.05, 1.0)  # motion of a cut-out, relative to that of static images
_HIDDEN = 0.2  # probability that a cut-out is absent from some frames after the first
_RETURN = 2.0  # motion of these cut-outs, which reappear elsewhere
_LEAST_CUT = 200  # minimum number of pixels of an object to cut out
_LEAST_SEEN = 0.001  # fraction of frame 0 below which a cut-out is background


@dataclass
class CutOut:
    """Part of an image: H x W x 3 uint8 RGB, and its opacity, H x W float32 from 0 (outside) to 1."""

    image: np.ndarray
    alpha: np.ndarray


class CollageClips(StaticClips):
    """Clips of ``StaticClips`` with 6 to 20 cut-outs of other images on top, small ones in front of large ones.

    A cut-out is an object of its image, or the part of the image inside a random polygon, ellipse or rectangle, its
    rim, or some strokes. This teaches the network that anything can be an object, including thin things. With the
    probability ``twins`` of the stage, a cut-out comes as 2 to 4 equal ones. Each moves independently, a little or a
    lot; some disappear for a while and reappear elsewhere. All are objects. If there are more than ``max_objects``,
    the others become background that looks like objects.
    """

    def _draw(self, source: int, rng: np.random.Generator) -> RawClip | None:
        clip = super()._draw(source, rng)
        if clip is None:
            return None
        frames, masks = clip.frames, clip.masks
        count = int(rng.integers(_LAYERS[0], _LAYERS[1] + 1))
        sizes = np.exp(rng.uniform(math.log(_SIZES[0]), math.log(_SIZES[1]), size=count))
        sizes = np.sort(sizes)[::-1]
        number = _renumber(masks)
        place = 0
        while place < len(sizes):
            cut_out = self._cut_out(rng)
            copies = int(rng.integers(2, _MOST_TWINS + 1)) if rng.random() < self.stage.twins else 1
            for size in sizes[place : place + copies]:
                number += 1
                self._lay(cut_out, size, number, frames, masks, rng)
            place += copies
        return clip if self._without_specks(masks) else None

    def _cut_out(self, rng: np.random.Generator) -> CutOut:
        image_path, mask_path = self.pairs[int(rng.integers(len(self.pairs)))]
        mask = read_labels(mask_path)
        image = read_image(image_path, mask.shape)
        counts = np.bincount(mask[mask != VOID], minlength=1)
        counts[0] = 0
        large = np.flatnonzero(counts >= _LEAST_CUT)
        of_object = len(large) > 0 and rng.random() >= _SHAPES
        inside = mask == rng.choice(large) if of_object else _random_shape(mask.shape, rng)
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        color = augment.draw_color(rng, amount=0.2, hue=0.1)
        return CutOut(augment.recolor(np.ascontiguousarray(image[box]), **color), inside[box].astype(np.float32))

    def _lay(
        self,
        cut_out: CutOut,
        size: float,
        number: int,
        frames: list[np.ndarray],
        masks: list[np.ndarray],
        rng: np.random.Generator,
    ) -> None:
        """Draw a cut-out into all frames as object ``number``, with an area of about (``size`` times the side) squared.

        The area of thin ones is smaller, so that their boxes don't get too large.
        """
        height, width = cut_out.alpha.shape
        scale = size * self.crop / math.sqrt(max(float(cut_out.alpha.sum()), _LEAST_FILLED * height * width))
        x, y = rng.uniform(0, self.crop, size=2)
        hidden = _gap(len(frames), rng) if rng.random() < _HIDDEN else range(0)
        amount = _RETURN if hidden else float(rng.uniform(*_MOTIONS))
        mirror = rng.choice((-1, 1))
        home = np.array(
            ((scale * mirror, 0, -scale * mirror * (width - 1) / 2), (0, scale, -scale * (height - 1) / 2), (0, 0, 1))
        )
        still = np.array(((1, 0, x), (0, 1, y), (0, 0, 1)))
        for time, (frame, mask) in enumerate(zip(frames, masks, strict=True)):
            if time in hidden:
                continue
            move = augment.random_affine(1, rng, amount=amount)  # about the origin
            move[:2, 2] *= self.crop  # from fractions of the side to pixels
            view = still @ move @ home
            box = _box_of(view, cut_out.alpha.shape, mask.shape)
            rows, columns = mask[box].shape
            if not rows or not columns:
                continue
            view[:2, 2] -= (box[1].start, box[0].start)
            alpha = cv2.warpAffine(cut_out.alpha, view[:2], (columns, rows), flags=cv2.INTER_LINEAR)
            drawn = cv2.warpAffine(
                cut_out.image, view[:2], (columns, rows), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            frame[box] = cv2.blendLinear(drawn, frame[box], alpha, 1 - alpha)
            mask[box][alpha > 0.5] = number

    def _without_specks(self, masks: list[np.ndarray]) -> bool:
        """Turn objects that are hardly visible in frame 0 into background. Return True if any objects remain."""
        counts = np.bincount(masks[0].ravel(), minlength=VOID + 1)
        specks = np.flatnonzero(counts < max(1, _LEAST_SEEN * masks[0].size))
        table = np.arange(VOID + 1, dtype=np.uint16)
        table[specks[specks != VOID]] = 0
        masks[:] = [table[mask] for mask in masks]
        return len(object_ids(masks[0])) > 0


def _renumber(masks: list[np.ndarray]) -> int:
    """Renumber the objects of a clip from 1 without gaps, in the order of their ids. Return their number."""
    ids = np.unique(np.concatenate([object_ids(mask) for mask in masks]))
    table = np.zeros(VOID + 1, np.uint16)
    table[ids], table[VOID] = np.arange(1, len(ids) + 1), VOID
    masks[:] = [table[mask] for mask in masks]
    return len(ids)


def _gap(length: int, rng: np.random.Generator) -> range:
    """Draw a range of frames after the first."""
    first, last = np.sort(rng.integers(1, length, size=2)).tolist()
    return range(first, last + 1)


def _box_of(view: np.ndarray, size: tuple[int, int], room: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and columns that an image of ``size`` covers in a frame of ``room``, both (height, width)."""
    height, width = size
    corners = view[:2] @ np.array(((-1, width, -1, width), (-1, -1, height, height), (1, 1, 1, 1)))
    (left, top), (right, bottom) = np.floor(corners.min(1)).astype(int), np.ceil(corners.max(1)).astype(int)
    rows, columns = (
        np.clip((a, b + 1), 0, most) for a, b, most in zip((top, left), (bottom, right), room, strict=True)
    )
    return slice(*rows.tolist()), slice(*columns.tolist())


def _random_shape(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Draw a random polygon, ellipse or rectangle, filled or as a rim, or some strokes from one point.

    Its box is at a random place and is at least a quarter as high and wide as the image.

    Returns:
        H x W bool.
    """
    height, width = size
    h, w = (max(1, int(edge * rng.uniform(0.25, 0.9))) for edge in size)
    top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    line = max(1, round(min(size) * rng.uniform(*_WIDTHS)))
    shape = np.zeros(size, np.uint8)
    if rng.random() < _STROKES:
        start, *ends = rng.integers((left, top), (left + w, top + h), size=(int(rng.integers(2, 6)), 2)).tolist()
        for end in ends:
            cv2.line(shape, start, end, 1, line)
        return shape.astype(bool)
    corners = (_outline(rng) * (w, h) + (left, top)).round().astype(np.int32)
    if rng.random() < _RIMS:
        cv2.polylines(shape, [corners], True, 1, line)
    else:
        cv2.fillPoly(shape, [corners], 1)
    return shape.astype(bool)


def _outline(rng: np.random.Generator) -> np.ndarray:
    """Return the corners of a random polygon, ellipse or rectangle, [corners, 2] x and y from 0 to 1."""
    kind = rng.choice(("polygon", "ellipse", "rectangle"))
    if kind == "rectangle":
        return np.array(((0, 0), (1, 0), (1, 1), (0, 1)), float)
    corners = int(rng.integers(3, 12)) if kind == "polygon" else 64
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners)) if kind == "polygon" else np.linspace(0, 2 * np.pi, corners)
    radii = rng.uniform(0.4, 1, corners) if kind == "polygon" else np.ones(corners)
    return np.stack((1 + radii * np.cos(angles), 1 + radii * np.sin(angles)), axis=1) / 2
