"""Tracks of objects: J and F as the benchmark has them, absences and returns, ids that change objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dataset_trees import davis2017
from voskit.dataloaders.datasets import open_dataset
from voskit.dataloaders.masks.files import write_mask
from voskit.evaluators.compare.figures import figures_of
from voskit.evaluators.compare.tracks import Tracks, measure_overlaps, measure_tracks
from voskit.evaluators.metrics import score
from voskit.evaluators.metrics.frames.measure import FramePair, Rules

TIMING = {"model_fps": 4.0, "accelerator": None, "videos": [{"memory_bytes": 2**20}, {"memory_bytes": 3 * 2**20}]}


@pytest.fixture
def tracks_of(tmp_path: Path):
    """Make the tracks of frames that are written as digits, one a pixel: ``["1122", ...]``."""

    def make(true: list[str], predicted: list[str]) -> Tracks:
        pairs = []
        for t, rows in enumerate(zip(true, predicted, strict=True)):
            paths = [tmp_path / f"{side}{t}.png" for side in ("true", "predicted")]
            for path, row in zip(paths, rows, strict=True):
                write_mask(path, np.array([[int(digit) for digit in row]] * 2, np.uint8))
            pairs.append(FramePair(str(t), *paths))
        objects = tuple(sorted({int(digit) for row in true for digit in row} - {0}))
        frames = measure_overlaps(Rules(objects=objects), pairs)
        return Tracks(np.stack([f.pixels for f in frames]), np.stack([f.boundary for f in frames]))

    return make


def test_j_and_f_and_decay_are_those_of_the_benchmark(tmp_path: Path) -> None:
    root, rng = davis2017(tmp_path / "DAVIS"), np.random.default_rng(0)
    dataset = open_dataset("davis2017", root)
    for video in dataset:
        for name in video.truth_frames:
            noise = rng.integers(0, 3, video.frame_size).astype(np.uint8)
            (tmp_path / "masks" / video.name).mkdir(parents=True, exist_ok=True)
            write_mask(tmp_path / "masks" / video.name / f"{name}.png", noise)
    official = score("davis2017", root, tmp_path / "masks", num_workers=1).tables
    figures = figures_of(measure_tracks(dataset, tmp_path / "masks"), TIMING)
    assert figures.row["J&F"] == pytest.approx(100 * official["global"]["J&F-Mean"])
    assert figures.row["J"] == pytest.approx(100 * official["global"]["J-Mean"])
    assert figures.row["decay"] == pytest.approx(100 * official["global"]["J-Decay"])
    assert figures.videos["dog"] == pytest.approx(100 * official["per_sequence"]["dog"]["J&F-Mean"])


def test_two_objects_that_trade_ids_count_as_two_switches(tracks_of) -> None:
    tracks = tracks_of(["1122"] * 6, ["1122"] * 3 + ["2211"] * 3)
    assert tracks.switches() == [1, 1]
    assert tracks.exchanged == (8 * 2, 8 * 4)  # frames 3 and 4 of 1 to 4 count


def test_an_id_that_covers_less_than_a_quarter_of_another_object_has_not_switched(tracks_of) -> None:
    tracks = tracks_of(["1111222222"] * 3, ["1111222222", "0000100222", "1111222222"])
    assert tracks.switches() == [0, 0]


def test_an_object_that_leaves_and_returns(tracks_of) -> None:
    tracks = tracks_of(["1100"] * 2 + ["0000"] * 5 + ["0011"] * 3, ["1100"] * 4 + ["0000"] * 4 + ["0011"] * 2)
    assert list(tracks.absences(0)) == [slice(2, 7)]
    assert list(tracks.returns(0)) == [slice(7, 10)]
    row = figures_of({"clip": tracks}, TIMING).row
    assert row["J_back"] == pytest.approx(100 * 2 / 3)
    assert row["found"] == 100
    assert row["ghosts"] == pytest.approx(100 * 2 / 5)


def test_a_gap_of_four_frames_is_not_an_absence(tracks_of) -> None:
    tracks = tracks_of(["11"] + ["00"] * 4 + ["11"] * 2, ["11"] * 7)
    assert not list(tracks.absences(0)) and not list(tracks.returns(0))
    row = figures_of({"clip": tracks}, TIMING).row
    assert np.isnan(row["J_back"]) and np.isnan(row["found"]) and np.isnan(row["ghosts"])


def test_an_object_counts_from_the_frame_after_its_first(tracks_of) -> None:
    tracks = tracks_of(["1100"] * 2 + ["1122"] * 4, ["1122"] * 6)
    assert tracks.counted[:, 0].tolist() == [False, True, True, True, True, False]
    assert tracks.counted[:, 1].tolist() == [False, False, False, True, True, False]


def test_j_end_is_j_in_the_last_quarter(tracks_of) -> None:
    tracks = tracks_of(["1100"] * 10, ["1100"] * 7 + ["1000"] * 3)
    figures = figures_of({"clip": tracks}, TIMING)
    assert figures.row["J_end"] == pytest.approx(100 * (1 + 0.5 + 0.5) / 3)
    assert figures.row["decay"] == pytest.approx(100 * (1 - 2 / 3))
    assert figures.curve[:2] == (pytest.approx(np.nan, nan_ok=True), 100)


def test_time_and_memory_are_those_of_the_evaluation(tracks_of) -> None:
    row = figures_of({"clip": tracks_of(["10"] * 3, ["10"] * 3)}, TIMING).row
    assert (row["seconds"], row["memory"]) == (0.25, 3)
