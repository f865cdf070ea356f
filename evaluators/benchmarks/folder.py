"""Resumable results folder of one model with fixed settings on one dataset.

A video's masks are written to ``.partial/<video>``, which is renamed to ``Annotations/<video>`` when it is complete. So
every video in ``Annotations`` is finished and never computed again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import platform
import shutil
from pathlib import Path
from typing import Any

import torch

from voskit.configs.models.base import MODELS
from voskit.dataloaders.datasets import Dataset, Video
from voskit.dataloaders.files import atomic_write_text, load_json, read_text
from voskit.evaluators.benchmarks.scoring import UNPACKED, DatasetScoring, check_benchmark
from voskit.evaluators.benchmarks.timing import VideoTiming, summarize
from voskit.evaluators.metrics import Scores
from voskit.evaluators.metrics.page import write_page
from voskit.evaluators.metrics.report import write_scores
from voskit.evaluators.submissions.pack import pack

logger = logging.getLogger(__name__)

_NOT_OF_MASKS = frozenset(
    {"title", "folder", "roots", "video_list", "frame_step", "server", "submit_given_frame"}
    | {"meta", "ground_truth", "given_masks", "object_names", "scoring"}
    | {"archive", "archive_prefix", "archive_suffix", "result_folder", "full_resolution_result_folder"}
)
"""Fields of a dataset's description that masks don't depend on. Files of given masks are compared by their content."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


def check_settings(output: Path, settings: dict[str, Any], results: Path) -> dict[str, Any]:
    """Write the settings to a new folder, or compare them with those of its earlier results.

    Args:
        output: the folder.
        settings: everything that results depend on, as JSON types.
        results: the folder of the masks, below ``output``.

    Returns:
        the settings as JSON represents them.

    Raises:
        ValueError: the folder contains results with other settings, or of another program.
    """
    settings = json.loads(json.dumps(settings))
    path = output / "settings.json"
    if path.exists():
        try:
            before = _with_present_names(load_json(path))
        except ValueError as error:
            raise ValueError(f"{error}: give another output folder") from None
        there, now = _of_masks(before), _of_masks(settings)
        if differing := [k for k in {**there, **now} if there.get(k) != now.get(k)]:
            was = "; ".join(_difference(k, there.get(k), now.get(k)) for k in differing[:3])
            raise ValueError(f"{output} holds results of other settings ({was}): give another output folder")
        return settings
    if results.exists():
        raise ValueError(f"{results} was not written by an evaluation: give another output folder")
    output.mkdir(parents=True, exist_ok=True)
    atomic_write_text(path, json.dumps(settings, indent=2) + "\n")
    return settings


def _of_masks(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings without the dataset's fields that masks don't depend on: ground truth, scores and archive."""
    if not isinstance(settings.get("dataset"), dict):
        return settings
    dataset = {name: value for name, value in settings["dataset"].items() if name not in _NOT_OF_MASKS}
    return {**settings, "dataset": dataset}


def _with_present_names(settings: dict[str, Any]) -> dict[str, Any]:
    """Convert the settings of an earlier version: use the current names, and add defaults for fields it didn't have."""
    if isinstance(settings.get("propagation"), dict):
        settings["propagation"] = _with_present_names(settings["propagation"])
    if isinstance(settings.get("config"), dict) and settings.get("model") in MODELS:
        config = MODELS.get(settings["model"])
        defaults = json.loads(json.dumps(config().to_dict()))
        settings["config"] = {**defaults, **config.present_names(settings["config"])}
    return settings


def _difference(name: str, there: Any, now: Any) -> str:
    """Describe a setting that differs, or those of its entries that do."""
    if isinstance(there, dict) and isinstance(now, dict):
        parts = [k for k in {**there, **now} if there.get(k) != now.get(k)]
        return "; ".join(_difference(f"{name}.{k}", there.get(k), now.get(k)) for k in parts[:3])
    return f"{name}: {there!r} there, {now!r} now"


def input_checksum(video: Video) -> str:
    """Return a checksum that tells a video from others with the same name, wherever its files are.

    It covers the names of the frames, the first frame's file (of a video file: its length and first MiB), the given
    masks and the text prompts.
    """
    digest = hashlib.sha256(json.dumps([video.frame_names, dict(video.expressions)]).encode())
    files = [path for path in video.given.values() if path.suffix != ".json"]
    if video.video_file is not None:
        digest.update(str(video.video_file.stat().st_size).encode())
        files.insert(0, video.video_file)
    else:
        files = [*list(video.files.values())[:1], *files]
    for path in files:
        with path.open("rb") as file:
            digest.update(file.read(2**20))
    return digest.hexdigest()[:16]


class EvaluationFolder:
    """Base class of evaluations: fixed settings, finished and failed videos, and the files of a complete evaluation.

    The folder contains ``Annotations/<video>/<frame>.png`` (see ``voskit.evaluators.submissions.pack`` for other
    layouts) and ``settings.json``; after ``finish`` also ``timing.json``, the archive for the server and, if ground
    truth is available, ``scores.json``.

    Args:
        dataset: an opened dataset.
        output: the folder, which may contain an unfinished evaluation with the same settings.
        settings: everything that results depend on, as JSON types.

    Raises:
        ValueError: the folder contains results with other settings or of other videos with the same names, or the
            dataset's description names a scorer that is unknown or can't read the results.
        FileNotFoundError: a file that the archive needs is missing.
    """

    def __init__(self, dataset: Dataset, output: Path, settings: dict[str, Any]) -> None:
        self.dataset = dataset
        self.output = output
        self.results = output / "Annotations"
        self.check(dataset)
        self.scoring = DatasetScoring(dataset)
        self.settings = check_settings(output, settings, self.results)
        self._check_inputs()
        if self.scoring.obstacle and (dataset.has_ground_truth or not dataset.config.scoring):
            logger.info("there will be no scores: %s", self.scoring.obstacle)
        if self.scoring.limits:
            logger.warning("%s", self.scoring.limits)

    @classmethod
    def check(cls, dataset: Dataset) -> None:
        """Check, before weights are loaded, that a dataset can be evaluated. Raises the errors of the class."""
        check_benchmark(dataset)

    @property
    def num_videos(self) -> int:
        """Number of videos to segment."""
        return len(self.dataset)

    def is_finished(self, video: Video) -> bool:
        """True if a video's results are complete."""
        return all(folder.is_dir() for folder in self._folders(video))

    def _folders(self, video: Video) -> list[Path]:
        """Return the folders of a video's results, which only exist when they are complete."""
        return [self.results / video.name]

    def failures(self) -> dict[str, str]:
        """Return the unfinished videos, with their errors if known."""
        out = {}
        for video in self.dataset:
            if not self.is_finished(video):
                path = self._failure_path(video)
                out[video.name] = read_text(path).strip() if path.exists() else "not finished"
        return out

    def finish(self, archive: str, num_workers: int | None = None) -> Scores | None:
        """Write timing, the archive and, if the dataset can be scored, scores.

        Args:
            archive: name of the archive, without suffix.
            num_workers: processes for scoring.

        Returns:
            the scores; None if the dataset can't be scored, which is logged with the reason.

        Raises:
            ValueError: not all videos are finished, or results are invalid.
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
        atomic_write_text(self.output / "timing.json", json.dumps(summarize(timings, environment), indent=2) + "\n")
        packed = self.output / f"{archive}{self.dataset.config.archive_suffix}"
        pack(self.dataset, self.results, packed)
        if self.scoring.obstacle:
            logger.info("no scores: %s", self.scoring.obstacle)
            return None
        scores = self.scoring.score(self.results, packed, num_workers)
        write_scores(scores, self.output / "scores.json")
        if scores.has_page:
            write_page(scores.frames, self.output / "scores_frames.png")
        return scores

    def _check_inputs(self) -> None:
        """Raise ValueError if finished results are those of other videos with the same names."""
        others = [
            video.name
            for video in self.dataset
            if EvaluationFolder.is_finished(self, video)
            and self._input_path(video).exists()
            and read_text(self._input_path(video)).strip() != input_checksum(video)
        ]
        if others:
            raise ValueError(
                f"{self.output} holds results of other videos of the same names, whose frames or given masks differ: "
                f"{', '.join(others[:3])}{', ...' * (len(others) > 3)}: give another output folder, or remove their "
                f"folders in {self.results} to segment them again"
            )

    def _note_input(self, video: Video) -> None:
        """Record which video the results are for, before they appear."""
        path = self._input_path(video)
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(path, f"{input_checksum(video)}\n")

    def _input_path(self, video: Video) -> Path:
        return self.output / ".inputs" / f"{video.name}.txt"

    def _timing_path(self, video: Video) -> Path:
        return self.output / ".timing" / f"{video.name}.json"

    def _failure_path(self, video: Video) -> Path:
        return self.output / ".failures" / f"{video.name}.txt"

    def _failed(self, video: Video, error: ValueError | OSError | torch.OutOfMemoryError) -> None:
        """Log and record the error of a video, so that others can run. Raise it if the disk is full."""
        if isinstance(error, OSError) and error.errno in _FULL:
            raise error
        logger.error("video %s: %s", video.name, error)
        path = self._failure_path(video)
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(path, f"{error}\n")
