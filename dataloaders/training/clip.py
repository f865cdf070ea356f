"""Training clips: raw (8-bit pixels, ids of the dataset), as network input, and as batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from voskit.dataloaders.transforms import IMAGENET_MEAN, IMAGENET_STD

IGNORE = 255
"""Label of pixels that losses ignore."""
VOID = 65535
"""Label of ignored pixels in raw clips, in which 255 may be an object."""

_NORMALIZED = ((np.arange(256)[:, None] / 255 - IMAGENET_MEAN) / IMAGENET_STD).astype(np.float32)


@dataclass
class TrainClip:
    """Item of a training dataset: T frames of S x S pixels.

    Attributes:
        frames: [T, 3, S, S] float32, RGB normalized by the mean and standard deviation of ImageNet.
        labels: [T, S, S] uint8: 0 background, 1 to ``num_objects``, 255 ignored.
        num_objects: number of objects in frame 0, at least 1. Objects that aren't in frame 0 are background.
        name: origin of the clip, for messages.
    """

    frames: Tensor
    labels: Tensor
    num_objects: int
    name: str


@dataclass
class RawClip:
    """Clip before normalization: frames S x S x 3 uint8 RGB, masks S x S uint16 ids (and ``VOID``)."""

    frames: list[np.ndarray]
    masks: list[np.ndarray]
    name: str


def object_ids(mask: np.ndarray) -> np.ndarray:
    """Return the ids of the objects in a uint16 mask, ascending, without background and ``VOID``."""
    ids = np.flatnonzero(np.bincount(mask.ravel()))
    return ids[(ids != 0) & (ids != VOID)]


def finish(clip: RawClip, ids: np.ndarray) -> TrainClip:
    """Normalize the frames and number the objects 1 to n in the order of ``ids``; other objects become background."""
    size = clip.masks[0].shape
    table = np.zeros(VOID + 1, np.uint8)
    table[ids] = np.arange(1, len(ids) + 1)
    table[VOID] = IGNORE
    frames = np.empty((len(clip.frames), 3, *size), np.float32)
    for frame, planes in zip(clip.frames, frames, strict=True):
        for channel, plane in enumerate(cv2.split(frame)):
            planes[channel] = cv2.LUT(plane, _NORMALIZED[:, channel])
    labels = table[np.stack(clip.masks)]
    return TrainClip(torch.from_numpy(frames), torch.from_numpy(labels), len(ids), clip.name)


class ClipBatch(NamedTuple):
    """Batch of B clips of one size, time first."""

    frames: Tensor
    """[T, B, 3, S, S] float32."""
    labels: Tensor
    """[T, B, S, S] uint8."""
    counts: list[int]
    """Number of objects of each clip."""
    names: list[str]

    def to(self, device: torch.device) -> ClipBatch:
        """Copy the batch to a device, asynchronously if it is in pinned memory."""
        frames, labels = (x.to(device, non_blocking=True) for x in (self.frames, self.labels))
        return self._replace(frames=frames, labels=labels)


def collate(clips: Sequence[TrainClip]) -> ClipBatch:
    """Batch clips of one size."""
    frames = torch.stack([clip.frames for clip in clips], dim=1)
    labels = torch.stack([clip.labels for clip in clips], dim=1)
    return ClipBatch(frames, labels, [clip.num_objects for clip in clips], [clip.name for clip in clips])
