"""Masks of DAVIS's training sequences with an id for each object, and the description of the dataset with them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from voskit.dataloaders.datasets import open_dataset
from voskit.dataloaders.masks.files import read_mask

FOLDER = Path(__file__).parents[2] / "datasets" / "DAVISObjects"
SEQUENCES = sorted(path.name for path in (FOLDER / "Annotations").iterdir())


def test_the_readme_names_the_objects_of_each_sequence() -> None:
    lines = re.findall(r"^\| ([a-z-]+) \| (.+) \|$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    named = {name: sum(bool(cell.strip()) for cell in cells.split("|")) for name, cells in lines if name in SEQUENCES}
    assert named == {name: max(int(read_mask(path).max()) for path in masks(name)) for name in SEQUENCES}


def masks(name: str) -> list[Path]:
    return sorted((FOLDER / "Annotations" / name).glob("*.png"))


@pytest.mark.parametrize("name", SEQUENCES)
def test_objects_divide_the_mask_of_davis(name: str, real_data: Path) -> None:
    whole = real_data / "vos_train_open" / "Annotations" / "480p" / name
    assert [path.name for path in masks(name)] == sorted(path.name for path in whole.glob("*.png"))
    for path in masks(name):
        ids = read_mask(path)
        np.testing.assert_array_equal(ids > 0, read_mask(whole / path.name) > 0)


def test_the_description_has_all_training_sequences(real_data: Path, tmp_path: Path) -> None:
    (tmp_path / "DAVIS").symlink_to(real_data / "vos_train_open")
    shutil.copytree(FOLDER, tmp_path / FOLDER.name)
    dataset = open_dataset(tmp_path / FOLDER.name / "objects.json")
    objects = {video.name: int(video.mask(video.frame_names[0]).max()) for video in dataset}
    assert len(objects) == 27
    assert {name for name, last in objects.items() if last > 1} <= set(SEQUENCES)
    assert objects["train"] == 4
    assert objects["bear"] == 1
