"""Worker of a batch: one model, one video after the other."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from voskit.dataloaders.files import exclusive_lock
from voskit.dataloaders.video.excerpt import open_excerpt
from voskit.evaluators.batch.jobs import BatchJob, find_problems
from voskit.evaluators.batch.results import BatchResults, JobRecord
from voskit.evaluators.batch.storage import fingerprint, local_copy, remove_dead_downloads, remove_empty_folders
from voskit.evaluators.clips.clip_writer import remove_results
from voskit.evaluators.clips.report import ClipReport, ResumeError
from voskit.evaluators.clips.run import refer_clip, segment_clip
from voskit.evaluators.clips.scenes import ClipOptions
from voskit.evaluators.clips.sources import Clip
from voskit.evaluators.parallel.work_queue import Items
from voskit.evaluators.referring import ReferringSegmenter
from voskit.evaluators.segmenter import VideoSegmenter

logger = logging.getLogger(__name__)

_LOCK_SECONDS = 60.0  # a worker that was stopped may take this long to close its files
DOWNLOADS = ".downloads"
"""Folder of downloaded videos and masks, below the local output."""


class BatchWorker:
    """A model that segments videos of a batch.

    Args:
        segmenter: for masks or for text prompts, whichever the videos of the batch have.
        results: records of the batch.
        options: options of the results; ``resume`` continues videos that a killed worker left unfinished.
        propagator: see :func:`~voskit.evaluators.clips.run.refer_clip`.
    """

    def __init__(
        self,
        segmenter: VideoSegmenter | ReferringSegmenter,
        results: BatchResults,
        options: ClipOptions,
        propagator: VideoSegmenter | None = None,
    ) -> None:
        self._segmenter = segmenter
        self._results = results
        self._options = options
        self._propagator = propagator
        remove_dead_downloads(results.store.local / DOWNLOADS)

    def run_all(self, jobs: Sequence[BatchJob], items: Items, *, skip: Collection[str] = ("done",)) -> None:
        """Segment the videos that ``items`` hands out, except for those in a state to skip.

        Args:
            jobs: all videos of the batch, whose summary is kept up to date.
            items: numbers of the videos of this worker.
            skip: states of videos to skip.
        """
        for number in items.items(len(jobs)):
            if self._results.record(jobs[number]).state not in skip:
                self.run(jobs[number])
                self._results.update_summary(jobs)

    def run(self, job: BatchJob) -> JobRecord:
        """Segment one video, and record how that went; errors don't end the batch.

        Raises:
            OSError: the record can't be written.
        """
        inputs, record = fingerprint(job.video, job.mask), self._results.record(job)
        last = record.inputs
        self._results.save(job, "running", inputs=inputs, started=time.time())
        if problem := find_problems([job], self._results.store).get(job.name):
            return self._failed(job, problem, inputs)
        begin = time.perf_counter()
        resume = self._options.resume and bool(record.job) and last in ("", inputs)
        if last and not resume:  # replace results of an earlier run of this batch
            remove_results(self._results.store.local / job.name)
        try:
            try:
                report = self._segment(job, resume=resume)
            except ResumeError as error:
                logger.warning("%s: starting over: %s", job.name, error.reason)
                report = self._segment(job, resume=False)
            self._results.store.upload(job.name)
        except (ValueError, OSError) as error:
            return self._failed(job, str(error), inputs)
        except Exception as error:  # from a plugin, a driver, ...: the other videos may still succeed
            logger.exception("%s", job.name)
            return self._failed(job, f"{type(error).__name__}: {error}", inputs)
        seconds = round(time.perf_counter() - begin, 3)
        logger.info("%s: %s", job.name, report.summary()[-1])
        values = {"frames": report.frames, "objects": report.objects, "seconds": seconds}
        record = self._results.save(job, "done", inputs=inputs, **values)
        if self._results.store.remote:  # they were uploaded, and the local disk may be small
            folder = self._results.store.local / job.name
            remove_results(folder)
            remove_empty_folders(folder)
        return record

    def _failed(self, job: BatchJob, reason: str, inputs: str) -> JobRecord:
        line = (reason.splitlines() or ["no message"])[0]
        logger.error("%s: %s", job.name, line)
        return self._results.save(job, "failed", error=line, inputs=inputs)

    def _segment(self, job: BatchJob, *, resume: bool) -> ClipReport:
        """Segment a video into its folder of the local output."""
        options, store = self._options, self._results.store
        folder, downloads = store.local / job.name, store.local / DOWNLOADS
        _wait_for_lock(folder)
        with (
            local_copy(job.video, downloads) as video,
            local_copy(job.mask, downloads) as mask,
            open_excerpt(_source(job.video, video), options.start, options.end, fps=options.fps) as source,
        ):
            if isinstance(self._segmenter, ReferringSegmenter):
                return refer_clip(
                    self._segmenter, source, job.text, folder, propagator=self._propagator, progress=False,
                    **options.output,  # type: ignore[arg-type]
                )  # fmt: skip
            masks = Clip(job.video, mask, job.name if job.scene else "").open_masks(source)
            return segment_clip(
                self._segmenter, source, masks, folder, complete_masks=options.complete_masks,
                backwards=options.backwards, fuse=options.fuse, resume=resume, progress=False,
                **options.output,  # type: ignore[arg-type]
            )  # fmt: skip


def _source(video: str, copy: Path) -> str:
    """Return the local copy of a video, or the unchanged URL of a stream."""
    return video if "://" in video and not copy.exists() else str(copy)


def _wait_for_lock(folder: Path) -> None:
    """Wait until a worker that was asked to stop has closed the files of a video. Raises ValueError after a minute."""
    end = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            with exclusive_lock(folder):
                return
        except ValueError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
