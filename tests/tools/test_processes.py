"""tools/processes.py: processes that depend on each other end together."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from voskit.tools import processes

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
    monkeypatch.setattr(sys, "argv", ["program.py", str(tmp_path / "deaf")])
    monkeypatch.setattr(processes, "_GRACE", 0.5)
    before = signal.getsignal(signal.SIGTERM)
    assert processes.run_side_by_side(str(program), 2, "CHILD", together=True) == [3, -signal.SIGKILL]
    assert signal.getsignal(signal.SIGTERM) == before


def test_those_that_do_not_depend_on_each_other_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program.py"
    program.write_text("import os, sys, time\nsys.exit(3 if os.environ['RANK'] == '0' else time.sleep(1))")
    monkeypatch.setattr(sys, "argv", ["program.py"])
    assert processes.run_side_by_side(str(program), 2, "CHILD", together=False) == [3, 0]
