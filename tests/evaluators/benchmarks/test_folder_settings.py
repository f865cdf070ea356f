"""Settings of a folder of results: the same ones go on, others are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from media_files import one_line
from PIL import Image

import dataset_trees as trees
from voskit.configs import get_model_config
from voskit.configs.datasets import get_dataset_config
from voskit.dataloaders.datasets import Dataset, open_dataset
from voskit.evaluators.benchmarks.folder import EvaluationFolder, check_settings


@pytest.mark.parametrize(
    ("model", "former", "now"), [("aott", "neighbours_apart", "neighbors_apart"), ("xmem", "mem_every", None)]
)
def test_a_folder_of_an_earlier_version_is_continued(tmp_path: Path, model: str, former: str, now: str | None) -> None:
    settings = {"model": model, "config": get_model_config(model).to_dict()}
    written = dict(settings["config"])
    written[former] = written.pop(now) if now else 5  # a former second field, equal to long_term_gap
    del written["min_short_edge"]  # a field that it hadn't
    (tmp_path / "settings.json").write_text(json.dumps({**settings, "config": written}))
    check_settings(tmp_path, settings, tmp_path / "Annotations")
    written[former] = 7 if model == "xmem" else True
    (tmp_path / "settings.json").write_text(json.dumps({**settings, "config": written}))
    with pytest.raises(ValueError, match="holds results of other settings"):
        check_settings(tmp_path, settings, tmp_path / "Annotations")


def test_masks_stay_when_the_description_of_truth_scores_or_archive_changes(tmp_path: Path) -> None:
    own = get_dataset_config("custom")

    def settings(**changes: object) -> dict[str, object]:
        return {"model": "aott", "dataset": own.override(**changes).to_dict()}

    results = tmp_path / "Annotations"
    check_settings(tmp_path, settings(), results)
    results.mkdir()
    for changes in ({"ground_truth": ("truth/{video}",)}, {"scoring": "davis2017"}, {"archive_prefix": "x"}):
        check_settings(tmp_path, settings(**changes), results)
    for changes in ({"masks": ("other/{video}",)}, {"given": "first"}, {"binary": True}, {"ignore_id": 255}):
        with pytest.raises(ValueError, match="holds results of other settings"):
            check_settings(tmp_path, settings(**changes), results)


class TestVideosOfOneName:
    """Results of a video are never taken for those of another one of its name."""

    @staticmethod
    def dataset(root: Path, *, gray: int = 90, ids: tuple[int, ...] = (1,), names: tuple[str, ...] = trees.FRAMES):
        for name in names:
            path = trees.image(root / f"frames/rgb/{name}.png")
            Image.new("L", (32, 24), gray).save(path)
        trees.mask(root / "masks/rgb" / f"{names[0]}.png", ids)
        return open_dataset("custom", root)

    @staticmethod
    def finished(dataset: Dataset, output: Path) -> EvaluationFolder:
        evaluation = EvaluationFolder(dataset, output, {})
        for video in dataset:
            evaluation._note_input(video)
            (evaluation.results / video.name).mkdir(parents=True)
        return evaluation

    def test_the_same_video_in_another_folder_is_resumed(self, tmp_path: Path) -> None:
        self.finished(self.dataset(tmp_path / "scene1"), tmp_path / "out")
        EvaluationFolder(self.dataset(tmp_path / "moved/scene1"), tmp_path / "out", {})

    @pytest.mark.parametrize(
        "other",
        [{"gray": 91}, {"ids": (2,)}, {"names": trees.FRAMES[:2]}, {"names": ("00001", "00002", "00003")}],
        ids=["other frames", "another mask", "fewer frames", "other names"],
    )
    def test_another_video_is_refused(self, tmp_path: Path, other: dict[str, object]) -> None:
        evaluation = self.finished(self.dataset(tmp_path / "scene1"), tmp_path / "out")
        second = self.dataset(tmp_path / "scene2", **other)
        with pytest.raises(ValueError, match=r"holds results of other videos of the same names.*: rgb: give") as error:
            EvaluationFolder(second, tmp_path / "out", {})
        one_line(error)
        (evaluation.results / "rgb").rmdir()  # as the message says
        EvaluationFolder(second, tmp_path / "out", {})

    def test_results_of_an_earlier_version_are_resumed(self, tmp_path: Path) -> None:
        self.finished(self.dataset(tmp_path / "scene1"), tmp_path / "out")
        shutil.rmtree(tmp_path / "out/.inputs")
        EvaluationFolder(self.dataset(tmp_path / "scene1"), tmp_path / "out", {})

    def test_two_video_files_of_the_same_name_in_a_folder_are_refused(self, tmp_path: Path) -> None:
        for name in ("a.mp4", "a.avi"):
            trees.text(tmp_path / "frames" / name, "")
        with pytest.raises(ValueError, match="a occurs several times, as a folder or with several extensions"):
            open_dataset("custom", tmp_path)
