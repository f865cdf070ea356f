"""Clips to segment: videos and their masks, folders of videos, or the scenes of a folder."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from voskit.configs.registry import suggest
from voskit.dataloaders.images import IMAGE_EXTENSIONS
from voskit.dataloaders.masks.frame_masks import FrameMasks, masks_for
from voskit.dataloaders.masks.frame_names import name_key
from voskit.dataloaders.masks.object_folder import MASK_EXTENSIONS
from voskit.dataloaders.natural_order import natural_key
from voskit.dataloaders.video.excerpt import open_excerpt
from voskit.dataloaders.video.extensions import VIDEO_EXTENSIONS
from voskit.dataloaders.video.frames import can_be_read_once
from voskit.dataloaders.video.source import FrameSource
from voskit.evaluators.clips.clip_writer import check_frames_stay
from voskit.evaluators.clips.report import check_same_clip

BUNDLED_SCENES = Path(__file__).resolve().parents[2] / "datasets" / "Demo"
"""Folder of the bundled scenes: ``bunny``, and ``cabinet``, whose masks label every pixel."""

MaskMaker = Callable[[FrameSource], FrameMasks]


@dataclass(frozen=True)
class Clip:
    """A clip and its masks.

    Attributes:
        source: a video, a folder of images, a camera's number or a URL, see ``open_frames``.
        mask: the mask of the first frame, or a folder of masks; or a function that returns the masks of a source.
            None: the clip has text prompts.
        scene: name of the scene, whose folder of masks has them by the names of their frames; empty for other clips.
    """

    source: str
    mask: Path | MaskMaker | None
    scene: str = ""

    @property
    def label(self) -> str:
        """Name of the clip in messages."""
        return f"scene {self.scene}" if self.scene else self.source

    def open_masks(self, source: FrameSource) -> FrameMasks:
        """Open the masks for the frames of the clip. Raises ValueError and OSError as ``masks_for`` does."""
        assert self.mask is not None
        return self.mask(source) if callable(self.mask) else masks_for(self.mask, source, scene=bool(self.scene))


def find_clips(sources: Sequence[str], masks: Sequence[Path] = (), scene: str | None = None) -> list[Clip]:
    """Return the clips of sources and their masks, or the scenes of a folder.

    A folder of scenes has ``images/SCENE`` (a folder or a video), and ``masks/SCENE`` or ``masks/SCENE.png``.

    Args:
        sources: sources of ``open_frames``, folders of videos, or one folder of scenes; empty: the bundled scenes.
        masks: the mask of each source, in order; or one folder with the mask of each video under the video's name, a
            file or a folder. Empty for scenes, which have their own.
        scene: the only scene of the folder to return; None: all of them.

    Raises:
        ValueError: masks that don't fit the sources, no scenes, no such scene, or two clips of one name.
    """
    scenes = BUNDLED_SCENES if not sources else Path(sources[0]) if len(sources) == 1 else None
    if scenes is not None and (not sources or (scenes / "images").is_dir()):
        return _scenes(scenes, masks, scene)
    if scene is not None:
        raise ValueError(f"--scene {scene}: {' '.join(sources)} isn't a folder of scenes with images/ and masks/")
    if not masks:
        paint = f"voskit annotate {shlex.quote(sources[0])}"
        raise ValueError(f"--mask is missing: give the mask of the first frame, or paint it in the browser: {paint}")
    videos = [video for source in sources for video in _videos_of(source)]
    if len(masks) == len(videos) and (len(videos) > 1 or videos == list(sources) or masks[0].is_file()):
        clips = [Clip(video, mask) for video, mask in zip(videos, masks, strict=True)]
    elif len(masks) == 1 and masks[0].is_dir():
        clips = [Clip(video, _named_mask(masks[0], video)) for video in videos]
    elif len(masks) == 1 and not masks[0].exists():
        raise ValueError(f"--mask {masks[0]}: no such file or folder")
    else:
        raise ValueError(
            f"--mask: {len(videos)} videos and {len(masks)} masks: give one for each video, in order, or a folder with "
            "a mask for each under the video's name"
        )
    stems = [_name_of(clip.source) for clip in clips]
    if twice := next((stem for stem in stems if stems.count(stem) > 1), None):
        raise ValueError(
            f"several videos are named {twice}, so their results would collide: run them one by one, each with its "
            "own --output_path"
        )
    return clips


def _scenes(folder: Path, masks: Sequence[Path], scene: str | None) -> list[Clip]:
    images = folder / "images"
    paths = sorted(p for p in images.iterdir() if not p.name.startswith("."))
    names = [path.name if path.is_dir() else path.stem for path in paths]  # a folder's name may have dots
    if not paths:
        raise ValueError(f"{folder}: no scenes in {images}")
    if frame := next((path for path in paths if path.suffix.lower() in IMAGE_EXTENSIONS and path.is_file()), None):
        raise ValueError(
            f"{frame} is an image, but {images} must hold a folder or video for each scene; if all its images are one "
            f"clip, give --data_path {images} --mask {folder / 'masks'}"
        )
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{images}: several scenes are named {twice}, so their results would collide: rename one")
    if masks:
        raise ValueError(f"--mask is for a single source; the scenes of {folder} have their masks in masks/SCENE")
    if scene is not None and scene not in names:
        raise ValueError(f"{folder} has no scene {scene!r}: {suggest(scene, names)}")
    chosen = [(path, name) for path, name in zip(paths, names, strict=True) if scene in (None, name)]
    return [Clip(str(path), _scene_mask(folder / "masks" / name), name) for path, name in chosen]


def _scene_mask(masks: Path) -> Path:
    """Return the folder of a scene's masks, or the file of its only mask."""
    if masks.is_dir():
        return masks
    ends = (".png", *MASK_EXTENSIONS, ".json")
    found = [path for path in masks.parent.glob("*") if path.stem == masks.name and path.suffix.lower() in ends]
    return min(found, key=lambda path: ends.index(path.suffix.lower()), default=masks)


def _videos_of(source: str) -> list[str]:
    """Return the videos in a folder of videos; otherwise the source itself.

    Raises:
        ValueError: the folder holds both videos and images, so it isn't clear which of them to segment.
    """
    folder = Path(source)
    if not folder.is_dir():
        return [source]
    videos = [path for path in folder.iterdir() if path.suffix.lower() in VIDEO_EXTENSIONS and path.name[0] != "."]
    images = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_EXTENSIONS and path.name[0] != "."]
    if images and videos and len(videos) >= len(images):
        raise ValueError(
            f"{folder}: it holds {len(videos)} videos and {len(images)} images, such as {images[0].name}: which of "
            "them is the clip? Move the others to another folder"
        )
    if images:
        return [source]
    return [str(path) for path in sorted(videos, key=lambda path: natural_key(path.name))] or [source]


def _name_of(source: str) -> str:
    """Return the name of a source's results: the folder's, which may have dots, or the file's without suffix."""
    path = Path.cwd() / source
    return (path.name if path.name != ".." else path.resolve().name) if path.is_dir() else path.stem


def _named_mask(folder: Path, video: str) -> Path:
    """Return the mask of a video in a folder: a file or a folder with the video's name.

    Letter case and Unicode form (macOS) may differ, unless there is one of exactly this name.
    """
    stem = _name_of(video)
    ends = (*MASK_EXTENSIONS, ".json")
    names = {path: path.stem if path.suffix.lower() in ends else path.name for path in sorted(folder.iterdir())}
    found = [path for path, name in names.items() if name_key(name) == name_key(stem)]
    found = [path for path in found if names[path] == stem] or found
    if len(found) != 1:
        kinds = f"there are {' and '.join(path.name for path in found)}: keep one" if found else "add it"
        raise ValueError(f"{video}: its mask in {folder} must be a folder {stem}, or {stem}.png: {kinds}")
    return found[0]


def check_clips(
    clips: Sequence[Clip],
    output: Path,
    fps: float | None = None,
    start: str | None = None,
    end: str | None = None,
    max_frames: int | None = None,
) -> None:
    """Decode the first frame of every file and folder and check its masks, before a model is loaded.

    Args:
        clips: the clips.
        output: the folder of their results; it mustn't hold results of another clip.
        fps: rate of images.
        start, end: see :func:`~voskit.dataloaders.video.excerpt.open_excerpt`.
        max_frames: number of frames that are segmented; None: all.

    Raises:
        ValueError, OSError: as ``segment_clip``, for the first frame and the masks.
    """
    for clip in clips:
        if can_be_read_once(clip.source):
            continue
        with open_excerpt(clip.source, start, end, fps=fps) as source:
            next(iter(source))
            if clip.mask is not None:
                clip.open_masks(source).check(source, max_frames)
            check_frames_stay(output / (clip.scene or source.name), source)
            check_same_clip(output / (clip.scene or source.name), source)
