"""A folder of results of one model with one setting on one dataset, resumable at any moment.

A video's masks are written to ``.partial/<video>``, and the folder is renamed to ``Annotations/<video>`` when it is
whole: what lies there is finished and is never computed again, what doesn't is not counted.
"""

from __future__ import annotations

import errno
import json
import logging
import platform
import shutil
from pathlib import Path
from typing import Any

import torch

from voskit.dataloaders.datasets import Dataset, Video
from voskit.dataloaders.files import atomic_write_text, checksum
from voskit.evaluators.benchmarks.scoring import UNPACKED, DatasetScoring
from voskit.evaluators.benchmarks.timing import VideoTiming, summarise
from voskit.evaluators.metrics import Scores
from voskit.evaluators.metrics.page import write_page
from voskit.evaluators.metrics.report import write_scores
from voskit.evaluators.referring import ReferringSegmenter
from voskit.evaluators.segmenter import VideoSegmenter
from voskit.evaluators.submissions.pack import pack

logger = logging.getLogger(__name__)

_FULL = (errno.ENOSPC, errno.EDQUOT)


def check_settings(output: Path, settings: dict[str, Any], results: Path) -> dict[str, Any]:
    """See that a folder is new or holds results of the same settings, which are written there -> them as JSON has them.

    Raises:
        ValueError: it holds results of other settings, or something else where ``results`` go.
    """
    settings = json.loads(json.dumps(settings))
    path = output / "settings.json"
    if path.exists():
        try:
            before = json.loads(path.read_text())
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} is damaged ({error}): give another output folder") from None
        if differing := [k for k in {**before, **settings} if before.get(k) != settings.get(k)]:
            was = "; ".join(_difference(k, before.get(k), settings.get(k)) for k in differing[:3])
            raise ValueError(f"{output} holds results of other settings ({was}): give another output folder")
        return settings
    if results.exists():
        raise ValueError(f"{results} is not from an evaluation of ours: give another output folder")
    output.mkdir(parents=True, exist_ok=True)
    atomic_write_text(path, json.dumps(settings, indent=2) + "\n")
    return settings


def _difference(name: str, there: Any, now: Any) -> str:
    """A setting that differs, in words; of one with parts these alone."""
    if isinstance(there, dict) and isinstance(now, dict):
        parts = [k for k in {**there, **now} if there.get(k) != now.get(k)]
        return "; ".join(_difference(f"{name}.{k}", there.get(k), now.get(k)) for k in parts[:3])
    return f"{name}: {there!r} there, {now!r} now"


class EvaluationFolder:
    """What all evaluations share: settings that don't change, finished videos, failures, and what is made in the end.

    ``Annotations/<video>/<frame>.png`` (see ``voskit.evaluators.submissions.pack`` for other layouts),
    ``settings.json``, and in the
    end ``timing.json``, the archive for the server and, where the ground truth is there, ``scores.json``.

    Args:
        dataset: an opened dataset.
        output: the folder; it may hold an unfinished evaluation of the same settings.
        settings: everything that results depend on, as JSON types.

    Raises:
        ValueError: the folder holds results of other settings, or the dataset's description names an unknown scorer.
    """

    def __init__(self, dataset: Dataset, output: Path, settings: dict[str, Any]) -> None:
        self.dataset = dataset
        self.output = output
        self.results = output / "Annotations"
        self.scoring = DatasetScoring(dataset)
        self.settings = check_settings(output, settings, self.results)
        if self.scoring.obstacle and dataset.has_ground_truth:
            logger.info("there will be no scores: %s", self.scoring.obstacle)

    def is_finished(self, video: Video) -> bool:
        """Whether all results of a video are there."""
        return all(folder.is_dir() for folder in self._folders(video))

    def _folders(self, video: Video) -> list[Path]:
        """Folders of a video's results, each renamed to that when it is whole."""
        return [self.results / video.name]

    def failures(self) -> dict[str, str]:
        """Videos that are not finished, and why as far as that is known."""
        out = {}
        for video in self.dataset:
            if not self.is_finished(video):
                path = self._failure_path(video)
                out[video.name] = path.read_text().strip() if path.exists() else "not run to its end"
        return out

    def finish(self, archive: str, num_workers: int | None = None) -> Scores | None:
        """Write timing, the archive and scores -> these, or None where there can be none, which is logged.

        Args:
            archive: name of the archive, without its suffix.
            num_workers: processes for scoring.

        Raises:
            ValueError: not all videos are finished, or results are not sound.
        """
        if failures := self.failures():
            raise ValueError(f"{len(failures)} of {len(self.dataset)} videos are not finished: {', '.join(failures)}")
        for left in (".partial", ".failures"):
            shutil.rmtree(self.output / left, ignore_errors=True)
        for left_by_killed in self.output.glob(".*.tmp*"):
            left_by_killed.unlink()
        for left_by_killed in self.output.glob(f"{UNPACKED}*"):
            shutil.rmtree(left_by_killed)
        timings = [VideoTiming.load(self._timing_path(v)) for v in self.dataset if self._timing_path(v).exists()]
        keys = ("model", "device", "amp", "scales", "flip")
        environment = {
            "torch": torch.__version__,
            "processor": platform.processor() or platform.machine(),
            "accelerator": torch.cuda.get_device_name() if self.settings.get("device") == "cuda" else None,
            "dtype": {"fp16": "float16", "bf16": "bfloat16"}.get(self.settings.get("amp") or "", "float32"),
            **{k: self.settings.get(k) for k in keys},
        }
        atomic_write_text(self.output / "timing.json", json.dumps(summarise(timings, environment), indent=2) + "\n")
        packed = self.output / f"{archive}{self.dataset.config.archive_suffix}"
        pack(self.dataset, self.results, packed)
        if self.scoring.obstacle:
            logger.info("no scores: %s", self.scoring.obstacle)
            return None
        scores = self.scoring.score(self.results, packed, num_workers)
        write_scores(scores, self.output / "scores.json")
        if scores.frames:
            write_page(scores.frames, self.output / "scores_frames.png")
        return scores

    def _timing_path(self, video: Video) -> Path:
        return self.output / ".timing" / f"{video.name}.json"

    def _failure_path(self, video: Video) -> Path:
        return self.output / ".failures" / f"{video.name}.txt"

    def _failed(self, video: Video, error: ValueError | OSError) -> None:
        """Note that a video broke off, so that others can go on. Raises the error where the disk is full."""
        if isinstance(error, OSError) and error.errno in _FULL:
            raise error
        logger.error("video %s: %s", video.name, error)
        path = self._failure_path(video)
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(path, f"{error}\n")


def settings_of(
    segmenter: VideoSegmenter | ReferringSegmenter, dataset: Dataset, model: str, checkpoint: Path, device: torch.device
) -> dict[str, Any]:
    """Everything that results on a dataset depend on."""
    of_dataset = {"dataset": dataset.config.to_dict(), "split": dataset.split}
    return {**settings_of_model(segmenter, model, checkpoint, device), **of_dataset}


def settings_of_model(
    segmenter: VideoSegmenter | ReferringSegmenter, model: str, checkpoint: Path, device: torch.device
) -> dict[str, Any]:
    """Everything that results depend on but the dataset."""
    return {
        "model": model,
        "checkpoint": checksum(checkpoint),
        "config": segmenter.config.to_dict(),
        **segmenter.settings,
        "device": device.type,
    }
