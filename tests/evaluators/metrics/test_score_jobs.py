"""Work in several processes."""

from __future__ import annotations

import math
import operator

import cv2
import pytest

from evaluators.metrics import jobs
from evaluators.metrics.jobs import run_frames, run_jobs


def doubled(rules: int, frames: tuple[int, ...]) -> list[int]:
    return [rules * frame for frame in frames]


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("num_workers", [1, 3])
def test_results_keep_the_order_of_the_jobs(monkeypatch: pytest.MonkeyPatch, method: str, num_workers: int) -> None:
    monkeypatch.setattr(jobs, "_start_method", lambda: method)
    arguments = [(a, 2) for a in range(9)]
    done: list[tuple[int, int]] = []
    results = run_jobs(
        operator.pow, arguments, num_workers=num_workers, sizes=list(range(9)), progress=lambda *x: done.append(x)
    )
    assert results == [a**2 for a in range(9)]
    assert sum(n for n, _ in done) == 36 and {total for _, total in done} == {36}


@pytest.mark.parametrize("num_workers", [1, 2])
def test_an_error_of_a_job_is_raised(num_workers: int) -> None:
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        run_jobs(math.sqrt, [(4,), (-1,), (9,)], num_workers=num_workers)


def test_frames_of_long_sequences_are_put_together() -> None:
    sequences = {"long": (2, range(100)), "none": (1, []), "short": (3, [5])}
    values = run_frames(doubled, sequences, num_workers=2)
    assert values == {"long": [2 * k for k in range(100)], "none": [], "short": [15]}


def test_opencvs_threads_are_as_before() -> None:
    before = cv2.getNumThreads()
    assert run_jobs(cv2.getNumThreads, [(), ()], num_workers=2) == [1, 1]
    assert cv2.getNumThreads() == before


def test_at_least_one_process() -> None:
    with pytest.raises(ValueError, match="num_workers"):
        run_jobs(math.sqrt, [(4,)], num_workers=0)
