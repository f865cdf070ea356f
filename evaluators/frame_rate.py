"""Holding a frame rate by choosing how deep a network is run."""

from __future__ import annotations

import logging
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence

logger = logging.getLogger(__name__)

FRAMES = 3
"""Frames at one depth whose median is judged."""
MARGIN = 0.9
"""A depth is gone up to where it is expected to take at most this share of the time that there is."""


class FrameRateKeeper:
    """Chooses the greatest depth at which a frame takes no longer than ``1 / target_fps``.

    What each depth takes is the median of its last frames. The first frame at a depth doesn't count: it pays for the
    change. When a depth becomes slower or faster, by another program's load or a larger picture, what is known of the
    others is scaled alike, so that it is known when there is time for more layers again. A depth that was never run is
    expected to take no longer than in proportion to its layers.

    Args:
        target_fps: frames a second.
        depths: the depths to choose from, ascending.
        clock: gives the time in seconds; None: ``time.perf_counter``.

    Raises:
        ValueError: the rate isn't a positive number.
    """

    def __init__(self, target_fps: float, depths: Sequence[int], clock: Callable[[], float] | None = None) -> None:
        if isinstance(target_fps, bool) or not isinstance(target_fps, (int, float)) or not target_fps > 0:
            raise ValueError(f"target_fps is a positive number of frames a second, got {target_fps!r}")
        self.target_fps = target_fps
        self.depths = tuple(depths)
        self.clock = clock or time.perf_counter
        self._recent: deque[float] = deque(maxlen=FRAMES)
        self._depth: int | None = None
        self._seconds: dict[int, float] = {}
        self._warned = False

    def begin_video(self) -> None:
        """Judge nothing by frames of the video before."""
        self._recent.clear()
        self._depth = None

    def after_frame(self, depth: int, seconds: float) -> int:
        """Note what a predicted frame took at this depth -> the depth for the next one."""
        if depth != self._depth:
            self._depth = depth
            self._recent.clear()
            return depth
        self._recent.append(seconds)
        if len(self._recent) < FRAMES:
            return depth
        median = statistics.median(self._recent)
        change = median / self._seconds.get(depth, median) if median else 1.0
        self._seconds = {d: s * change for d, s in self._seconds.items()} | {depth: median}
        if median > 1 / self.target_fps:
            return self._lower(depth, median)
        return self._higher(depth, median)

    def _lower(self, depth: int, median: float) -> int:
        """The greatest depth below that isn't known to be too slow as well."""
        below = [d for d in self.depths if d < depth]
        if not below:
            if not self._warned:
                self._warned = True
                logger.warning(
                    "%g frames/s can't be held: a frame takes %.3f s at depth %d, the least",
                    self.target_fps,
                    median,
                    depth,
                )
            return depth
        fitting = [d for d in below if self._seconds.get(d, 0.0) <= 1 / self.target_fps]
        return max(fitting, default=below[0])

    def _higher(self, depth: int, median: float) -> int:
        """One depth more, where there is time for it."""
        above = [d for d in self.depths if d > depth]
        if not above:
            return depth
        expected = self._seconds.get(above[0], median * above[0] / depth)
        return above[0] if expected <= MARGIN / self.target_fps else depth
