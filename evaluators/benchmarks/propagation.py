"""Running a benchmark of propagation: every video of a dataset into a folder of results, resumable at any moment."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Generator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from voskit.dataloaders.datasets import Dataset, Video
from voskit.dataloaders.video.prefetch import prefetch
from voskit.evaluators.benchmarks.batched import FrameRequest, Result, RunningVideo, next_results
from voskit.evaluators.benchmarks.folder import EvaluationFolder
from voskit.evaluators.benchmarks.score_maps import ScoreMaps
from voskit.evaluators.benchmarks.timing import Stopwatch, VideoTiming
from voskit.evaluators.benchmarks.work_queue import Items
from voskit.evaluators.clips.mask_writer import MaskWriter
from voskit.evaluators.segmenter import VideoSegmenter

logger = logging.getLogger(__name__)


class Evaluation(EvaluationFolder):
    """Results of a model that propagates masks, see :class:`EvaluationFolder`.

    Args:
        dataset: an opened dataset whose videos come with masks of their objects.
        output, settings: see ``EvaluationFolder``.
        save_scores: keep the probabilities of all frames, too, see :mod:`voskit.evaluators.benchmarks.score_maps`;
        a video is finished
            when they are there.

    Raises:
        ValueError: the dataset gives no masks, or the folder holds results of other settings.
    """

    def __init__(self, dataset: Dataset, output: Path, settings: dict[str, Any], *, save_scores: bool = False) -> None:
        if dataset.config.task not in ("semi_supervised", "panoptic") or not any(v.given for v in dataset):
            raise ValueError(f"{dataset.name} {dataset.split} gives no masks of objects, which this evaluation needs")
        super().__init__(dataset, output, settings)
        self.save_scores = save_scores

    def is_finished(self, video: Video) -> bool:
        return super().is_finished(video) and (not self.save_scores or self._scores_path(video).exists())

    def _scores_path(self, video: Video) -> Path:
        return self.output / "Scores" / f"{video.name}.npz"

    def run(
        self,
        segmenter: VideoSegmenter,
        queue: Items,
        *,
        progress: bool = True,
        videos_at_once: int = 1,
    ) -> None:
        """Segment the videos that this process gets, longest first; a bad one is logged and the others go on.

        With ``videos_at_once`` several of them go through the network side by side, see
        ``VideoSegmenter.step_together``.

        Raises:
            OSError: the disk is full.
            ValueError: several videos at once with a segmenter that holds a frame rate.
        """
        # finished videos stay in the list: it has to be the same for processes that start at different times
        order = sorted(self.dataset, key=lambda v: len(v.frame_names), reverse=True)
        left = [v for v in order if not self.is_finished(v)]
        total = sum(len(v.frame_names) for v in left)
        if len(left) < len(order):
            logger.info("%d of %d videos are finished already", len(order) - len(left), len(order))
        free = [segmenter, *(segmenter.another() for _ in range(videos_at_once - 1))]
        _warm_up(segmenter)
        stopwatch = Stopwatch(next(segmenter.model.parameters()).device)
        places = queue.items(len(order))
        running: list[RunningVideo] = []
        with tqdm(total=total, unit="frame", disable=not progress) as bar:

            def go_on(one: RunningVideo, result: Result | None) -> None:
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
                        work = self._segment_video(own, video)
                        running.append(RunningVideo(own, video, work))
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

    def _goes_on(self, one: RunningVideo, result: Result | None) -> bool:
        """Give a video the result of a frame; whether it wants another one. An error ends it and is noted."""
        try:
            one.wanted = next(one.work) if result is None else one.work.send(result)
            return True
        except StopIteration:
            return False
        except (ValueError, OSError) as error:
            self._failed(one.video, error)
            return False

    def _segment_video(self, segmenter: VideoSegmenter, video: Video) -> Generator[FrameRequest, Result, None]:
        """Read and write a video; frames are given out and results are taken in."""
        partial = self.output / ".partial" / video.name
        shutil.rmtree(partial, ignore_errors=True)
        wanted = set(video.wanted)
        timing = VideoTiming(video.name, began=time.time())
        start = time.perf_counter()
        segmenter.reset()
        size = self.dataset.result_size(video)
        scores = ScoreMaps(self._scores_path(video)) if self.save_scores else None
        with video.source() as source, MaskWriter(partial) as writer, scores or nullcontext():
            for frame in prefetch(source):
                mask = video.mask(frame.name)
                segmenter.check(frame.image, mask)
                predicted = mask is None and bool(segmenter.object_ids)
                result = yield FrameRequest(frame.image, mask, size, scores is not None)
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
            if missing := wanted - set(writer.names):
                what = "frames that are asked for are not in the video"
                raise ValueError(f"{len(missing)} {what}, such as {min(missing)}")
            if scores is not None:
                scores.finish(segmenter.object_ids)
        timing.model_seconds = round(timing.model_seconds, 6)
        timing.seconds = round(time.perf_counter() - start, 6)
        timing.save(self._timing_path(video))
        final = self.results / video.name
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.exists():  # of an earlier evaluation that kept no probabilities
            shutil.rmtree(final)
        partial.rename(final)
        self._failure_path(video).unlink(missing_ok=True)


def _warm_up(segmenter: VideoSegmenter) -> None:
    """Let libraries choose their kernels before anything is timed."""
    frame = np.zeros((480, 854, 3), np.uint8)
    mask = np.zeros((480, 854), np.uint8)
    mask[100:200, 100:200] = 1
    segmenter.reset()
    segmenter.step(frame, mask)
    segmenter.step(frame)
    segmenter.reset()
