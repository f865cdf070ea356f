"""The bundled demo scene: complete, panoptic, with occlusions, small, and made of pictures that may be shared."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "datasets" / "Demo"
SCENE = "cabinet"
FRAMES = 40
MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def groundtruth() -> np.ndarray:
    """The ids of all frames, FxHxW."""
    return np.stack([np.asarray(Image.open(path)) for path in sorted((DEMO / "groundtruth" / SCENE).glob("*.png"))])


@pytest.fixture(scope="module")
def areas(groundtruth: np.ndarray) -> np.ndarray:
    """The pixels of each id (columns, 0 is background) in each frame (rows)."""
    count = int(groundtruth.max()) + 1
    return np.stack([np.bincount(ids.ravel(), minlength=count) for ids in groundtruth])


def test_every_frame_has_its_ground_truth() -> None:
    names = [f"{i:05d}" for i in range(FRAMES)]
    assert sorted(path.stem for path in (DEMO / "images" / SCENE).iterdir()) == names
    assert sorted(path.stem for path in (DEMO / "groundtruth" / SCENE).iterdir()) == names
    assert [path.name for path in (DEMO / "masks" / SCENE).iterdir()] == ["00000.png"]


def test_masks_have_the_size_of_the_images() -> None:
    sizes = {Image.open(path).size for path in DEMO.glob(f"*/{SCENE}/0*")}
    assert sizes == {(1104, 624)}


def test_masks_are_palette_images_with_the_benchmark_colors() -> None:
    for path in DEMO.glob(f"*/{SCENE}/*.png"):
        mask = Image.open(path)
        assert mask.mode == "P"
        assert mask.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]
        assert mask.getpalette()[30 * 3 : 31 * 3] == [30, 30, 30]


def test_the_first_mask_defines_more_than_forty_contiguous_objects(areas: np.ndarray) -> None:
    count = areas.shape[1] - 1
    assert count > 40
    smallest = 0.001 * areas[0].sum()
    assert areas[0, 1:].min() >= smallest, "an object is only a sliver where it is defined"


def test_the_given_mask_is_the_first_ground_truth(groundtruth: np.ndarray) -> None:
    assert np.array_equal(np.asarray(Image.open(DEMO / "masks" / SCENE / "00000.png")), groundtruth[0])


def test_nearly_every_pixel_belongs_to_an_object(areas: np.ndarray) -> None:
    assert areas[:, 0].max() <= 0.01 * areas[0].sum()


def test_objects_disappear_and_come_back(areas: np.ndarray) -> None:
    returning = 0
    for area in areas[:, 1:].T:
        hidden = np.flatnonzero(area == 0)
        returning += bool(len(hidden) >= 3 and area[hidden[-1] :].max() > 200)
    assert returning >= 3


def test_objects_move_and_the_picture_moves_with_them(groundtruth: np.ndarray) -> None:
    changed = (groundtruth[0] != groundtruth[-1]).mean()
    assert 0.2 < changed < 0.8
    first, last = (np.asarray(Image.open(DEMO / "images" / SCENE / f"{i:05d}.jpg"), float) for i in (0, FRAMES - 1))
    assert np.abs(first - last).mean() > 10


def test_the_readme_names_every_object(areas: np.ndarray) -> None:
    section = (DEMO / "README.md").read_text(encoding="utf-8").split("## Objects")[1].split("## ")[0]
    listed = sorted(int(number) for number in re.findall(r"\| (\d+) \| \w", section))
    assert listed == list(range(1, areas.shape[1]))


def test_the_readme_gives_a_license_for_every_source() -> None:
    section = (DEMO / "README.md").read_text(encoding="utf-8").split("### Sources and licenses")[1]
    table = dict(re.findall(r"^\| `([\w.]+)` \|.*\| ([^|]+) \|$", section, flags=re.MULTILINE))
    pictures = runpy.run_path(str(ROOT / "benchmarks" / "cabinet_scene" / "pictures.py"))["PICTURES"]
    assert {picture.file: picture.license for picture in pictures.values()} == table
    assert set(table.values()) <= {"CC0 1.0", "public domain", "no known copyright restrictions"}


def test_the_scene_is_small() -> None:
    assert sum(path.stat().st_size for path in DEMO.glob(f"*/{SCENE}/*")) <= 8 * MEBIBYTE


def test_the_bunny_has_a_first_mask_and_six_true_ones() -> None:
    from voskit import open_frames, read_mask

    frames = list(open_frames(DEMO / "images" / "bunny.mp4"))
    assert len(frames) == 76
    truth = {path.stem: read_mask(path) for path in sorted((DEMO / "groundtruth" / "bunny").iterdir())}
    assert list(truth) == ["00000", "00015", "00030", "00045", "00060", "00075"]
    for mask in truth.values():
        assert mask.shape == frames[0].image.shape[:2]
        assert np.unique(mask).tolist() == [0, 1, 2, 3, 4]
    assert (read_mask(DEMO / "masks" / "bunny" / "00000.png") == truth["00000"]).all()
