"""Excerpt of a frame source: the frames between a start and an end."""

from __future__ import annotations

import dataclasses
import logging
import os
import re
from collections.abc import Iterator

from voskit.dataloaders.video.frames import check_source, open_frames
from voskit.dataloaders.video.source import Frame, FrameSource

logger = logging.getLogger(__name__)

_TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?)(s?)")
_ROUNDING = 1e-6  # seconds
_SLACK = 1.0  # seconds by which an end may lie after the last frame without a warning


class Excerpt(FrameSource):
    """Frames ``first`` to ``last`` of a source, inclusive. They keep their names and times; numbers start at 0.

    Args:
        source: the frames; closed with the excerpt.
        first: number of the first frame.
        last: number of the last frame; None: that of the source.

    Raises:
        ValueError: there are no such frames.
    """

    def __init__(self, source: FrameSource, first: int, last: int | None) -> None:
        if last is not None and last < first:
            raise ValueError(f"{source.name}: the end, frame {last}, comes before the start, frame {first}")
        if source.num_frames is not None and (missing := max(first, last or 0)) >= source.num_frames:
            raise ValueError(f"{source.name} has no frame {missing}: it has {source.num_frames} frames, counted from 0")
        self._source, self._first, self._last = source, first, last
        if last is None and source.num_frames is not None:
            last = source.num_frames - 1  # as stated: the video may end earlier
        self.name = source.name
        self.size = source.size
        self.num_frames = None if last is None else last - first + 1
        self.playback = dataclasses.replace(source.playback, excerpt=True)

    @property
    def fps(self) -> float | None:
        return self._source.fps

    @property
    def whole(self) -> FrameSource:
        return self._source

    def __iter__(self) -> Iterator[Frame]:
        number = self._first - 1
        for number, frame in enumerate(self._source.iterate_from(self._first), self._first):
            yield self._renumbered(frame)
            if number == self._last:
                return
        if self._last is not None or number < self._first:
            wanted = self._first if number < self._first else self._last
            raise ValueError(f"{self.name} ends before frame {wanted}: give a smaller number")

    def between(self, first: int, last: int) -> Iterator[Frame]:
        frames = self._source.between(first + self._first, last + self._first)
        return (self._renumbered(frame) for frame in frames)  # a generator, which callers can close

    def check_rereadable(self) -> None:
        self._source.check_rereadable()

    def name_of(self, number: int) -> str:
        return self._source.name_of(number + self._first)

    def file_of(self, frame: Frame) -> str:
        return self._source.file_of(dataclasses.replace(frame, index=frame.index + self._first))

    def count(self) -> int:
        return self._source.count() - self._first if self._last is None else self._last - self._first + 1

    def close(self) -> None:
        self._source.close()

    def _renumbered(self, frame: Frame) -> Frame:
        return dataclasses.replace(frame, index=frame.index - self._first)


def excerpt(source: FrameSource, start: str | None, end: str | None) -> FrameSource:
    """Return the frames of a source from a start to an end, inclusive; without either, the source itself.

    A start or end is a frame's name, its number, counted from 0, or a time: ``12.5s``, ``1:02.5`` or ``1:00:00``. A
    name takes precedence over a number. A start time selects the first frame shown at or after it, an end time the
    last frame shown at or before it; to find them, the source is read once.

    Raises:
        ValueError: ``start`` or ``end`` is none of these, there is no such frame, or it is a time and the source has
            no times or can be read only once.
    """
    if start is None and end is None:
        return source
    first = 0 if start is None else _number(source, "start", start)
    return Excerpt(source, first, None if end is None else _number(source, "end", end))


def open_excerpt(
    source: str | os.PathLike[str], start: str | None = None, end: str | None = None, *, fps: float | None = None
) -> FrameSource:
    """Open the frames of a source from a start to an end, see :func:`excerpt`.

    Args:
        source: a source of ``open_frames``.
        start, end: the first and the last frame; None: those of the source.
        fps: frames per second of images or a camera. Videos and streams keep their times.

    Raises:
        FileNotFoundError, ValueError: see ``open_frames`` and ``excerpt``.
    """
    timed = check_source(source, fps) in ("video", "stream")
    frames = open_frames(source, fps=None if timed else fps)
    try:
        return excerpt(frames, start, end)
    except BaseException:
        frames.close()
        raise


def _number(source: FrameSource, bound: str, text: str) -> int:
    """Return the number of the frame that a start or end refers to."""
    names = range(source.num_frames or 0)
    if (named := next((number for number in names if source.name_of(number) == text), None)) is not None:
        return named
    if text.isascii() and text.isdigit():
        return int(text)
    match = _TIME.fullmatch(text.strip())
    if match is None or not (match[2] or match[4]):
        raise ValueError(
            f"{bound} {text!r}: give a frame's number (counted from 0) or name, or a time such as 12.5s or 1:02.5"
        )
    hours, minutes, seconds = int(match[1] or 0), int(match[2] or 0), float(match[3])
    if (match[2] and seconds >= 60) or (match[1] and minutes >= 60):
        raise ValueError(f"{bound} {text}: minutes and seconds must be below 60")
    return _number_at(source, bound, text, hours * 3600 + minutes * 60 + seconds)


def _number_at(source: FrameSource, bound: str, text: str, seconds: float) -> int:
    """Return the number of the frame at a time."""
    source.check_rereadable()
    number, time = -1, 0.0
    for frame in source:
        if frame.time is None:
            raise ValueError(f"{bound} {text}: images have no times: give a frame number, or set their rate (fps)")
        if bound == "start" and frame.time >= seconds - _ROUNDING:
            return frame.index
        if bound == "end" and frame.time > seconds + _ROUNDING:
            break
        number, time = frame.index, frame.time
    else:
        if bound == "end" and seconds > time + _SLACK:
            logger.warning("end %s: the last frame of %s is shown at %.2f s", text, source.name, time)
    if bound == "start":
        raise ValueError(f"start {text}: {source.name} ends before this time")
    if number < 0:
        raise ValueError(f"end {text}: {source.name} starts after this time")
    return number
