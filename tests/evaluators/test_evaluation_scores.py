"""What a complete evaluation is scored with. Results are the truth, as a dataset's masks are read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import dataset_trees as trees
from dataloaders.datasets import Dataset, open_dataset
from evaluators.evaluation_folder import EvaluationFolder
from evaluators.writers import MaskWriter


def true_results(dataset: Dataset, output: Path) -> None:
    """Write the true mask of every wanted frame as the result."""
    for video in dataset:
        with MaskWriter(output / "Annotations" / video.name) as writer:
            for name in video.wanted:
                writer.write(name, video.masks.read(video.truth_frames[name], name))


OWN = {"name": "own", "given": "first"}


@pytest.mark.parametrize("grey", [True, False])
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
def test_an_own_dataset_is_scored_by_what_its_description_says(tmp_path, ids, fields, grey) -> None:
    trees.video(tmp_path, "frames/{}", "masks/{}", "waltz", ids=ids, grey=grey)
    trees.video(tmp_path, "frames/{}", "ground_truth/{}", "waltz", trees.FRAMES[:2], ids=ids, grey=grey)
    trees.mask(tmp_path / "ground_truth/waltz/00002.png", (), grey=grey)  # the objects have gone
    (tmp_path / "own.json").write_text(json.dumps({**OWN, **fields}))
    dataset = open_dataset(tmp_path / "own.json")
    evaluation = EvaluationFolder(dataset, tmp_path / "out", {})
    true_results(dataset, tmp_path / "out")
    scores = evaluation.finish("own", num_workers=1)
    assert scores is not None
    assert scores.tables["global"]["J&F"] == 100
