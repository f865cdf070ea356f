"""Seeking in a video by frame number, verified against a first pass from the start.

Containers and codecs differ in the precision of a seek, and a decoder that starts in the middle may silently return
damaged images. A frame counts as found only if its time and a checksum of its pixels match those of the first pass.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import av
import av.error
import numpy as np

from voskit.dataloaders.video.orientation import upright_rgb

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_GRID = 8  # the checksum covers every 8th row and column
_FURTHER_BACK = 32  # a failed seek is retried this many frames earlier, then four times as many, and so on


class FrameIndex:
    """Times and checksums of the frames read from the start so far, in order."""

    def __init__(self) -> None:
        self._times: list[int | None] = []
        self._seconds: list[tuple[float, float | None]] = []
        self._checksums: list[int] = []
        self.interlaced = False
        """An interlaced frame was found, and the user was warned."""
        self.damaged: set[int] = set()
        """Numbers of frames that were decoded in spite of damaged data."""
        self.dropped = False
        """Data was skipped because no frame could be decoded from it."""

    def __len__(self) -> int:
        return len(self._times)

    def add(self, number: int, pts: int | None, seconds: tuple[float, float | None], image: np.ndarray) -> None:
        """Add a frame, unless it is already in the index.

        Args:
            number: its number.
            pts: its time in the units of the stream, if stated.
            seconds: time and duration, see :class:`~voskit.dataloaders.video.source.Frame`.
            image: its H x W x 3 pixels.
        """
        if number == len(self):
            self._times.append(pts)
            self._seconds.append(seconds)
            self._checksums.append(_checksum(image))

    def to_json(self) -> dict[str, Any]:
        """Return the index as values for JSON, which :meth:`from_json` reads back."""
        return {"times": self._times, "seconds": self._seconds, "checksums": self._checksums, "dropped": self.dropped}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> FrameIndex:
        """Restore an index from :meth:`to_json`. Raises KeyError or TypeError for other values."""
        index = cls()
        index._times = [None if time is None else int(time) for time in values["times"]]
        index._seconds = [(float(time), duration) for time, duration in values["seconds"]]
        index._checksums = [int(value) for value in values["checksums"]]
        index.dropped = bool(values["dropped"])
        return index

    def places(self, times: Sequence[int]) -> list[int | None] | None:
        """Return the number of the frame at each time, or None for a time without one; None if frames lack times."""
        known = {time: number for number, time in enumerate(self._times)}
        return None if None in known or len(known) < len(self) else [known.get(time) for time in times]

    def time(self, number: int) -> int | None:
        """Return the presentation time of a frame in the units of the stream; None if the stream states none."""
        return self._times[number]

    def seconds(self, number: int) -> tuple[float, float | None]:
        """Return the time and duration of a frame in seconds."""
        return self._seconds[number]

    def is_frame(self, number: int, time: int, image: np.ndarray) -> bool:
        """True if the time and pixels are those of frame ``number``."""
        return self._times[number] == time and self._checksums[number] == _checksum(image)


def seek_images(
    container: InputContainer, stream: VideoStream, index: FrameIndex, first: int, last: int
) -> Iterator[np.ndarray]:
    """Yield frames ``first`` to ``last``, H x W x 3 uint8 each. Ends early at a frame that seeking doesn't find."""
    number, start, step = first, first, _FURTHER_BACK
    while True:
        for image in _decode_from(container, stream, index.time(start), index.time(first), index.dropped):
            time, pixels = image
            if not index.is_frame(number, time, pixels):
                break
            yield pixels
            number += 1
            if number > last:
                return
        if number > first or start == 0:
            return
        start, step = max(0, first - step), 4 * step


def _decode_from(
    container: InputContainer, stream: VideoStream, start: int | None, wanted: int | None, skip_damaged: bool
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the time and pixels of each frame from time ``wanted`` on, decoding from a key frame before ``start``."""
    if start is None or wanted is None:
        return
    try:
        container.seek(start, stream=stream, backward=True)
        for frame in _decode(container, stream, skip_damaged):
            if frame.pts is not None and frame.pts >= wanted:
                yield frame.pts, upright_rgb(frame)
    except av.error.FFmpegError:
        return  # the container's index is broken or missing: the caller reads from the start


def _decode(container: InputContainer, stream: VideoStream, skip_damaged: bool) -> Iterator[VideoFrame]:
    if not skip_damaged:
        yield from container.decode(stream)
        return
    for packet in itertools.chain(container.demux(stream), [None]):
        with suppress(av.error.InvalidDataError):
            if packet is None or packet.size:  # an empty packet would flush the decoder
                yield from stream.decode(packet)


def _checksum(image: np.ndarray) -> int:
    return zlib.crc32(image[::_GRID, ::_GRID].tobytes())
