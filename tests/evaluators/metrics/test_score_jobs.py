"""Scoring in several processes."""

from __future__ import annotations

import math
import operator
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest
from thorough import mark_thorough

from voskit.evaluators.metrics.frames import jobs
from voskit.evaluators.metrics.frames.jobs import run_frames, run_jobs

ROOT = Path(__file__).resolve().parents[3]


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


def test_a_script_without_a_guard_is_run_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import threading, time\n"
        "from voskit.evaluators.metrics.frames.jobs import run_jobs\n"
        "print('begins')\n"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()  # workers are spawned beside threads\n"
        "print(run_jobs(abs, [(-1,), (2,)], num_workers=2), __file__)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == f"begins\n[1, 2] {script}\n", done.stderr


def test_at_least_one_process() -> None:
    with pytest.raises(ValueError, match="num_workers"):
        run_jobs(math.sqrt, [(4,)], num_workers=0)


@pytest.mark.parametrize("method", mark_thorough(["fork", "spawn"], ["spawn"]))
def test_workers_of_a_killed_process_end(tmp_path: Path, method: str) -> None:
    (tmp_path / "waiting.py").write_text("""
import os, pathlib, time

def note_and_wait(folder):
    pathlib.Path(folder, str(os.getpid())).touch()
    time.sleep(60)
""")
    program = tmp_path / "program.py"
    program.write_text(f"""
from voskit.evaluators.metrics.frames import jobs
from waiting import note_and_wait

jobs._start_method = lambda: {method!r}
jobs.run_jobs(note_and_wait, [({str(tmp_path)!r},)] * 2, num_workers=2)
""")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(tmp_path)))}
    killed = subprocess.Popen([sys.executable, program], env=environment, stdout=subprocess.PIPE)
    end = time.monotonic() + 60
    while len(list(tmp_path.glob("[0-9]*"))) < 2:
        assert killed.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    killed.kill()
    killed.communicate(timeout=20)  # workers share the standard output, which closes with the last of them
