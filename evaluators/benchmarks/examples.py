"""Example frames of a validation: predicted and true masks with the confidence of each object."""

from __future__ import annotations

import statistics
from collections.abc import Collection
from dataclasses import dataclass, field

import cv2
import numpy as np

from voskit.dataloaders.datasets import Video
from voskit.dataloaders.masks.files import read_mask
from voskit.dataloaders.video.source import Frame
from voskit.evaluators.metrics.measures.bit_planes import pack_ids
from voskit.evaluators.metrics.measures.jaccard_boundary import region_of_planes
from voskit.evaluators.segmenter import VideoSegmenter

_HEIGHT = 240  # maximum height of the pictures


@dataclass
class VideoExample:
    """Some frames of a video as segmented by a network, and figures over all its predicted frames."""

    name: str
    frames: list[np.ndarray] = field(default_factory=list)
    """H x W x 3 uint8 RGB, at most 240 pixels high."""
    labels: list[np.ndarray] = field(default_factory=list)
    """True ids of each frame, H x W."""
    predicted: list[np.ndarray] = field(default_factory=list)
    """Predicted ids of each frame, H x W."""
    captions: list[str] = field(default_factory=list)
    """Name of each frame, with the confidence of each object."""
    confidences: list[float] = field(default_factory=list)
    """Mean confidence of the objects in each predicted frame with true masks."""
    regions: list[float] = field(default_factory=list)
    """Mean J of the objects in each of these frames."""

    @property
    def figures(self) -> dict[str, float]:
        """Mean confidence and mean J, 0 to 1; empty if no frame was predicted."""
        if not self.regions:
            return {}
        return {"confidence": statistics.fmean(self.confidences), "J": statistics.fmean(self.regions)}


class ExampleWatch:
    """Callback of an evaluation that collects examples from its first videos.

    Args:
        videos: number of videos.
        frames: number of frames to keep from each, equally spaced.
    """

    def __init__(self, videos: int = 3, frames: int = 3) -> None:
        self.videos, self.frames = videos, frames
        self._examples: dict[str, VideoExample] = {}
        self._kept: dict[str, Collection[str]] = {}

    @property
    def examples(self) -> list[VideoExample]:
        """The examples so far, without videos that have no predicted frame with true masks."""
        return [example for example in self._examples.values() if example.frames]

    def __call__(self, segmenter: VideoSegmenter, video: Video, frame: Frame, ids: np.ndarray) -> None:
        """Record a predicted frame, the segmenter's last one."""
        if video.name not in self._examples:
            if len(self._examples) == self.videos:
                return
            self._examples[video.name] = VideoExample(video.name)
            self._kept[video.name] = self._chosen(video)
        path = video.truth_frames.get(frame.name)
        if path is None:
            return
        example, quality = self._examples[video.name], segmenter.quality
        truth, objects = _resized(read_mask(path).astype(np.uint16), ids.shape), list(quality)
        regions = region_of_planes(pack_ids(ids, objects), pack_ids(truth, objects))[: len(objects)]
        example.regions.append(float(regions.mean()))
        example.confidences.append(statistics.fmean(found.confidence for found in quality.values()))
        if frame.name in self._kept[video.name]:
            height, width = frame.image.shape[:2]
            size = min(height, _HEIGHT), max(1, round(width * min(1, _HEIGHT / height)))
            example.frames.append(cv2.resize(frame.image, size[::-1], interpolation=cv2.INTER_AREA))
            example.labels.append(_resized(truth, size))
            example.predicted.append(_resized(ids, size))
            sure = ", ".join(f"{i} {found.confidence:.2f}" for i, found in quality.items())
            example.captions.append(f"{frame.name}: {sure}")

    def _chosen(self, video: Video) -> set[str]:
        """Return the names of the frames to keep: the last one and others, equally spaced."""
        names = [name for name in video.frame_names if name in video.truth_frames and name not in video.given]
        return {names[len(names) * (k + 1) // self.frames - 1] for k in range(self.frames)} if names else set()


def _resized(ids: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Resize ids by nearest-neighbor interpolation."""
    return cv2.resize(ids, size[::-1], interpolation=cv2.INTER_NEAREST) if ids.shape != size else ids
