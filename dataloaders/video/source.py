"""What a source of frames is: the base class that videos, image folders and live streams share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame.

    Attributes:
        index: 0-based position in the source.
        name: stem for output files: the image file's stem, or ``f"{index:05d}"`` in videos and streams.
        image: H x W x 3 uint8 RGB, upright.
    """

    index: int
    name: str
    image: np.ndarray


class FrameSource(ABC):
    """A stream of frames of one size. Iterate it, and close it or use it in a ``with`` block.

    Never more than a few frames are in memory. Each ``iter()`` of a file or folder starts at its first frame; a camera
    or network stream can be iterated once.

    Attributes:
        name: the video's stem, the folder's name, ``camera0``, ...: what outputs are named after.
        size: (height, width) of every frame handed out, after rotation.
        fps: frames per second; None for images, unless the caller gave a rate.
        num_frames: how many frames the source says it has; None where it does not say. Never an estimate.
    """

    name: str
    size: tuple[int, int]
    fps: float | None
    num_frames: int | None

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Frames in order. Raises ValueError where a frame cannot be read, after all frames before it were given."""

    @abstractmethod
    def between(self, first: int, last: int) -> Iterator[Frame]:
        """Frames number ``first`` to number ``last``, both included; backwards where ``last`` is the smaller one.

        They are what reading from the start gives.

        Raises:
            ValueError: the source can be read only once (now), there is no such frame, or one can't be read.
        """

    def check_rereadable(self) -> None:  # noqa: B027 -- files and folders can always be read again
        """Raise a ValueError if the source, such as a camera, can be read only once."""

    @abstractmethod
    def name_of(self, number: int) -> str:
        """What frame ``number`` is called, see :class:`Frame`."""

    @abstractmethod
    def count(self) -> int:
        """How many frames there are; a video is read through for it. Raises ValueError as reading does."""

    @abstractmethod
    def close(self) -> None:
        """Release files and devices. May be called twice; iterating afterwards raises ValueError."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
