"""Matching of masks with frames by name or number, ignoring letter case, Unicode form, prefixes and suffixes."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voskit.dataloaders.video.source import FrameSource

logger = logging.getLogger(__name__)

_DIGITS = re.compile(r"([0-9]+)")


@dataclass(frozen=True)
class FrameNames:
    """Frames of a source, by name and by number.

    Attributes:
        source: the frames.
        by_key: names of the frames by :func:`name_key`; None if the number of frames is unknown, as for some videos.
        by_number: names of the frames by the last number in them; empty if two frames share one.
    """

    source: FrameSource
    by_key: Mapping[str, str] | None
    by_number: Mapping[int, str]

    @classmethod
    def of(cls, source: FrameSource) -> FrameNames:
        """Return the names of all frames of a source; of an excerpt, those of the whole source."""
        source = source.whole
        if source.num_frames is None:
            return cls(source, None, {})
        names = [source.name_of(number) for number in range(source.num_frames)]
        keys: dict[str, str] = {}
        for name in names:
            keys.setdefault(name_key(name), name)
        numbers = {int(runs[-1]): name for name in names if (runs := _DIGITS.findall(name))}
        return cls(source, keys, numbers if len(numbers) == len(names) else {})

    def named(self, stem: str) -> str | None:
        """Return the frame with this name, or None. Letter case and Unicode form may differ."""
        if self.by_key is not None:
            found = self.by_key.get(name_key(stem))
            if found is None or found == stem:
                return found
            return stem if self._is_exact(stem) else found
        return stem if is_number(stem) and self.source.name_of(int(stem)) == stem else None

    def numbered(self, number: int) -> str | None:
        """Return the frame with this number, or None."""
        return self.source.name_of(number) if self.by_key is None else self.by_number.get(number)

    def _is_exact(self, stem: str) -> bool:
        assert self.source.num_frames is not None
        return any(self.source.name_of(number) == stem for number in range(self.source.num_frames))


def name_key(name: str) -> str:
    """Normalize a name for comparison, so that letter case and Unicode form (NFC, NFD) don't matter."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def is_number(stem: str) -> bool:
    """True if a name consists of the digits 0 to 9."""
    return stem.isascii() and stem.isdigit()


def match_masks(
    folder: Path, files: Mapping[str, str], frames: FrameNames, *, objects: bool = True
) -> dict[str, str] | None:
    """Match masks with frames.

    A mask belongs to the frame with the same name. If no mask has the name of a frame, and the names of the masks
    differ in only one number (``mask_00003``), masks belong to the frames with these numbers, which is logged.

    Args:
        folder: folder of the masks, for messages.
        files: file names of the masks by stem.
        frames: the frames.
        objects: the masks may also be objects of the first frame, named by ids 1 to n or by words.

    Returns:
        The frame of each stem; a stem without a frame is mapped to itself. None: the masks are objects.

    Raises:
        ValueError: it isn't clear whether the masks show frames or single objects, or which frames they belong to.
    """
    named = {stem: frame for stem in files if (frame := frames.named(stem)) is not None}
    if named:
        if objects and all(map(_is_object_id, files)):
            stem = next(iter(named))
            raise ValueError(
                f"{folder}: is {files[stem]} the mask of frame {named[stem]} or of object {stem}? Give objects as one "
                "PNG of ids, or masks of frames as a scene (images/NAME and masks/NAME)"
            )
        return {stem: named.get(stem, stem) for stem in files}
    numbered = all(_DIGITS.search(stem) for stem in files)
    if not objects:
        found = _by_number(folder, files, frames, sure=True) if numbered else None
        return found or {stem: stem for stem in files}
    if all(map(is_number, files)):
        _check_plain_numbers(folder, files, frames)
        return None
    if not numbered:
        return None
    return _by_number(folder, files, frames, sure=False)


def _check_plain_numbers(folder: Path, files: Mapping[str, str], frames: FrameNames) -> None:
    """Raise ValueError if the file names, all numbers, may be frame numbers instead of object ids."""
    first = frames.source.name_of(0)
    for stem, file in files.items():
        if not _is_object_id(stem):
            raise ValueError(
                f"{folder}: is {file} the mask of a frame or of an object? Name masks of frames like their frames (the "
                f"first is {first}), and masks of objects by their ids (1.png)"
            )
    counted = sorted(map(int, files)) == list(range(1, len(files) + 1))
    of_frames = [stem for stem in files if frames.numbered(int(stem)) is not None]
    if of_frames and not counted:
        stem = of_frames[0]
        raise ValueError(
            f"{folder}: is {files[stem]} the mask of frame {frames.numbered(int(stem))} or of object {stem}? Name "
            f"masks of frames like their frames (the first is {first}), and masks of objects by ids from 1 on"
        )
    logger.info("%s: read as objects of the first frame, named by id: %s", folder, ", ".join(files.values()))


def _by_number(folder: Path, files: Mapping[str, str], frames: FrameNames, *, sure: bool) -> dict[str, str] | None:
    """Match masks with frames by the only number in which their names differ.

    Args:
        folder, files, frames: see ``match_masks``.
        sure: the masks are known to show frames, not single objects.

    Returns:
        The frame of each stem. None: the names are words without numbers.
    """
    parts = {stem: _DIGITS.split(stem) for stem in files}
    alike = len({tuple(p[::2]) for p in parts.values()}) == 1
    unclear = (
        f"{folder}: are {_shown(files)} masks of frames or of objects? Name masks of frames like their frames (the "
        f"first is {frames.source.name_of(0)}), and masks of objects by their ids (1.png) or by words"
    )
    if not alike:
        padded = any(_is_padded(run) and frames.numbered(int(run)) for p in parts.values() for run in p[1::2])
        if padded or sure:
            raise ValueError(unclear)
        return None
    rows = [p[1::2] for p in parts.values()]
    varying = [place for place in range(len(rows[0])) if len({row[place] for row in rows}) > 1]
    if not varying:  # one file
        varying = [
            p for p, run in enumerate(rows[0]) if len(rows[0]) == 1 or (_is_padded(run) and frames.numbered(int(run)))
        ]
    if len(varying) != 1:
        raise ValueError(unclear)
    runs = {stem: row[varying[0]] for stem, row in zip(parts, rows, strict=True)}
    numbers = sorted(map(int, runs.values()))
    counted = numbers == list(range(1, len(numbers) + 1)) and not any(map(_is_padded, runs.values()))
    if not sure and counted:
        raise ValueError(unclear)
    shift = int(_counts_from_1(numbers, frames))
    out = {stem: frames.numbered(int(run) - shift) for stem, run in runs.items()}
    if lacking := next((stem for stem, frame in out.items() if frame is None), None):
        raise ValueError(f"{folder}: {files[lacking]}: no frame has number {int(runs[lacking])} ({_range(frames)})")
    found = {stem: frame for stem, frame in out.items() if frame is not None}
    first = next(iter(found))
    start = f", counted from {shift}" if frames.by_key is None or is_number(frames.source.name_of(0)) else ""
    logger.warning(
        "%s: masks are matched to frames by number%s: %s is frame %s", folder, start, files[first], found[first]
    )
    return found


def _counts_from_1(numbers: Sequence[int], frames: FrameNames) -> bool:
    """True if frames are counted from 0 and masks from 1: the last mask's number is the number of frames."""
    total = frames.source.num_frames
    counted = total is not None and frames.by_number.keys() == set(range(total))
    return counted and numbers[0] > 0 and numbers[-1] == total


def _range(frames: FrameNames) -> str:
    total = frames.source.num_frames
    first = frames.source.name_of(0)
    return f"the first is {first}" if total is None else f"frames are {first} to {frames.source.name_of(total - 1)}"


def _shown(files: Mapping[str, str]) -> str:
    names = list(files.values())
    return ", ".join(names[:3]) + ", ..." * (len(names) > 3)


def _is_object_id(stem: str) -> bool:
    return is_number(stem) and not stem.startswith("0")


def _is_padded(run: str) -> bool:
    """True if a number has leading zeros like a frame number: 00003, but not 03."""
    return len(run) > 2 and run.startswith("0")
