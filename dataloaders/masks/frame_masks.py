"""User masks of a video: one mask for the first frame, or a folder of masks named like their frames."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from voskit.dataloaders.images import list_images
from voskit.dataloaders.masks.files import MASK_EXTENSIONS, read_mask
from voskit.dataloaders.video.source import Frame, FrameSource


class FrameMasks:
    """Masks of a video, read frame by frame.

    Args:
        path: the mask of the first frame, as :func:`~voskit.dataloaders.masks.files.read_mask` takes it; with
            ``by_name``, a folder of masks named like their frames.
        by_name: treat ``path`` as a folder of masks by frame name.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: with ``by_name``, the folder has no mask, or two masks of one frame.
    """

    def __init__(self, path: str | os.PathLike[str], *, by_name: bool = False) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise FileNotFoundError(f"{self.path}: no such mask")
        self._by_name = _by_stem(list_images(self.path, MASK_EXTENSIONS)) if by_name else None
        self._unused = set(self._by_name or ())

    def __call__(self, frame: Frame) -> np.ndarray | None:
        """Return the mask of a frame, H x W uint8 or uint16, or None if there is none.

        Raises:
            ValueError: the mask can't be read or has another size than the frame, or the first frame's only mask is
                empty.
        """
        size = frame.image.shape[:2]
        if self._by_name is None:
            path = self.path if frame.index == 0 else None
        else:
            path = self._by_name.get(frame.name)
            self._unused.discard(frame.name)
        if path is None:
            return None
        mask = read_mask(path, size=size)
        if self._by_name is None and not mask.any():
            raise ValueError(f"{path}: the mask of the first frame has no object, all of it is background")
        return mask

    def check_names(self, source: FrameSource) -> None:
        """Raise ValueError if a mask is named like no frame. Without a stated number of frames nothing is checked."""
        if self._by_name and source.num_frames is not None:
            self._refuse(set(self._by_name) - {source.name_of(number) for number in range(source.num_frames)})

    def check_all_used(self) -> None:
        """Raise ValueError if a mask was left unused, which means that it is named like no frame."""
        self._refuse(self._unused)

    def last(self, source: FrameSource, before: int | None = None) -> int:
        """Return the number of the last frame with a mask, among the first ``before`` frames; 0 if there is none.

        This counts the frames, which reads a whole video.
        """
        if self._by_name is None:
            return 0
        numbers = range(source.count())[:before]
        return max((number for number in numbers if source.name_of(number) in self._by_name), default=0)

    def _refuse(self, unused: Collection[str]) -> None:
        if self._by_name and unused:
            names = sorted(self._by_name[stem].name for stem in unused)
            raise ValueError(f"{self.path}: {len(names)} masks are named like no frame, such as {names[0]}")


def masks_for(path: str | os.PathLike[str], source: FrameSource) -> FrameMasks:
    """Open the user's masks for the frames of ``source``: a mask of the first frame, or a folder.

    If a file in the folder is named like a frame, the folder has masks by frame. Otherwise its files are the objects of
    the first frame, named by their ids (``1.png``, ``2.png``) or by words.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: the folder has no mask, or its numbers are ambiguous: they are names of frames and ids alike, or
            they have leading zeros, as ids don't, and are names of no frame.
    """
    path = Path(path)
    if not path.is_dir():
        return FrameMasks(path)
    names = {file.stem: file.name for file in list_images(path, MASK_EXTENSIONS)}
    of_frames = _frame_stems(names, source)
    if of_frames and all(map(_is_object_id, names)):
        stem = of_frames[0]
        raise ValueError(
            f"{path}: is {names[stem]} the mask of frame {stem} or of object {stem}? Give objects as one PNG of ids, "
            "or masks of frames as a scene (images/NAME and masks/NAME)"
        )
    unclear = [stem for stem in names if _is_number(stem) and not _is_object_id(stem)]
    if unclear and not of_frames:
        raise ValueError(
            f"{path}: is {names[unclear[0]]} the mask of a frame or of an object? Name masks of frames like their "
            f"frames (the first is {source.name_of(0)}), and masks of objects by their ids (1.png)"
        )
    return FrameMasks(path, by_name=bool(of_frames))


def _by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    out: dict[str, Path] = {}
    for path in paths:
        if (other := out.setdefault(path.stem, path)) is not path:
            raise ValueError(
                f"{path.parent}: {other.name} and {path.name} are masks of the same frame: remove one of them"
            )
    return out


def _frame_stems(stems: Iterable[str], source: FrameSource) -> list[str]:
    if source.num_frames is None:  # it may be endless, with numbers as names
        return [stem for stem in stems if _is_number(stem) and source.name_of(int(stem)) == stem]
    frames = {source.name_of(number) for number in range(source.num_frames)}
    return [stem for stem in stems if stem in frames]


def _is_object_id(stem: str) -> bool:
    return _is_number(stem) and not stem.startswith("0")


def _is_number(stem: str) -> bool:
    return stem.isascii() and stem.isdigit()
