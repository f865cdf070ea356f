"""Presentation times of decoded frames, in seconds from the start of the video."""

from __future__ import annotations

import logging
from fractions import Fraction

logger = logging.getLogger(__name__)

_RESTART = 1.0  # a larger step back, in seconds, means that recordings were restarted or joined


class FrameClock:
    """Times of the frames in one pass through a video, which never decrease.

    A frame without a time follows the frame before it at the mean rate. If times start again, as in joined recordings,
    all later ones are shifted.

    Args:
        label: name of the video in the log.
        time_base: unit of the stream's times, in seconds.
        start: time in seconds at which the container and its audio start; None: that of the first frame.
        fps: mean frame rate, if known.
    """

    def __init__(self, label: str, time_base: Fraction, start: float | None, fps: float | None) -> None:
        self._label = label
        self._base = time_base
        self._start = start
        self._interval = 1 / fps if fps else 1 / 25
        self._last: float | None = None

    def time(self, pts: int | None) -> float:
        """Return the time of the next frame in seconds, from its time stamp in units of the stream, if it has one."""
        if pts is None:
            time = 0.0 if self._last is None else self._last + self._interval
        else:
            stated = float(pts * self._base)
            self._start = stated if self._start is None else self._start
            time = stated - self._start
            if self._last is not None and time < self._last - _RESTART:
                logger.warning("%s: times start again after %.2f s: later frames are shifted", self._label, self._last)
                self._start = stated - self._last - self._interval
                time = self._last + self._interval
        self._last = max(time, self._last or 0.0)
        return self._last
