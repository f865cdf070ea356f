"""Reports of scores: files and text."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from voskit.evaluators.metrics.base import ScoredFrame, Scores
from voskit.evaluators.metrics.frames.measure import FramePair, Rules
from voskit.evaluators.metrics.page import frames_page, pick
from voskit.evaluators.metrics.report import scores_path, summary_text, table_rows, write_scores


@pytest.fixture
def scores() -> Scores:
    tables = {
        "global": {"J": 1 / 3, "F": math.nan},
        "per_object": {"a": {"1": {"J": 0.5, "seen": True, "J_frames": [0.25, math.nan]}, "2": {"J": 1.0}}},
    }
    return Scores("mine", {"split": "val"}, tables, ("J", "F"))


def test_json_keeps_precision_and_has_null_for_nan(scores: Scores, tmp_path: Path) -> None:
    written = write_scores(scores, tmp_path / "new" / "scores.json")
    content = json.loads(written[0].read_text())
    assert content["dataset"] == "mine" and content["options"] == {"split": "val"}
    assert content["global"] == {"J": 1 / 3, "F": None}
    assert content["per_object"]["a"]["1"]["J_frames"] == [0.25, None]
    assert [path.name for path in written] == ["scores.json", "scores_global.csv", "scores_per_object.csv"]
    assert sorted(path.name for path in written[0].parent.iterdir()) == sorted(path.name for path in written)


def test_csv_has_a_row_per_object(scores: Scores, tmp_path: Path) -> None:
    write_scores(scores, tmp_path / "scores.json")
    with (tmp_path / "scores_per_object.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows == [{"name": "a/1", "J": "0.5", "seen": "True"}, {"name": "a/2", "J": "1.0", "seen": ""}]
    assert (tmp_path / "scores_global.csv").read_text() == f"name,J,F\nall,{1 / 3},\n"


def test_other_extensions_are_refused(scores: Scores, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.json"):
        write_scores(scores, tmp_path / "scores.txt")


def test_scores_never_replace_the_results(tmp_path: Path) -> None:
    (tmp_path / "tracks.json").write_text("{}")
    with pytest.raises(ValueError, match=r"tracks\.json is the file with the results: give another name"):
        scores_path(tmp_path / "tracks.json", tmp_path / "tracks.json")
    (tmp_path / "scores.json").write_text("{}")
    with pytest.raises(ValueError, match="is the file with the results"):
        scores_path(None, tmp_path / "scores.json")
    assert scores_path(None, tmp_path / "tracks.json") == tmp_path / "scores.json"


def test_summary_is_aligned(scores: Scores) -> None:
    assert summary_text(scores).splitlines()[2:] == ["          J  F", "all  0.3333  -"]


def test_nested_figures_become_rows() -> None:
    table = {"HOTA": {"all": 1.0, "common": 2.0}, "AP": {"all": 3.0}}
    assert dict(table_rows(table)) == table


def frame(folder: Path, sequence: str, name: str, value: float, image: bool = False) -> ScoredFrame:
    for side in ("truth", "prediction"):
        (folder / side).mkdir(exist_ok=True)
        ids = np.zeros((48, 64), np.uint8)
        ids[10:30, 10:40] = 1 + (side == "truth")
        Image.fromarray(ids).save(folder / side / f"{name}.png")
    picture = folder / f"{name}.jpg"
    if image:
        Image.fromarray(np.full((96, 128, 3), 200, np.uint8)).save(picture)
    pair = FramePair(name, folder / "truth" / f"{name}.png", folder / "prediction" / f"{name}.png")
    return ScoredFrame(sequence, pair, Rules(), value, picture if image else None)


def test_page_of_worst_and_best(tmp_path: Path) -> None:
    frames = [frame(tmp_path, f"seq{i % 2}", f"{i:05d}", i / 5, image=i < 3) for i in range(5)]
    page = frames_page(frames, rows=2)
    assert page.dtype == np.uint8 and page.shape[1] == 1480
    worst_prediction, worst_truth = page[60:200, 40:200], page[60:200, 410:570]
    assert worst_prediction[..., 0].mean() > worst_prediction[..., 1].mean()  # id 1 is red
    assert worst_truth[..., 1].mean() > worst_truth[..., 0].mean()  # id 2 is green


def test_frames_of_different_sequences_come_first(tmp_path: Path) -> None:
    frames = [frame(tmp_path, sequence, name, value) for sequence, name, value in
              (("a", "0", 0.1), ("a", "1", 0.2), ("b", "2", 0.9), ("b", "3", math.nan))]  # fmt: skip
    assert [f.pair.name for f in pick(frames[:3], 3, best=False)] == ["0", "2", "1"]
    assert [f.pair.name for f in pick(frames[:3], 2, best=True)] == ["2", "1"]
    with pytest.raises(ValueError, match="no frame has a value"):
        frames_page(frames[3:])
