"""Scores of two folders of masks: 0 and 255, ``binary``, ``ignore_id``, and ids without a match."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from voskit.evaluators.metrics import score

SIZE = (24, 32)


def blocks(values: Iterable[int]) -> np.ndarray:
    """Return a mask with a block for each value, side by side; 0 leaves a block out."""
    ids = np.zeros(SIZE, np.uint8)
    for place, value in enumerate(values):
        ids[4:14, 2 + 10 * place : 9 + 10 * place] = value
    return ids


def write(folder: Path, frames: Iterable[np.ndarray]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, ids in enumerate(frames):
        Image.fromarray(ids).save(folder / f"{number:05d}.png")
    return folder.parent


def j_and_f(truth: Path, results: Path, **options: str) -> float:
    return score("folder", truth, results, num_workers=1, **options).tables["global"]["J&F"]


def test_0_and_255_is_one_object_also_where_frames_are_without_it(tmp_path: Path) -> None:
    truth = write(tmp_path / "truth/a", [blocks([v]) for v in (255, 255, 0, 255, 255)])
    ones = write(tmp_path / "ones/a", [blocks([v]) for v in (1, 1, 0, 1, 1)])
    assert j_and_f(truth, ones) == 100
    assert j_and_f(truth, truth) == 100
    assert j_and_f(truth, ones, ignore_id="255") == 100
    half = write(tmp_path / "half/a", [blocks([v]) for v in (1, 1, 0, 0, 1)])
    assert j_and_f(truth, half) == pytest.approx(100 * 2 / 3)


def test_a_soft_edge_is_read_as_in_given_masks(tmp_path: Path) -> None:
    soft = blocks([255])
    soft[3, 2:9], soft[14, 2:9] = (40, 60, 80, 100, 110, 120, 127), (128, 140, 160, 180, 200, 220, 240)
    sharp = (soft > 127).astype(np.uint8)
    truth, results = write(tmp_path / "truth/a", [soft] * 3), write(tmp_path / "results/a", [sharp] * 3)
    assert j_and_f(truth, results) == 100
    assert j_and_f(truth, results, binary="yes") == 100


def test_void_is_left_out_where_the_truth_has_other_values_too(tmp_path: Path) -> None:
    # the third frame has void alone, which isn't an object, as other frames of the video have ids
    truth = write(tmp_path / "truth/a", [blocks([1, 255]), blocks([1, 255]), blocks([0, 255]), blocks([1, 255])])
    results = write(tmp_path / "results/a", [blocks([1, 0]), blocks([1, 1]), blocks([0, 1]), blocks([1, 0])])
    assert j_and_f(truth, results, ignore_id="255") == 100
    assert j_and_f(truth, results) < 50
    assert j_and_f(truth, results, ignore_id="255", binary="yes") == 100


def test_binary_is_any_value(tmp_path: Path) -> None:
    truth = write(tmp_path / "truth/a", [blocks([7, 9])] * 3)
    results = write(tmp_path / "results/a", [blocks([1, 1])] * 3)
    assert j_and_f(truth, results, binary="yes") == 100
    with pytest.raises(ValueError, match=r"results/a: its ids \(1\) and those of the ground truth \(7, 9\) have none"):
        j_and_f(truth, results)


def test_objects_that_were_lost_are_no_reason_to_refuse(tmp_path: Path) -> None:
    truth = write(tmp_path / "truth/a", [blocks([1, 2]), blocks([1, 0]), blocks([1, 2])])
    results = write(tmp_path / "results/a", [blocks([1, 2]), blocks([0, 2]), blocks([1, 2])])
    assert j_and_f(truth, results) == 0
    assert j_and_f(truth, write(tmp_path / "none/a", [blocks([])] * 3)) == 0


def test_the_command_line_has_the_same_options(tmp_path: Path, run_score: Callable[..., tuple[int, str]]) -> None:
    truth = write(tmp_path / "truth/a", [blocks([7, 255])] * 3)
    results = write(tmp_path / "results/a", [blocks([1, 0])] * 3)
    flags = ("--dataset", "folder", "--data_root", truth, "--results", results, "--output", tmp_path / "s.json")
    assert run_score(*flags, "--num_workers", 1)[0] == 1
    assert run_score(*flags, "--num_workers", 1, "--binary", "--ignore_id", 255) == (0, "")
    assert '"J&F": 100.0' in (tmp_path / "s.json").read_text()
    assert "--ignore_id 0: give a value from 1" in run_score(*flags, "--ignore_id", 0)[1]
