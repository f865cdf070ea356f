"""The programs that come with the conformance numbers, run through the public contract."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run(program: Path, *arguments: str) -> str:
    done = subprocess.run([sys.executable, str(program), *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_all_end_to_end_cases_of_aot_and_deaot(aot_goldens: Path) -> None:
    assert "20/20 AOT/DeAOT cases" in run(aot_goldens / "check_video.py")


def test_all_end_to_end_cases_of_aost(aost_goldens: Path) -> None:
    assert "9/9 AOST cases" in run(aost_goldens / "check_video.py")


def test_masks_on_real_video_equal_the_originals(aot_goldens: Path, real_data: Path) -> None:
    """Twelve frames of each sequence; all 329 frames take some minutes, run check_trained.py by hand for these."""
    assert "6/6 sequences as the original" in run(aot_goldens / "check_trained.py", "--frames", "12")


def test_all_end_to_end_cases_of_xmem(xmem_goldens: Path) -> None:
    assert "9/9 XMem clips" in run(xmem_goldens / "check_video.py")
