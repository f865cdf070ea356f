"""Number of CPU threads for networks: the free cores."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

logger = logging.getLogger(__name__)

_STAT = Path("/proc/stat")
_SECONDS = 0.3  # interval over which the load is measured


def set_threads(threads: int | None) -> None:
    """Set the number of PyTorch threads.

    On a busy machine, more threads than free cores make every operation wait for the slowest thread.

    Args:
        threads: at least 1. None: ``OMP_NUM_THREADS`` if set, else the number of free cores, which is logged if other
            programs use the CPU.

    Raises:
        ValueError: ``threads`` is below 1.
    """
    import torch

    if threads is not None and threads < 1:
        raise ValueError(f"--threads must be at least 1, got {threads}")
    if threads is None and not os.environ.get("OMP_NUM_THREADS"):
        cores = torch.get_num_threads()
        threads = min(cores, free_cores() or cores)
        if threads < cores:
            logger.info("other programs use the CPU: using %d of %d threads (change with --threads)", threads, cores)
    if threads is not None:
        torch.set_num_threads(threads)


def free_cores() -> int | None:
    """Return the number of cores that are idle or run low-priority work, at least 1; None if it is unknown."""
    if not _STAT.exists():
        return None
    before = _ticks()
    time.sleep(_SECONDS)
    passed = [now - then for then, now in zip(before, _ticks(), strict=True)]
    _, nice, _, idle, waiting, *_ = passed
    total = max(1, sum(passed[:8]))  # guest times, which follow, are included in user and nice
    return max(1, round((os.cpu_count() or 1) * (nice + idle + waiting) / total))


def _ticks() -> list[int]:
    """Return the time that all cores have spent in each state: user, nice, system, idle, waiting for I/O, ..."""
    return [int(number) for number in _STAT.read_text(encoding="ascii").splitlines()[0].split()[1:]]
