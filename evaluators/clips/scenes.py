"""Segmentation of clips, one after the other."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from voskit.dataloaders.masks.frame_masks import masks_for
from voskit.dataloaders.video.frames import open_frames
from voskit.evaluators.clips.report import ClipReport
from voskit.evaluators.clips.run import refer_clip, segment_clip
from voskit.evaluators.clips.sources import Clip
from voskit.evaluators.referring import ReferringSegmenter
from voskit.evaluators.segmenter import VideoSegmenter

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ClipOptions:
    """Options of ``segment_clip`` for several clips."""

    complete_masks: bool = False
    backwards: bool = False
    fps: float | None = None
    max_frames: int | None = None
    overlay: bool = True
    resume: bool = False


def segment_clips(clips: Sequence[Clip], segmenter: VideoSegmenter, output: Path, options: ClipOptions) -> int:
    """Segment clips into folders below ``output``; return the number of scenes that failed.

    The error of a scene is logged, and the next one runs.

    Raises:
        ValueError, OSError: the only clip failed, see ``segment_clip``.
    """
    failed = 0
    for clip in clips:
        try:
            run_clip(clip, segmenter, output, options)
        except (ValueError, OSError) as error:
            if len(clips) == 1:
                raise
            failed += 1
            logger.error("scene %s: %s", clip.scene, error)
    if failed:
        logger.error("%d of %d scenes failed", failed, len(clips))
    return failed


def run_clip(clip: Clip, segmenter: VideoSegmenter, output: Path, options: ClipOptions) -> ClipReport:
    """Segment one clip and log a summary; see ``segment_clip`` for errors."""
    with open_frames(clip.source, fps=options.fps) as source:
        masks = masks_for(clip.mask, source, scene=bool(clip.scene))
        folder = output / (clip.scene or source.name)
        logger.info("%s: masks, overlay and report are written here", folder)
        report = segment_clip(
            segmenter,
            source,
            masks,
            folder,
            complete_masks=options.complete_masks,
            backwards=options.backwards,
            max_frames=options.max_frames,
            overlay=options.overlay,
            resume=options.resume,
        )
    for line in report.summary():
        logger.info("%s: %s", folder, line)
    return report


def refer_source(
    source: str,
    prompts: Sequence[str],
    segmenter: ReferringSegmenter,
    propagator: VideoSegmenter | None,
    output: Path,
    fps: float | None = None,
    max_frames: int | None = None,
    overlay: bool = True,
) -> ClipReport:
    """Segment the objects of text prompts in a source, and log a summary; see ``refer_clip``."""
    with open_frames(source, fps=fps) as frames:
        folder = output / frames.name
        report = refer_clip(
            segmenter, frames, prompts, folder, propagator=propagator, max_frames=max_frames, overlay=overlay
        )
    for line in report.summary():
        logger.info("%s: %s", folder, line)
    return report
