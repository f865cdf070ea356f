"""Segmentation of a clip with masks or text prompts; results go to a folder."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from voskit.dataloaders.files import exclusive_lock
from voskit.dataloaders.masks.frame_masks import FrameMasks
from voskit.dataloaders.video.source import Frame, FrameSource
from voskit.evaluators.clips.backward import BackwardMasks, backward_pass
from voskit.evaluators.clips.clip_run import ClipRun, OutputOptions, refuse_soft_exports
from voskit.evaluators.clips.clip_writer import SCRATCH, check_frames_stay
from voskit.evaluators.clips.key_frames import KeyFrame, propagate
from voskit.evaluators.clips.report import ClipReport, ResumeError, TextPrompt, check_same_clip
from voskit.evaluators.clips.resuming import ClipCheckpoints, check_settings, clip_settings
from voskit.evaluators.exports.base import build_exports
from voskit.evaluators.exports.frames import SoftMattes
from voskit.evaluators.exports.results import export_masks
from voskit.evaluators.exports.writer import FOLDER as EXPORT_FOLDER
from voskit.evaluators.fusion import Direction, ids_of
from voskit.evaluators.referring import ReferringSegmenter, check_number, windows
from voskit.evaluators.segmenter import VideoSegmenter

logger = logging.getLogger(__name__)


def segment_clip(
    segmenter: VideoSegmenter,
    source: FrameSource,
    masks: FrameMasks,
    folder: Path,
    *,
    complete_masks: bool = False,
    backwards: bool = False,
    fuse: bool = False,
    resume: bool = False,
    exports: Sequence[str] = (),
    **output: Any,
) -> ClipReport:
    """Segment a clip frame by frame and write its results, without keeping frames or masks in memory.

    Args:
        segmenter: reset before and after.
        source: the frames.
        masks: the masks of the frames that have one.
        folder: folder of the results, see :class:`~voskit.evaluators.clips.clip_writer.ClipWriter`.
        complete_masks: masks show all objects, see ``VideoSegmenter.step``.
        backwards: also propagate objects to the frames before their first masks, see
            :func:`~voskit.evaluators.clips.backward.backward_pass`.
        fuse: frames between two masks come from both directions, see :mod:`voskit.evaluators.fusion`.
        resume: continue an interrupted run, see :mod:`voskit.evaluators.clips.resuming`. Its masks so far are
            kept, and the others equal those of an undisturbed run. A complete run is only exported.
        exports: names of export formats, with options, see docs/exports.md.
        **output: ``fps``, ``max_frames``, ``progress``, ``overlay``, ``palette``, see
            :class:`~voskit.evaluators.clips.clip_run.OutputOptions`.

    Raises:
        ValueError: a frame or mask is damaged or doesn't fit, or no frame has a mask; results of the frames before it
            are kept. Or the frames or masks lie in the folder of the results, which would replace them; or the source
            can't be read backwards; or there are results of another clip of this name, or of other settings, frames or
            masks to resume; or an export failed.
        OSError: results can't be written.
    """
    options = OutputOptions(exports=tuple(build_exports(exports)), **output)
    if masks.path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{masks.path} lies in {folder}, whose files the results replace: give another output folder")
    check_frames_stay(folder, source)
    masks.check(source, options.max_frames)
    if backwards or fuse:
        source.check_rereadable()
        if isinstance(segmenter.cuts, frozenset):
            raise ValueError(
                "backwards and fuse also read the clip backwards, but listed cuts count forwards only: use 'auto'"
            )
    if resume and segmenter.target_fps is not None:
        raise ValueError("--resume: with a target_fps, masks depend on the machine's speed: leave out one of the two")
    identity = check_same_clip(folder, source)
    bounds = {} if source.whole is source else {"start": source.name_of(0), "frames": source.num_frames}
    directions = {"backwards": backwards, **({"fuse": True} if fuse else {})}
    settings = clip_settings(segmenter, complete_masks=complete_masks, **directions, **bounds)
    report = ClipReport(source.name, source=identity, settings=settings, masks=masks.checksum())
    if resume and (done := _complete_report(folder, report, options.max_frames, source.num_frames)) is not None:
        logger.info("%s: already complete", folder)
        _export_again(source, folder, done, exports, options)
        return done
    with ClipRun(source, report, folder, segmenter.device, options) as run:
        given = masks.numbers(source, options.max_frames) if backwards or fuse else []
        later = {"later_masks": f"{report.masks} {given}"} if given else {}  # earlier frames depend on these
        checkpoints = ClipCheckpoints(folder, segmenter, {**report.settings, **later})
        if resume:
            run.resume(checkpoints)
        report.masks = masks.checksum()  # not the checkpoint's checksum: later masks may have been added
        report.names = masks.names
        last = max(given, default=0)
        if (backwards or fuse) and not last:
            frames = "frames" if options.max_frames is None else f"first {options.max_frames} frames"
            logger.warning("%s: only the first of the %s has a mask, so there is no backward pass", masks.path, frames)
        segmenter.reset()
        backward = backward_pass(
            segmenter,
            source,
            masks,
            last,
            folder / SCRATCH,
            complete=complete_masks,
            progress=options.progress,
            fuse=given if fuse else (),
        )
        try:
            with backward if last else nullcontext() as backward_masks:
                for frame, mask in run.new_frames(masks, checkpoints):
                    depth = segmenter.depth
                    ids, mattes = _step(segmenter, frame, mask, complete_masks, backward_masks, options.soft, backwards)
                    report.objects = max(report.objects, len(segmenter.object_ids))
                    if depth is not None:
                        report.depths[depth] = report.depths.get(depth, 0) + 1
                    state = [f"{report.objects} objects", *([] if depth is None else [f"depth {segmenter.depth}"])]
                    run.write(frame, ids, *state, mattes=mattes, quality=segmenter.quality)
                    if backward_masks is not None and mask is not None and frame.index in backward_masks.given:
                        backward_masks.look_ahead(segmenter, frame, ids)
        finally:
            segmenter.reset()
        if not report.objects:
            raise ValueError(f"{masks.path}: no frame of {source.name} has a mask with an object in it")
        if options.max_frames is None and source.whole is source:
            masks.check_all_used()
    checkpoints.remove()
    return report


def _step(
    segmenter: VideoSegmenter,
    frame: Frame,
    mask: np.ndarray | None,
    complete: bool,
    backward_masks: BackwardMasks | None,
    soft: bool,
    backwards: bool,
) -> tuple[np.ndarray, SoftMattes | None]:
    """Segment a frame; return its ids and, with ``soft``, its mattes."""
    fuse = backward_masks is not None and bool(backward_masks.given)
    if soft or fuse:
        predicted, probabilities = segmenter.step(frame.image, mask, complete=complete, return_probs=True)
    else:
        predicted, probabilities = segmenter.step(frame.image, mask, complete=complete), None
    if fuse and mask is None:
        assert backward_masks is not None and probabilities is not None
        fused = backward_masks.fused(frame, Direction.of(segmenter, probabilities))
        if fused is not None:
            ids = ids_of(*fused)
            return ids, SoftMattes.of(fused[1].unbind(), fused[0], ids, None) if soft else None
    ids = predicted
    if backward_masks is not None and (backwards or (fuse and mask is not None)):  # as in the fused frames next to it
        ids = backward_masks.overlay_on(frame, predicted, segmenter.object_ids, mask)
    if probabilities is None or not soft:
        return ids, None
    changed = None if ids is predicted else ids != predicted
    return ids, SoftMattes.of(probabilities.unbind(), segmenter.object_ids, ids, changed)


def _export_again(
    source: FrameSource, folder: Path, report: ClipReport, exports: Sequence[str], options: OutputOptions
) -> None:
    """Export the results of a complete run."""
    refuse_soft_exports(options.exports)
    if not exports:
        return
    with exclusive_lock(folder):
        export_masks(
            source,
            folder / "masks",
            folder / EXPORT_FOLDER,
            exports,
            names=report.names,
            quality={name: report.measures(name) for name in report.quality},
            fps=options.fps,
            num_frames=options.max_frames,
            progress=options.progress,
        )


def _complete_report(
    folder: Path, own: ClipReport, max_frames: int | None, num_frames: int | None
) -> ClipReport | None:
    """Return the report of a complete run with the same settings; None: there is none.

    Raises:
        ResumeError: the results have other settings, other masks or another number of frames.
    """
    report = ClipReport.load(folder)
    if report is None or not report.complete:
        return None
    wanted = max_frames if max_frames is None or num_frames is None else min(max_frames, num_frames)
    if report.cut != (max_frames is not None) or (wanted is not None and report.frames != wanted):
        raise ResumeError(
            f"the results in {folder} are complete, with {report.frames} frames",
            "give the same --max_frames, or run without --resume to replace them",
        )
    check_settings(report.settings, own.settings, folder)
    if missing := report.missing_masks(folder):
        logger.warning("%s: %d masks of the complete run are missing: the clip is segmented again", folder, missing)
        return None
    if report.masks not in ("", own.masks):
        raise ResumeError(f"the results in {folder} are complete, but were made from other masks")
    return report


def refer_clip(
    segmenter: ReferringSegmenter,
    source: FrameSource,
    prompts: Sequence[str],
    folder: Path,
    *,
    propagator: VideoSegmenter | None = None,
    exports: Sequence[str] = (),
    **output: Any,
) -> ClipReport:
    """Segment the objects of text prompts in a clip, a window of frames at a time, and write the results.

    The first prompt's object has id 1, and so on. With ``propagator`` all windows are searched for the frame in which
    each prompt has its highest score, and the object is propagated from there; see
    :mod:`voskit.evaluators.clips.key_frames`; exports then have hard edges, which is logged. The other arguments are
    those of ``segment_clip``.

    Raises:
        ValueError: a frame is damaged or a prompt can't be used; results of the windows before it are kept. Or there
            are more than 255 prompts.
        OSError: results can't be written.
    """
    check_number(prompts)
    options = OutputOptions(exports=tuple(build_exports(exports)), **output)
    if propagator is not None:
        source.check_rereadable()
        if options.soft:
            logger.info("exports have hard edges, because propagated objects have no probabilities here")
    check_frames_stay(folder, source)
    identity = check_same_clip(folder, source)
    sentences, names = [TextPrompt(text) for text in prompts], dict(enumerate(prompts, 1))
    report = ClipReport(source.name, source=identity, objects=len(prompts), names=names, sentences=sentences)
    state = f"{len(prompts)} text prompts"
    with ClipRun(source, report, folder, segmenter.device, options) as run:
        found = _refer(segmenter, run.frames(), report.sentences, source.size)
        if propagator is None:
            for frame, ids, probabilities, _ in found:
                mattes = _mattes(probabilities, ids) if options.soft else None
                run.write(frame, ids, state, mattes=mattes)
            return report
        keys = [KeyFrame() for _ in prompts]
        frames: list[str] = []
        for frame, ids, _, scores in found:
            frames.append(frame.name)
            for number, (key, score) in enumerate(zip(keys, scores, strict=True), 1):
                key.update(score, frame.index, ids == number)
        for prompt, key in zip(report.sentences, keys, strict=True):
            prompt.key_frame = frames[key.index] if key.mask is not None else None
        logger.info("propagating from key frames: %s", ", ".join(str(p.key_frame) for p in report.sentences))
        with closing(propagate(propagator, source, keys, folder / SCRATCH)) as propagated:
            for frame, ids in itertools.islice(propagated, len(frames)):
                run.write(frame, ids, state)
    return report


def _refer(
    segmenter: ReferringSegmenter, frames: Iterator[Frame], prompts: Sequence[TextPrompt], size: tuple[int, int]
) -> Iterator[tuple[Frame, np.ndarray, list[Tensor], list[float]]]:
    """Yield each frame, its ids [H, W], the objects' probabilities [H, W] and the prompts' scores there.

    The scores of each window are added to the prompts.
    """
    for window in windows(frames, segmenter.config.window):
        found = segmenter.refer([frame.image for frame in window], [prompt.text for prompt in prompts])
        for prompt, one in zip(prompts, found, strict=True):
            prompt.scores.append(round(float(one.scores[one.candidate]), 4))
        for i, frame in enumerate(window):
            probabilities = [one.probabilities(i, size) for one in found]
            yield frame, segmenter.ids(probabilities), probabilities, [float(one.frame_scores[i]) for one in found]


def _mattes(probabilities: Sequence[Tensor], ids_HW: np.ndarray) -> SoftMattes:
    """Return the mattes of text prompts' objects, whose probabilities are independent of each other."""
    background = 1 - torch.stack(list(probabilities)).amax(0)
    return SoftMattes.of([background, *probabilities], range(1, len(probabilities) + 1), ids_HW, None)
