"""Processes of a batch whose workers are killed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from voskit.evaluators.batch import engines
from voskit.evaluators.batch.engines import _record_kill, run_in_processes
from voskit.evaluators.batch.jobs import BatchJob
from voskit.evaluators.batch.results import BatchResults
from voskit.evaluators.batch.storage import OutputStore

JOBS = [BatchJob(name, f"{name}.mp4", f"{name}.png") for name in "abc"]
KILLED = [-9]


@pytest.fixture
def results(tmp_path: Path) -> BatchResults:
    return BatchResults(OutputStore(str(tmp_path)), {})


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], None]], list[int]]:
    """Replace the processes of a round by a function of the round's number, after which they are killed."""

    def replace(work: Callable[[int], None]) -> list[int]:
        numbers: list[int] = []

        def run_processes(*_: object, **__: object) -> list[int]:
            numbers.append(len(numbers))
            assert len(numbers) < 50, "endless"
            work(numbers[-1])
            return KILLED

        monkeypatch.setattr(engines, "run_processes", run_processes)
        return numbers

    return replace


def test_workers_killed_while_the_model_loads_end_the_batch(results, rounds) -> None:
    results.save(JOBS[1], "running", started=1.0)  # of a batch that was killed: no worker of this one begins it
    numbers = rounds(lambda _: None)
    with pytest.raises(ValueError, match=r"killed 3 times in a row .*: use fewer workers \(--gpu_num\) or a smaller"):
        run_in_processes(["worker"], JOBS, results, 2)
    assert len(numbers) == 3
    assert results.record(JOBS[1]).state == "running"


def test_workers_killed_now_and_then_finish_the_batch(results, rounds) -> None:
    def work(number: int) -> None:
        if number % 3 == 2:
            results.save(JOBS[number // 3], "failed")

    assert len(rounds(work)) == 0
    run_in_processes(["worker"], JOBS, results, 2)
    assert [results.record(job).state for job in JOBS] == ["failed"] * 3


def test_a_video_whose_workers_are_killed_again_and_again_fails_alone(results, rounds) -> None:
    def work(_: int) -> None:
        results.save(JOBS[0], "failed", error="a broken file")
        for job in JOBS[1:]:
            if results.record(job).state in ("open", "running"):
                results.save(job, "running", inputs="f00d", started=time.time())
                break

    numbers = rounds(work)
    run_in_processes(["worker"], JOBS, results, 2)
    assert len(numbers) == 22
    for job in JOBS[1:]:
        record = results.record(job)
        assert (record.state, record.inputs) == ("failed", "f00d")
        assert record.error == "its workers were killed 11 times, perhaps for lack of memory"


def test_a_video_that_failed_keeps_the_fingerprint_of_its_files(results) -> None:
    results.save(JOBS[0], "running", inputs="f00d")
    assert not _record_kill(JOBS[0], Counter({"a": 11}), results)
    assert results.record(JOBS[0]).inputs == "f00d"
