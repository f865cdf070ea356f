"""Frames from image files: a folder of images or a single image."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from voskit.dataloaders.images import image_to_rgb, list_images, load_image, log_bits_in_use, refuse_several_pictures
from voskit.dataloaders.video.source import Frame, FrameSource

logger = logging.getLogger(__name__)

_PICTURES = (
    ".arw", ".avi", ".avif", ".cr2", ".cr3", ".dng", ".dpx", ".exr", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jxl",
    ".m4v", ".mkv", ".mov", ".mp4", ".nef", ".pgm", ".ppm", ".raf", ".tga", ".webm", ".wmv",
)  # fmt: skip
"""Extensions of pictures and videos in a folder that aren't read as frames."""


class ImageFrames(FrameSource):
    """Image files as frames, in the given order.

    Args:
        paths: at least one file, with different stems.
        name: name of the source.
        fps: frame rate, which gives the frames their times; None: no times.
        first: position of the image whose size all others must have.

    Raises:
        ValueError: two files have the same stem, or the first image can't be read.
    """

    def __init__(self, paths: list[Path], *, name: str, fps: float | None = None, first: int = 0) -> None:
        by_stem: dict[str, Path] = {}
        for path in paths:
            other = by_stem.setdefault(path.stem, path)
            if other is not path:
                raise ValueError(
                    f"{path.parent}: {other.name} and {path.name} have the same stem, which names a frame and its "
                    "outputs: remove or rename one of them"
                )
        self._paths = paths
        self._closed = False
        self.path = paths[0]
        self.name = name
        self._fps = fps
        self.num_frames = len(paths)
        self._first = paths[first]
        self.size = _read_rgb(self._first).shape[:2]
        log_bits_in_use(self._first)

    @property
    def paths(self) -> list[Path]:
        """The files, in order."""
        return self._paths

    @property
    def fps(self) -> float | None:
        return self._fps

    def __iter__(self) -> Iterator[Frame]:
        for index in range(len(self._paths)):
            yield self._frame(index)

    def between(self, first: int, last: int) -> Iterator[Frame]:
        step = 1 if last >= first else -1
        return (self._frame(index) for index in range(first, last + step, step))

    def name_of(self, number: int) -> str:
        return self._paths[number].stem

    def file_of(self, frame: Frame) -> str:
        return self._paths[frame.index].name

    def iterate_from(self, number: int) -> Iterator[Frame]:
        return (self._frame(index) for index in range(number, len(self._paths)))

    def count(self) -> int:
        return len(self._paths)

    def _frame(self, index: int) -> Frame:
        if self._closed:
            raise ValueError(f"{self.name}: the source is closed: open it again to read its frames")
        if not 0 <= index < len(self._paths):
            raise ValueError(f"{self.name}: there is no frame {index}, the last one is {len(self._paths) - 1}")
        path = self._paths[index]
        image = _read_rgb(path)
        if image.shape[:2] != self.size:
            raise ValueError(
                f"{path}: this frame is {image.shape[0]}x{image.shape[1]} (height x width), the frames before it "
                f"(from {self._first.name} on) are {self.size[0]}x{self.size[1]}: give frames of one size"
            )
        if self._fps is None:
            return Frame(index, path.stem, image)
        return Frame(index, path.stem, image, index / self._fps, 1 / self._fps)

    def close(self) -> None:
        self._closed = True


def open_image_folder(folder: Path, fps: float | None, *, skip_damaged: bool = False) -> ImageFrames:
    """Open the images directly in a folder, naturally sorted.

    Args:
        folder: the folder.
        fps: see :class:`ImageFrames`.
        skip_damaged: take the size from the first image that can be read.

    Raises:
        ValueError: as for ImageFrames, or there is no image.
    """
    name = folder.name if folder.name not in ("", "..") else folder.resolve().name
    paths = list_images(folder)
    _warn_about_skipped_files(folder, paths)
    first = next((i for i, path in enumerate(paths) if _is_readable(path)), 0) if skip_damaged else 0
    source = ImageFrames(paths, name=name or "frames", fps=fps, first=first)
    source.path = folder
    return source


def _warn_about_skipped_files(folder: Path, paths: list[Path]) -> None:
    """Warn about files in a folder of images that may be frames in other formats, except raw files of the images."""
    stems = {path.stem for path in paths}
    others = [
        path.name
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in _PICTURES and path.name[0] != "." and path.stem not in stems
    ]
    if others:
        logger.warning(
            "%s: its %d images %s are the frames; %d files are left out, such as %s",
            folder,
            len(paths),
            f"({', '.join(sorted({path.suffix for path in paths}))})",
            len(others),
            others[0],
        )


def _is_readable(path: Path) -> bool:
    try:
        _read_rgb(path)
    except (ValueError, OSError):
        return False
    return True


def _read_rgb(path: Path) -> np.ndarray:
    refuse_several_pictures(path)
    return image_to_rgb(load_image(path), path)
