"""Recorded numbers of every family, of losses, schedules, augmentation and measures, which need no further files.

``test_a_changed_number_is_noticed`` plants changes in a copy of the package and expects the goldens to fail.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from programs import run_program

from goldens.record import CASES, differences

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("voskit", "configs", "networks", "dataloaders", "trainers", "evaluators")
MOST_BYTES = 3_000_000

# case that notices, file, text that occurs once, replacement
CHANGES = {
    "overlay without a dark rim": (
        "overlay",
        "evaluators/clips/overlay.py",
        "_HALO_DARKNESS = 0.55",
        "_HALO_DARKNESS = 0.0",
    ),
    "policy that drops the first reference": (
        "memory_policies",
        "networks/memory/policies.py",
        "return oldest[1]",
        "return oldest[0]",
    ),
    "slower decay of averaged weights": (
        "averaged_weights",
        "trainers/ema.py",
        "(1 + update) / (10 + update)",
        "(1 + update) / (20 + update)",
    ),
    "AOT's loss with three times the Jaccard term": (
        "clip_losses",
        "trainers/losses.py",
        "(hardest + soft_jaccard(",
        "(hardest + 3 * soft_jaccard(",
    ),
    "XMem's shrinkage from 2 on": ("xmem", "networks/models/xmem.py", "** 2 + 1", "** 2 + 2"),
    "another mean of ImageNet": (
        "normalized_frames",
        "dataloaders/transforms.py",
        "np.array((0.485,",
        "np.array((0.585,",
    ),
    "most clips in grayscale": (
        "clips_as_xmem_draws_them",
        "dataloaders/training/xmem.py",
        "_GRAYSCALE = 0.05",
        "_GRAYSCALE = 0.9",
    ),
    "neighbors from afar": ("grouping", "networks/engines/grouping.py", "= (36, 72)", "= (4, 4)"),
}


@pytest.mark.parametrize("name", CASES)
def test_numbers_are_the_recorded_ones(name: str) -> None:
    assert differences(name) == []


def test_each_case_has_a_file_and_all_are_small() -> None:
    files = list((ROOT / "tests" / "goldens").glob("*.npz"))
    assert {path.stem for path in files} == set(CASES)
    assert sum(path.stat().st_size for path in files) < MOST_BYTES


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package and the goldens, without ``../shared`` beside it."""
    folder = tmp_path_factory.mktemp("elsewhere") / "copy"
    for name in (*ROOMS, "tests/goldens"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.py", folder)
    return folder


def compare(package: Path, *cases: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-B", str(package / "tests/goldens/record.py"), "--compare", *cases]
    return run_program(command, cwd=package)


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_number_is_noticed(package: Path, change: str) -> None:
    case, name, old, new = CHANGES[change]
    path = package / name
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{name}: {old!r} is to be found once"
    path.write_text(text.replace(old, new), encoding="utf-8")
    try:
        done = compare(package, case)
    finally:
        path.write_text(text, encoding="utf-8")
    assert done.returncode == 1 and "differs by" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
def test_the_copy_without_a_change_has_the_recorded_numbers(package: Path) -> None:
    cases = [case for case, *_ in CHANGES.values() if case != "xmem"]
    done = compare(package, *cases)
    assert done.returncode == 0 and not done.stdout.strip(), done.stdout + done.stderr
