"""JPEGs of a clip's frames in any order, fast for playback and for stepping forwards and backwards."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator

import cv2
import numpy as np

from voskit.dataloaders.video.source import Frame, FrameSource

QUALITY = 92
"""Quality of the JPEGs."""
_AHEAD = 48  # maximum distance to a requested frame that is decoded through instead of seeking
_BACK = 12  # number of frames decoded at once when the user steps backwards
_CACHE_BYTES = 192 * 2**20


class FramePictures:
    """Frames of a clip as JPEGs, with a bounded cache. Reading is thread-safe.

    Args:
        source: the clip.
    """

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self._count = source.count()
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self._bytes = 0
        self._reading = threading.Lock()
        self._storing = threading.Lock()
        self._frames: Iterator[Frame] | None = None
        self._next = 0  # the frame that the open reader yields next
        self._last = -1  # the last requested frame

    def get(self, number: int) -> bytes:
        """Return a frame as a JPEG.

        Raises:
            ValueError: there is no such frame, or it is damaged.
        """
        if not 0 <= number < self._count:
            raise ValueError(f"there is no frame {number}, the last one is {self._count - 1}")
        if (found := self._cached(number)) is None:
            with self._reading:
                if (found := self._cached(number)) is None:
                    found = self._read(number)
        self._last = number
        return found

    def clear(self) -> None:
        """Release the open reader and the cache until the next request."""
        with self._reading, self._storing:
            self._stop()
            self._cache.clear()
            self._bytes = 0

    def _cached(self, number: int) -> bytes | None:
        with self._storing:
            if (found := self._cache.get(number)) is not None:
                self._cache.move_to_end(number)
            return found

    def _read(self, number: int) -> bytes:
        if number == self._last - 1:
            self._stop()
            for back in self._source.between(max(0, number - _BACK + 1), number):
                self._store(back)
        elif self._frames is None or not self._next <= number <= self._next + _AHEAD:
            self._stop()
            self._frames, self._next = self._source.between(number, self._count - 1), number
        while self._frames is not None and self._next <= number:
            if (frame := next(self._frames, None)) is None:
                self._stop()
                break
            self._next = frame.index + 1  # damaged frames are skipped
            if frame.index > number - _BACK:
                self._store(frame)
        if (found := self._cached(number)) is None:
            raise ValueError(f"frame {number} is damaged")
        return found

    def _stop(self) -> None:
        if self._frames is not None:
            self._frames.close()  # type: ignore[attr-defined]
            self._frames = None

    def _store(self, frame: Frame) -> None:
        picture = encode_jpeg(frame.image)
        with self._storing:
            self._bytes += len(picture) - len(self._cache.pop(frame.index, b""))
            self._cache[frame.index] = picture
            while self._bytes > _CACHE_BYTES and len(self._cache) > 1:
                self._bytes -= len(self._cache.popitem(last=False)[1])


def encode_jpeg(image_HW3: np.ndarray) -> bytes:
    """Return an RGB image, H x W x 3 uint8, as a JPEG."""
    done, data = cv2.imencode(".jpg", image_HW3[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ValueError("a frame can't be written as a JPEG")
    return data.tobytes()
