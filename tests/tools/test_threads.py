"""Number of threads: asked for, by the environment, or the cores that are free."""

from __future__ import annotations

import logging

import pytest
import torch

from voskit.tools import threads


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of threads that are set, on a machine of eight cores without ``OMP_NUM_THREADS``."""
    numbers: list[int] = []
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch, "set_num_threads", numbers.append)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    return numbers


def test_a_number_of_threads_is_used(chosen: list[int]) -> None:
    threads.set_threads(3)
    assert chosen == [3]


def test_a_busy_machine_is_logged(chosen: list[int], monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    monkeypatch.setattr(threads, "free_cores", lambda: 2)
    with caplog.at_level(logging.INFO):
        threads.set_threads(None)
    assert chosen == [2] and "2 of 8 threads" in caplog.text


@pytest.mark.parametrize("free", [8, 12, None])
def test_all_cores_of_a_free_machine_are_used(chosen: list[int], monkeypatch: pytest.MonkeyPatch, caplog, free) -> None:
    monkeypatch.setattr(threads, "free_cores", lambda: free)
    threads.set_threads(None)
    assert chosen == [8] and not caplog.text


def test_the_environment_decides(chosen: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    monkeypatch.setattr(threads, "free_cores", lambda: 1)
    threads.set_threads(None)
    assert chosen == []


def test_zero_threads_are_refused(chosen: list[int]) -> None:
    with pytest.raises(ValueError, match="--threads must be at least 1, got 0"):
        threads.set_threads(0)


@pytest.mark.parametrize(
    ("spent", "free"),
    [
        ((100, 0, 0, 100, 0), 2),  # half of four cores idle
        ((0, 200, 0, 0, 0), 4),  # all of them with low-priority work
        ((190, 0, 10, 0, 0), 1),  # none free
        ((0, 0, 0, 150, 50), 4),  # waiting for the disk
    ],
)
def test_free_cores_are_idle_or_run_low_priority_work(tmp_path, monkeypatch, spent, free) -> None:
    stat = tmp_path / "stat"
    ticks = (5, 6, 7, 8, 9, 0, 0, 0, 0, 0)

    def write(numbers: tuple[int, ...]) -> None:
        stat.write_text("cpu  " + " ".join(map(str, numbers)) + "\ncpu0 1 2 3\n")

    write(ticks)
    monkeypatch.setattr(threads, "_STAT", stat)
    monkeypatch.setattr(threads.os, "cpu_count", lambda: 4)
    later = tuple(a + b for a, b in zip(ticks, (*spent, 0, 0, 0, 0, 0), strict=True))
    monkeypatch.setattr(threads.time, "sleep", lambda _: write(later))
    assert threads.free_cores() == free


def test_other_systems_do_not_say(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(threads, "_STAT", tmp_path / "stat")
    assert threads.free_cores() is None
