"""Scoring while training: settings are those of tools/eval.py, and unusable datasets are refused before training."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from small_models import build_small

import dataset_trees as trees
from voskit.configs import get_model_config
from voskit.dataloaders.datasets import open_dataset
from voskit.dataloaders.video.source import Frame
from voskit.evaluators.benchmarks import validation
from voskit.evaluators.benchmarks.examples import ExampleWatch
from voskit.evaluators.benchmarks.validation import Validation


@pytest.mark.parametrize(
    ("name", "split", "reason"),
    [
        ("davis2017_unsupervised", "val", "it has neither masks nor text prompts"),
        ("mosev1", "val", "no video of mosev1 val has ground truth"),
        ("vspw", "val", "there is no scorer for vspw"),
        ("mevis", "val", "mevis can only be scored on valid_u, train, not on val"),
        ("lvos", "val", "unseen_videos.txt: no such list of videos"),
    ],
)
def test_an_unusable_dataset_is_refused_before_training(name, split, reason, tmp_path) -> None:
    trees.TREES[name](tmp_path)
    if name == "mevis":
        trees.TRUTH[name](tmp_path)
    with pytest.raises(ValueError, match=f"{name} {split} can't be used for validation: .*{reason}"):
        Validation(open_dataset(name, tmp_path, split=split), tmp_path / "out")


def test_a_dataset_that_does_not_match_the_model_is_refused(tmp_path) -> None:
    masks = open_dataset("davis2017", trees.davis2017(tmp_path / "a"))
    sentences = open_dataset("refdavis17", trees.ref_davis(tmp_path / "b"))
    with pytest.raises(ValueError, match="R50ReferFormer needs text prompts"):
        Validation(masks, tmp_path / "out", config=get_model_config("r50_referformer"))
    with pytest.raises(ValueError, match="AOTT needs masks"):
        Validation(sentences, tmp_path / "out", config=get_model_config("aott"))
    Validation(masks, tmp_path / "out", config=get_model_config("aott"))


def test_the_authors_settings_for_the_dataset_apply_while_it_is_scored(tmp_path, monkeypatch) -> None:
    dataset = open_dataset("davis2017", trees.davis2017(tmp_path / "DAVIS"))
    network = SimpleNamespace(config=get_model_config("jointformer"))
    seen = []

    def run(evaluation, config, share, progress) -> None:
        seen.append(config)
        shutil.copytree(dataset.root / "Annotations/480p", evaluation.results)

    monkeypatch.setattr(validation, "VideoSegmenter", lambda network: network.config)
    monkeypatch.setattr(validation.PropagationEvaluation, "run", run)
    own, chosen = network.config, network.config.dataset_settings["davis2017"]
    assert Validation(dataset, tmp_path / "out")(network) == 1
    assert seen == [own.override(**chosen)]
    assert seen != [own]
    assert network.config == own


def copy_truth(evaluation, *_, **__) -> None:
    """Write the ground truth as results."""
    shutil.copytree(evaluation.dataset.root / "Annotations/480p", evaluation.results)


def test_a_folder_with_other_files_is_refused_and_left_unchanged(tmp_path, monkeypatch) -> None:
    dataset = open_dataset("davis2017", trees.davis2017(tmp_path / "DAVIS"))
    network = SimpleNamespace(config=get_model_config("aott"))
    monkeypatch.setattr(validation, "VideoSegmenter", lambda network: network)
    monkeypatch.setattr(validation.PropagationEvaluation, "run", copy_truth)
    output = tmp_path / "run"
    score = Validation(dataset, output)
    (output / "checkpoints").mkdir(parents=True)
    for name in ("checkpoints/step_1.pt", "notes.txt", "settings.json"):
        (output / name).write_text("mine")
    for call in (lambda: Validation(dataset, output), lambda: score(network)):
        with pytest.raises(ValueError, match=f"{output} contains files that no validation wrote: give another folder"):
            call()
    assert sorted(path.name for path in output.rglob("*.*")) == ["notes.txt", "settings.json", "step_1.pt"]


def test_a_validation_replaces_only_its_own_results(tmp_path, monkeypatch) -> None:
    dataset = open_dataset("davis2017", trees.davis2017(tmp_path / "DAVIS"))
    network = SimpleNamespace(config=get_model_config("aott"))
    monkeypatch.setattr(validation, "VideoSegmenter", lambda network: network)
    monkeypatch.setattr(validation.PropagationEvaluation, "run", copy_truth)
    output = tmp_path / "out"
    output.mkdir()  # an empty folder is fine
    assert Validation(dataset, output)(network) == 1
    (output / "notes.txt").write_text("mine")
    (output / "Annotations" / "old").mkdir()
    before = {path.name for path in output.iterdir()}
    assert Validation(dataset, output)(network) == 1
    assert {path.name for path in output.iterdir()} == before and not (output / "Annotations" / "old").exists()
    validation._remove_results(output)
    assert {path.name for path in output.iterdir()} == {"notes.txt", "settings.json"}


class Guess:
    """Segmenter that found 300 of two objects."""

    quality = {3: SimpleNamespace(confidence=0.25), 300: SimpleNamespace(confidence=0.75)}


def test_examples_show_the_last_frame_and_others_at_equal_distances(tmp_path) -> None:
    names = [f"{t:05d}" for t in range(7)]
    truth = np.zeros((4, 8), np.uint16)
    truth[:2, :4], truth[2:, 4:] = 3, 300
    Image.fromarray(truth).save(tmp_path / "truth.png")
    files = dict.fromkeys(names, tmp_path / "truth.png")
    video = SimpleNamespace(name="a", frame_names=names, given={names[0]: None}, truth_frames=files)
    found = np.where(truth == 3, 0, truth)
    found[2:, :4] = 300
    watch = ExampleWatch(videos=1, frames=2)
    for at, name in enumerate(names[1:], 1):
        watch(Guess(), video, Frame(at, name, np.full((8, 16, 3), at, np.uint8)), found)
        watch(Guess(), SimpleNamespace(name="b"), Frame(at, name, np.zeros((8, 16, 3), np.uint8)), found)
    (example,) = watch.examples
    assert example.captions == ["00003: 3 0.25, 300 0.75", "00006: 3 0.25, 300 0.75"]
    assert [frame.max() for frame in example.frames] == [3, 6]
    assert all(np.array_equal(ids[::2, ::2], truth) for ids in example.labels)
    assert all(np.array_equal(ids[::2, ::2], found) for ids in example.predicted)
    assert example.figures == {"confidence": 0.5, "J": 0.25}  # J: 0 and one half


def test_a_validation_has_examples_of_its_first_videos(tmp_path) -> None:
    torch.manual_seed(0)
    dataset = open_dataset("davis2017", trees.davis2017(tmp_path / "DAVIS"))
    score = Validation(dataset, tmp_path / "out")
    score(build_small("aott"))
    assert [example.name for example in score.examples] == ["bear", "dog"]
    for example in score.examples:
        predicted = len(dataset.video(example.name).frame_names) - 1
        assert len(example.frames) == len(example.captions) == min(3, predicted)
        assert len(example.regions) == predicted
        assert 0 <= example.figures["J"] <= 1 and 0 < example.figures["confidence"] <= 1
