"""Training clips from annotated videos for AOT: frames at random gaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from voskit.configs.stages import StageConfig
from voskit.dataloaders.datasets import Dataset
from voskit.dataloaders.training import augment
from voskit.dataloaders.training.clip import RawClip, object_ids
from voskit.dataloaders.training.clip_dataset import ClipDataset
from voskit.dataloaders.training.records import VideoRecord, read_image, video_records

_STARTS = 5  # attempts in one video to find a clip with an object in its first frame


class VideoClips(ClipDataset):
    """Training clips from annotated videos.

    Args:
        videos: an open dataset, or records.
        stage, options: see ``ClipDataset``.
        gap: maximum distance between consecutive frames of a clip, in annotated frames.
        repeat: number of clips per video in an epoch.

    Raises:
        ValueError: there are no videos, ``gap`` or ``repeat`` is below 1, or a video has frames without masks.
    """

    def __init__(
        self,
        videos: Dataset | Sequence[VideoRecord],
        stage: StageConfig,
        *,
        gap: int,
        repeat: int = 1,
        **options: Any,
    ) -> None:
        super().__init__(stage, **options)
        self.records = video_records(videos) if isinstance(videos, Dataset) else list(videos)
        if not self.records:
            raise ValueError("there are no videos to train on: check the dataset and its split")
        if gap < 1 or repeat < 1:
            raise ValueError(f"gap and repeat must be at least 1, got {gap} and {repeat}")
        self.gap = gap
        self.repeat = repeat

    def __len__(self) -> int:
        return len(self.records) * self.repeat

    def _num_sources(self) -> int:
        return len(self.records)

    def _source_name(self, source: int) -> str:
        return f"video {self.records[source].name}"

    def _draw(self, source: int, rng: np.random.Generator) -> RawClip | None:
        record = self.records[source]
        for _ in range(_STARTS):
            backwards = self.stage.reverse and bool(rng.random() < 0.5)
            numbers = draw_frame_numbers(len(record.frames), self.stage.clip_length, self.gap, backwards, rng)
            mask = record.labels(numbers[0])
            found = self._find_view(mask, rng, affine=False) if len(object_ids(mask)) else None
            if found is not None:
                return self._read(record, numbers, mask, *found)
        return None

    def _read(
        self, record: VideoRecord, numbers: list[int], mask: np.ndarray, views: np.ndarray, masks: list[np.ndarray]
    ) -> RawClip:
        """Read a clip, of whose first mask the whole (``mask``) and the crop (in ``masks``) are already read."""
        frames = []
        for place, (number, view) in enumerate(zip(numbers, views, strict=True)):
            if place:
                ids = record.labels(number)
                if ids.shape != mask.shape:
                    raise ValueError(
                        f"{record.masks[number]}: this mask is {ids.shape[0]}x{ids.shape[1]} (height x width), but "
                        f"another mask of the video is {mask.shape[0]}x{mask.shape[1]}"
                    )
                masks.append(augment.warp_mask(ids, view, self.crop))
            frames.append(augment.warp_image(read_image(record.frames[number], mask.shape), view, self.crop))
        return RawClip(frames, masks, f"{record.name}/{record.frames[numbers[0]].stem}")


def draw_frame_numbers(count: int, length: int, gap: int, backwards: bool, rng: np.random.Generator) -> list[int]:
    """Draw the numbers of ``length`` of ``count`` frames, 1 to ``gap`` apart, in reverse order if ``backwards``.

    In a short video, the distances are reduced to fit. If it has fewer frames than the clip, its last one is repeated.
    """
    largest = min(gap, max(1, (count - 1) // (length - 1)))
    steps = np.concatenate(([0], np.cumsum(rng.integers(1, largest + 1, size=length - 1))))
    start = rng.integers(max(1, count - int(steps[-1])))
    numbers = np.minimum(start + steps, count - 1).tolist()
    return numbers[::-1] if backwards else numbers
