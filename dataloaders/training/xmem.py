"""Training clips of XMem: sampling, crops and augmentation (Cheng and Schwing, ECCV 2022, section 4.1).

Frames are at most a skip apart, crops have a random area, and still images are warped by thin-plate splines.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from voskit.configs.stages import SkipStageConfig, StageConfig
from voskit.dataloaders.training import augment
from voskit.dataloaders.training.aot_images import StaticClips
from voskit.dataloaders.training.aot_videos import VideoClips
from voskit.dataloaders.training.clip import VOID, RawClip, object_ids
from voskit.dataloaders.training.records import read_image, read_labels

_GRAYSCALE = 0.05
_SPLINE = 0.33
_ASPECTS = (3 / 4, 4 / 3)
_CROPS = 10  # attempts to find a crop inside the frame
STATIC_REPEATS = {"BIG_small": 5, "HRSOD_small": 5}
"""Repetitions per epoch of the images of some sets."""


class SkipVideoClips(VideoClips):
    """Training clips from annotated videos, with frames at most a skip apart. The skip changes during a stage.

    Args:
        videos, stage, repeat, options: see ``VideoClips``. The stage derives from ``SkipStageConfig``.
        divisor: number by which the stage's skip is divided.
        gap: ignored; accepted because ``VideoClips`` has it.

    Raises:
        ValueError: the stage isn't a ``SkipStageConfig``, or as for ``VideoClips``.
    """

    def __init__(self, videos: Any, stage: StageConfig, *, gap: int = 1, divisor: int = 1, **options: Any) -> None:
        super().__init__(videos, stage, gap=gap, **options)
        self.plan = _skip_stage(stage)
        self.divisor = divisor

    def _draw(self, source: int, rng: np.random.Generator) -> RawClip | None:
        record = self.records[source]
        skip = max(1, self.plan.skip_at(self.progress) // self.divisor)
        for _ in range(self.plan.first_frame_tries):
            numbers = draw_within_skip(len(record.frames), self.plan.clip_length, skip, rng)
            if self.plan.reverse and rng.random() < 0.5:
                numbers = numbers[::-1]
            mask = record.labels(numbers[0])
            views = self._views(mask.shape, rng)
            first = augment.warp_mask(mask, views[0], self.crop)
            if len(object_ids(first)) and not self._ignored_too_much(first):
                clip = self._read(record, numbers, mask, views, [first])
                _recolor(clip, rng, hue=0.0, sequence=(0.1, 0.03, 0.03), frame=0.01)
                return clip
        return None

    def _ignored_too_much(self, mask: np.ndarray) -> bool:
        most = self.plan.max_ignored
        return most is not None and bool(np.count_nonzero(mask == VOID) > most * np.count_nonzero(mask))

    def _views(self, size: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Draw an affine map for each frame, [T, 3, 3]: the clip's crop and flip, then its own rotation and shear."""
        crop = area_crop_view(size, self.plan.crop_area, self.crop, rng, flip=bool(rng.random() < self.plan.flip))
        fine = self.progress >= 1 - self.plan.fine_tuning / self.plan.total_steps
        if fine or not self.plan.frame_affine:
            return np.repeat(crop[None], self.plan.clip_length, axis=0)
        moves = [
            augment.random_affine(self.crop, rng, degrees=15, scale=0, shear=10, shift=0)
            for _ in range(self.plan.clip_length)
        ]
        return np.stack(moves) @ crop


class SkipStaticClips(StaticClips):
    """Synthetic clips from still images.

    Args:
        root, stage, options: see ``StaticClips``. The stage derives from ``SkipStageConfig``.

    Raises:
        FileNotFoundError: as for ``StaticClips``.
        ValueError: the stage isn't a ``SkipStageConfig``, or as for ``StaticClips``.
    """

    def __init__(self, root: Path, stage: StageConfig, **options: Any) -> None:
        super().__init__(root, stage, **options)
        self.plan = _skip_stage(stage)
        self.pairs = [pair for pair in self.pairs for _ in range(STATIC_REPEATS.get(pair[0].parent.name, 1))]

    def _draw(self, source: int, rng: np.random.Generator) -> RawClip | None:
        image_path, mask_path = self.pairs[source]
        mask = read_labels(mask_path)
        for _ in range(self.plan.crop_tries):
            views = self._views(mask.shape, rng)
            masks = [augment.warp_mask(mask, view, self.crop) for view in views]
            if len(object_ids(masks[0])):
                break
        else:
            return None
        image = read_image(image_path, mask.shape)
        frames = [augment.warp_image(image, view, self.crop) for view in views]
        for t in range(len(frames)):
            if rng.random() < _SPLINE:
                frames[t], masks[t] = thin_plate_warp(frames[t], masks[t], rng)
        if not len(object_ids(masks[0])):
            return None
        clip = RawClip(frames, masks, f"{image_path.parent.name}/{image_path.stem}")
        _recolor(clip, rng, hue=0.05, sequence=(0.1, 0.05, 0.05), frame=0.05)
        return clip

    def _views(self, size: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Draw an affine map for each frame, [T, 3, 3]: its own motion and crop, with the clip's scale and flip."""
        flip = bool(rng.random() < self.plan.flip)
        center, factor = (self.crop - 1) / 2, rng.uniform(0.8, 1.5)
        scale = np.array(((factor, 0, center * (1 - factor)), (0, factor, center * (1 - factor)), (0, 0, 1)))
        views = []
        for _ in range(self.plan.clip_length):
            move = augment.random_affine(self.crop, rng, degrees=20, scale=0.1, shear=10, shift=0)
            crop = augment.crop_view((size[0], size[1]), short_edge=self.crop, crop=self.crop, flip=flip, rng=rng)
            views.append(move @ scale @ crop)
        return np.stack(views)


def draw_within_skip(count: int, length: int, skip: int, rng: np.random.Generator) -> list[int]:
    """Draw the numbers of ``length`` of ``count`` frames, sorted: one, then others within ``skip`` of a chosen one.

    If the video has fewer frames than the clip, its last one is repeated.
    """
    chosen = [int(rng.integers(count))]
    while len(chosen) < min(length, count):
        near = np.abs(np.arange(count)[:, None] - chosen).min(1)
        chosen.append(int(rng.choice(np.flatnonzero((near > 0) & (near <= skip)))))
    chosen.sort()
    return chosen + chosen[-1:] * (length - len(chosen))


def area_crop_view(
    size: tuple[int, ...], area: tuple[float, float], crop: int, rng: np.random.Generator, *, flip: bool
) -> np.ndarray:
    """Draw a crop of random area and aspect ratio, scaled to a square.

    Args:
        size: (height, width) of the stored image.
        area: minimum and maximum area, as fractions of the area of the image.
        crop: side of the training frame in pixels.
        rng: random numbers.
        flip: mirror the image.

    Returns:
        3 x 3 map of (x, y, 1).
    """
    height, width = size[:2]
    for _ in range(_CROPS):
        pixels = height * width * rng.uniform(*area)
        aspect = math.exp(rng.uniform(*np.log(_ASPECTS)))
        wide, high = math.sqrt(pixels * aspect), math.sqrt(pixels / aspect)
        if wide <= width and high <= height:
            break
    else:
        wide = high = min(height, width)
    left, top = rng.uniform(0, width - wide), rng.uniform(0, height - high)
    x, y = crop / wide, crop / high
    view = np.array(((x, 0, x * (0.5 - left) - 0.5), (0, y, y * (0.5 - top) - 0.5), (0, 0, 1)))
    return np.array(((-1, 0, crop - 1), (0, 1, 0), (0, 0, 1))) @ view if flip else view


def thin_plate_warp(
    image_HW3: np.ndarray, mask_HW: np.ndarray, rng: np.random.Generator, *, points: int = 12, scale: float = 0.02
) -> tuple[np.ndarray, np.ndarray]:
    """Warp an image and its mask by a random thin-plate spline.

    Args:
        image_HW3: uint8, square.
        mask_HW: uint16 of the same size.
        rng: random numbers.
        points: number of control points, at random places.
        scale: standard deviation of their displacements, as a fraction of half the side.

    Returns:
        The warped image and mask.
    """
    side = mask_HW.shape[0]
    control = rng.uniform(-1, 1, (points, 2))
    moved = np.vstack((rng.normal(0, scale, (points, 2)), np.zeros((3, 2))))

    def basis(at: np.ndarray) -> np.ndarray:
        squared = ((at[:, None] - control) ** 2).sum(2)
        radial = 0.5 * squared * np.log(np.maximum(squared, 1e-12))  # r^2 log r
        return np.hstack((radial, np.ones((len(at), 1)), at))

    affine = np.hstack((np.ones((points, 1)), control))
    system = np.vstack((basis(control), np.hstack((affine.T, np.zeros((3, 3))))))
    weights = np.linalg.lstsq(system, moved, rcond=None)[0]
    # the spline is smooth, so a coarse grid suffices
    grid = np.linspace(-1, 1, 33)
    coarse = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    shift = (basis(coarse) @ weights).reshape(33, 33, 2).astype(np.float32) * side / 2
    shift = cv2.resize(shift, (side, side), interpolation=cv2.INTER_LINEAR)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    maps = x + shift[..., 0], y + shift[..., 1]
    fill = augment.FILL
    return (
        cv2.remap(image_HW3, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=fill),
        cv2.remap(mask_HW, *maps, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=0),
    )


def _recolor(
    clip: RawClip, rng: np.random.Generator, *, hue: float, sequence: tuple[float, float, float], frame: float
) -> None:
    """Change the colors of the whole clip, and additionally, a little, those of each frame."""
    names = ("brightness", "contrast", "saturation")
    whole = {n: 1 + float(rng.uniform(-a, a)) for n, a in zip(names, sequence, strict=True)}
    if rng.random() < _GRAYSCALE:
        whole["saturation"] = 0.0
    turn = float(rng.uniform(-hue, hue))
    for place, image in enumerate(clip.frames):
        own = {n: factor * (1 + float(rng.uniform(-frame, frame))) for n, factor in whole.items()}
        clip.frames[place] = augment.recolor(image, **own, hue=turn)


def _skip_stage(stage: StageConfig) -> SkipStageConfig:
    if not isinstance(stage, SkipStageConfig):
        raise ValueError(
            f"clips with sampling 'skips' need a stage that derives from SkipStageConfig, not {type(stage).__name__}"
        )
    return stage
