"""Frame-rate control: choice of a network's depth that keeps up with a target frame rate."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Sequence

logger = logging.getLogger(__name__)

FRAMES = 3
"""Number of frames at one depth over which the median time is taken."""
MARGIN = 0.9
"""A greater depth is tried if it should take at most this fraction of the available time."""


class FrameRateKeeper:
    """Chooser of the greatest depth at which a frame takes at most ``1 / target_fps`` seconds.

    The time of a depth is the median of its last frames; the first frame after a change doesn't count, since it pays
    for the change. If a depth becomes slower or faster, because of another program's load or larger frames, the known
    times of the other depths are scaled by the same factor, so a greater depth is tried again once the load is gone.
    The time of a depth that hasn't run yet is estimated in proportion to its layers.

    Args:
        target_fps: frames per second.
        depths: depths to choose from, ascending.

    Raises:
        ValueError: the rate isn't a positive number.
    """

    def __init__(self, target_fps: float, depths: Sequence[int]) -> None:
        if isinstance(target_fps, bool) or not isinstance(target_fps, (int, float)) or not target_fps > 0:
            raise ValueError(f"target_fps must be a positive number of frames per second, got {target_fps!r}")
        self.target_fps = target_fps
        self.depths = tuple(depths)
        self._known: dict[int, float] = {}  # seconds of a frame, by depth
        self.reset()

    def reset(self) -> None:
        """Start a new video: forget the frames of the last one, but not the times of depths."""
        self._depth: int | None = None
        self._recent: list[float] = []

    def next_depth(self, depth: int, seconds: float) -> int:
        """Return the depth for the next frame, after a predicted frame took ``seconds`` at ``depth``."""
        if depth != self._depth:
            self._depth, self._recent = depth, []
            return depth
        self._recent = [*self._recent, seconds][-FRAMES:]
        if len(self._recent) < FRAMES:
            return depth
        median = statistics.median(self._recent)
        was_slow = self._known.get(depth, 0.0) > 1 / self.target_fps
        change = median / self._known.get(depth, median) if median else 1.0
        self._known = {d: s * change for d, s in self._known.items()} | {depth: median}
        if median <= 1 / self.target_fps:
            return self._increase(depth, median)
        if depth == self.depths[0] and not was_slow:
            logger.warning(
                "%g frames/s can't be reached: a frame takes %.3f s at depth %d, the smallest",
                self.target_fps,
                median,
                depth,
            )
        return self._decrease(depth)

    def _increase(self, depth: int, median: float) -> int:
        """Return the next greater depth if there is time for it."""
        greater = next((d for d in self.depths if d > depth), depth)
        expected = self._known.get(greater, median * greater / depth)
        return greater if expected <= MARGIN / self.target_fps else depth

    def _decrease(self, depth: int) -> int:
        """Return the greatest lower depth that isn't known to be too slow, too."""
        lower = [d for d in self.depths if d < depth]
        fast = [d for d in lower if self._known.get(d, 0.0) <= 1 / self.target_fps]
        return max(fast, default=self.depths[0])
