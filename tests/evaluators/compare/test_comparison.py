"""Comparison of runs: one table and picture, resumed by the same call; a run that fails doesn't lose the others."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from small_models import build_small

from dataset_trees import davis2017
from voskit.dataloaders.datasets import Dataset, open_dataset
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.benchmarks import propagation
from voskit.evaluators.compare.datasets import DatasetChoice, open_datasets
from voskit.evaluators.compare.figures import COLUMNS
from voskit.evaluators.compare.report import table_text
from voskit.evaluators.compare.run import Comparison, Run, compare


@pytest.fixture(autouse=True)
def no_warm_up(monkeypatch) -> None:
    monkeypatch.setattr(propagation, "_warm_up", lambda segmenter: None)


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_small("aott")


@pytest.fixture
def datasets(tmp_path: Path) -> dict[str, Dataset]:
    return {"davis2017": open_dataset("davis2017", davis2017(tmp_path / "DAVIS"))}


def run_of(model: torch.nn.Module, name: str, **options: object) -> Run:
    return Run(name, lambda dataset: VideoSegmenter(model, **options))


def failing(message: str) -> Callable[[str], VideoSegmenter]:
    def build(dataset: str) -> VideoSegmenter:
        raise ValueError(message)

    return build


def compared(runs: list[Run], datasets: dict[str, Dataset], output: Path) -> Comparison:
    return compare(runs, datasets, output, num_workers=1, progress=False)


def test_table_and_picture_have_every_run(model, datasets, tmp_path: Path) -> None:
    runs = [run_of(model, "plain"), run_of(model, "flip & gap 1", flip=True, long_term_gap=1)]
    done = compared(runs, datasets, tmp_path / "out")
    saved = json.loads((tmp_path / "out/comparison.json").read_text())
    assert list(saved["datasets"]["davis2017"]) == ["plain", "flip & gap 1"]
    row = saved["datasets"]["davis2017"]["plain"]["figures"]
    assert list(row) == list(COLUMNS)
    assert row["J&F"] == pytest.approx(100 * json.loads(scores(tmp_path, "plain").read_text())["global"]["J&F-Mean"])
    assert row["seconds"] > 0 and row["memory"] > 0
    with (tmp_path / "out/comparison.csv").open() as file:
        assert [line["run"] for line in csv.DictReader(file)] == ["plain", "flip & gap 1"]
    picture = ElementTree.parse(tmp_path / "out/comparison.svg").getroot()
    assert {"plain", "flip & gap 1", "bear", "dog"} <= {text.text for text in picture.iter() if text.text}
    assert [line.split()[1] for line in table_text(done.figures).splitlines()] == ["run", "plain", "flip"]


def scores(folder: Path, run: str) -> Path:
    return folder / "out" / "davis2017" / run / "scores.json"


def test_the_second_call_segments_nothing_again(model, datasets, tmp_path: Path, monkeypatch) -> None:
    compared([run_of(model, "plain")], datasets, tmp_path / "out")
    first = (tmp_path / "out/comparison.json").read_text()
    monkeypatch.setattr(propagation.PropagationEvaluation, "_segment_video", lambda *_: pytest.fail("segmented again"))
    compared([run_of(model, "plain")], datasets, tmp_path / "out")
    assert (tmp_path / "out/comparison.json").read_text() == first


def test_a_run_that_fails_is_reported_and_the_others_are_finished(model, datasets, tmp_path: Path, caplog) -> None:
    runs = [Run("broken", failing("no such weights")), run_of(model, "plain")]
    done = compared(runs, datasets, tmp_path / "out")
    assert done.failures == {"davis2017": {"broken": "no such weights"}}
    assert list(done.figures["davis2017"]) == ["plain"]
    assert "broken on davis2017: no such weights" in caplog.text
    assert "broken on davis2017: no such weights" in (tmp_path / "out/comparison.md").read_text()


def test_changed_options_under_the_same_name_fail(model, datasets, tmp_path: Path) -> None:
    compared([run_of(model, "plain")], datasets, tmp_path / "out")
    done = compared([run_of(model, "plain", flip=True)], datasets, tmp_path / "out")
    assert "results of other settings" in done.failures["davis2017"]["plain"]


def test_other_runs_are_shown_as_differences_from_the_first(model, datasets, tmp_path: Path) -> None:
    compared([run_of(model, "first"), run_of(model, "same")], datasets, tmp_path / "out")
    lines = (tmp_path / "out/comparison.md").read_text().splitlines()
    assert [line.split("|")[-2].strip() for line in lines if line.startswith("| dog")] == ["+0.0"]


def test_a_different_selection_of_videos_gets_its_own_folder(model, tmp_path: Path) -> None:
    choices = {"davis": DatasetChoice("davis2017", None, davis2017(tmp_path / "DAVIS"))}
    for videos in (["dog"], ["bear"], ["bear", "dog"]):
        done = compared([run_of(model, "plain")], open_datasets(choices, videos), tmp_path / "out")
        assert not done.failures
    assert len(list((tmp_path / "out").glob("davis*/plain/Annotations"))) == 3


def test_two_runs_of_the_same_name_are_refused(model, datasets, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two runs are named 'a b'"):
        compared([run_of(model, "a_b"), run_of(model, "a b")], datasets, tmp_path / "out")


def test_a_dataset_without_ground_truth_is_refused_before_anything_runs(tmp_path: Path) -> None:
    root = davis2017(tmp_path / "DAVIS", truth=("00000",))
    with pytest.raises(ValueError, match="bear has no ground truth"):
        compared([Run("a", failing("built"))], {"mine": open_dataset("davis2017", root)}, tmp_path / "out")


def test_chosen_videos_only(tmp_path: Path) -> None:
    choices = {"davis": DatasetChoice("davis2017", None, davis2017(tmp_path / "DAVIS"))}
    assert [video.name for video in open_datasets(choices, ["dog"])["davis, 1 of 2"]] == ["dog"]
    with pytest.raises(ValueError, match="video cat is in none of the datasets davis"):
        open_datasets(choices, ["dog", "cat"])
