"""Segmentation of a clip with masks or text prompts; results go to a folder."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from voskit.dataloaders.masks.frame_masks import FrameMasks
from voskit.dataloaders.video.prefetch import prefetch
from voskit.dataloaders.video.source import Frame, FrameSource
from voskit.evaluators.clips.backward import backward_pass
from voskit.evaluators.clips.clip_writer import SCRATCH, ClipWriter
from voskit.evaluators.clips.key_frames import KeyFrame, propagate
from voskit.evaluators.clips.previews import PreviewOptions
from voskit.evaluators.clips.report import ClipReport, TextPrompt, check_same_clip
from voskit.evaluators.clips.resuming import ClipCheckpoints, check_settings, clip_settings
from voskit.evaluators.referring import ReferringSegmenter, windows
from voskit.evaluators.segmenter import VideoSegmenter
from voskit.networks.memory_usage import memory_in_use

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)


def segment_clip(
    segmenter: VideoSegmenter,
    source: FrameSource,
    masks: FrameMasks,
    folder: Path,
    *,
    complete_masks: bool = False,
    backwards: bool = False,
    fps: float | None = None,
    max_frames: int | None = None,
    progress: bool = True,
    overlay: bool = True,
    resume: bool = False,
) -> ClipReport:
    """Segment a clip frame by frame and write its results; neither frames nor masks pile up in memory.

    Args:
        segmenter: reset before and after.
        source: the frames.
        masks: the masks of the frames that have one.
        folder: folder of the results, see :class:`~voskit.evaluators.clips.clip_writer.ClipWriter`.
        complete_masks: masks show all objects, see ``VideoSegmenter.step``.
        backwards: also propagate objects to the frames before their first masks, see
            :func:`~voskit.evaluators.clips.backward.backward_pass`.
        fps: rate of the overlay video; None: that of the frames' times, or 25 for images.
        max_frames: stop after this many frames.
        progress: show a bar with frames per second and memory.
        overlay: write the overlay video.
        resume: continue a run that was broken off, see :mod:`voskit.evaluators.clips.resuming`. Its masks so far are
            kept, and the others equal those of an undisturbed run.

    Raises:
        ValueError: a frame or mask is damaged or doesn't fit, or no frame has a mask; results of the frames before it
            are kept. Or the masks lie in the folder of the results, which would replace them; or the source can't be
            read backwards; or there are results of another clip of this name, or of other settings, frames or masks to
            resume.
        OSError: results can't be written.
    """
    if masks.path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{masks.path} lies in {folder}, whose files the results replace: give another output folder")
    masks.check(source)
    if backwards:
        source.check_rereadable()
    if resume and segmenter.target_fps is not None:
        raise ValueError("--resume: masks with a target_fps depend on the machine's speed: run without one of them")
    options = {"complete_masks": complete_masks, "backwards": backwards}
    identity = check_same_clip(folder, source)
    report = ClipReport(source.name, source=identity, settings=clip_settings(segmenter, **options))
    if resume and (done := _complete_report(folder, report, max_frames)) is not None:
        logger.info("%s: complete already", folder)
        return done
    with ClipRun(source, report, folder, segmenter.device, fps, max_frames, progress, overlay) as run:
        checkpoints = ClipCheckpoints(folder, segmenter, report.settings)
        if resume:
            run.resume(checkpoints)
        last = masks.last(source, max_frames) if backwards else 0
        if backwards and not last:
            logger.warning("%s: only the first frame has a mask, so there is no backward pass", masks.path)
        segmenter.reset()
        backward = backward_pass(
            segmenter, source, masks, last, folder / SCRATCH, complete=complete_masks, progress=progress
        )
        try:
            with backward if last else nullcontext() as backward_masks:
                for frame, mask in run.new_frames(masks, checkpoints):
                    depth = segmenter.depth
                    report.names = masks.names
                    ids = segmenter.step(frame.image, mask, complete=complete_masks)
                    if backward_masks is not None:
                        ids = backward_masks.overlay_on(frame, ids, segmenter.object_ids, mask)
                    report.objects = max(report.objects, len(segmenter.object_ids))
                    if depth is not None:
                        report.depths[depth] = report.depths.get(depth, 0) + 1
                    state = [f"{report.objects} objects", *([] if depth is None else [f"depth {segmenter.depth}"])]
                    run.write(frame, ids, *state)
        finally:
            segmenter.reset()
        if not report.objects:
            raise ValueError(f"{masks.path}: no frame of {source.name} has a mask with an object in it")
        if max_frames is None:
            masks.check_all_used()
    checkpoints.remove()
    return report


def _complete_report(folder: Path, own: ClipReport, max_frames: int | None) -> ClipReport | None:
    """Return the report of a complete run with the same settings and as many frames; None: there is none.

    Raises:
        ValueError: the results have other settings.
    """
    report = ClipReport.load(folder)
    if report is None or not report.complete or report.cut != (max_frames is not None):
        return None
    if max_frames is not None and report.frames != max_frames:
        return None
    check_settings(report.settings, own.settings, folder)
    return report


def refer_clip(
    segmenter: ReferringSegmenter,
    source: FrameSource,
    prompts: Sequence[str],
    folder: Path,
    *,
    propagator: VideoSegmenter | None = None,
    fps: float | None = None,
    max_frames: int | None = None,
    progress: bool = True,
    overlay: bool = True,
) -> ClipReport:
    """Segment the objects of text prompts in a clip, a window of frames at a time, and write the results.

    The first prompt's object has id 1, and so on. With ``propagator`` all windows are searched for the frame in which
    each prompt has its highest score, and the object is propagated from there; see
    :mod:`voskit.evaluators.clips.key_frames`. The other arguments are those of ``segment_clip``.

    Raises:
        ValueError: a frame is damaged or a prompt can't be used; results of the windows before it are kept.
        OSError: results can't be written.
    """
    if propagator is not None:
        source.check_rereadable()
    identity = check_same_clip(folder, source)
    sentences = [TextPrompt(text) for text in prompts]
    report = ClipReport(source.name, source=identity, objects=len(prompts), sentences=sentences)
    state = f"{len(prompts)} text prompts"
    with ClipRun(source, report, folder, segmenter.device, fps, max_frames, progress, overlay) as run:
        found = _refer(segmenter, run.frames(), report.sentences, source.size)
        if propagator is None:
            for frame, ids, _ in found:
                run.write(frame, ids, state)
            return report
        keys = [KeyFrame() for _ in prompts]
        names: list[str] = []
        for frame, ids, scores in found:
            names.append(frame.name)
            for number, (key, score) in enumerate(zip(keys, scores, strict=True), 1):
                key.update(score, frame.index, ids == number)
        for prompt, key in zip(report.sentences, keys, strict=True):
            prompt.key_frame = names[key.index] if key.mask is not None else None
        logger.info("propagating from key frames: %s", ", ".join(str(p.key_frame) for p in report.sentences))
        with closing(propagate(propagator, source, keys, folder / SCRATCH)) as propagated:
            for frame, ids in itertools.islice(propagated, len(names)):
                run.write(frame, ids, state)
    return report


def _refer(
    segmenter: ReferringSegmenter, frames: Iterator[Frame], prompts: Sequence[TextPrompt], size: tuple[int, int]
) -> Iterator[tuple[Frame, np.ndarray, list[float]]]:
    """Yield each frame, its ids [H, W] and the prompts' scores there; note the scores of each window."""
    for window in windows(frames, segmenter.config.window):
        found = segmenter.refer([frame.image for frame in window], [prompt.text for prompt in prompts])
        for prompt, one in zip(prompts, found, strict=True):
            prompt.scores.append(round(float(one.scores[one.candidate]), 4))
        for i, frame in enumerate(window):
            ids = segmenter.ids([one.probabilities(i, size) for one in found])
            yield frame, ids, [float(one.frame_scores[i]) for one in found]


class ClipRun:
    """The loop over a clip: prefetched frames, a writer of results, a progress bar, a report; used in a ``with`` block.

    Args:
        source: the frames.
        report: filled in as results are written.
        folder: folder of the results.
        device: the network's, whose memory is reported.
        fps, max_frames, progress, overlay: see ``segment_clip``.

    Raises:
        ValueError: ``max_frames`` is below 1, or see ``ClipWriter``.
        OSError: see ``ClipWriter``.
    """

    def __init__(
        self,
        source: FrameSource,
        report: ClipReport,
        folder: Path,
        device: torch.device,
        fps: float | None,
        max_frames: int | None,
        progress: bool,
        overlay: bool = True,
    ) -> None:
        if max_frames is not None and max_frames < 1:
            raise ValueError(f"max_frames is at least 1, not {max_frames}")
        total = source.num_frames if max_frames is None else min(max_frames, source.num_frames or max_frames)
        self._source, self._report, self._device, self._max_frames = source, report, device, max_frames
        report.cut = max_frames is not None
        previews = PreviewOptions.of(source, fps=fps, num_frames=total, video=overlay, whole=max_frames is None)
        self._writer = ClipWriter(folder, report, previews)
        self._bar = tqdm(total=total, desc=source.name, unit="frame", disable=not progress)
        self._stack = ExitStack()
        self._start = time.perf_counter()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._bar)
            stack.enter_context(self._writer)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)  # type: ignore[arg-type]

    def frames(self) -> Iterator[Frame]:
        """Yield the frames, read ahead in the background, up to ``max_frames``."""
        for frame in self._stack.enter_context(closing(prefetch(self._source))):
            yield frame
            if frame.index + 1 == self._max_frames:
                return

    def resume(self, checkpoints: ClipCheckpoints) -> None:
        """Continue the report of a run that was broken off, and keep its masks."""
        stored = checkpoints.load()
        if stored is None:
            logger.info("%s: no checkpoint to resume from, starting at the first frame", self._source.name)
            return
        frames, fields = int(stored["frames"]), vars(self._report)
        if self._max_frames is not None and frames > self._max_frames:
            raise ValueError(f"--resume: {frames} frames are done, more than --max_frames: run without --resume")
        self._writer.keep([self._source.name_of(number) for number in range(frames)])
        logger.info("%s: resuming at frame %d", self._source.name, frames)
        fields.update({**stored, "settings": self._report.settings, "cut": self._report.cut, "complete": False})
        self._start -= self._report.seconds

    def new_frames(self, masks: FrameMasks, checkpoints: ClipCheckpoints) -> Iterator[tuple[Frame, np.ndarray | None]]:
        """Yield the frames to segment and their masks; those before a checkpoint are drawn. Write checkpoints."""
        done = self._report.frames
        try:
            for frame in self.frames():
                mask = masks(frame)
                if frame.index < done:
                    checkpoints.count(frame, mask)
                    self._writer.redraw(frame)
                    self._bar.update()
                    continue
                yield frame, mask
                checkpoints.count(frame, mask)
                if checkpoints.due:
                    self._save(checkpoints)
            if frame.index + 1 < done:
                raise ValueError(f"--resume: {self._source.name} has fewer frames than are done: run without --resume")
        except GeneratorExit:  # broken off within a frame, after which the memory isn't that of any frame
            raise
        except Exception:  # a frame or mask is damaged: the frames before it are done
            with suppress(OSError, ValueError):
                self._save(checkpoints)
            raise

    def _save(self, checkpoints: ClipCheckpoints) -> None:
        self._writer.flush()
        checkpoints.save(dataclasses.asdict(self._report))

    def write(self, frame: Frame, ids_HW: np.ndarray, *state: str) -> None:
        """Queue a frame's results, and count it.

        Args:
            frame: the frame.
            ids_HW: its object ids.
            state: texts for the progress bar.
        """
        self._writer.write(frame, ids_HW)
        self._report.frames += 1
        if frame.time is not None:
            self._report.times[frame.name] = round(frame.time, 6)
        self._report.seconds = round(time.perf_counter() - self._start, 3)
        memory = memory_in_use(self._device)
        self._report.peak_memory = max(memory or 0, self._report.peak_memory or 0) or None
        texts = [*state, *([] if memory is None else [f"{memory / 2**30:.2f} GiB"])]
        self._bar.set_postfix_str(", ".join(texts), refresh=False)
        self._bar.update()
