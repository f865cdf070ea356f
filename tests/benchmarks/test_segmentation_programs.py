"""Programs that compare a segmenter's masks with the truth: calibration of confidence, and fusion of directions."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from programs import run_program
from small_models import save_small_aost

import dataset_trees as trees

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import fusion
import quality

import common

BENCHMARKS = Path(common.__file__).parent


def run(name: str, folder: Path, *flags: str) -> dict:
    """Run a program on a small network and data set; return the JSON that it saves."""
    weights, davis = save_small_aost(folder), trees.davis2017(folder / "davis")
    command = [sys.executable, f"{name}.py", "--data_root", str(davis), "--model", "aost", "--ckpt_path", str(weights)]
    command += [*flags, "--output", str(folder / "figures.json")]
    done = run_program(command, cwd=BENCHMARKS)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "figures.json").read_text())


@pytest.mark.thorough
def test_the_confidence_of_all_masks_is_compared_with_j(tmp_path: Path) -> None:
    figures = run("quality", tmp_path, "--videos", "dog", "--plot", str(tmp_path / "plot.svg"))
    assert {row["video"] for row in figures["rows"]} == {"dog"}
    assert all(0 <= row["J"] <= 1 and 0 <= row["confidence"] <= 1 for row in figures["rows"])
    assert sum(row["masks"] for row in figures["bins"]) == len(figures["rows"]) > 0
    assert figures["share_of_time"] > 0
    assert "aost, davis2017" in (tmp_path / "plot.svg").read_text()


@pytest.mark.thorough
def test_four_ways_between_two_masks_are_compared(tmp_path: Path) -> None:
    figures = run("fusion", tmp_path, "--span", "2")
    assert [row["video"] for row in figures["rows"]] == ["bear", "dog", "mean"]
    assert all(0 <= row[way] <= 1 for row in figures["rows"] for way in fusion.WAYS)


@pytest.mark.parametrize(
    ("scores", "bad", "area"),
    [
        ([0.1, 0.2, 0.8, 0.9], [True, True, False, False], 1),
        ([0.1, 0.2, 0.8, 0.9], [False, False, True, True], 0),
        ([0.5, 0.5, 0.5, 0.5], [True, False, True, False], 0.5),
        ([0.1, 0.3, 0.2, 0.4], [True, True, False, False], 0.75),
    ],
)
def test_area_under_the_curve_is_the_share_of_pairs_in_order(scores: list, bad: list, area: float) -> None:
    assert quality.auc(scores, bad) == area


def test_without_bad_masks_there_is_no_area() -> None:
    assert math.isnan(quality.auc([0.1, 0.2], [False, False]))


def test_calibration_has_the_mean_j_of_each_tenth() -> None:
    pairs = [(0.05, 0.0), (0.71, 0.4), (0.79, 0.8), (1.0, 0.9)]
    low, middle, high = quality.calibration([{"confidence": c, "J": j} for c, j in pairs])
    assert (low["masks"], low["J"], low["below"]) == (1, 0, 1)
    assert (middle["confidence"], middle["masks"], middle["below"]) == ("0.7 to 0.8", 2, 0.5)
    assert (middle["J"], middle["mean"]) == (pytest.approx(0.6), pytest.approx(0.75))
    assert (high["confidence"], high["J"]) == ("0.9 to 1.0", 0.9)


def test_a_picture_shows_datasets_side_by_side(tmp_path: Path) -> None:
    rows = [{"confidence": k / 5000, "J": 0.5} for k in range(5000)]
    quality.write_plot(tmp_path / "plot.svg", [("first", rows), ("second & last", rows[:2])])
    drawn = (tmp_path / "plot.svg").read_text()
    assert ">first<" in drawn and ">second &amp; last<" in drawn
    assert drawn.count("h0") <= quality.DOTS + 2


def test_region_is_intersection_over_union() -> None:
    one, other = np.array([1, 1, 0, 0], bool), np.array([0, 1, 1, 0], bool)
    assert common.region(one, other) == 1 / 3
    assert common.region(one & other & ~one, np.zeros(4, bool)) == 1
    assert fusion.mean_j(np.array([1, 1, 2]), np.array([1, 1, 0]), [1, 2]) == 0.5


def test_unknown_videos_and_videos_without_truth_are_refused(tmp_path: Path) -> None:
    davis = trees.davis2017(tmp_path / "davis")
    with pytest.raises(ValueError, match="--videos: cat not in"):
        common.VideoArgs(data_root=davis, videos=("cat", "dog")).open_videos()
    assert [video.name for video in common.VideoArgs(data_root=davis, videos=("dog",)).open_videos()] == ["dog"]
    (tmp_path / "test").mkdir()
    bare = trees.davis2017(tmp_path / "test", split="test-dev", truth=trees.FRAMES[:1])
    with pytest.raises(ValueError, match="video bear has no true masks"):
        common.VideoArgs(data_root=bare, split="test-dev").open_videos()


def test_too_few_frames_are_refused(tmp_path: Path) -> None:
    video = common.VideoArgs(data_root=trees.davis2017(tmp_path), videos=("dog",)).open_videos()[0]
    with pytest.raises(ValueError, match="video dog: 2 frames with 2 objects in the first: nothing to fuse"):
        fusion.score_video(None, video, 1)
