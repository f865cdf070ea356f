"""Running a benchmark: every video of a dataset into a folder of results, resumable at any moment.

A video's masks are written to ``.partial/<video>``, and the folder is renamed to ``Annotations/<video>`` when it is
whole: what lies there is finished and is never computed again, what doesn't is not counted.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import platform
import shutil
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from dataloaders.datasets import Dataset, Video
from dataloaders.prefetch import prefetch
from evaluators.metrics import SCORERS, Scores, score
from evaluators.metrics.page import write_page
from evaluators.metrics.report import write_scores
from evaluators.score_maps import ScoreMaps
from evaluators.segmenter import VideoSegmenter
from evaluators.side_by_side import Result, Running, Wanted, next_results
from evaluators.submission import pack
from evaluators.timing import Stopwatch, VideoTiming, summarise
from evaluators.work_queue import Items
from evaluators.writers import MaskWriter, replace_text

logger = logging.getLogger(__name__)

_FULL = (errno.ENOSPC, errno.EDQUOT)


class Evaluation:
    """Results of one model with one setting on one dataset, in one folder.

    ``Annotations/<video>/<frame>.png``, ``settings.json``, and in the end ``timing.json``, the archive for the server
    and, where the ground truth is there, ``scores.json``.

    Args:
        dataset: an opened dataset whose videos come with masks of their objects.
        output: the folder; it may hold an unfinished evaluation of the same settings.
        settings: everything that results depend on, as JSON types.

    Raises:
        ValueError: the dataset gives no masks, or the folder holds results of other settings.
    """

    def __init__(self, dataset: Dataset, output: Path, settings: dict[str, Any]) -> None:
        if dataset.config.task not in ("semi_supervised", "panoptic") or not any(v.given for v in dataset):
            raise ValueError(f"{dataset.name} {dataset.split} gives no masks of objects, which this evaluation needs")
        self.dataset = dataset
        self.output = output
        self.results = output / "Annotations"
        self.settings = json.loads(json.dumps(settings))
        self._check_settings()

    def _check_settings(self) -> None:
        path = self.output / "settings.json"
        if path.exists():
            try:
                before = json.loads(path.read_text())
            except json.JSONDecodeError as error:
                raise ValueError(f"{path} is damaged ({error}): give another output folder") from None
            differing = [k for k in {**before, **self.settings} if before.get(k) != self.settings.get(k)]
            if differing:
                was = "; ".join(f"{k}: {before.get(k)!r} there, {self.settings.get(k)!r} now" for k in differing[:3])
                raise ValueError(f"{self.output} holds results of other settings ({was}): give another output folder")
            return
        if self.results.exists():
            raise ValueError(f"{self.results} is not from an evaluation of ours: give another output folder")
        self.output.mkdir(parents=True, exist_ok=True)
        replace_text(path, json.dumps(self.settings, indent=2) + "\n")

    def is_finished(self, video: Video) -> bool:
        """Whether all results of a video are there."""
        return (self.results / video.name).is_dir()

    def run(
        self,
        segmenter: VideoSegmenter,
        queue: Items,
        *,
        progress: bool = True,
        save_scores: bool = False,
        videos_at_once: int = 1,
    ) -> None:
        """Segment the videos that this process gets, longest first; a bad one is logged and the others go on.

        With ``save_scores`` probabilities of all frames are kept, too, see :mod:`evaluators.score_maps`. With
        ``videos_at_once`` several videos go through the network side by side, see ``VideoSegmenter.step_together``.

        Raises:
            OSError: the disk is full.
            ValueError: several videos at once with a segmenter that holds a frame rate.
        """
        # finished videos stay in the list: it has to be the same for processes that start at different times
        order = sorted(self.dataset, key=lambda v: len(v.frame_names), reverse=True)
        total = sum(len(v.frame_names) for v in order if not self.is_finished(v))
        free = [segmenter, *(segmenter.another() for _ in range(videos_at_once - 1))]
        _warm_up(segmenter)
        stopwatch = Stopwatch(next(segmenter.model.parameters()).device)
        places = queue.items(len(order))
        running: list[Running] = []
        with tqdm(total=total, unit="frame", disable=not progress) as bar:

            def go_on(one: Running, result: Result | None) -> None:
                """Give a video the result of a frame, and take it out if it wants no other one."""
                if not self._goes_on(one, result):
                    bar.update(len(one.video.frame_names) - one.frames)  # of one that broke off
                    running.remove(one)
                    free.append(one.segmenter)

            try:
                while True:
                    while free and (place := next(places, None)) is not None:
                        video = order[place]
                        if self.is_finished(video):
                            continue
                        stopwatch.forget_memory()
                        bar.set_description(video.name, refresh=False)
                        own = free.pop()
                        work = self._segment_video(own, video, ScoreMaps() if save_scores else None)
                        running.append(Running(own, video, work))
                        go_on(running[-1], None)
                    if not running:
                        return
                    for one, result in zip(tuple(running), next_results(running, stopwatch), strict=True):
                        one.frames += 1
                        if segmenter.depth is not None:
                            bar.set_postfix_str(f"depth {segmenter.depth}", refresh=False)
                        bar.update()
                        go_on(one, result)
            finally:
                for one in running:
                    one.work.close()

    def _goes_on(self, one: Running, result: Result | None) -> bool:
        """Give a video the result of a frame; whether it wants another one. An error ends it and is noted."""
        try:
            one.wanted = next(one.work) if result is None else one.work.send(result)
            return True
        except StopIteration:
            return False
        except (ValueError, OSError) as error:
            if isinstance(error, OSError) and error.errno in _FULL:
                raise
            logger.error("video %s: %s", one.video.name, error)
            self._note_failure(one.video, error)
            return False

    def _segment_video(
        self, segmenter: VideoSegmenter, video: Video, scores: ScoreMaps | None
    ) -> Generator[Wanted, Result, None]:
        """Read and write a video; frames are given out and results are taken in."""
        partial = self.output / ".partial" / video.name
        shutil.rmtree(partial, ignore_errors=True)
        wanted = set(video.wanted)
        timing = VideoTiming(video.name)
        start = time.perf_counter()
        segmenter.reset()
        size = self.dataset.result_size(video)
        with video.source() as source, MaskWriter(partial) as writer:
            for frame in prefetch(source):
                mask = video.mask(frame.name)
                segmenter.check(frame.image, mask)
                predicted = mask is None and bool(segmenter.object_ids)
                result = yield Wanted(frame.image, mask, size, scores is not None)
                if scores is not None and result.probabilities is not None:
                    scores.add(frame.name, result.probabilities)
                if frame.name in wanted:
                    writer.write(frame.name, result.ids)
                timing.frames += 1
                timing.predicted_frames += predicted
                timing.model_seconds += result.seconds if predicted else 0.0
                timing.objects = max(timing.objects, len(segmenter.object_ids))
                timing.peak_memory = max(timing.peak_memory or 0, result.memory or 0) or None
            timing.frame_size = source.size
        missing = wanted - set(writer.names)
        if missing:
            raise ValueError(f"{len(missing)} frames that are asked for are not in the video, such as {min(missing)}")
        timing.model_seconds = round(timing.model_seconds, 6)
        timing.seconds = round(time.perf_counter() - start, 6)
        timing.save(self._timing_path(video))
        if scores is not None:
            scores.save(self.output / "Scores" / f"{video.name}.npz", segmenter.object_ids)
        final = self.results / video.name
        final.parent.mkdir(parents=True, exist_ok=True)
        partial.rename(final)
        self._failure_path(video).unlink(missing_ok=True)

    def failures(self) -> dict[str, str]:
        """Videos that are not finished, and why as far as that is known."""
        out = {}
        for video in self.dataset:
            if not self.is_finished(video):
                path = self._failure_path(video)
                out[video.name] = path.read_text().strip() if path.exists() else "not run to its end"
        return out

    def finish(self, archive: str, num_workers: int | None = None) -> Scores | None:
        """Write timing, the archive and, where the ground truth is there, scores.

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
        timings = [VideoTiming.load(self._timing_path(v)) for v in self.dataset if self._timing_path(v).exists()]
        keys = ("model", "device", "amp", "scales", "flip")
        environment = {
            "torch": torch.__version__,
            "processor": platform.processor() or platform.machine(),
            "accelerator": torch.cuda.get_device_name() if self.settings.get("device") == "cuda" else None,
            "dtype": {"fp16": "float16", "bf16": "bfloat16"}.get(self.settings.get("amp") or "", "float32"),
            **{k: self.settings.get(k) for k in keys},
        }
        replace_text(self.output / "timing.json", json.dumps(summarise(timings, environment), indent=2) + "\n")
        pack(self.dataset, self.results, self.output / f"{archive}{self.dataset.config.archive_suffix}")
        if not self.dataset.has_ground_truth or self.dataset.config.scoring not in SCORERS.names():
            logger.info("no scores: the ground truth of %s %s is not there", self.dataset.name, self.dataset.split)
            return None
        scorer = SCORERS.get(self.dataset.config.scoring)
        options: dict[str, Any] = {"split": self.dataset.split} if "split" in scorer.options else {}
        if "resolution" in scorer.options:  # the folder that holds the videos' true masks
            options["resolution"] = next(v.ground_truth.parent.name for v in self.dataset if v.ground_truth)
        scores = score(scorer.name, self.dataset.root, self.results, num_workers=num_workers, **options)
        write_scores(scores, self.output / "scores.json")
        if scores.frames:
            write_page(scores.frames, self.output / "scores_frames.png")
        return scores

    def _timing_path(self, video: Video) -> Path:
        return self.output / ".timing" / f"{video.name}.json"

    def _failure_path(self, video: Video) -> Path:
        return self.output / ".failures" / f"{video.name}.txt"

    def _note_failure(self, video: Video, error: Exception) -> None:
        path = self._failure_path(video)
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, f"{error}\n")


def _warm_up(segmenter: VideoSegmenter) -> None:
    """Let libraries choose their kernels before anything is timed."""
    frame = np.zeros((480, 854, 3), np.uint8)
    mask = np.zeros((480, 854), np.uint8)
    mask[100:200, 100:200] = 1
    segmenter.reset()
    segmenter.step(frame, mask)
    segmenter.step(frame)
    segmenter.reset()


def digest(path: str | os.PathLike[str]) -> str:
    """The first 16 hex digits of a file's SHA-256: which checkpoint results are from."""
    sha = hashlib.sha256()
    with Path(path).open("rb") as f:
        while block := f.read(2**22):
            sha.update(block)
    return sha.hexdigest()[:16]


def settings_of(
    segmenter: VideoSegmenter, dataset: Dataset, model: str, checkpoint: Path, device: torch.device
) -> dict[str, Any]:
    """Everything that results depend on."""
    scales: Sequence[float] = sorted({a.scale for a in segmenter.augmentations})
    return {
        "model": model,
        "checkpoint": digest(checkpoint),
        "config": segmenter.config.to_dict(),
        "scales": list(scales),
        "flip": any(a.flip for a in segmenter.augmentations),
        "amp": segmenter.amp,
        "target_fps": segmenter.target_fps,
        "device": device.type,
        "dataset": dataset.config.to_dict(),
        "split": dataset.split,
    }
