"""A2D-Sentences and JHMDB-Sentences: masks as the original makes them, reading, running, resuming, errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_trees import SIZE, a2d, jhmdb, write_video

from dataset_trees import text
from voskit.dataloaders.datasets.a2d import open_sentences
from voskit.evaluators import ReferringSegmenter
from voskit.evaluators.benchmarks import a2d as sentence_benchmark
from voskit.evaluators.benchmarks.a2d import A2DEvaluation, around, binary_masks
from voskit.evaluators.parallel.work_queue import WorkQueue
from voskit.networks import build_model


@pytest.fixture(scope="module")
def segmenter() -> ReferringSegmenter:
    torch.manual_seed(0)
    return ReferringSegmenter(build_model("r50_referformer", device="cpu", text_layers=1, short_edge=40))


def test_masks_are_the_originals(referformer_goldens: Path) -> None:
    with np.load(referformer_goldens / "components" / "a2d_postprocess.npz") as f:
        case = {k: f[k] for k in f.files}
    for i in range(2):
        assert (
            np.abs(torch.from_numpy(case["pred_logits"][i, 0, :, 0]).sigmoid().numpy() - case[f"scores.{i}"]).max()
            < 1e-6
        )
        size, original = (tuple(map(int, case[key][i])) for key in ("resized_sizes", "orig_sizes"))
        own = binary_masks(torch.from_numpy(case["pred_masks"][i, 0]), size, original)
        assert np.array_equal(own.astype(bool), case[f"masks.{i}"][:, 0])


def test_frames_around_the_annotated_one_are_clamped() -> None:
    assert around(10, 20, 5) == ([8, 9, 10, 11, 12], 2)
    assert around(10, 20, 6) == ([7, 8, 9, 10, 11, 12], 3)
    assert around(0, 20, 5) == ([0, 0, 0, 1, 2], 0)
    assert around(19, 20, 5) == ([17, 18, 19, 19, 19], 2)


def test_images_and_their_sentences(tmp_path: Path) -> None:
    data = open_sentences("a2d", a2d(tmp_path))
    assert {video: [(i.image_id, i.frame, i.sentence) for i in own] for video, own in data.images.items()} == {
        "-ab_c": [
            ("v_-ab_c_f_0_i_0", 0, "a Man,  running"),
            ("v_-ab_c_f_0_i_1", 0, "the dog"),
            ("v_-ab_c_f_7_i_0", 7, "a Man,  running"),
        ],
        "dog": [("v_dog_f_3_i_2", 3, "the ball rolling")],
    }
    assert len(data.frames("dog")) == 5


def test_frames_of_jhmdb_count_from_one(tmp_path: Path) -> None:
    assert [i.frame for i in open_sentences("jhmdb", jhmdb(tmp_path)).images["run"]] == [0, 2]


def test_every_candidate_is_a_prediction_and_all_are_scored(segmenter: ReferringSegmenter, tmp_path: Path) -> None:
    data = open_sentences("a2d", a2d(tmp_path / "data"))
    evaluation = A2DEvaluation(data, tmp_path / "out", {"model": "a"})
    evaluation.run(segmenter, WorkQueue(), progress=False)
    scores = evaluation.finish()
    predictions = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert len(predictions) == 4 * 5
    assert {tuple(p["segmentation"]["size"]) for p in predictions} == {SIZE}
    assert all(0 < p["score"] < 1 for p in predictions)
    assert 0 <= scores.tables["global"]["mean_iou"] <= 1
    assert sorted(p.name for p in (tmp_path / "out").glob("*.json")) == [
        "predictions.json", "scores.json", "settings.json",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="holds results of other settings"):
        A2DEvaluation(data, tmp_path / "out", {"model": "b"})


def test_it_resumes_after_a_bad_video_is_fixed(segmenter: ReferringSegmenter, tmp_path: Path) -> None:
    root = a2d(tmp_path / "data")
    path = root / "Release/clips320H/-ab_c.mp4"
    write_video(path, 3)  # the annotated frame 7 isn't in it
    evaluation = A2DEvaluation(open_sentences("a2d", root), tmp_path / "out", {})
    evaluation.run(segmenter, WorkQueue(), progress=False)
    assert "v_-ab_c_f_7_i_0 is after the last of its 3 frames" in evaluation.failures()["-ab_c"]
    with pytest.raises(ValueError, match="1 of 2 videos are not finished: -ab_c"):
        evaluation.finish()
    write_video(path, 8)
    before = (evaluation.parts / "dog.json").stat().st_mtime_ns
    evaluation.run(segmenter, WorkQueue(), progress=False)
    assert (evaluation.parts / "dog.json").stat().st_mtime_ns == before
    evaluation.finish()
    evaluation.run(segmenter, WorkQueue(), progress=False)  # of a finished evaluation
    assert (evaluation.parts / "dog.json").stat().st_mtime_ns == before


def test_predictions_survive_failed_scoring(
    segmenter: ReferringSegmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation = A2DEvaluation(open_sentences("a2d", a2d(tmp_path / "data")), tmp_path / "out", {})
    evaluation.run(segmenter, WorkQueue(), progress=False)
    with monkeypatch.context() as patch:
        patch.setattr(sentence_benchmark, "score", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            evaluation.finish()
    assert not evaluation.failures()
    evaluation.finish()


def test_jhmdb_runs(segmenter: ReferringSegmenter, tmp_path: Path) -> None:
    evaluation = A2DEvaluation(open_sentences("jhmdb", jhmdb(tmp_path / "data")), tmp_path / "out", {})
    evaluation.run(segmenter, WorkQueue(), progress=False)
    assert evaluation.finish().dataset == "jhmdb"


def test_mismatches_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown sentence dataset 'a3d': choose one of a2d, jhmdb"):
        open_sentences("a3d", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"a2d_annotation\.txt: no such sentence file"):
        open_sentences("a2d", tmp_path)
    root = a2d(tmp_path / "a")
    (root / "Release/clips320H/dog.mp4").unlink()
    with pytest.raises(FileNotFoundError, match=r"dog\.mp4: no such video .1 of 2 videos are missing"):
        open_sentences("a2d", root)
    text(root / "text_annotations/a2d_annotation.txt", "video_id,instance_id,query\n-ab_c,0,a man\n")
    with pytest.raises(ValueError, match="no sentence for v_-ab_c_f_0_i_1"):
        open_sentences("a2d", root)
    text(root / "text_annotations/a2d_annotation.txt", "a,b\n1,2\n")
    with pytest.raises(ValueError, match="expected columns video_id, query"):
        open_sentences("a2d", root)
