"""Other layouts of the miniature benchmarks give the same figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from voskit.evaluators.metrics import score

Differences = Callable[[Any, Any], list[Any]]


def test_davis_2016_package_lists_pairs_of_files(goldens: Path, differences: Differences, tmp_path: Path) -> None:
    source = goldens / "davis2016"
    lists = tmp_path / "ImageSets" / "480p"
    lists.mkdir(parents=True)
    (tmp_path / "Annotations").symlink_to(source / "Annotations")
    with (lists / "val.txt").open("w") as file:
        for mask in sorted((source / "Annotations" / "480p").glob("*/*.png")):
            place = f"480p/{mask.parent.name}/{mask.stem}"
            file.write(f"/JPEGImages/{place}.jpg /Annotations/{place}.png \n")
    tables = score("davis2016", tmp_path, source / "results").tables
    expected = json.loads((source / "expected.json").read_text())
    assert differences(expected["global"], tables["global"]) == []


def test_mose_v1_scores_as_davis(goldens: Path, differences: Differences, tmp_path: Path) -> None:
    source = goldens / "davis2017"
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "Annotations").symlink_to(source / "Annotations" / "480p")
    tables = score("mosev1", tmp_path, source / "results" / "semi", split="train").tables
    expected = json.loads((source / "expected_semi.json").read_text())
    assert differences(expected["global"], tables["global"]) == []
    with pytest.raises(FileNotFoundError, match=r"valid/Annotations: no such folder; splits: train"):
        score("mosev1", tmp_path, source / "results" / "semi")


@pytest.mark.parametrize(
    ("dataset", "place", "of"),
    [
        ("davis2016", "davis2016", ""),
        ("davis2017", "davis2017", "semi"),
        ("davis2017_unsupervised", "davis2017", "unsup"),
        ("mosev2", "mosev2", ""),
    ],
)
def test_masks_may_be_in_the_folders_of_a_batch(
    goldens: Path, differences: Differences, tmp_path: Path, dataset: str, place: str, of: str
) -> None:
    source = goldens / place
    results = source / "results" / of
    for video in results.iterdir():
        if video.is_dir():
            (tmp_path / video.name).mkdir()
            (tmp_path / video.name / "masks").symlink_to(video)
    expected = score(dataset, source, results).tables
    assert differences(expected["global"], score(dataset, source, tmp_path).tables["global"]) == []


@pytest.mark.parametrize("meta", ["valid", ""])
def test_mose_v2_is_found_from_the_folder_above_its_split(
    goldens: Path, differences: Differences, tmp_path: Path, meta: str
) -> None:
    source = goldens / "mosev2"
    (tmp_path / "valid").mkdir()
    (tmp_path / "valid" / "Annotations").symlink_to(source / "Annotations")
    (tmp_path / meta / "meta.json").symlink_to(source / "meta.json")
    tables = score("mosev2", tmp_path, source / "results").tables
    expected = json.loads((source / "expected.json").read_text())
    assert differences(expected["global"], tables["global"]) == []


def test_mevis_keeps_its_truth_in_the_split(goldens: Path, differences: Differences, tmp_path: Path) -> None:
    source = goldens / "refytvos"
    (tmp_path / "valid_u").mkdir()
    for ours, theirs in (("meta_expressions.json", "expressions.json"), ("mask_dict.json", "mask_dict.json")):
        (tmp_path / "valid_u" / ours).symlink_to(source / "reference" / theirs)
    tables = score("mevis", tmp_path, source / "results" / "Annotations").tables
    expected = json.loads((source / "expected.json").read_text())
    assert differences(expected["global"], tables["global"]) == []


def test_seen_categories_from_the_training_set(goldens: Path, differences: Differences, tmp_path: Path) -> None:
    source = goldens / "ytvos"
    for name in ("valid", "reference"):
        (tmp_path / name).symlink_to(source / name)
    results = source / "results" / "Annotations"
    with pytest.raises(FileNotFoundError, match=r"categories\.json: no such file, and no train/meta\.json"):
        score("youtubevos2019", tmp_path, results)
    seen = json.loads((source / "categories.json").read_text())["seen"]
    objects = {str(k): {"category": category, "frames": []} for k, category in enumerate(seen)}
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "meta.json").write_text(json.dumps({"videos": {"a": {"objects": objects}}}))
    tables = score("youtubevos2019", tmp_path, results).tables
    expected = json.loads((source / "expected.json").read_text())["global"]["after_first_without_last"]
    assert differences(expected, tables["global"]) == []
