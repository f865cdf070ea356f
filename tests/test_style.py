"""Format, lint and types."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("command", [("ruff", "check", "."), ("ruff", "format", "--check", ".")])
def test_ruff_finds_nothing(command: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_finds_nothing_in_what_is_shipped(tmp_path: Path) -> None:
    """It can't follow the facade's ``__path__``, so it reads the built package."""
    built = tmp_path / "built"
    command = [
        sys.executable,
        "setup.py",
        "-q",
        "build",
        "--build-base",
        str(tmp_path / "base"),
        "--build-lib",
        str(built),
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    checked = [sys.executable, "-m", "mypy", "-p", "voskit", "--config-file", str(ROOT / "pyproject.toml")]
    checked += ["--cache-dir", os.devnull]  # a cache that is used once takes longer than none
    done = subprocess.run(checked, cwd=built, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
