"""Prefetching."""

from __future__ import annotations

import threading
import time

import pytest

from voskit.dataloaders.video.prefetch import prefetch


def reading_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "prefetch"]


def test_gives_all_items_in_order() -> None:
    assert list(prefetch(range(50), depth=2)) == list(range(50))
    assert not reading_threads()


def test_reads_ahead_by_at_most_its_depth() -> None:
    taken = []
    items = prefetch((taken.append(i) or i for i in range(100)), depth=3)
    assert next(items) == 0
    deadline = time.monotonic() + 5
    while len(taken) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(taken) == 5  # one returned, three in the queue, one waiting for it
    items.close()
    assert not reading_threads()


def test_errors_are_raised_at_their_item() -> None:
    def broken():
        yield 1
        raise ValueError("frame 2 is damaged")

    items = prefetch(broken())
    assert next(items) == 1
    with pytest.raises(ValueError, match="frame 2 is damaged"):
        next(items)
    assert not reading_threads()
