"""Frames of a video by their numbers: found by seeking, and checked against what reading from the start gave.

Containers and codecs seek with different precision, and a decoder that starts in the middle may give damaged pictures
without saying so. So a frame counts as found only if its time and a print of its pixels are the known ones.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import av
import av.error
import numpy as np

from voskit.dataloaders.video.orientation import upright_rgb

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_GRID = 8  # every so many rows and columns are in a frame's print
_FURTHER_BACK = 32  # frames by which a seek that failed is tried earlier, then four times as many, and so on


class FrameIndex:
    """Times and prints of the frames that were read from the start so far, in order."""

    def __init__(self) -> None:
        self._times: list[int | None] = []
        self._prints: list[int] = []

    def __len__(self) -> int:
        return len(self._times)

    def see(self, number: int, time: int | None, image: np.ndarray) -> None:
        """Take in a frame: its time in the stream's units, and its H x W x 3 pixels."""
        if number == len(self):
            self._times.append(time)
            self._prints.append(_print_of(image))

    def time(self, number: int) -> int | None:
        """When a frame is shown, in the stream's units; None: the stream doesn't say."""
        return self._times[number]

    def is_frame(self, number: int, time: int, image: np.ndarray) -> bool:
        """Whether this is frame ``number``, pixels included."""
        return self._times[number] == time and self._prints[number] == _print_of(image)


def seek_images(
    container: InputContainer, stream: VideoStream, index: FrameIndex, first: int, last: int
) -> Iterator[np.ndarray]:
    """Frames ``first`` to ``last``, H x W x 3 uint8 each; ends early at one that can't be found so."""
    number, start, step = first, first, _FURTHER_BACK
    while True:
        for image in _decode_from(container, stream, index.time(start), index.time(first)):
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
    container: InputContainer, stream: VideoStream, start: int | None, wanted: int | None
) -> Iterator[tuple[int, np.ndarray]]:
    """Times and pixels of frames from time ``wanted`` on, decoded from before time ``start``."""
    if start is None or wanted is None:
        return
    try:
        container.seek(start, stream=stream, backward=True)
        for frame in container.decode(stream):
            if frame.pts is not None and frame.pts >= wanted:
                yield frame.pts, upright_rgb(frame)
    except av.error.FFmpegError:
        return  # what a broken or missing index of the container leads to: the caller reads from the start


def _print_of(image: np.ndarray) -> int:
    return zlib.crc32(image[::_GRID, ::_GRID].tobytes())
