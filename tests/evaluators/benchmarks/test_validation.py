"""Scoring while training: settings are those of tools/eval.py, and unusable datasets are refused before training."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest

import dataset_trees as trees
from voskit.configs import get_model_config
from voskit.dataloaders.datasets import open_dataset
from voskit.evaluators.benchmarks import validation
from voskit.evaluators.benchmarks.validation import Validation


@pytest.mark.parametrize(
    ("name", "split", "reason"),
    [
        ("davis2017_unsupervised", "val", "it has neither masks nor text prompts"),
        ("mosev1", "val", "0 of 2 videos of mosev1 val have ground truth"),
        ("vspw", "val", "there is no scorer for vspw"),
        ("mevis", "val", "mevis is scored for valid_u, train, not for val"),
        ("lvos", "val", "unseen_videos.txt: no such list of videos"),
    ],
)
def test_an_unusable_dataset_is_refused_before_training(name, split, reason, tmp_path) -> None:
    trees.TREES[name](tmp_path)
    if name == "mevis":
        trees.TRUTH[name](tmp_path)
    with pytest.raises(ValueError, match=f"{name} {split} can't be used for validation: .*{reason}"):
        Validation(open_dataset(name, tmp_path, split=split), tmp_path / "out")


def test_a_dataset_of_another_kind_than_the_model_s_is_refused(tmp_path) -> None:
    masks = open_dataset("davis2017", trees.davis2017(tmp_path / "a"))
    sentences = open_dataset("refdavis17", trees.ref_davis(tmp_path / "b"))
    with pytest.raises(ValueError, match="R50ReferFormer needs text prompts"):
        Validation(masks, tmp_path / "out", config=get_model_config("r50_referformer"))
    with pytest.raises(ValueError, match="AOTT needs masks"):
        Validation(sentences, tmp_path / "out", config=get_model_config("aott"))
    Validation(masks, tmp_path / "out", config=get_model_config("aott"))


def test_the_authors_settings_for_the_dataset_hold_while_it_is_scored(tmp_path, monkeypatch) -> None:
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
