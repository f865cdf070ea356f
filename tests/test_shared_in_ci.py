"""Tests that need ``../shared`` skip without it, and fail if ``CI`` is set."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from programs import run_program

TESTS = """
import pytest

def test_numbers(xmem_goldens):
    pass

@pytest.mark.parametrize("case", [])
def test_cases(case):
    pass

def test_other():
    pytest.skip("no camera")
"""


@pytest.mark.parametrize(("ci", "outcome"), [("", "3 skipped"), ("true", "1 skipped, 2 errors")])
def test_outcome_without_shared(tmp_path: Path, ci: str, outcome: str) -> None:
    tests = tmp_path / "repository" / "tests"
    tests.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("conftest.py"), tests)
    (tests / "test_planted.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tests.parent, tests]
    environment = {**os.environ, "CI": ci}
    done = run_program(list(map(str, command)), cwd=tests.parent, env=environment)
    assert outcome in done.stdout, done.stdout + done.stderr
