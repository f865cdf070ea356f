"""Evaluation on referring benchmarks: every expression of a dataset, into a resumable folder of results."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch

from voskit.dataloaders.datasets import ANNOTATORS, Dataset, Video
from voskit.dataloaders.video.prefetch import prefetch
from voskit.evaluators.benchmarks.folder import EvaluationFolder
from voskit.evaluators.benchmarks.timing import Stopwatch, VideoTiming
from voskit.evaluators.clips.key_frames import KeyFrame, propagate
from voskit.evaluators.clips.mask_writer import MaskWriter
from voskit.evaluators.parallel.work_queue import Items
from voskit.evaluators.progress import progress_bar
from voskit.evaluators.referring import ReferredObject, ReferringSegmenter, windows
from voskit.evaluators.segmenter import VideoSegmenter


class ReferringEvaluation(EvaluationFolder):
    """Evaluation of a model with text prompts, see :class:`EvaluationFolder`.

    - Ref-YouTube-VOS, MeViS: a folder ``<video>/<expression>`` of grayscale PNGs of 0 and 255 for each expression.
    - Ref-DAVIS17: a folder ``anno_<a>/<video>`` of PNGs of ids for each annotator; expression 4k + a is annotator a's
      text for object k + 1.

    Args:
        dataset: an opened dataset whose videos have expressions.
        output, settings: see ``EvaluationFolder``.

    Raises:
        ValueError: the dataset has no expressions, or the folder contains results with other settings.
    """

    @classmethod
    def check(cls, dataset: Dataset) -> None:
        if dataset.config.archive not in ("expressions", "annotators") or not any(v.expressions for v in dataset):
            raise ValueError(f"{dataset.name} {dataset.split} has no expressions: evaluate a model that takes masks")
        super().check(dataset)

    def _folders(self, video: Video) -> list[Path]:
        if self._by_annotator:
            return [self.results / f"anno_{a}" / video.name for a in range(ANNOTATORS)]
        return super()._folders(video)

    @property
    def _by_annotator(self) -> bool:
        return self.dataset.config.archive == "annotators"

    def run(
        self,
        segmenter: ReferringSegmenter,
        queue: Items,
        *,
        propagator: VideoSegmenter | None = None,
        progress: bool = True,
    ) -> None:
        """Segment this process's videos, longest first. If a video can't be read, log that and go to the next.

        Args:
            segmenter: segmenter of the model with text prompts.
            queue: hands out the videos.
            propagator: propagates the mask of each expression's key frame, the one with the highest score, forward and
                backward to all other frames, as ReferFormer's authors did with CFBI. If that mask is empty, the masks
                stay as they are.
            progress: show a progress bar.

        Raises:
            OSError: the disk is full.
            ValueError: there is a propagator, but the benchmark's results aren't by expression.
        """
        if propagator is not None and self._by_annotator:
            raise ValueError(f"{self.dataset.name} has all objects in one map, so its results can't be propagated")
        # Finished videos stay in the list, which must be the same for processes that start at different times.
        order = sorted(self.dataset, key=lambda v: len(v.frame_names) * len(v.expressions), reverse=True)
        total = sum(len(v.frame_names) * len(v.expressions) for v in order if not self.is_finished(v))
        with progress_bar(total=total, unit="mask", shown=progress) as bar:
            for place in queue.items(len(order)):
                video = order[place]
                if self.is_finished(video):
                    continue
                bar.set_description(video.name, refresh=False)
                try:
                    self._segment_video(segmenter, video, propagator)
                except (ValueError, OSError, torch.OutOfMemoryError) as error:
                    self._failed(video, error)
                bar.update(len(video.frame_names) * len(video.expressions))

    def _segment_video(self, segmenter: ReferringSegmenter, video: Video, propagator: VideoSegmenter | None) -> None:
        """Read a video and write its results, one window of frames at a time."""
        if not video.expressions:
            raise ValueError(f"{self.dataset.meta_path} has no expressions for this video")
        if self._by_annotator and len(video.expressions) % ANNOTATORS:
            raise ValueError(
                f"{len(video.expressions)} expressions, which isn't a multiple of {ANNOTATORS}, one for each annotator"
            )
        partial = self.output / ".partial" / video.name
        shutil.rmtree(partial, ignore_errors=True)
        names = [f"anno_{a}" for a in range(ANNOTATORS)] if self._by_annotator else list(video.expressions)
        stopwatch = Stopwatch(segmenter.device)
        stopwatch.reset_peak_memory()
        timing = VideoTiming(video.name, objects=len(video.expressions), began=time.time())
        start = time.perf_counter()
        keys = [KeyFrame() for _ in video.expressions]
        with video.source() as source, ExitStack() as stack:
            writers = [stack.enter_context(MaskWriter(partial / n, grayscale=not self._by_annotator)) for n in names]
            for window in windows(prefetch(source), segmenter.config.window):
                with stopwatch.running():
                    found = segmenter.refer([frame.image for frame in window], list(video.expressions.values()))
                timing.frames += len(window)
                timing.predicted_frames += len(window)
                timing.model_seconds += stopwatch.seconds
                timing.peak_memory = max(timing.peak_memory or 0, stopwatch.memory() or 0) or None
                if propagator is not None:
                    for key, one in zip(keys, found, strict=True):
                        best = int(one.frame_scores.argmax())
                        mask = segmenter.mask(one.probabilities(best, source.size))
                        key.update(float(one.frame_scores[best]), timing.frames - len(window) + best, mask)
                for i, frame in enumerate(window):
                    for writer, mask in zip(writers, self._masks(segmenter, found, i, source.size), strict=True):
                        writer.write(frame.name, mask)
            timing.frame_size = source.size
        if missing := set(video.wanted) - set(writers[0].names):
            raise ValueError(f"{len(missing)} frames to evaluate aren't in the video, such as {min(missing)}")
        if propagator is not None:
            for key, name in zip(keys, names, strict=True):
                if key.mask is not None:
                    with stopwatch.running():
                        self._propagate(propagator, video, key, partial / name)
                    timing.model_seconds += stopwatch.seconds
        timing.model_seconds = round(timing.model_seconds, 6)
        timing.seconds = round(time.perf_counter() - start, 6)
        timing.save(self._timing_path(video))
        self._note_input(video)
        self._finish_video(video, [partial / n for n in names] if self._by_annotator else [partial])

    def _propagate(self, propagator: VideoSegmenter, video: Video, key: KeyFrame, folder: Path) -> None:
        """Replace an expression's masks by those propagated from its key frame."""
        shutil.rmtree(folder)
        with video.source() as source, MaskWriter(folder, grayscale=True) as writer:
            for frame, ids in propagate(propagator, source, [key], folder.with_name(f".{folder.name}.backwards")):
                writer.write(frame.name, (ids > 0).astype(np.uint8) * 255)

    def _masks(
        self, segmenter: ReferringSegmenter, found: Sequence[ReferredObject], frame: int, size: tuple[int, int]
    ) -> list[np.ndarray]:
        """Return the images to write for a frame: the mask of each expression, or the ids of each annotator."""
        maps = [one.probabilities(frame, size) for one in found]
        if self._by_annotator:
            return [segmenter.ids(maps[a::ANNOTATORS]) for a in range(ANNOTATORS)]
        return [segmenter.mask(one).astype(np.uint8) * 255 for one in maps]

    def _finish_video(self, video: Video, folders: Sequence[Path]) -> None:
        for whole, final in zip(folders, self._folders(video), strict=True):
            shutil.rmtree(final, ignore_errors=True)  # left by a process that was killed between two annotators
            final.parent.mkdir(parents=True, exist_ok=True)
            whole.rename(final)
        shutil.rmtree(self.output / ".partial" / video.name, ignore_errors=True)
        self._failure_path(video).unlink(missing_ok=True)
