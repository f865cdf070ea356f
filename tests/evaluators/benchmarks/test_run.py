"""voskit.evaluate: a benchmark in one call, resumed by the same call, in one process or several."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from media_files import write_video
from small_models import SMALL

import voskit
from dataset_trees import davis2017, mask, ref_youtube
from voskit.evaluators.benchmarks import propagation
from voskit.evaluators.benchmarks.run import evaluate
from voskit.evaluators.segmenter import VideoSegmenter
from voskit.networks import build_model, save_weights


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_model("aott", device="cpu", **SMALL)


@pytest.fixture(scope="module")
def referring_model() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_model("r50_referformer", device="cpu", text_layers=1, short_edge=40)


@pytest.fixture(autouse=True)
def no_warm_up(monkeypatch) -> None:
    monkeypatch.setattr(propagation, "_warm_up", lambda segmenter: None)


def masks(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted((folder / "Annotations").rglob("*.png"))}


@pytest.fixture
def segmented(monkeypatch) -> list[str]:
    """Names of the videos that are segmented from now on."""
    names: list[str] = []
    original = propagation.PropagationEvaluation._segment_video

    def spy(evaluation, segmenter, video):
        names.append(video.name)
        return original(evaluation, segmenter, video)

    monkeypatch.setattr(propagation.PropagationEvaluation, "_segment_video", spy)
    return names


def test_the_second_call_computes_nothing_again(model, tmp_path, segmented) -> None:
    data, out = davis2017(tmp_path / "DAVIS"), tmp_path / "out"
    first = voskit.evaluate(model, "davis2017", data, out, progress=False)
    assert sorted(segmented) == ["bear", "dog"]
    assert first.tables == voskit.evaluate(model, "davis2017", data, out, progress=False).tables
    assert len(segmented) == 2
    weights = json.loads((out / "settings.json").read_text())["checkpoint"].removeprefix("weights ")
    assert sorted(p.name for p in out.glob("*.zip")) == [f"davis2017_val_default_AOTT_ckpt_{weights[:16]}.zip"]
    assert (out / "scores.json").exists() and (out / "timing.json").exists()


def test_masks_that_match_no_frame_fail_their_video(model, tmp_path, caplog) -> None:
    (tmp_path / "own.json").write_text(json.dumps({"name": "own"}))
    (tmp_path / "frames").mkdir()
    write_video(tmp_path / "frames/waltz.mp4", "mpeg4", 3, size=(32, 48))
    for name in ("00000", "00003"):  # counted from 1
        mask(tmp_path / "masks/waltz" / f"{name}.png", size=(32, 48))
    with pytest.raises(ValueError, match="1 of 1 videos failed"):
        voskit.evaluate(model, str(tmp_path / "own.json"), output=tmp_path / "out", progress=False)
    assert "1 given masks belong to frames that aren't in the video, such as 00003" in caplog.text


def test_a_failed_video_is_computed_by_the_next_call(model, tmp_path, segmented) -> None:
    data, out = davis2017(tmp_path / "DAVIS"), tmp_path / "out"
    damaged = max((data / "JPEGImages/480p/dog").iterdir())
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="1 of 2 videos failed, so there are no scores"):
        evaluate(model, "davis2017", data, out, progress=False)
    damaged.write_bytes(whole)
    assert evaluate(model, "davis2017", data, out, progress=False) is not None
    assert sorted(segmented) == ["bear", "dog", "dog"]


def test_a_video_too_large_for_the_gpu_fails_alone(model, tmp_path, monkeypatch, caplog) -> None:
    step = voskit.VideoSegmenter.step

    def step_of_small_memory(segmenter, image, *args, **options):
        if step_of_small_memory.calls == 0:
            step_of_small_memory.calls += 1
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return step(segmenter, image, *args, **options)

    step_of_small_memory.calls = 0  # type: ignore[attr-defined]
    monkeypatch.setattr(voskit.VideoSegmenter, "step", step_of_small_memory)
    data, out = davis2017(tmp_path / "DAVIS"), tmp_path / "out"
    with pytest.raises(ValueError, match="1 of 2 videos failed"):
        evaluate(model, "davis2017", data, out, progress=False)
    assert "CUDA out of memory" in caplog.text
    assert evaluate(model, "davis2017", data, out, progress=False) is not None


def test_processes_write_the_same_masks_as_one(model, tmp_path) -> None:
    data = davis2017(tmp_path / "DAVIS")
    segmenter = voskit.VideoSegmenter(model, flip=True, max_long_edge=200)
    for count in (1, 2):
        out = tmp_path / f"out{count}"
        assert evaluate(segmenter, "davis2017", data, out, num_processes=count, progress=False) is not None
    assert masks(tmp_path / "out1") == masks(tmp_path / "out2") != {}
    assert (tmp_path / "out1/settings.json").read_text() == (tmp_path / "out2/settings.json").read_text()


def test_the_checkpoint_or_else_the_weights_are_recorded(model, tmp_path) -> None:
    data, out = davis2017(tmp_path / "DAVIS"), tmp_path / "out"
    evaluate(model, "davis2017", data, out, progress=False)
    assert json.loads((out / "settings.json").read_text())["checkpoint"].startswith("weights ")
    other = build_model("aott", device="cpu", **SMALL)
    with pytest.raises(ValueError, match=r"holds results of other settings \(checkpoint: "):
        evaluate(other, "davis2017", data, out, progress=False)
    save_weights(model, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"holds results of other settings \(checkpoint: "):
        evaluate(model, "davis2017", data, out, checkpoint=tmp_path / "model.safetensors", progress=False)


def test_referring_benchmarks_run_with_the_authors_settings(referring_model, tmp_path) -> None:
    data, out = ref_youtube(tmp_path / "data"), tmp_path / "out"
    assert evaluate(referring_model, "refytvos", data, out, progress=False) is None  # its ground truth is not published
    settings = json.loads((out / "settings.json").read_text())
    assert settings["config"]["window"] is None
    assert referring_model.config.window is not None
    assert len(list((out / "Annotations/vid1/0").iterdir())) > 0


def test_results_are_not_written_among_the_frames_of_a_video(model, tmp_path) -> None:
    data = davis2017(tmp_path / "DAVIS")
    frames = data / "JPEGImages/480p/dog"
    before = sorted(frames.iterdir())
    with pytest.raises(ValueError, match="contains the frames of dog: give another folder for the results"):
        evaluate(model, "davis2017", data, frames, progress=False)
    assert sorted(frames.iterdir()) == before


def test_the_name_of_a_model_is_refused_in_place_of_the_model(tmp_path) -> None:
    with pytest.raises(TypeError, match=r"must be a network of voskit\.build_model or a segmenter, got 'deaott'"):
        evaluate("deaott", "davis2017", tmp_path, tmp_path / "out")
    with pytest.raises(TypeError, match="got 'deaott'"):
        VideoSegmenter("deaott")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_processes": 0}, "num_processes must be at least 1, got 0"),
        ({"dataset": "davis2071"}, "unknown dataset 'davis2071': did you mean davis2017"),
        ({"output": "file"}, "file is a file: give a folder for the results"),
        ({"propagator": True}, "a propagator is only for models with text prompts, but aott takes masks"),
    ],
)
def test_mismatched_arguments_are_refused(model, tmp_path, options, message) -> None:
    (tmp_path / "file").touch()
    options["output"] = tmp_path / options.get("output", "out")
    if "propagator" in options:
        options["propagator"] = voskit.VideoSegmenter(model)
    with pytest.raises(ValueError, match=message):
        evaluate(model, **{"dataset": "davis2017", "data": davis2017(tmp_path / "DAVIS"), **options})


def test_a_dataset_of_the_other_kind_is_refused(model, referring_model, tmp_path) -> None:
    with pytest.raises(ValueError, match=r"refytvos .* has no masks"):
        evaluate(model, "refytvos", ref_youtube(tmp_path / "a"), tmp_path / "out1")
    with pytest.raises(ValueError, match=r"davis2017 .* has no expressions"):
        evaluate(referring_model, "davis2017", davis2017(tmp_path / "b"), tmp_path / "out2")
