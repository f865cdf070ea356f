"""Base class of training datasets: random crops, dynamic merging, selection of objects and retries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
from torch.utils.data import get_worker_info

from voskit.configs.stages import StageConfig
from voskit.dataloaders.training import augment
from voskit.dataloaders.training.clip import VOID, RawClip, TrainClip, finish, object_ids
from voskit.dataloaders.training.epoch import EpochDataset

AugmentationVersion = Literal["v1", "v2"]

_SOURCES = 20  # maximum number of images or videos to try for one item
_PARTNERS = 3  # maximum number of images or videos to try for merging
_JITTER = 0.8
_GRAYSCALE = 0.1
_BLUR = 0.3


class ClipDataset(EpochDataset[TrainClip], ABC):
    """Dataset of training clips. Each item depends only on the seed, the epoch and its index.

    Args:
        stage: the training stage.
        crop: side of the frames in pixels.
        max_objects: maximum number of objects in a clip, 1 to 254. If there are more, random ones are kept.
        augmentation: "v1"; "v2" adds color jitter, grayscale and blur, equal in all frames of a clip.
        seed: one or several non-negative integers.

    Raises:
        ValueError: a number is out of range, or the augmentation is unknown.
    """

    def __init__(
        self,
        stage: StageConfig,
        *,
        crop: int,
        max_objects: int = 10,
        augmentation: AugmentationVersion = "v1",
        seed: int | Sequence[int] = 0,
    ) -> None:
        if crop < 1:
            raise ValueError(f"crop must be at least 1 pixel, got {crop}")
        if not 1 <= max_objects <= 254:
            raise ValueError(f"max_objects must be between 1 and 254 (255 is the ignored label), got {max_objects}")
        if augmentation not in ("v1", "v2"):
            raise ValueError(f"augmentation must be 'v1' or 'v2', got {augmentation!r}")
        super().__init__(seed)
        self.stage = stage
        self.crop = crop
        self.max_objects = max_objects
        self.augmentation = augmentation
        self.epoch_clips: int | None = None
        """Number of clips in an epoch, if this dataset is only part of the training data; None: its own length."""

    @property
    def progress(self) -> float:
        """Fraction of the stage that was complete at the start of this epoch, 0 to 1."""
        clips = self.epoch_clips or len(self)
        return min(1.0, self.epoch * clips / (self.stage.batch_size * self.stage.total_steps))

    @abstractmethod
    def _num_sources(self) -> int:
        """Return the number of images or videos."""

    @abstractmethod
    def _source_name(self, source: int) -> str:
        """Return the name of an image or video for error messages."""

    @abstractmethod
    def _draw(self, source: int, rng: np.random.Generator) -> RawClip | None:
        """Draw a random clip from one image or video; None if its frame 0 shows no object."""

    def __len__(self) -> int:
        return self._num_sources()

    def __getitem__(self, index: int) -> TrainClip:
        """Return one clip.

        Raises:
            IndexError: there is no such item.
            ValueError: an image or mask can't be read (the message names the file), or no clip with an object was
                found.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        if get_worker_info() is not None:
            cv2.setNumThreads(0)
        rng = self.generator(index)
        source = index % self._num_sources()
        for _ in range(_SOURCES):
            clip = self._draw(source, rng)
            if clip is not None:
                return self._complete(clip, source, rng)
            source = int(rng.integers(self._num_sources()))
        raise ValueError(
            f"none of {_SOURCES} random clips shows an object in its first frame; the first of them is from "
            f"{self._source_name(index % self._num_sources())}: are the masks empty?"
        )

    def _complete(self, clip: RawClip, source: int, rng: np.random.Generator) -> TrainClip:
        if rng.random() < self.stage.merge_probability:
            clip = self._merged(clip, source, rng)
        if self.augmentation == "v2":
            _augment_clip(clip, rng)
        ids = object_ids(clip.masks[0])
        if len(ids) > self.max_objects:
            ids = np.sort(rng.choice(ids, self.max_objects, replace=False))
        return finish(clip, ids)

    def _merged(self, clip: RawClip, source: int, rng: np.random.Generator) -> RawClip:
        others = self._num_sources() - 1
        for _ in range(_PARTNERS if others else 0):
            partner = (source + 1 + int(rng.integers(others))) % self._num_sources()
            other = self._draw(partner, rng)
            if other is not None:
                return merge_clips(clip, other, self.max_objects, rng)
        return clip

    def _find_view(
        self, mask: np.ndarray, rng: np.random.Generator, *, affine: bool
    ) -> tuple[np.ndarray, list[np.ndarray]] | None:
        """Find a crop and, if ``affine``, random affine maps, such that frame 0 shows enough of an object.

        Returns:
            The map of each frame, [T, 3, 3], and a list with the mask of frame 0; None if no attempt shows an object.
        """
        flip = bool(rng.random() < self.stage.flip)
        best, most = None, 0
        for _ in range(self.stage.crop_tries):
            edge = self.stage.scaled_edge * rng.uniform(*self.stage.scale_range)
            view = augment.crop_view(mask.shape, short_edge=edge, crop=self.crop, flip=flip, rng=rng)
            views = np.repeat(view[None], self.stage.clip_length, axis=0)
            if affine:
                moves = [augment.random_affine(self.crop, rng) for _ in range(self.stage.clip_length)]
                views = np.stack(moves) @ views
            first = augment.warp_mask(mask, views[0], self.crop)
            shown = int(((first != 0) & (first != VOID)).sum())
            if shown > most:
                best, most = (views, [first]), shown
            if most >= max(1, self.stage.min_object_area * first.size):
                break
        return best


def _augment_clip(clip: RawClip, rng: np.random.Generator) -> None:
    """Change the colors and blur of all frames of a clip in the same way."""
    color = augment.draw_color(rng, amount=0.2, hue=0.05) if rng.random() < _JITTER else {}
    if rng.random() < _GRAYSCALE:
        color["saturation"] = 0.0
    sigma = rng.uniform(0.1, 2.0) if rng.random() < _BLUR else 0.0
    for place, frame in enumerate(clip.frames):
        colored = augment.recolor(frame, **color) if color else frame
        clip.frames[place] = augment.blur(colored, sigma) if sigma else colored


def merge_clips(clip: RawClip, other: RawClip, max_objects: int, rng: np.random.Generator) -> RawClip:
    """Paste objects of another clip over all frames of a clip (AOT's dynamic merge), for more objects and occlusion.

    The objects are random ones from frame 0 of ``other``: up to ``max_objects`` together with those of the clip, but
    at least one. If they hide all objects of the clip in frame 0, the clip is returned unchanged.
    """
    own, ids = object_ids(clip.masks[0]), object_ids(other.masks[0])
    room = max(1, max_objects - len(own))
    chosen = rng.permutation(ids)[:room]
    free = np.setdiff1d(np.arange(1, len(own) + len(chosen) + 1), own)[: len(chosen)]
    # ids that occur only in later frames of the clip aren't its objects, and must not collide with the new ids
    keep = np.zeros(VOID + 1, np.uint16)
    keep[own], keep[VOID] = own, VOID
    new = np.zeros(VOID + 1, np.uint16)
    new[chosen] = free
    laid = [new[mask] for mask in other.masks]
    masks = [np.where(over != 0, over, keep[mask]) for over, mask in zip(laid, clip.masks, strict=True)]
    if not np.isin(object_ids(masks[0]), own).any():
        return clip
    frames = [
        np.where((over != 0)[..., None], top, bottom)
        for over, top, bottom in zip(laid, other.frames, clip.frames, strict=True)
    ]
    return RawClip(frames, masks, f"{clip.name}+{other.name}")
