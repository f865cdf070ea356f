"""Base class of frame sources: videos, folders of images, cameras and streams."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a source.

    Attributes:
        index: position in the source, from 0 on.
        name: stem of output files: the stem of an image file, or ``f"{index:05d}"`` in videos and streams.
        image: H x W x 3 uint8 RGB, upright.
        time: presentation time in seconds, which never decreases; None for images without a frame rate.
        duration: seconds for which the frame is shown, if the source states them.
    """

    index: int
    name: str
    image: np.ndarray
    time: float | None = None
    duration: float | None = None


@dataclass(frozen=True, kw_only=True)
class Playback:
    """Playback settings of a source other than its frame times, for videos made from it.

    Attributes:
        time_base: unit of the source's times in seconds; None: they have none.
        pixel_aspect: width of a pixel divided by its height, after rotation.
        audio: file with audio in sync with the frames' times; None: no audio.
        excerpt: the frames are an excerpt, and videos made from it begin with its first frame.
    """

    time_base: Fraction | None = None
    pixel_aspect: Fraction = Fraction(1)
    audio: str | None = None
    excerpt: bool = False


class FrameSource(ABC):
    """Source of frames, all of one size. Iterate over it, and close it or use it in a ``with`` block.

    At most a few frames are in memory. Each iteration over a file or folder starts at its first frame; a camera or
    network stream can be iterated over only once.

    Attributes:
        name: name for outputs: the stem of the video, the name of the folder, ``camera0``, ...
        size: (height, width) of all frames, after rotation.
        fps: mean number of frames per second; None for images, unless the caller sets a rate.
        num_frames: number of frames, if the source states it, else None. Never an estimate.
        playback: pixel aspect ratio and audio.
        path: the video, the image or the folder of images; None for cameras and streams.
        damaged: numbers of frames that can't be read and are skipped, if known yet; otherwise such a frame is an error.
    """

    name: str
    size: tuple[int, int]
    num_frames: int | None
    playback: Playback = Playback()
    path: Path | None = None
    damaged: Collection[int] = ()

    @property
    @abstractmethod
    def fps(self) -> float | None:
        """Mean number of frames per second."""

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Yield frames in order. Raises ValueError at a frame that can't be read, after all frames before it."""

    @abstractmethod
    def between(self, first: int, last: int) -> Iterator[Frame]:
        """Yield frames ``first`` to ``last``, inclusive; in reverse order if ``last`` is smaller.

        The frames are the same as when reading from the start.

        Raises:
            ValueError: the source can be read only once (raised at once), there is no such frame, or a frame can't be
                read.
        """

    def check_rereadable(self) -> None:  # noqa: B027 -- files and folders can always be read again
        """Raise a ValueError if the source, such as a camera, can be read only once."""

    @abstractmethod
    def name_of(self, number: int) -> str:
        """Return the name of frame ``number``, see :class:`Frame`."""

    @property
    def whole(self) -> FrameSource:
        """The source of which this is an excerpt, or the source itself."""
        return self

    def file_of(self, frame: Frame) -> str:
        """Return the name of a frame's image file; for videos, of the JPEG that one would extract."""
        return f"{frame.name}.jpg"

    def iterate_from(self, number: int) -> Iterator[Frame]:
        """Yield frame ``number`` and all later ones; earlier ones may have to be read first."""
        return itertools.islice(self, number, None)

    @abstractmethod
    def count(self) -> int:
        """Count the frames, which reads a whole video. Raises ValueError at a frame that can't be read."""

    @abstractmethod
    def close(self) -> None:
        """Release files and devices. May be called twice. Iterating afterwards raises ValueError."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
