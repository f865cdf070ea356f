"""Simulated user of the annotation page: outlines, the mouse's way along them, and the whole program."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from programs import run_program
from skimage.draw import ellipse, polygon2mask
from small_models import save_small_aost

import dataset_trees as trees

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import annotation

import common


@pytest.fixture
def mask() -> np.ndarray:
    """A ring with a part inside, a bar at the edge of the picture, and specks."""
    mask = np.zeros((60, 90), bool)
    for radius, value in [(25, True), (15, False), (7, True)]:
        mask[ellipse(30, 35, radius, 1.2 * radius)] = value
    mask[50:, 70:] = True
    mask[5:8, 80:83] = True
    mask[30, 14:16] = False
    return mask


def drawn(mask: np.ndarray, tolerance: float) -> np.ndarray:
    """Fill the outlines as the page does: pixels whose centers are inside."""
    ids = np.zeros_like(mask)
    for polygon, hole in annotation.outlines(mask, tolerance):
        ids[polygon2mask(mask.shape, polygon[:, ::-1] - 0.5)] = not hole
    return ids


def test_outlines_without_tolerance_give_the_mask_without_its_specks(mask: np.ndarray) -> None:
    wanted = mask.copy()
    wanted[5:8, 80:83] = False
    wanted[30, 14:16] = True
    assert [hole for _, hole in annotation.outlines(mask)] == [False, True, False, False]
    assert np.array_equal(drawn(mask, 0.0), wanted)
    assert 0.93 < common.region(drawn(mask, 1.0), wanted) < 1


def test_an_empty_mask_has_no_outline() -> None:
    assert annotation.outlines(np.zeros((9, 9), bool)) == []


def test_the_mouse_moves_in_short_even_steps_along_an_outline(mask: np.ndarray) -> None:
    for polygon, _ in annotation.outlines(mask):
        places = annotation.mouse_path(1.7 * polygon)
        steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
        assert steps.min() >= 2 and steps.max() <= annotation.SPACING + 2.5
        assert np.array_equal(places[0], np.rint(1.7 * polygon[0]))


def test_the_model_of_the_user_counts_actions_and_the_length_of_drags() -> None:
    work = annotation.Work(keys=3)
    work.drag([(0, 0), (30, 40), (30, 0)])
    assert work.user_seconds(annotation.Args(data_root=Path(), action=2.0, speed=45.0)) == 2 * (3 + 1) + 90 / 45


@pytest.mark.thorough
def test_the_program_annotates_a_video_in_the_page(tmp_path: Path, chromium: Callable[..., Any]) -> None:
    weights, davis = save_small_aost(tmp_path), trees.davis2017(tmp_path / "davis")
    command = [sys.executable, "annotation.py", "--data_root", str(davis), "--videos", "dog", "--model", "aost"]
    command += ["--ckpt_path", str(weights), "--most", "1", "--target", "1.0", "--screenshots", str(tmp_path)]
    command += ["--output", str(tmp_path / "figures.json")]
    done = run_program(command, cwd=Path(annotation.__file__).parent)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / "figures.json").read_text())["rows"]
    assert (row["video"], row["frames"], row["objects"], row["corrected"]) == ("dog", 3, 2, 1)
    assert row["J traced"] == 1  # two blocks of pixels
    assert len(row["work"]["curve"]) == 2 and 0 < row["J at first"] < 1 and 0 < row["J at end"] < 1
    assert row["strokes"] >= 3 and row["keys"] >= 8 and row["machine s"] > 0
    assert {path.name for path in tmp_path.glob("*.png")} == {"dog_first.png", "dog_end.png"}
