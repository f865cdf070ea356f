"""Several processes of one command: those that depend on each other end together."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from voskit.evaluators.benchmarks import processes

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


def test_when_one_fails_the_others_are_ended_even_if_they_do_not_listen(tmp_path: Path, monkeypatch) -> None:
    program = tmp_path / "program.py"
    program.write_text(DEAF)
    monkeypatch.setattr(processes, "_GRACE", 0.5)
    before = signal.getsignal(signal.SIGTERM)
    assert processes.run_processes([sys.executable, str(program), str(tmp_path / "deaf")], 2, together=True) == [
        3,
        -signal.SIGKILL,
    ]
    assert signal.getsignal(signal.SIGTERM) == before


def test_those_that_do_not_depend_on_each_other_run_to_their_ends(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import os, sys, time\nsys.exit(3 if os.environ['RANK'] == '0' else time.sleep(1))")
    assert processes.run_processes([sys.executable, str(program)], 2, together=False) == [3, 0]
