"""Scenes: folders of clips with their masks, segmented one after the other."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from voskit.dataloaders.masks.frame_masks import masks_for
from voskit.dataloaders.video.frames import open_frames
from voskit.evaluators.clips.report import ClipReport
from voskit.evaluators.clips.run import refer_clip, segment_clip
from voskit.evaluators.referring import ReferringSegmenter
from voskit.evaluators.segmenter import VideoSegmenter

logger = logging.getLogger(__name__)

BUNDLED_SCENES = Path(__file__).resolve().parents[2] / "datasets" / "Demo"
"""Folder of the bundled scene, whose masks label every pixel."""


@dataclass(frozen=True)
class Clip:
    """A clip and its masks.

    Attributes:
        source: a video, a folder of images, a camera's number or a URL, see ``open_frames``.
        mask: the mask of the first frame, or a folder of masks.
        scene: name of the scene, whose folder of masks has them by the names of their frames; empty for other clips.
    """

    source: str
    mask: Path
    scene: str = ""


@dataclass(frozen=True, kw_only=True)
class ClipOptions:
    """Options of ``segment_clip`` for several clips."""

    complete_masks: bool = False
    backwards: bool = False
    fps: float | None = None
    max_frames: int | None = None
    overlay: bool = True
    resume: bool = False


def find_clips(source: str | None, mask: Path | None = None) -> list[Clip]:
    """Return the clip of a source and its mask, or the scenes of a folder.

    The folder of scenes has ``images/SCENE`` (a folder or a video), and ``masks/SCENE`` or ``masks/SCENE.png``.

    Args:
        source: a source of ``open_frames``, or a folder of scenes; None: the folder of the bundled scene.
        mask: the source's mask; None for scenes, which have their own.

    Raises:
        ValueError: no mask for a source, a mask for scenes, no scenes, or two scenes of one name.
    """
    folder = BUNDLED_SCENES if source is None else Path(source)
    images = folder / "images"
    if source is not None and not images.is_dir():
        if mask is None:
            raise ValueError("--mask is needed: the mask of the first frame")
        return [Clip(source, mask)]
    paths = sorted(p for p in images.iterdir() if not p.name.startswith("."))
    names = [path.stem for path in paths]
    if not paths:
        raise ValueError(f"{folder}: no scenes in {images}")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{images}: several scenes are called {twice}, and so would be their results: rename one")
    if mask is not None:
        raise ValueError(f"--mask is for a single source; the scenes of {folder} have their masks in masks/SCENE")
    return [Clip(str(path), _scene_mask(folder / "masks" / path.stem), path.stem) for path in paths]


def _scene_mask(masks: Path) -> Path:
    """Return the folder of a scene's masks, or the file of its only mask."""
    single = masks.with_name(f"{masks.name}.png")
    return single if single.is_file() and not masks.is_dir() else masks


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
