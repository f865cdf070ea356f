"""Scores of a complete evaluation. Results are the truth, as a dataset's masks are read."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media_files import one_line
from PIL import Image

import dataset_trees as trees
from voskit.configs.datasets import get_dataset_config, list_datasets
from voskit.configs.datasets.base import DATASETS
from voskit.dataloaders.datasets import Dataset, Video, open_dataset
from voskit.dataloaders.datasets.mask_readers import BurstMaskReader
from voskit.dataloaders.masks.files import read_mask, write_mask
from voskit.evaluators.benchmarks.folder import EvaluationFolder
from voskit.evaluators.benchmarks.referring import ReferringEvaluation
from voskit.evaluators.benchmarks.run import check_task
from voskit.evaluators.benchmarks.scoring import DatasetScoring
from voskit.evaluators.clips.mask_writer import MaskWriter
from voskit.evaluators.metrics import SCORERS, score
from voskit.evaluators.metrics.report import summary_text


def true_ids(video: Video, name: str) -> np.ndarray:
    """The truth of a frame, as the dataset's masks are read; nothing where a frame has none."""
    if video.ground_truth is not None and video.ground_truth.suffix == ".json":
        sequences = json.loads(video.ground_truth.read_text())["sequences"]
        return BurstMaskReader(sequences[0]).read(video.ground_truth, name)
    path = video.truth_frames.get(name)
    return np.zeros(video.frame_size, np.uint8) if path is None else video.masks.read(path, name)


def true_results(dataset: Dataset, output: Path) -> None:
    """Write the true mask of every wanted frame as the result, in the layout of the dataset's results."""
    for video in dataset:
        if dataset.config.archive == "expressions":
            masks = [(f"{video.name}/{e}", lambda name: 255 * trees.ids_mask((1,))) for e in video.expressions]
        else:
            folders = [f"anno_{a}/{video.name}" for a in range(4)]
            folders = folders if dataset.config.archive == "annotators" else [video.name]
            masks = [(folder, partial(true_ids, video)) for folder in folders]
        for folder, ids in masks:
            grayscale = dataset.config.archive == "expressions"
            with MaskWriter(output / "Annotations" / folder, grayscale=grayscale) as writer:
                for name in video.wanted:
                    writer.write(name, ids(name))


def first_figure(table: Mapping[str, Any]) -> float:
    """The first figure of a table that is none of NaN."""
    for value in table.values():
        found = first_figure(value) if isinstance(value, Mapping) else value
        if not np.isnan(found):
            return found
    return float("nan")


OWN = {"name": "own", "given": "first"}


@pytest.mark.parametrize("grayscale", [True, False])
@pytest.mark.parametrize(
    ("ids", "fields"),
    [
        ((255,), {}),
        ((255,), {"binary": True}),
        ((255,), {"ignore_id": 255}),
        ((1, 255), {"ignore_id": 255}),
        ((1, 2, 254), {"ignore_id": 254}),
        ((3, 7), {"binary": True}),
        ((3, 7, 255), {"binary": True, "ignore_id": 255}),
        ((3, 7), {}),
    ],
)
def test_your_own_dataset_is_scored_as_its_description_says(tmp_path, ids, fields, grayscale) -> None:
    trees.video(tmp_path, "frames/{}", "masks/{}", "waltz", ids=ids, grayscale=grayscale)
    trees.video(tmp_path, "frames/{}", "ground_truth/{}", "waltz", trees.FRAMES[:2], ids=ids, grayscale=grayscale)
    trees.mask(tmp_path / "ground_truth/waltz/00002.png", (), grayscale=grayscale)  # the objects have gone
    (tmp_path / "own.json").write_text(json.dumps({**OWN, **fields}))
    dataset = open_dataset(tmp_path / "own.json")
    evaluation = EvaluationFolder(dataset, tmp_path / "out", {})
    true_results(dataset, tmp_path / "out")
    scores = evaluation.finish("own", num_workers=1)
    assert scores is not None
    assert scores.tables["global"]["J&F"] == 100


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (
            np.array([[255, 0, 0], [0, 0, 0], [0, 255, 0]], np.uint8),
            r"00000\.png: .* not of mode RGB",
        ),
        ([255, 0, 0, 0, 0, 0, 0, 255, 0], r"00000\.png: its objects are distinguished by colors or have smooth edges"),
    ],
    ids=["colors", "palette whose black is 1"],
)
def test_ground_truth_in_color_is_not_used(tmp_path, picture, reason) -> None:
    trees.video(tmp_path, "frames/{}", "masks/{}", "waltz")
    ids = 1 - trees.ids_mask((1,))
    image = Image.fromarray(picture[ids] if isinstance(picture, np.ndarray) else ids)
    if isinstance(picture, list):
        image.putpalette(picture)
    (tmp_path / "ground_truth/waltz").mkdir(parents=True)
    for name in trees.FRAMES:
        image.save(tmp_path / "ground_truth/waltz" / f"{name}.png")
    (tmp_path / "own.json").write_text(json.dumps(OWN))
    assert re.search(reason, DatasetScoring(open_dataset(tmp_path / "own.json")).obstacle)


def test_ground_truth_of_a_different_size_is_noticed_before_there_are_results(tmp_path) -> None:
    trees.video(tmp_path, "frames/{}", "masks/{}", "waltz")
    (tmp_path / "ground_truth/waltz").mkdir(parents=True)
    for name in trees.FRAMES:
        Image.fromarray(trees.ids_mask((1,))[::2, ::2]).save(tmp_path / "ground_truth/waltz" / f"{name}.png")
    (tmp_path / "own.json").write_text(json.dumps(OWN))
    obstacle = DatasetScoring(open_dataset(tmp_path / "own.json")).obstacle
    assert re.search(r"00000\.png: the mask is \d+x\d+ \(height x width\), but the results are", obstacle)


def test_ids_above_255_are_packed_and_scored(tmp_path) -> None:
    for folder in ("masks", "ground_truth"):
        trees.video(tmp_path, "frames/{}", f"{folder}/{{}}", "waltz", trees.FRAMES, ids=(1,))
        for name in trees.FRAMES:
            path = tmp_path / folder / "waltz" / f"{name}.png"
            write_mask(path, 300 * read_mask(path).astype(np.uint16))
    (tmp_path / "own.json").write_text(json.dumps(OWN))
    dataset = open_dataset(tmp_path / "own.json")
    evaluation = EvaluationFolder(dataset, tmp_path / "out", {})
    true_results(dataset, tmp_path / "out")
    scores = evaluation.finish("own", num_workers=1)
    assert scores is not None and scores.tables["global"]["J&F"] == 100


NO_SCORES = {
    ("mevis", "val"): "mevis can only be scored on valid_u, train, not on val",
    ("refytvos", "test"): "refytvos can only be scored on val, not on test",
    ("vspw", "val"): "there is no scorer for vspw",
    ("vspw", "test"): "there is no scorer for vspw",
    ("vspw", "train"): "there is no scorer for vspw",
}
TOO_SMALL_FOR_OTHERS = {
    "mosev2": lambda figures: {"J": figures["J"]},  # the boundary's tolerance is less than a pixel
    "vipseg": lambda figures: figures["STQ"],  # VPQ takes windows of more frames
}
SPLITS = [(name, split) for name in list_datasets() for split in get_dataset_config(name).splits]


@pytest.mark.parametrize(("name", "split"), SPLITS)
def test_every_split_with_its_truth_is_scored_or_says_why_not(name, split, tmp_path, caplog) -> None:
    config, root = get_dataset_config(name), tmp_path / "data"
    trees.TREES[name](root)
    trees.TRUTH.get(name, lambda root: None)(root)
    if (name, split) == ("refytvos", "test"):
        (root / "meta_expressions/test/meta_expressions.json").unlink()
        (root / "meta_expressions/test").rmdir()
    trees.rename_everywhere(root, config.split_folder(config.splits[0]), config.split_folder(split))
    dataset = open_dataset(name, root, split=split)
    assert dataset.has_ground_truth
    caplog.set_level("INFO")
    kind = ReferringEvaluation if dataset.config.archive in ("expressions", "annotators") else EvaluationFolder
    evaluation = kind(dataset, tmp_path / "out", {})
    if reason := NO_SCORES.get((name, split)):
        assert f"there will be no scores: {reason}" in caplog.text
    true_results(dataset, tmp_path / "out")
    scores = evaluation.finish("results", num_workers=1)
    if reason:
        assert scores is None
        assert f"no scores: {reason}" in caplog.text
    else:
        assert scores is not None
        figures = scores.tables["global"]
        assert first_figure(TOO_SMALL_FOR_OTHERS.get(name, lambda table: table)(figures)) in (1, pytest.approx(100))
        assert (tmp_path / "out" / "scores.json").is_file()
    assert not list((tmp_path / "out").glob(".*"))


def burst_annotations_apart(root: Path) -> None:
    trees.burst(root)
    trees.TRUTH["burst"](root)
    (root / "annotations").mkdir()
    (root / "frames/val/HACS").mkdir(parents=True)
    (root / "val/JPEGImages/HACS_-_clip_a").rename(root / "frames/val/HACS/clip_a")
    (root / "val/JPEGImages").rmdir()
    (root / "val").rename(root / "annotations/val")


def mose_beside_its_folders(root: Path, *, meta: bool) -> None:
    trees.mose(root / "all", meta=meta)
    trees.TRUTH["mosev1"](root / "all")
    for path in (root / "all/valid").iterdir():
        path.rename(root / path.name)


def mose_with_meta_outside(root: Path) -> None:
    trees.mose(root, meta=True)
    trees.TRUTH["mosev2"](root)
    (root / "valid/meta.json").rename(root / "meta.json")


def long_video_flat(root: Path) -> None:
    trees.longvideo(root / "all")
    trees.TRUTH["longvideo"](root / "all")
    for path in (root / "all/long_video").iterdir():
        path.rename(root / path.name)
    trees.text(root / "val.txt", "rat\n")


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("burst", burst_annotations_apart),
        ("mosev1", partial(mose_beside_its_folders, meta=False)),
        ("mosev2", partial(mose_beside_its_folders, meta=True)),
        ("mosev2", mose_with_meta_outside),
        ("longvideo", long_video_flat),
        ("refdavis17", partial(trees.ref_davis, davis=False)),
    ],
)
def test_other_layouts_that_a_dataset_is_found_in_are_scored_too(name, build, tmp_path) -> None:
    build(tmp_path / "data")
    dataset = open_dataset(name, tmp_path / "data")
    kind = ReferringEvaluation if name == "refdavis17" else EvaluationFolder
    evaluation = kind(dataset, tmp_path / "out", {})
    true_results(dataset, tmp_path / "out")
    scores = evaluation.finish("results", num_workers=1)
    assert scores is not None
    assert first_figure(TOO_SMALL_FOR_OTHERS.get(name, lambda table: table)(scores.tables["global"])) in (1, 100)


@pytest.mark.parametrize(
    ("name", "build", "results"),
    [
        ("burst", burst_annotations_apart, "results.json"),
        ("refdavis17", partial(trees.ref_davis, davis=False), "Annotations"),
        ("longvideo", lambda root: (trees.longvideo(root), trees.TRUTH["longvideo"](root)), "Annotations"),
    ],
)
def test_the_command_line_scores_documented_layouts(name, build, results, tmp_path) -> None:
    build(tmp_path / "data")
    dataset = open_dataset(name, tmp_path / "data")
    kind = ReferringEvaluation if name == "refdavis17" else EvaluationFolder
    evaluation = kind(dataset, tmp_path / "out", {})
    true_results(dataset, tmp_path / "out")
    scores = evaluation.finish("results", num_workers=1)
    root = tmp_path / "data" / ("long_video" if name == "longvideo" else "")
    again = score(name, root, tmp_path / "out" / results, num_workers=1)
    assert scores is not None
    assert first_figure(again.tables["global"]) == first_figure(scores.tables["global"]) in (1, 100)


@pytest.mark.parametrize(
    ("name", "file", "reason"),
    [
        ("youtubevos2019", "categories.json", "categories.json: no such file, and no train/meta.json"),
        ("lvos", "valid/unseen_videos.txt", "unseen_videos.txt: no such list of videos"),
        ("refytvos", "reference/expressions.json", "expressions.json: no such file"),
        (
            "refytvos",
            "reference/mask_dict.json",
            "no video of refytvos val has ground truth (looked for: reference/",
        ),
    ],
)
def test_missing_files_of_scoring_are_noticed_before_there_are_results(name, file, reason, tmp_path) -> None:
    trees.TREES[name](tmp_path)
    trees.TRUTH[name](tmp_path)
    (tmp_path / file).unlink()
    assert reason in DatasetScoring(open_dataset(name, tmp_path)).obstacle


@pytest.mark.parametrize("fields", [{"binary": True}, {}])
def test_binary_masks_are_not_scored_by_rules_of_ids(tmp_path, fields) -> None:
    trees.video(tmp_path, "frames/{}", "masks/{}", "waltz", ids=(255,), grayscale=True)
    trees.video(tmp_path, "frames/{}", "ground_truth/{}", "waltz", trees.FRAMES, ids=(255,), grayscale=True)
    (tmp_path / "own.json").write_text(json.dumps({**OWN, "scoring": "davis2017", **fields}))
    dataset = open_dataset(tmp_path / "own.json")
    scoring = DatasetScoring(dataset)
    assert bool(scoring.obstacle) == bool(fields)
    true_results(dataset, tmp_path / "out")
    with pytest.raises(ValueError, match=r"davis2017 scores ids|no video's first ground-truth mask has an object id"):
        scoring.score(tmp_path / "out/Annotations", tmp_path / "x.zip", num_workers=1)


def test_an_unknown_scorer_is_refused_at_once(tmp_path) -> None:
    trees.custom(tmp_path)
    (tmp_path / "own.json").write_text(json.dumps({"scoring": "davis2071"}))
    with pytest.raises(ValueError, match="davis2017"):
        EvaluationFolder(open_dataset(tmp_path / "own.json"), tmp_path / "out", {})
    assert not (tmp_path / "out").exists()


def test_the_dataset_in_code_of_the_documentation_is_opened_and_scored(tmp_path, monkeypatch) -> None:
    text = (Path(__file__).resolve().parents[3] / "docs/datasets.md").read_text()
    block = text.split("## A dataset in code")[1].split("```python\n")[1].split("```")[0]
    monkeypatch.setattr(DATASETS, "_entries", dict(DATASETS._entries))
    exec(block, {"__name__": "voskit.configs.datasets.dances"})
    assert "dances" in list_datasets()
    trees.video(tmp_path, "JPEGImages/{}", "Annotations/{}", "waltz", trees.FRAMES, ids=(1, 2))
    trees.text(tmp_path / "ImageSets/val.txt", "waltz\n")
    dataset = open_dataset("dances", tmp_path)
    assert list(dataset.videos[0].given) == ["00000"]
    evaluation = EvaluationFolder(dataset, tmp_path / "out", {})
    shutil.copytree(tmp_path / "Annotations", evaluation.results)
    scores = evaluation.finish("dances", num_workers=1)
    assert scores is not None
    assert scores.tables["global"]["J&F-Mean"] == 1


@pytest.mark.parametrize("scoring", ["burst", "vipseg", "refytvos", "mevis", "refdavis17", "a2d", "jhmdb"])
def test_a_scorer_that_cannot_read_masks_is_refused_at_once(tmp_path, scoring) -> None:
    trees.custom(tmp_path)
    (tmp_path / "own.json").write_text(json.dumps({"scoring": scoring}))
    dataset = open_dataset(tmp_path / "own.json")
    with pytest.raises(ValueError, match=f"scoring '{scoring}' can't read results of the form 'masks': set scoring"):
        EvaluationFolder(dataset, tmp_path / "out", {})
    with pytest.raises(ValueError, match="set scoring in the description to 'folder'"):
        check_task(dataset, "aott", "semi_supervised")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", list_datasets())
def test_every_benchmark_has_a_scorer_that_reads_its_results(name) -> None:
    config = get_dataset_config(name)
    assert not config.scoring or config.archive in SCORERS.get(config.scoring).archives


def two_videos(root: Path, truth: Mapping[str, int]) -> Dataset:
    """An own dataset of two videos with the first frames' truth."""
    for name in ("waltz", "tango"):
        trees.video(root, "frames/{}", "masks/{}", name, ids=(1, 2))
        for frame in trees.FRAMES[: truth.get(name, 0)]:
            trees.mask(root / f"truth/{name}/{frame}.png", (1, 2))
    (root / "own.json").write_text(json.dumps({**OWN, "ground_truth": "truth/{video}"}))
    return open_dataset(root / "own.json")


def test_videos_with_truth_are_scored_and_others_are_reported(tmp_path, caplog) -> None:
    dataset = two_videos(tmp_path, {"waltz": 3})
    evaluation = EvaluationFolder(dataset, tmp_path / "out", {})
    assert "1 of 2 videos have ground truth: only these are scored" in caplog.text
    for name in ("waltz", "tango"):
        for frame in trees.FRAMES:
            trees.mask(evaluation.results / name / f"{frame}.png", (1, 2))
    scores = evaluation.finish("own", num_workers=1)
    assert scores is not None
    assert scores.tables["global"]["J&F"] == 100 and list(scores.tables["per_sequence"]) == ["waltz"]
    assert json.loads((tmp_path / "out/scores.json").read_text())["options"]["videos"] == "1 of 2"
    assert "videos 1 of 2" in summary_text(scores)


def test_no_truth_at_all_gives_no_scores_and_the_reason(tmp_path, caplog) -> None:
    caplog.set_level("INFO")
    dataset = two_videos(tmp_path, {})
    assert "no video of own all has ground truth" in DatasetScoring(dataset).obstacle


def test_vspw_says_at_the_start_that_there_is_no_scorer(tmp_path, caplog) -> None:
    caplog.set_level("INFO")
    trees.TREES["vspw"](tmp_path)
    for path in (tmp_path / "data").rglob("mask/0000[12]*.png"):
        path.unlink()
    EvaluationFolder(open_dataset("vspw", tmp_path), tmp_path / "out", {})
    assert caplog.text.count("there will be no scores: there is no scorer for vspw") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "val_data_mapping.json: no such file, which the submission of visor needs: download it, or"),
        ("{}", "the file of object names of visor lacks 1 of 1 videos, such as P01_107_seq_00001: is it the file"),
        ("[]", "expected {video: {id: name}}"),
        ("<html>", "a web page, not a JSON file: download it again"),
    ],
)
def test_visor_without_the_names_of_its_objects_is_refused_before_the_first_frame(tmp_path, content, message) -> None:
    path = trees.visor(tmp_path) / "val_data_mapping.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises((FileNotFoundError, ValueError), match=re.escape(message)) as error:
        check_task(open_dataset("visor", tmp_path), "aott", "semi_supervised")
    one_line(error)
    (tmp_path / "own.json").write_text(json.dumps({"base": "visor", "archive": "masks", "object_names": []}))
    check_task(open_dataset(tmp_path / "own.json"), "aott", "semi_supervised")  # as the message says


@pytest.mark.parametrize(
    ("name", "model", "task", "message"),
    [
        ("refytvos", "aott", "semi_supervised", "has no masks to propagate"),
        ("davis2017", "r50_referformer", "referring", "has no expressions"),
        ("davis2017_unsupervised", "aott", "semi_supervised", "has no masks to propagate"),
    ],
)
def test_a_benchmark_of_another_kind_is_refused_before_weights_are_loaded(tmp_path, name, model, task, message) -> None:
    trees.TREES[name](tmp_path)
    with pytest.raises(ValueError, match=message):
        check_task(open_dataset(name, tmp_path), model, task)
