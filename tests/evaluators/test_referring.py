"""Segmenting what sentences tell: results of the original's programs, windows, resuming, and clear errors."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from moving_clip import H, W, moving_frames
from PIL import Image

from dataset_trees import davis2017, mevis, ref_davis, ref_youtube, text
from voskit.dataloaders.datasets import Video, open_dataset
from voskit.dataloaders.images import load_image
from voskit.evaluators import ReferringSegmenter, VideoSegmenter
from voskit.evaluators.benchmarks.referring import ReferringEvaluation
from voskit.evaluators.benchmarks.validation import Validation
from voskit.evaluators.clips.key_frames import KeyFrame, propagate
from voskit.evaluators.parallel.work_queue import WorkQueue
from voskit.evaluators.referring import ReferredObject, choose, windows
from voskit.networks import build_model
from voskit.tools.flags.model import BUNDLED_WEIGHTS


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return build_model("r50_referformer", device="cpu", text_layers=1, short_edge=64)


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    return moving_frames(7)


class TestOriginal:
    @pytest.mark.thorough
    def test_masks_of_ref_youtube_vos(
        self, referformer_goldens: Path, referformer_weights, tmp_path: Path, monkeypatch
    ) -> None:
        folder = referformer_goldens / "inference" / "ytvos_r50"
        model = build_model("r50_referformer", checkpoint=referformer_weights("resnet50"), device="cpu", window=None)
        segmenter = ReferringSegmenter(model)
        seen: list[ReferredObject] = []
        refer = segmenter.refer
        monkeypatch.setattr(segmenter, "refer", lambda *of: [seen.append(one) or one for one in refer(*of)])
        dataset = open_dataset("refytvos", folder)
        evaluation = ReferringEvaluation(dataset, tmp_path, {})
        evaluation.run(segmenter, WorkQueue(), progress=False)
        assert not evaluation.failures()
        runs = json.loads((folder / "expected" / "runs.json").read_text())["runs"]
        with np.load(folder / "expected" / "selected.npz") as selected:
            for run, found in zip(runs, seen, strict=True):
                assert found.candidate == run["selected_query"]
                assert np.abs(found.scores.numpy() - run["mean_scores_per_query"]).max() < 1e-4
                key = f"{run['video']}.{run['exp_id']}"
                logits = selected[f"{key}.mask_logits"]
                assert np.abs(found.logits.numpy() - logits).max() <= 1e-3 * (1 + np.abs(logits).max())
                assert np.abs(found.boxes.numpy() - selected[f"{key}.boxes"]).max() < 1e-4
        files = sorted((folder / "expected" / "Annotations").rglob("*.png"))
        assert len(files) == 13
        for path in files:
            own = tmp_path / path.relative_to(folder / "expected")
            with Image.open(own) as image:
                assert image.mode == "L"
            assert (np.asarray(load_image(own)) != np.asarray(load_image(path))).mean() <= 1e-3
        evaluation.finish("results")
        with zipfile.ZipFile(tmp_path / "results.zip") as archive:
            names = [n for n in archive.namelist() if n.endswith(".png")]
        assert sorted(names) == sorted(str(p.relative_to(folder / "expected")) for p in files)

    def test_label_maps_of_ref_davis17(self, referformer_goldens: Path, small) -> None:
        folder = referformer_goldens / "inference" / "davis_merge"
        info = json.loads((folder / "davis_merge.json").read_text())
        with np.load(folder / "davis_merge.npz") as f:
            arrays = {k: torch.from_numpy(f[k]) for k in f.files}
        size = tuple(info["original_hw"])
        segmenter = ReferringSegmenter(small)
        for annotator in range(4):
            expected = arrays[f"expected.anno_{annotator}"].numpy()
            maps = []
            for chunk, length in enumerate((36, 3)):
                found = []
                for thing in range(info["num_objects"]):
                    prefix = f"exp{thing * 4 + annotator}.chunk{chunk}"
                    logits, masks = arrays[f"{prefix}.logits"][0], arrays[f"{prefix}.masks"][0]
                    scores, candidate, by_frame = choose(logits)
                    found.append(ReferredObject(scores, candidate, by_frame, masks[:, candidate], masks.new_zeros(0)))
                maps += [segmenter.ids([one.probabilities(i, size) for one in found]) for i in range(length)]
            assert (np.stack(maps) == expected).all()


def test_ids_of_a_video_come_frame_by_frame(small, frames) -> None:
    segmenter = ReferringSegmenter(small, window=3)
    masks = list(segmenter.segment(iter(frames), ["a red square", "the other one"]))
    assert len(masks) == len(frames)
    assert all(m.shape == (H, W) and m.dtype == np.uint8 and m.max() <= 2 for m in masks)
    small_masks = list(segmenter.segment(frames[:3], ["a red square"], output_size=(20, 30)))
    assert small_masks[0].shape == (20, 30)


def test_a_window_is_a_video_of_its_own(small, frames) -> None:
    segmenter = ReferringSegmenter(small, window=3)
    sentences = ["a red square", "the other one"]
    whole = list(segmenter.segment(frames, sentences))
    parts = [m for i in (0, 3, 6) for m in segmenter.segment(frames[i : i + 3], sentences)]
    assert all(np.array_equal(a, b) for a, b in zip(whole, parts, strict=True))


def test_a_prompt_gives_the_same_result_next_to_others(small, frames) -> None:
    segmenter = ReferringSegmenter(small)
    alone = segmenter.refer(frames[:2], ["the other one"])[0]
    beside = segmenter.refer(frames[:2], ["a red square which is here", "the other one"])[1]
    assert torch.allclose(alone.logits, beside.logits, atol=1e-4)
    assert alone.candidate == beside.candidate


def test_a_model_in_training_mode_is_used_without_dropout(small, frames) -> None:
    segmenter = ReferringSegmenter(small)
    network = ReferringSegmenter(small.train())._network
    small.eval()
    assert not network.training and not segmenter._network.training


def test_windows() -> None:
    assert list(windows(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(windows(range(6), 3)) == [[0, 1, 2], [3, 4, 5]]
    assert list(windows(range(7), None)) == [list(range(7))]
    with pytest.raises(ValueError, match="there are no frames"):
        list(windows([], 3))


def test_half_precision_is_close(small, frames) -> None:
    exact = ReferringSegmenter(small).refer(frames[:2], ["a red square"])[0]
    half = ReferringSegmenter(small, amp="bf16").refer(frames[:2], ["a red square"])[0]
    assert half.logits.dtype == torch.float32
    assert torch.allclose(half.scores, exact.scores, atol=0.05)


class TestErrors:
    def test_unknown_options_suggest_similar_ones(self, small) -> None:
        with pytest.raises(ValueError, match="has no option 'windows': did you mean window"):
            ReferringSegmenter(small, windows=3)

    def test_models_and_segmenters_belong_together(self, small) -> None:
        with pytest.raises(ValueError, match="AOTT takes masks, not text prompts: use VideoSegmenter"):
            ReferringSegmenter(build_model("aott", device="cpu"))
        with pytest.raises(ValueError, match="takes text prompts, not masks: use ReferringSegmenter"):
            VideoSegmenter(small)

    @pytest.mark.parametrize("sentences", ["a dog", []])
    def test_sentences_are_a_list(self, small, frames, sentences) -> None:
        with pytest.raises(ValueError, match="prompts must be a list of one or more strings"):
            ReferringSegmenter(small).refer(frames, sentences)

    @pytest.mark.parametrize("sentences", ["a dog " * 50, []])
    def test_sentences_of_a_video_are_a_list(self, small, frames, sentences) -> None:
        with pytest.raises(ValueError, match="prompts must be a list of one or more strings"):
            next(ReferringSegmenter(small).segment(frames, sentences))

    @pytest.mark.parametrize("size", [(0, 5), (20.5, 30), 20, (20, 30, 3)])
    def test_impossible_output_sizes_are_refused(self, small, frames, size) -> None:
        with pytest.raises(ValueError, match=r"output_size must be \(height, width\) in pixels or None, got"):
            next(ReferringSegmenter(small).segment(frames, ["a dog"], output_size=size))

    def test_wrong_frames_are_refused(self, small, frames) -> None:
        segmenter = ReferringSegmenter(small)
        with pytest.raises(ValueError, match=r"a frame of float32 must be in \[0, 1\], not"):
            segmenter.refer([frames[0].astype(np.float32)], ["a dog"])
        with pytest.raises(ValueError, match=f"frame 1 of a window has size {H - 2}x{W}, the first {H}x{W}"):
            segmenter.refer([frames[0], frames[1][2:]], ["a dog"])
        with pytest.raises(ValueError, match="there are no frames"):
            list(segmenter.segment([], ["a dog"]))


class TestEvaluation:
    def test_expressions(self, small, tmp_path: Path) -> None:
        dataset = open_dataset("refytvos", ref_youtube(tmp_path / "data"))
        evaluation = ReferringEvaluation(dataset, tmp_path / "out", {"a": 1})
        evaluation.run(ReferringSegmenter(small), WorkQueue(), progress=False)
        assert not evaluation.failures()
        written = sorted(p.relative_to(evaluation.results) for p in evaluation.results.rglob("*.png"))
        names = dataset.videos[0].frame_names
        assert [str(p) for p in written] == [f"vid1/{e}/{n}.png" for e in ("0", "1") for n in names]
        assert evaluation.finish("results") is None
        assert json.loads((tmp_path / "out" / "timing.json").read_text())["frames"] == len(names)

    def test_mevis_has_its_own_archive(self, small, tmp_path: Path) -> None:
        dataset = open_dataset("mevis", mevis(tmp_path / "data"))
        evaluation = ReferringEvaluation(dataset, tmp_path / "out", {})
        evaluation.run(ReferringSegmenter(small, window=2), WorkQueue(), progress=False)
        evaluation.finish("results")
        with zipfile.ZipFile(tmp_path / "out" / "results.zip") as archive:
            assert f"vid1/0/{dataset.videos[0].frame_names[0]}.png" in archive.namelist()

    def test_annotators_are_scored(self, small, tmp_path: Path) -> None:
        text(tmp_path / "data/DAVIS/ImageSets/2017/val.txt", "bear\n")
        dataset = open_dataset("refdavis17", ref_davis(tmp_path / "data"))
        evaluation = ReferringEvaluation(dataset, tmp_path / "out", {})
        evaluation.run(ReferringSegmenter(small), WorkQueue(), progress=False)
        for k in range(4):
            written = [p.stem for p in sorted((evaluation.results / f"anno_{k}" / "bear").glob("*.png"))]
            assert written == list(dataset.videos[0].frame_names)
        assert not (tmp_path / "out" / ".partial" / "bear").exists()
        scores = evaluation.finish("results")
        assert scores is not None
        assert "anno_3" in json.dumps(scores.tables)

    def test_it_resumes_where_it_stopped(self, small, tmp_path: Path, monkeypatch) -> None:
        dataset = open_dataset("refdavis17", ref_davis(tmp_path / "data"))
        segmenter = ReferringSegmenter(small)
        evaluation = ReferringEvaluation(dataset, tmp_path / "out", {})
        evaluation.run(segmenter, WorkQueue(), progress=False)
        before = {p: p.read_bytes() for p in evaluation.results.rglob("*.png")}
        again = ReferringEvaluation(dataset, tmp_path / "out", {})
        monkeypatch.setattr(segmenter, "refer", None)
        again.run(segmenter, WorkQueue(), progress=False)  # nothing is left to do
        monkeypatch.undo()
        lost = evaluation.results / "anno_3" / "bear"
        lost.rename(tmp_path / "lost")  # as if it had been killed between two annotators
        assert list(again.failures()) == ["bear"]
        again.run(segmenter, WorkQueue(), progress=False)
        assert {p: p.read_bytes() for p in evaluation.results.rglob("*.png")} == before

    def test_a_damaged_frame_is_reported_and_others_continue(self, small, tmp_path: Path) -> None:
        root = ref_youtube(tmp_path / "data")
        dataset = open_dataset("refytvos", root)
        path = list(dataset.videos[0].files.values())[1]
        path.write_bytes(path.read_bytes()[:40])
        evaluation = ReferringEvaluation(dataset, tmp_path / "out", {})
        evaluation.run(ReferringSegmenter(small), WorkQueue(), progress=False)
        assert path.name in evaluation.failures()["vid1"]
        with pytest.raises(ValueError, match="1 of 1 videos are not finished: vid1"):
            evaluation.finish("results")

    def test_other_datasets_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="has no expressions: evaluate a model that takes masks"):
            ReferringEvaluation(open_dataset("davis2017", davis2017(tmp_path / "data")), tmp_path / "out", {})


class TestPropagation:
    """From the key frame forwards and backwards, by the bundled network."""

    @pytest.fixture(scope="class")
    @staticmethod
    def propagator() -> VideoSegmenter:
        return VideoSegmenter(build_model("deaott", checkpoint=BUNDLED_WEIGHTS, device="cpu"), short_edge=-1)

    @staticmethod
    def disc(t: int) -> np.ndarray:
        y, x = np.ogrid[:120, :160]
        return (y - 60) ** 2 + (x - 40 - 12 * t) ** 2 < 22**2

    @pytest.fixture
    def video(self, tmp_path: Path) -> Video:
        root = ref_youtube(tmp_path / "data")
        ground = np.random.default_rng(0).integers(60, 110, (15, 20, 3), dtype=np.uint8)
        video = open_dataset("refytvos", root).videos[0]
        for t, path in enumerate(video.files.values()):
            image = np.asarray(Image.fromarray(ground).resize((160, 120), Image.Resampling.BICUBIC)).copy()
            image[self.disc(t)] = (230, 60, 40)
            Image.fromarray(image).save(path, quality=95)
        return video

    def test_masks_follow_the_object_both_ways(self, propagator: VideoSegmenter, video: Video, tmp_path: Path) -> None:
        key = len(video.files) // 2
        assert 0 < key < len(video.files) - 1
        keys = [KeyFrame(0.9, key, self.disc(key)), KeyFrame(0.8, 0, None)]
        with video.source() as source:
            found = list(propagate(propagator, source, keys, tmp_path / "scratch"))
        assert [frame.name for frame, _ in found] == list(video.frame_names)
        for t, (_, ids) in enumerate(found):
            assert set(np.unique(ids)) == {0, 1}
            assert ((ids == 1) & self.disc(t)).sum() > 0.7 * ((ids == 1) | self.disc(t)).sum(), t
        assert not (tmp_path / "scratch").exists()

    def test_each_object_is_propagated_from_its_own_key_frame(self, propagator, video: Video, tmp_path: Path) -> None:
        last = len(video.files) - 1
        y, x = np.ogrid[:120, :160]
        corner = (y > 95) & (x > 130)
        keys = [KeyFrame(0.9, 0, self.disc(0)), KeyFrame(0.8, last, corner & ~self.disc(last))]
        with video.source() as source:
            ids = [ids for _, ids in propagate(propagator, source, keys, tmp_path / "scratch")]
        assert all((own == 1).any() for own in ids)
        assert (ids[last] == 2).any()

    def test_a_prompt_without_a_mask_gives_background(
        self, propagator: VideoSegmenter, video: Video, tmp_path: Path
    ) -> None:
        with video.source() as source:
            found = list(propagate(propagator, source, [KeyFrame(0.9, 1, None)], tmp_path / "scratch"))
        assert len(found) == len(video.files)
        assert not any(ids.any() for _, ids in found)

    def test_the_key_frame_has_the_highest_score(self) -> None:
        key, mask = KeyFrame(), np.ones((2, 2), bool)
        for index, score in enumerate((0.1, 0.7, 0.7, 0.3)):
            key.update(score, index, mask)
        assert (key.index, key.score) == (1, 0.7)
        key.update(0.9, 4, ~mask)
        assert (key.index, key.mask) == (4, None)

    def test_an_evaluation_propagates(self, small, propagator: VideoSegmenter, video: Video, tmp_path: Path) -> None:
        dataset = open_dataset("refytvos", tmp_path / "data")
        evaluation = ReferringEvaluation(dataset, tmp_path / "out", {})
        evaluation.run(ReferringSegmenter(small), WorkQueue(), propagator=propagator, progress=False)
        assert not evaluation.failures()
        evaluation.finish("results")

    def test_ids_of_annotators_are_not_propagated(self, small, propagator: VideoSegmenter, tmp_path: Path) -> None:
        dataset = open_dataset("refdavis17", ref_davis(tmp_path / "data"))
        evaluation = ReferringEvaluation(dataset, tmp_path / "out", {})
        with pytest.raises(ValueError, match="so its results can't be propagated"):
            evaluation.run(ReferringSegmenter(small), WorkQueue(), propagator=propagator, progress=False)


def test_validation_scores_a_network_of_sentences(small, tmp_path: Path) -> None:
    text(tmp_path / "data/DAVIS/ImageSets/2017/val.txt", "bear\n")
    dataset = open_dataset("refdavis17", ref_davis(tmp_path / "data"))
    assert 0 <= Validation(dataset, tmp_path / "out")(small) <= 1
