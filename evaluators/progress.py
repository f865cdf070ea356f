"""Progress bars of long runs."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

SECONDS_IN_LOG = 30.0


def progress_bar(iterable: Iterable[Any] | None = None, *, shown: bool = True, **options: Any) -> tqdm:
    """Return a progress bar on stderr. In a log file, it is updated every 30 seconds only.

    Args:
        iterable: what to iterate over, if the bar counts by itself.
        shown: False makes the bar silent.
        options: further options of ``tqdm``, such as ``total`` and ``unit``.
    """
    interval = 0.1 if sys.stderr.isatty() else SECONDS_IN_LOG
    return tqdm(iterable, disable=not shown, mininterval=interval, maxinterval=max(10.0, interval), **options)
