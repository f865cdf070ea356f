"""Several processes of one command: those that depend on each other end together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from voskit.evaluators.parallel import processes

DEAF = """
import os, signal, sys, time
if os.environ["RANK"] == "0":
    while not os.path.exists(sys.argv[1]):
        time.sleep(0.05)
    sys.exit(3)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1], "w").close()
time.sleep(600)
"""


def test_when_one_fails_the_others_are_ended_even_if_they_ignore_signals(tmp_path: Path, monkeypatch) -> None:
    program = tmp_path / "program.py"
    program.write_text(DEAF)
    monkeypatch.setattr(processes, "GRACE", 0.5)
    before = signal.getsignal(signal.SIGTERM)
    assert processes.run_processes([sys.executable, str(program), str(tmp_path / "deaf")], 2, together=True) == [
        3,
        -signal.SIGKILL,
    ]
    assert signal.getsignal(signal.SIGTERM) == before


def test_independent_ones_run_to_the_end(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import os, sys, time\nsys.exit(3 if os.environ['RANK'] == '0' else time.sleep(1))")
    assert processes.run_processes([sys.executable, str(program)], 2, together=False) == [3, 0]


PARENT = """
import sys
from voskit.evaluators.parallel.processes import run_processes
run_processes([sys.executable, *sys.argv[1:]], 1, together=False)
"""
WORKER = """
import os, signal, sys, time
from voskit.evaluators.parallel import parent
parent.GRACE = 0.5
parent.end_with_parent()
assert parent.PARENT not in os.environ
signal.signal(signal.SIGTERM, lambda *_: open(sys.argv[1] + "/asked", "w").close())
with open(sys.argv[1] + "/new", "w") as file:
    file.write(str(os.getpid()))
os.rename(sys.argv[1] + "/new", sys.argv[1] + "/worker")
while True:  # as if SIGTERM were not heard
    time.sleep(0.05)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a process keeps its parent's id there")
def test_workers_of_a_killed_command_end_even_if_they_ignore_signals(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    (tmp_path / "worker.py").write_text(WORKER)
    names = [str(tmp_path / name) for name in ("parent.py", "worker.py")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(processes.python_path())}
    command = subprocess.Popen([sys.executable, *names, str(tmp_path)], env=environment)
    _wait(lambda: (tmp_path / "worker").exists())
    worker = int((tmp_path / "worker").read_text())
    command.kill()
    command.wait()
    _wait(lambda: not _runs(worker))
    assert (tmp_path / "asked").exists()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
