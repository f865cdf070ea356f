"""Segmentation of clips, one after the other."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from voskit.dataloaders.video.excerpt import open_excerpt
from voskit.evaluators.clips.report import ClipReport
from voskit.evaluators.clips.run import refer_clip, segment_clip
from voskit.evaluators.clips.sources import Clip
from voskit.evaluators.referring import ReferringSegmenter
from voskit.evaluators.segmenter import VideoSegmenter

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ClipOptions:
    """Options of ``segment_clip`` for several clips, and their ``start`` and ``end``, see ``open_excerpt``."""

    complete_masks: bool = False
    backwards: bool = False
    fuse: bool = False
    start: str | None = None
    end: str | None = None
    fps: float | None = None
    max_frames: int | None = None
    overlay: bool = True
    palette: str = "bright"
    exports: tuple[str, ...] = ()
    resume: bool = False

    @classmethod
    def of(cls, flags: Any) -> ClipOptions:
        """Return the options of command-line flags, which have the same names; ``--export`` gives the exports."""
        names = [field.name for field in fields(cls) if field.name != "exports"]
        return cls(**{name: getattr(flags, name) for name in names}, exports=flags.export)

    @property
    def output(self) -> dict[str, object]:
        """Options of the results, for ``segment_clip`` and ``refer_clip``."""
        return {name: getattr(self, name) for name in ("fps", "max_frames", "overlay", "palette", "exports")}


def segment_clips(clips: Sequence[Clip], segmenter: VideoSegmenter, output: Path, options: ClipOptions) -> list[Path]:
    """Segment clips into folders below ``output``; return the folders of those that succeeded.

    The error of a clip is logged, and the next one runs.

    Raises:
        ValueError, OSError: the only clip failed, see ``segment_clip``.
    """
    folders = []
    for clip in clips:
        try:
            folders.append(run_clip(clip, segmenter, output, options))
        except (ValueError, OSError, torch.OutOfMemoryError) as error:
            if len(clips) == 1:
                raise
            logger.error("%s: %s", clip.label, error)
    if failed := len(clips) - len(folders):
        logger.error("%d of %d clips failed", failed, len(clips))
    return folders


def run_clip(clip: Clip, segmenter: VideoSegmenter, output: Path, options: ClipOptions) -> Path:
    """Segment one clip, log a summary, and return the folder of its results; see ``segment_clip`` for errors."""
    with open_excerpt(clip.source, options.start, options.end, fps=options.fps) as source:
        folder = output / (clip.scene or source.name)
        _log_where_results_go(folder, options)
        report = segment_clip(
            segmenter,
            source,
            clip.open_masks(source),
            folder,
            complete_masks=options.complete_masks,
            backwards=options.backwards,
            fuse=options.fuse,
            resume=options.resume,
            **options.output,  # type: ignore[arg-type]
        )
    _log_summary(folder, report)
    return folder


def refer_source(
    source: str,
    prompts: Sequence[str],
    segmenter: ReferringSegmenter,
    propagator: VideoSegmenter | None,
    output: Path,
    options: ClipOptions,
) -> Path:
    """Segment the objects of text prompts in a source, log a summary, and return the folder; see ``refer_clip``."""
    with open_excerpt(source, options.start, options.end, fps=options.fps) as frames:
        folder = output / frames.name
        _log_where_results_go(folder, options)
        report = refer_clip(segmenter, frames, prompts, folder, propagator=propagator, **options.output)  # type: ignore[arg-type]
    _log_summary(folder, report)
    return folder


def _log_where_results_go(folder: Path, options: ClipOptions) -> None:
    names = [*(["overlay.incomplete.mp4"] if options.overlay else []), "contact_sheet.png"]
    logger.info("results go to %s; watch %s grow there", folder, " and ".join(names))


def _log_summary(folder: Path, report: ClipReport) -> None:
    for line in report.summary():
        logger.info("%s: %s", folder, line)
