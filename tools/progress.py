"""Progress bars of the commands."""

from __future__ import annotations

from tqdm import tqdm


class GrowingBar:
    """A bar for calls ``(done, total)``, which grows if there is more work than was known.

    Args:
        unit: the noun that is counted.
    """

    def __init__(self, unit: str) -> None:
        tqdm.monitor_interval = 0  # without a thread of its own, processes can be forked
        self._bar = tqdm(total=0, unit=unit, disable=None)

    def __call__(self, done: int, total: int) -> None:
        if self._bar.n >= (self._bar.total or 0):
            self._bar.total = self._bar.n + total
        self._bar.update(done)

    def close(self) -> None:
        """Keep the bar on its line."""
        self._bar.close()
