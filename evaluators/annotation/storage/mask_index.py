"""Persistent index of a clip's masks: revision, objects and confidence of each frame."""

from __future__ import annotations

import bisect
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MaskRecord:
    """Content of one version of a mask.

    Attributes:
        ids: ids of its objects, ascending.
        confidence: the network's confidence in each object, 0 to 1; empty for masks that weren't propagated.
    """

    ids: tuple[int, ...] = ()
    confidence: Mapping[int, float] = field(default_factory=dict)


class FrameRanges:
    """Set of frame numbers as ranges; a change next to an existing range takes O(log n)."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []  # inclusive

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._starts, self._ends, strict=True)

    def __contains__(self, number: int) -> bool:
        place = bisect.bisect_right(self._starts, number) - 1
        return place >= 0 and number <= self._ends[place]

    def add(self, number: int) -> None:
        """Add a frame."""
        if number in self:
            return
        place = bisect.bisect_right(self._starts, number)
        joins_before = place > 0 and self._ends[place - 1] == number - 1
        joins_after = place < len(self._starts) and self._starts[place] == number + 1
        if joins_before and joins_after:
            self._ends[place - 1] = self._ends[place]
            del self._starts[place], self._ends[place]
        elif joins_before:
            self._ends[place - 1] = number
        elif joins_after:
            self._starts[place] = number
        else:
            self._starts.insert(place, number)
            self._ends.insert(place, number)

    def discard(self, number: int) -> None:
        """Remove a frame if it is in the set."""
        if number not in self:
            return
        place = bisect.bisect_right(self._starts, number) - 1
        start, end = self._starts[place], self._ends[place]
        pieces = [(a, b) for a, b in ((start, number - 1), (number + 1, end)) if a <= b]
        self._starts[place : place + 1] = [a for a, _ in pieces]
        self._ends[place : place + 1] = [b for _, b in pieces]


class MaskIndex:
    """Revision, objects and confidence of each frame's mask.

    A revision is the modification time of the mask's file in microseconds, so it survives restarts and is restored when
    an undo restores the file; 0 stands for no mask. Objects and confidences are appended to a log by frame and
    revision.

    Args:
        log: file of the log.
        masks: path of each frame's mask.
        given: numbers of the frames with given masks.
    """

    def __init__(self, log: Path, masks: Iterable[Path], given: Iterable[int]) -> None:
        self._log = log
        self._revisions: dict[int, int] = {}
        self._known: dict[tuple[int, int], MaskRecord] = {}
        self._current: dict[int, MaskRecord] = {}
        self._given: list[int] = []
        self.ranges = FrameRanges()
        self.frames_with: Counter[int] = Counter()
        """Number of frames with each object."""
        self.given_with: Counter[int] = Counter()
        """Number of given frames with each object."""
        self._paths = list(masks)
        stamps = _stamps(self._paths)
        self._last = max(stamps.values(), default=0)
        lines = self._load()
        wanted = set(given)
        for number, path in enumerate(self._paths):
            if (revision := stamps.get(path.name, 0)) > 0:
                self.set(number, revision, given=number in wanted)
        if lines > 1000 and lines > 3 * len(self._revisions):
            self._compact()

    @property
    def given(self) -> list[int]:
        """Numbers of the frames with given masks, ascending."""
        return self._given.copy()

    def is_given(self, number: int) -> bool:
        """Return True if the user gave the frame's mask."""
        place = bisect.bisect_left(self._given, number)
        return place < len(self._given) and self._given[place] == number

    @property
    def revisions(self) -> dict[int, int]:
        """Revision of each frame with a mask."""
        return self._revisions.copy()

    def revision(self, number: int) -> int:
        """Return the revision of a frame; 0: it has no mask."""
        return self._revisions.get(number, 0)

    def record(self, number: int) -> MaskRecord | None:
        """Return the content of a frame's mask; None: it has no mask, or its content isn't known yet."""
        return self._current.get(number)

    def unknown(self) -> list[int]:
        """Return the frames with a mask whose content isn't known yet."""
        return sorted(self._revisions.keys() - self._current.keys())

    def confidences(self) -> dict[int, Mapping[int, float]]:
        """Return the confidence of each object in each propagated frame: frame, then object."""
        return {n: record.confidence for n, record in self._current.items() if record.confidence}

    def stamp(self, *paths: Path) -> int:
        """Set the modification time of just-written files to a new revision; return it."""
        self._last = max(time.time_ns() // 1000, self._last + 1)
        for path in paths:
            os.utime(path, ns=(self._last * 1000, self._last * 1000))
        return self._last

    def set(self, number: int, revision: int, *, given: bool, record: MaskRecord | None = None) -> None:
        """Set the revision of a frame, 0 for no mask, and the content of its mask unless it is known."""
        self._count(number, -1)
        self._current.pop(number, None)
        place = bisect.bisect_left(self._given, number)
        if self.is_given(number):
            del self._given[place]
        if not revision:
            self._revisions.pop(number, None)
            self.ranges.discard(number)
            return
        self._revisions[number] = revision
        self._last = max(self._last, revision)
        self.ranges.add(number)
        if given:
            self._given.insert(place, number)
        if record is not None:
            self._known[number, revision] = record
            self._append(number, revision, record)
        if (content := self._known.get((number, revision))) is not None:
            self._current[number] = content
        self._count(number, 1)

    def learn(self, number: int, ids: Iterable[int]) -> None:
        """Set the objects of a frame's current mask, read from its file."""
        if revision := self.revision(number):
            self.set(number, revision, given=self.is_given(number), record=MaskRecord(tuple(ids)))

    def refresh(self, number: int, *, given: bool) -> None:
        """Read the revision of a frame's mask from its file, which an undo has replaced."""
        try:
            revision = self._paths[number].stat().st_mtime_ns // 1000
        except FileNotFoundError:
            revision = 0
        self.set(number, revision, given=given)

    def _count(self, number: int, by: int) -> None:
        if (record := self._current.get(number)) is None:
            return
        for counter in (self.frames_with, self.given_with) if self.is_given(number) else (self.frames_with,):
            for object_id in record.ids:
                counter[object_id] += by
                if not counter[object_id]:
                    del counter[object_id]

    def _load(self) -> int:
        """Read the log; return its number of lines."""
        if not self._log.exists():
            return 0
        lines = self._log.read_text(encoding="utf-8").splitlines()
        for line in lines:
            with suppress(ValueError, KeyError, TypeError):  # truncated by a kill: the mask is read when needed
                values = json.loads(line)
                confidence = {int(i): float(c) for i, c in values.get("confidence", {}).items()}
                record = MaskRecord(tuple(int(i) for i in values["ids"]), confidence)
                self._known[int(values["frame"]), int(values["revision"])] = record
        return len(lines)

    def _append(self, number: int, revision: int, record: MaskRecord) -> None:
        try:
            with self._log.open("a", encoding="utf-8") as file:
                file.write(_line(number, revision, record))
        except OSError as error:  # the mask itself has been saved
            logger.warning("%s: the confidence of frame %d is not saved: %s", self._log, number, error.strerror)

    def _compact(self) -> None:
        """Drop log records of masks that no longer exist; if an undo restores them, their objects are read again."""
        temporary = self._log.with_suffix(".tmp")
        kept = {(n, self._revisions[n]): record for n, record in self._current.items()}
        try:
            temporary.write_text("".join(_line(*key, record) for key, record in kept.items()), encoding="utf-8")
            temporary.replace(self._log)
        except OSError as error:
            logger.warning("%s can't be shortened: %s", self._log, error.strerror)


def _line(number: int, revision: int, record: MaskRecord) -> str:
    values: dict[str, object] = {"frame": number, "revision": revision, "ids": record.ids}
    if record.confidence:
        values["confidence"] = {str(i): round(c, 4) for i, c in record.confidence.items()}
    return f"\n{json.dumps(values, separators=(',', ':'))}"


def _stamps(paths: list[Path]) -> dict[str, int]:
    """Return the modification times in microseconds of the files in the first path's folder, by name."""
    if not paths or not paths[0].parent.is_dir():
        return {}
    with os.scandir(paths[0].parent) as entries:
        return {entry.name: entry.stat().st_mtime_ns // 1000 for entry in entries}
