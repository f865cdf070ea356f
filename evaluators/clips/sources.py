"""Clips to segment: a source and its mask, or the scenes of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from voskit.configs.registry import suggest
from voskit.dataloaders.masks.frame_masks import masks_for
from voskit.dataloaders.video.frames import open_frames
from voskit.evaluators.clips.report import check_same_clip

BUNDLED_SCENES = Path(__file__).resolve().parents[2] / "datasets" / "Demo"
"""Folder of the bundled scenes: ``bunny``, and ``cabinet``, whose masks label every pixel."""


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


def find_clips(source: str | None, mask: Path | None = None, scene: str | None = None) -> list[Clip]:
    """Return the clip of a source and its mask, or the scenes of a folder.

    The folder of scenes has ``images/SCENE`` (a folder or a video), and ``masks/SCENE`` or ``masks/SCENE.png``.

    Args:
        source: a source of ``open_frames``, or a folder of scenes; None: the folder of the bundled scenes.
        mask: the source's mask; None for scenes, which have their own.
        scene: the only scene of the folder to return; None: all of them.

    Raises:
        ValueError: no mask for a source, a mask for scenes, no scenes, no such scene, or two scenes of one name.
    """
    folder = BUNDLED_SCENES if source is None else Path(source)
    images = folder / "images"
    if source is not None and not images.is_dir():
        if mask is None:
            raise ValueError("--mask is needed: the mask of the first frame")
        if scene is not None:
            raise ValueError(f"--scene {scene}: {source} is no folder of scenes, which has images/ and masks/")
        return [Clip(source, mask)]
    paths = sorted(p for p in images.iterdir() if not p.name.startswith("."))
    names = [path.name if path.is_dir() else path.stem for path in paths]  # a folder's name may have dots
    if not paths:
        raise ValueError(f"{folder}: no scenes in {images}")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{images}: several scenes are called {twice}, and so would be their results: rename one")
    if mask is not None:
        raise ValueError(f"--mask is for a single source; the scenes of {folder} have their masks in masks/SCENE")
    if scene is not None and scene not in names:
        raise ValueError(f"{folder} has no scene {scene!r}: {suggest(scene, names)}")
    chosen = [(path, name) for path, name in zip(paths, names, strict=True) if scene in (None, name)]
    return [Clip(str(path), _scene_mask(folder / "masks" / name), name) for path, name in chosen]


def _scene_mask(masks: Path) -> Path:
    """Return the folder of a scene's masks, or the file of its only mask."""
    single = masks.with_name(f"{masks.name}.png")
    return single if single.is_file() and not masks.is_dir() else masks


def check_clips(clips: Sequence[Clip], output: Path, fps: float | None = None) -> None:
    """Decode the first frame of every file and folder and check its masks, before a model is loaded.

    Args:
        clips: the clips.
        output: the folder of their results, which mustn't be those of another clip.
        fps: rate of images.

    Raises:
        ValueError, OSError: as ``segment_clip``, for the first frame and the masks.
    """
    for clip in clips:
        live = "://" in clip.source or clip.source.isdigit() or Path(clip.source).is_char_device()
        if live and not Path(clip.source).is_file():
            continue  # cameras and streams can be read only once
        with open_frames(clip.source, fps=fps) as source:
            next(iter(source))
            masks_for(clip.mask, source, scene=bool(clip.scene)).check(source)
            check_same_clip(output / (clip.scene or source.name), source)
