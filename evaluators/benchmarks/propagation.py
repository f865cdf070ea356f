"""Evaluation on benchmarks with mask prompts: every video of a dataset, into a resumable folder of results."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Generator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from voskit.dataloaders.datasets import Dataset, Video
from voskit.dataloaders.video.prefetch import prefetch
from voskit.dataloaders.video.source import Frame
from voskit.evaluators.benchmarks.batched import FrameRequest, FrameResult, RunningVideo, next_results
from voskit.evaluators.benchmarks.folder import EvaluationFolder
from voskit.evaluators.benchmarks.score_maps import ScoreMaps
from voskit.evaluators.benchmarks.timing import Stopwatch, VideoTiming
from voskit.evaluators.clips.mask_writer import MaskWriter
from voskit.evaluators.parallel.work_queue import Items
from voskit.evaluators.progress import progress_bar
from voskit.evaluators.segmenter import VideoSegmenter

logger = logging.getLogger(__name__)

Watch = Callable[[VideoSegmenter, Video, Frame, np.ndarray], None]
"""Called after each predicted frame with the segmenter, the video, the frame and its ids."""


class PropagationEvaluation(EvaluationFolder):
    """Evaluation of a model that propagates masks, see :class:`EvaluationFolder`.

    Args:
        dataset: an opened dataset whose videos have masks of their objects.
        output, settings: see ``EvaluationFolder``.
        save_scores: also write the probabilities of all frames, see :mod:`voskit.evaluators.benchmarks.score_maps`; a
            video counts as finished only with them.
        watch: called after each predicted frame.

    Raises:
        ValueError: the dataset has no masks to propagate, or the folder contains results with other settings.
    """

    def __init__(
        self,
        dataset: Dataset,
        output: Path,
        settings: dict[str, Any],
        *,
        save_scores: bool = False,
        watch: Watch | None = None,
    ) -> None:
        super().__init__(dataset, output, settings)
        self.save_scores = save_scores
        self.watch = watch

    @classmethod
    def check(cls, dataset: Dataset) -> None:
        if dataset.config.task not in ("semi_supervised", "panoptic") or not any(v.mask_files for v in dataset):
            raise ValueError(
                f"{dataset.name} {dataset.split} has no masks to propagate: evaluate a model with text prompts"
            )
        super().check(dataset)

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
        """Segment this process's videos, longest first. If a video can't be read, log that and go to the next.

        Args:
            segmenter: the segmenter, which is reset before and after each video.
            queue: hands out the videos.
            progress: show a progress bar.
            videos_at_once: videos that go through the network as a batch, see ``VideoSegmenter.step_together``.

        Raises:
            OSError: the disk is full.
            ValueError: ``videos_at_once`` is above 1, but the segmenter has a ``target_fps``.
        """
        # Finished videos stay in the list, which must be the same for processes that start at different times.
        order = sorted(self.dataset, key=lambda v: len(v.frame_names), reverse=True)
        unfinished = [v for v in order if not self.is_finished(v)]
        if len(unfinished) < len(order):
            logger.info("%d of %d videos are already finished", len(order) - len(unfinished), len(order))
        idle = [segmenter, *(segmenter.another() for _ in range(videos_at_once - 1))]
        if unfinished:
            _warm_up(segmenter)
        stopwatch = Stopwatch(segmenter.device)
        videos = (order[place] for place in queue.items(len(order)))
        running: list[RunningVideo] = []
        with progress_bar(total=sum(len(v.frame_names) for v in unfinished), unit="frame", shown=progress) as bar:
            try:
                while True:
                    while idle and (video := next(videos, None)) is not None:
                        if self.is_finished(video):
                            continue
                        stopwatch.reset_peak_memory()
                        bar.set_description(video.name, refresh=False)
                        one = RunningVideo(idle[-1], video, self._segment_video(idle[-1], video))
                        if self._advance(one, None, bar):
                            running.append(one)
                            idle.pop()
                    if not running:
                        return
                    try:
                        results = next_results(running, stopwatch)
                    except torch.OutOfMemoryError as error:
                        while running:  # it isn't known which of them needs too much
                            one = running.pop()
                            one.steps.close()
                            idle.append(one.segmenter)
                            self._failed(one.video, error)
                            bar.update(len(one.video.frame_names) - one.frames)
                        continue
                    for one, result in zip(tuple(running), results, strict=True):
                        one.frames += 1
                        if segmenter.depth is not None:
                            bar.set_postfix_str(f"depth {segmenter.depth}", refresh=False)
                        bar.update()
                        if not self._advance(one, result, bar):
                            running.remove(one)
                            idle.append(one.segmenter)
            finally:
                for one in running:
                    one.steps.close()

    def _advance(self, one: RunningVideo, result: FrameResult | None, bar: tqdm) -> bool:
        """Pass on the result of a frame. True if the video requests another frame; an error ends the video."""
        try:
            if one.advance(result):
                return True
        except (ValueError, OSError) as error:
            self._failed(one.video, error)
        bar.update(len(one.video.frame_names) - one.frames)  # the remaining frames of a failed video
        return False

    def _segment_video(self, segmenter: VideoSegmenter, video: Video) -> Generator[FrameRequest, FrameResult, None]:
        """Read a video, yield a request for each frame, and write the results that are sent to the generator."""
        partial = self.output / ".partial" / video.name
        shutil.rmtree(partial, ignore_errors=True)
        wanted, unseen = set(video.wanted), set(video.given)
        first = next(iter(video.mask_files), None)
        if first is not None and first not in video.given:
            logger.warning(
                "video %s: the first mask, of frame %s, shows no object: the mask of frame %s is given instead",
                video.name, first, ", ".join(video.given),
            )  # fmt: skip
        timing = VideoTiming(video.name, began=time.time())
        start = time.perf_counter()
        segmenter.reset()
        size = self.dataset.result_size(video)
        scores = ScoreMaps(self._scores_path(video)) if self.save_scores else None
        with video.source() as source, MaskWriter(partial) as writer, scores or nullcontext():
            for frame in prefetch(source):
                mask = video.mask(frame.name)
                unseen.discard(frame.name)
                mask = None if mask is None else mask.astype(np.uint16)  # a lone 255 is an id
                segmenter.check(frame.image, mask)
                predicted = mask is None and bool(segmenter.object_ids)
                result = yield FrameRequest(frame.image, mask, size, scores is not None)
                if predicted and self.watch is not None:
                    self.watch(segmenter, video, frame, result.ids)
                if scores is not None and result.probabilities is not None:
                    scores.add(frame.name, result.probabilities)
                if frame.name in wanted:
                    writer.write(frame.name, result.ids)
                timing.frames += 1
                timing.predicted_frames += predicted
                timing.model_seconds += result.seconds if predicted else 0.0
                timing.objects = max(timing.objects, len(segmenter.object_ids))
                timing.peak_memory = max(timing.peak_memory or 0, result.memory or 0) or None
                timing.memory_bytes = max(timing.memory_bytes or 0, segmenter.memory_bytes)
            timing.frame_size = source.size
            if unseen:
                raise ValueError(
                    f"{len(unseen)} given masks belong to frames that aren't in the video, such as {min(unseen)}"
                )
            if missing := wanted - set(writer.names):
                raise ValueError(f"{len(missing)} frames to evaluate aren't in the video, such as {min(missing)}")
            if not timing.objects:
                logger.warning("video %s: no given mask shows an object, so its results are empty", video.name)
            if scores is not None:
                scores.finish(segmenter.object_ids)
        timing.model_seconds = round(timing.model_seconds, 6)
        timing.seconds = round(time.perf_counter() - start, 6)
        timing.save(self._timing_path(video))
        self._note_input(video)
        final = self.results / video.name
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.exists():  # from an evaluation that saved no probabilities
            shutil.rmtree(final)
        partial.rename(final)
        self._failure_path(video).unlink(missing_ok=True)


def _warm_up(segmenter: VideoSegmenter) -> None:
    """Run two frames, so that libraries choose their kernels before anything is timed."""
    frame = np.zeros((480, 854, 3), np.uint8)
    mask = np.zeros((480, 854), np.uint8)
    mask[100:200, 100:200] = 1
    segmenter.reset()
    segmenter.step(frame, mask)
    segmenter.step(frame)
    segmenter.reset()
