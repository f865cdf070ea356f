"""Where the masks that a person gives for a video come from: one for the first frame, or a folder by frame names."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from voskit.dataloaders.images import list_images
from voskit.dataloaders.masks.files import MASK_EXTENSIONS, read_mask
from voskit.dataloaders.video.source import Frame, FrameSource


class FrameMasks:
    """Masks of a video's frames, read as the frames come.

    Args:
        path: the mask of the first frame, as :func:`~voskit.dataloaders.masks.files.read_mask` takes it; or, with
        ``by_name``, a
            folder of masks that are called like the frames they belong to.
        by_name: which of both.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: a folder by names without any mask, or with two for one frame.
    """

    def __init__(self, path: str | os.PathLike[str], *, by_name: bool = False) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise FileNotFoundError(f"{self.path}: no such mask")
        self._by_name = _by_stem(list_images(self.path, MASK_EXTENSIONS)) if by_name else None
        self._unused = set(self._by_name or ())

    def __call__(self, frame: Frame) -> np.ndarray | None:
        """The mask of this frame, H x W uint8 or uint16, or None where none is given.

        Raises:
            ValueError: the mask can't be read or has another size than the frame, or the only one is empty.
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
            raise ValueError(f"{path}: there is no object in the mask of the first frame, all of it is background")
        return mask

    def check_names(self, source: FrameSource) -> None:
        """Raise a ValueError if masks are called like no frame, where the source says how many it has."""
        if self._by_name and source.num_frames is not None:
            self._refuse(set(self._by_name) - {source.name_of(number) for number in range(source.num_frames)})

    def check_all_used(self) -> None:
        """Raise a ValueError if masks were left over, which then are called like no frame."""
        self._refuse(self._unused)

    def last(self, source: FrameSource, before: int | None = None) -> int:
        """The number of the last frame that has a mask, among the first ``before``; 0 where none later has.

        Frames are counted for it, so that a video is read through.
        """
        if self._by_name is None:
            return 0
        numbers = range(source.count())[:before]
        return max((number for number in numbers if source.name_of(number) in self._by_name), default=0)

    def _refuse(self, unused: Collection[str]) -> None:
        if self._by_name and unused:
            names = sorted(self._by_name[stem].name for stem in unused)
            raise ValueError(f"{self.path}: no frame is called like {len(names)} of the masks, such as {names[0]}")


def masks_for(path: str | os.PathLike[str], source: FrameSource) -> FrameMasks:
    """Masks as a person gives them for the frames of ``source``: a mask of the first frame, or a folder.

    A folder where a file is called like a frame holds masks by frame. Any other holds the objects of the first frame:
    ``1.png``, ``2.png``, ... by their ids, or files that are called by words.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: a folder without masks, or it isn't clear what its numbers are: ids and frames are called alike, or
            they begin with a zero as ids don't, and no frame is called so.
    """
    path = Path(path)
    if not path.is_dir():
        return FrameMasks(path)
    names = {file.stem: file.name for file in list_images(path, MASK_EXTENSIONS)}
    of_frames = _called_like_frames(names, source)
    if of_frames and all(map(_is_object_id, names)):
        stem = of_frames[0]
        raise ValueError(
            f"{path}: is {names[stem]} the mask of frame {stem} or of object {stem}? Give objects as one PNG of ids, "
            "and masks of frames as a scene (images/NAME and masks/NAME), where they can be nothing else"
        )
    unclear = [stem for stem in names if _is_number(stem) and not _is_object_id(stem)]
    if unclear and not of_frames:
        raise ValueError(
            f"{path}: is {names[unclear[0]]} the mask of a frame or of an object? Call masks of frames like their "
            f"frames (the first is {source.name_of(0)}), and those of objects by their ids (1.png)"
        )
    return FrameMasks(path, by_name=bool(of_frames))


def _by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    out: dict[str, Path] = {}
    for path in paths:
        if (other := out.setdefault(path.stem, path)) is not path:
            raise ValueError(f"{path.parent}: {other.name} and {path.name} are masks of one frame: remove one of them")
    return out


def _called_like_frames(stems: Iterable[str], source: FrameSource) -> list[str]:
    if source.num_frames is None:  # it may go on for ever, with numbers as names
        return [stem for stem in stems if _is_number(stem) and source.name_of(int(stem)) == stem]
    frames = {source.name_of(number) for number in range(source.num_frames)}
    return [stem for stem in stems if stem in frames]


def _is_object_id(stem: str) -> bool:
    return _is_number(stem) and not stem.startswith("0")


def _is_number(stem: str) -> bool:
    return stem.isascii() and stem.isdigit()
