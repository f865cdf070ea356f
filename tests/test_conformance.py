"""The programs that come with the conformance numbers, run through the public contract.

By default a few cases of each family run, one for each kind of behavior and encoder width; ``pytest --all-cases`` runs
every case and every frame, which takes a quarter of an hour on one core.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from programs import run_program

ROOT = Path(__file__).resolve().parents[1]
AOT = ("r50_deaotl", "many_objects/aott")
AOST = ("r50_aost_depth1",)
XMEM = ("new_objects",)


@pytest.fixture
def passed(request: pytest.FixtureRequest) -> Callable[..., bool]:
    """Run a check with the given cases, or all; return whether each of them passed."""

    def run(program: Path, cases: tuple[str, ...], *options: str) -> bool:
        chosen = () if request.config.getoption("--all-cases") else (*options, *cases)
        done = run_program([sys.executable, str(program), *chosen], cwd=ROOT)
        assert done.returncode == 0, done.stdout + done.stderr
        good, count = map(int, re.findall(r"(\d+)/(\d+) ", done.stdout)[-1])
        return good == count >= len(cases)

    return run


def test_end_to_end_cases_of_aot_and_deaot(aot_goldens: Path, passed: Callable[..., bool]) -> None:
    assert passed(aot_goldens / "check_video.py", AOT)


def test_end_to_end_cases_of_aost(aost_goldens: Path, passed: Callable[..., bool]) -> None:
    assert passed(aost_goldens / "check_video.py", AOST)


@pytest.mark.thorough
def test_end_to_end_cases_of_xmem(xmem_goldens: Path, passed: Callable[..., bool]) -> None:
    assert passed(xmem_goldens / "check_video.py", XMEM)


def test_masks_on_real_video_equal_the_originals(
    aot_goldens: Path, real_data: Path, passed: Callable[..., bool]
) -> None:
    """The first frames of a sequence of two objects."""
    assert passed(aot_goldens / "check_trained.py", ("bmx-trees",), "--frames", "5")
