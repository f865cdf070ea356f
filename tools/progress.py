"""Progress bars for commands."""

from __future__ import annotations

from tqdm import tqdm


class GrowingBar:
    """A progress bar updated by calls ``(done, total)``; the total may grow.

    Args:
        unit: the unit that is counted, such as ``"video"``.
    """

    def __init__(self, unit: str) -> None:
        tqdm.monitor_interval = 0  # no monitor thread, so that processes can be forked
        self._bar = tqdm(total=0, unit=unit, disable=None)

    def __call__(self, done: int, total: int) -> None:
        if self._bar.n >= (self._bar.total or 0):
            self._bar.total = self._bar.n + total
        self._bar.update(done)

    def close(self) -> None:
        """Keep the bar on its line."""
        self._bar.close()
