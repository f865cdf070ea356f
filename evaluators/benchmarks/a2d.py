"""Evaluation on A2D-Sentences and JHMDB-Sentences: candidates for single frames, scored as detections."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pycocotools import mask as coco
from torch import Tensor

from voskit.dataloaders.datasets.a2d import SentenceImage, SentenceSet
from voskit.dataloaders.files import atomic_write_text, load_json
from voskit.dataloaders.tokenizer import clean_caption
from voskit.evaluators.benchmarks.folder import check_settings
from voskit.evaluators.metrics import Scores, score
from voskit.evaluators.metrics.report import write_scores
from voskit.evaluators.parallel.work_queue import Items
from voskit.evaluators.progress import progress_bar
from voskit.evaluators.referring import ReferringSegmenter

logger = logging.getLogger(__name__)

LONG_EDGE = 640
"""Maximum long edge of the frames, as in the published code."""
FRAMES = 5
"""Length of the window around the annotated frame, as in the published code for fine-tuned models."""


class A2DEvaluation:
    """Evaluation of a model with fixed settings: ``predictions.json``, ``scores.json`` and ``settings.json``.

    A stopped evaluation can be resumed: predictions of finished videos are kept in ``.predictions/<video>.json``.

    Args:
        data: an opened dataset.
        output: folder of the results.
        settings: everything that results depend on, as JSON types.
        frames: length of the window around the annotated frame.

    Raises:
        ValueError: the folder contains results with other settings.
    """

    def __init__(self, data: SentenceSet, output: Path, settings: dict[str, Any], frames: int = FRAMES) -> None:
        self.data, self.output, self.frames = data, output, frames
        self.parts = output / ".predictions"
        check_settings(output, {**settings, "frames": frames}, self.parts)
        self._errors: dict[str, str] = {}

    @property
    def num_videos(self) -> int:
        """Number of videos to segment."""
        return len(self.data.images)

    def run(self, segmenter: ReferringSegmenter, queue: Items, *, progress: bool = True) -> None:
        """Segment the images of this process's videos. If a video can't be read, log that and go to the next."""
        videos = list(self.data.images)
        self.parts.mkdir(parents=True, exist_ok=True)
        with progress_bar(total=len(videos), unit="video", shown=progress) as bar:
            for place in queue.items(len(videos)):
                video = videos[place]
                if not self._path(video).exists():
                    try:
                        atomic_write_text(self._path(video), json.dumps(self._predict(segmenter, video)))
                    except (ValueError, FileNotFoundError) as error:
                        logger.error("video %s: %s", video, error)
                        self._errors[video] = str(error)
                bar.update()

    def failures(self) -> dict[str, str]:
        """Return the unfinished videos, with their errors if known."""
        unfinished = [video for video in self.data.images if not self._path(video).exists()]
        return {video: self._errors.get(video, "not finished") for video in unfinished}

    def finish(self) -> Scores:
        """Write all predictions and their scores.

        Raises:
            ValueError: not all videos are finished.
        """
        if failures := self.failures():
            raise ValueError(
                f"{len(failures)} of {len(self.data.images)} videos are not finished: {', '.join(failures)}"
            )
        predictions = [entry for video in self.data.images for entry in load_json(self._path(video))]
        atomic_write_text(self.output / "predictions.json", json.dumps(predictions))
        scores = score(self.data.name, self.data.truth, self.output / "predictions.json")
        write_scores(scores, self.output / "scores.json")
        return scores

    def _path(self, video: str) -> Path:
        return self.parts / f"{video}.json"

    def _predict(self, segmenter: ReferringSegmenter, video: str) -> list[dict[str, Any]]:
        frames = self.data.frames(video)
        by_frame: dict[int, list[SentenceImage]] = {}
        for image in self.data.images[video]:
            by_frame.setdefault(image.frame, []).append(image)
        entries = []
        for frame, images in by_frame.items():
            if not 0 <= frame < len(frames):
                raise ValueError(
                    f"{self.data.videos[video]}: {images[0].image_id} is after the last of its {len(frames)} frames"
                )
            near, place = around(frame, len(frames), self.frames)
            found = segmenter.candidates(
                [frames[i] for i in near], [clean_caption(image.sentence) for image in images], place, LONG_EDGE
            )
            for image, (scores, logits, size) in zip(images, found, strict=True):
                entries += detections(image, scores, binary_masks(logits, size, image.size))
        return entries


def around(frame: int, count: int, length: int) -> tuple[list[int], int]:
    """Return ``length`` frame numbers around ``frame``, clamped to ``count`` frames, and the place of ``frame``."""
    near = [min(max(i, 0), count - 1) for i in range(frame - length // 2, frame + (length + 1) // 2)]
    return near, near.index(frame)


def binary_masks(logits_QHW: Tensor, size: tuple[int, int], original: tuple[int, int]) -> np.ndarray:
    """Resize logits to the original size and threshold them: masks [Q, H, W] uint8.

    Args:
        logits_QHW: logits of all candidates, at a quarter of the network's padded input size.
        size: (height, width) of the input without padding.
        original: (height, width) of the masks.
    """
    masks = F.interpolate(logits_QHW[:, None].float(), scale_factor=4, mode="bilinear", align_corners=False)
    masks = (masks.sigmoid() > 0.5)[:, :, : size[0], : size[1]]
    return F.interpolate(masks.float(), original, mode="nearest")[:, 0].to(torch.uint8).cpu().numpy()


def detections(image: SentenceImage, scores: Sequence[float], masks_QHW: np.ndarray) -> list[dict[str, Any]]:
    """Return the entries for a COCO list of results, one for each candidate."""
    entries = []
    for value, mask in zip(scores, masks_QHW, strict=True):
        encoded = coco.encode(np.asfortranarray(mask))
        segmentation = {"size": list(encoded["size"]), "counts": encoded["counts"].decode()}
        entries.append(
            {"image_id": image.image_id, "category_id": 1, "segmentation": segmentation, "score": float(value)}
        )
    return entries
