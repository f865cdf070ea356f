"""XMem through the benchmark runner and with merged views, against results of the original's evaluator."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from thorough import mark_thorough

from voskit.dataloaders.datasets import open_dataset
from voskit.dataloaders.masks.files import read_mask
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.benchmarks.propagation import PropagationEvaluation
from voskit.evaluators.benchmarks.score_maps import merge_score_maps
from voskit.evaluators.parallel.work_queue import WorkQueue
from voskit.networks import build_model
from voskit.tools import merge

DAVIS = {"full_resolution": True, "results_at": "480p"}  # what the original does at all sizes but 480
SCORES = {"d17_s96": 96, "d17_s112": 112}


@pytest.fixture(scope="module")
def model(xmem_weights):
    return build_model("xmem", checkpoint=xmem_weights("default"), device="cpu")


@pytest.fixture
def folder(xmem_goldens: Path) -> Path:
    return xmem_goldens / "evaluator"


def compared(results: Path, expected: Path) -> list[float]:
    """Agreement of each frame that the original wrote."""
    files = sorted(expected.rglob("*.png"))
    assert files
    return [float((read_mask(results / p.relative_to(expected)) == read_mask(p)).mean()) for p in files]


@pytest.mark.parametrize(
    ("name", "dataset", "size", "mem_every"),
    mark_thorough(
        [("d17", "davis2017", 96, 2), ("y19", "youtubevos2019", 96, 3), ("g", "custom", 80, 2)],
        [("d17", "davis2017", 96, 2), ("g", "custom", 80, 2)],
    ),
)
def test_label_maps_of_a_benchmark(model, folder: Path, tmp_path, name: str, dataset: str, size: int, mem_every: int):
    root = folder / "data" / {"d17": "DAVIS", "y19": "YouTube", "g": "generic"}[name]
    own = {"frames": ("JPEGImages/{video}",), "masks": ("Annotations/{video}",), "given": "first"}
    options = {"custom": own, "davis2017": DAVIS, "youtubevos2019": {"split": "val_all_frames"}}[dataset]
    opened = open_dataset(dataset, root, copy_given_mask=False, **options)
    segmenter = VideoSegmenter(model, short_edge=size, long_term_gap=mem_every)
    evaluation = PropagationEvaluation(opened, tmp_path, {})
    evaluation.run(segmenter, WorkQueue(), progress=False)
    assert not evaluation.failures()
    expected = folder / "expected" / name
    expected = expected / "Annotations" if (expected / "Annotations").is_dir() else expected
    assert min(compared(evaluation.results, expected)) >= 0.995


def test_score_maps_given_as_files_merge_to_the_originals_label_maps(folder: Path) -> None:
    maps = [np.load(folder / "scores" / f"{name}.npz") for name in SCORES]
    for key in maps[0].files:
        want = read_mask(folder / "expected" / "d17_merged" / f"{key}.png")
        assert np.array_equal(merge_score_maps([m[key] for m in maps]), want)


@pytest.mark.thorough
def test_runs_that_save_scores_merge_to_the_same(model, folder: Path, tmp_path, monkeypatch) -> None:
    """Each run's maps are the original's, and so are label maps that the tool merges of them."""
    dataset = open_dataset("davis2017", folder / "data" / "DAVIS", **DAVIS)
    for name, size in SCORES.items():
        evaluation = PropagationEvaluation(dataset, tmp_path / name, {}, save_scores=True)
        segmenter = VideoSegmenter(model, short_edge=size, long_term_gap=2)
        evaluation.run(segmenter, WorkQueue(), progress=False)
        want = np.load(folder / "scores" / f"{name}.npz")
        for key in want.files:
            video, frame = key.split("/")
            got = np.load(tmp_path / name / "Scores" / f"{video}.npz")[frame]
            assert np.abs(got.astype(int) - want[key]).max() <= 1, key
    arguments = ["merge.py", "--results", *(str(tmp_path / n) for n in SCORES), "--output_path", str(tmp_path / "m")]
    monkeypatch.setattr(sys, "argv", arguments)
    assert merge.main() == 0
    assert min(compared(tmp_path / "m" / "Annotations", folder / "expected" / "d17_merged")) >= 0.995


@pytest.mark.thorough
def test_views_that_are_merged_as_they_run_are_the_mean_of_single_runs(model, folder: Path) -> None:
    """Check that the original's 8-bit sums are equal or nearly so at pixels that differ from its label maps."""
    dataset = open_dataset("davis2017", folder / "data" / "DAVIS", **DAVIS)
    video = next(v for v in dataset if v.name == "market")
    maps = [np.load(folder / "scores" / f"{name}.npz") for name in SCORES]
    segmenters = [VideoSegmenter(model, short_edge=size, long_term_gap=2) for size in SCORES.values()]
    views = VideoSegmenter(model, short_edge=96, scales=(1.0, 112 / 96), long_term_gap=2)
    with video.source() as source:
        for frame in source:
            mask, size = video.mask(frame.name), dataset.result_size(video)
            ids, probs = views.step(frame.image, mask, return_probs=True, output_size=size)
            singles = [s.step(frame.image, mask, return_probs=True, output_size=size)[1] for s in segmenters]
            assert (probs - sum(singles) / 2).abs().max() < 1e-5
            total = sum(m[f"market/{frame.name}"].astype(int) for m in maps)
            want = total.argmax(0)
            lead = total.max(0) - np.take_along_axis(total, ids[None].astype(int), 0)[0]
            assert lead[ids != want].max(initial=0) <= 3


def test_flipping_uses_the_mirror_image_alone_or_the_mean_of_both(model, folder: Path) -> None:
    """As the authors' flag has it; ``flip_views`` asks for the mean in one run."""
    video = next(v for v in open_dataset("davis2017", folder / "data" / "DAVIS") if v.name == "market")
    with video.source() as source:
        frames = [(frame.image, video.mask(frame.name)) for frame in source][:3]

    def probabilities(mirrored: bool, **options) -> list[np.ndarray]:
        segmenter, out = VideoSegmenter(model, short_edge=48, **options), []
        for image, mask in frames:
            if mirrored:
                image, mask = image[:, ::-1].copy(), None if mask is None else mask[:, ::-1].copy()
            probs = segmenter.step(image, mask, return_probs=True)[1].numpy()
            out.append(probs[..., ::-1] if mirrored else probs)
        return out

    plain, flipped = probabilities(False), probabilities(True)
    for ours, want in zip(probabilities(False, flip=True), flipped, strict=True):
        assert np.abs(ours - want).max() < 1e-5
    both = probabilities(False, flip=True, flip_views="both")
    for ours, one, other in zip(both, plain, flipped, strict=True):
        assert np.abs(ours - (one + other) / 2).max() < 1e-5
