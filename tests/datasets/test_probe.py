"""Probe set: videos of each kind with exact ids, the same at every run, opened and made on demand by its name."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "datasets" / "Synthetic"))
sys.path.insert(0, str(Path(__file__).parents[2] / "datasets" / "Probe"))

from scenes import kinds, stage
from scenes.pictures import DemoPictures
from synthesis.output import Clip

from voskit.configs.datasets import get_dataset_config
from voskit.dataloaders.datasets import open_dataset
from voskit.dataloaders.files import exclusive_lock
from voskit.evaluators.compare.datasets import make_probe

DATASETS = Path(__file__).parents[2] / "datasets"
SCENES = [(kind, name) for kind, scenes in kinds.KINDS.items() for name in scenes]
OBJECTS = {"cups": 5, "coins": 4, "wandering": 3, "portraits": 3, "planets": 3}  # of the others: 2


@pytest.fixture(scope="module")
def pictures() -> DemoPictures:
    return DemoPictures(DATASETS / "Demo")


def test_the_dataset_has_a_split_for_each_kind() -> None:
    assert get_dataset_config("probe").splits == ("all", *kinds.KINDS)


@pytest.mark.parametrize(("kind", "name"), SCENES)
def test_every_object_is_in_the_first_frame(kind: str, name: str, pictures, monkeypatch) -> None:
    lengths = []

    def first_frame(shots, frames, rng, **options) -> Clip:
        lengths.append(frames)
        world = stage.World(stage.SIZE, frames, shots[0].background, shots[0].camera, shots[0].shake, shots[0].layers)
        counts = {sum(layer.labeled for layer in shot.layers) for shot in shots}
        assert len(counts) == 1, "the order of the layers gives the ids in all shots"
        return Clip([], [world.draw(0.0)[1]], 90)

    monkeypatch.setattr(kinds, "film", first_frame)
    (ids,) = kinds.KINDS[kind][name](pictures, np.random.default_rng(0)).masks
    assert np.unique(ids).tolist() == list(range(OBJECTS.get(name, 2) + 1))
    assert np.bincount(ids.ravel()).min() > 60
    assert lengths == [1000] or lengths[0] < 100


def test_a_scene_is_the_same_in_every_run(pictures) -> None:
    clips = [kinds.hoops(pictures, np.random.default_rng((1, 2))) for _ in range(2)]
    for first, second in zip(clips[0].frames + clips[0].masks, clips[1].frames + clips[1].masks, strict=True):
        np.testing.assert_array_equal(first, second)


def test_an_object_leaves_and_comes_back(pictures) -> None:
    seen = np.array([(mask == 1).any() for mask in kinds.twins(pictures, np.random.default_rng(0)).masks])
    assert seen[0] and seen[-1] and np.count_nonzero(~seen) >= 10


def test_the_set_is_generated_once_when_it_is_needed(tmp_path: Path) -> None:
    make_probe(tmp_path, "thin")
    dataset = open_dataset("probe", tmp_path, split="thin")
    assert [video.name for video in dataset] == ["thin-ropes", "thin-hoops", "thin-tripods"]
    assert all(video.ground_truth is not None and len(video.frame_names) == 40 for video in dataset)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    make_probe(tmp_path, "thin")
    assert written == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_the_reason_for_a_failure_is_reported(tmp_path: Path) -> None:
    (tmp_path / "JPEGImages").write_text("a file in the way")
    with pytest.raises(ValueError, match=r"make_probe.py ended with code 1: .*JPEGImages"):
        make_probe(tmp_path, "thin")


def test_two_programs_do_not_generate_it_at_once(tmp_path: Path) -> None:
    with exclusive_lock(tmp_path), pytest.raises(ValueError, match="another program is writing to it: wait"):
        make_probe(tmp_path, "thin")


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no split 'crowds'"):
        make_probe(tmp_path, "crowds")
