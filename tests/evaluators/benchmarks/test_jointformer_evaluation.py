"""JointFormer through the benchmark runner, against results of the original's evaluator."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from voskit.dataloaders.datasets import open_dataset
from voskit.dataloaders.masks.files import read_mask
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.benchmarks.propagation import PropagationEvaluation
from voskit.evaluators.parallel.work_queue import WorkQueue
from voskit.networks import build_model
from voskit.tools.flags.model import ModelArgs

DAVIS = {"full_resolution": True, "results_at": "480p"}  # what the original does at all sizes but 480


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "dataset", "folder", "options", "kept"),
    [
        ("d17", "davis2017", "DAVIS", DAVIS, 3),
        ("y19", "youtubevos2019", "YouTubeVOS-2019", {"split": "val_all_frames"}, 3),
        ("mose", "mosev1", "MOSE", {}, 1),
    ],
)
def test_label_maps_of_a_benchmark(
    jointformer_goldens: Path, jointformer_weights, tmp_path, name: str, dataset: str, folder: str, options, kept: int
) -> None:
    root = jointformer_goldens / "evaluator" / "data" / folder
    expected = jointformer_goldens / "evaluator" / "expected" / name
    fields = {"topk_num": 30, "mem_every": 2, "max_memory_frames": kept}
    model = build_model("jointformer", checkpoint=jointformer_weights("default"), device="cpu", **fields)
    evaluation = PropagationEvaluation(open_dataset(dataset, root, copy_given_mask=False, **options), tmp_path, {})
    evaluation.run(VideoSegmenter(model, short_edge=96), WorkQueue(), progress=False)
    assert not evaluation.failures()
    if (expected / "Annotations").is_dir():
        expected = expected / "Annotations"
    files = sorted(expected.rglob("*.png"))
    assert files
    for path in files:
        got = read_mask(evaluation.results / path.relative_to(expected))
        assert (got == read_mask(path)).mean() >= 0.99, path  # nearly equal scores may swap places
    evaluation.finish("results")
    with zipfile.ZipFile(tmp_path / "results.zip") as archive:
        assert len([n for n in archive.namelist() if n.endswith(".png")]) == len(files)


@pytest.mark.thorough
def test_the_authors_settings_of_a_dataset_apply_unless_overridden(jointformer_weights, caplog) -> None:
    args = ModelArgs(model="jointformer", ckpt_path=jointformer_weights("default"), device="cpu")
    with caplog.at_level("INFO"):
        config = args.build_segmenter(dataset="mosev1").config
    assert (config.topk_num, config.max_memory_frames) == (180, 3)
    assert "the authors' settings for mosev1" in caplog.text
    assert args.build_segmenter().config.max_memory_frames == 5
    told = ModelArgs(
        model="jointformer",
        ckpt_path=args.ckpt_path,
        device="cpu",
        max_memory_frames="unbounded",
        set=("topk_num=20",),
    )
    config = told.build_segmenter(dataset="mosev1").config
    assert (config.topk_num, config.max_memory_frames) == (20, None)
