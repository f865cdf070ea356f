"""tools/eval.py on a small dataset of real files with random weights."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from voskit.dataloaders.files import exclusive_lock
from voskit.dataloaders.masks.files import read_mask, write_mask
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.benchmarks.timing import VideoTiming, summarize
from voskit.networks import build_model, save_weights
from voskit.tools import eval as program

ROOT = Path(__file__).resolve().parents[2]
H, W = 48, 64
LENGTHS = {"bear": 4, "cat": 7, "dog": 5, "eel": 6}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "aott.safetensors"
    save_weights(build_model("aott", device="cpu"), path)
    return path


@pytest.fixture
def davis(tmp_path) -> Path:
    """DAVIS 2017's layout with four short videos."""
    root = tmp_path / "DAVIS"
    rng = np.random.default_rng(0)
    for name, length in LENGTHS.items():
        frames, masks = (root / kind / "480p" / name for kind in ("JPEGImages", "Annotations"))
        frames.mkdir(parents=True)
        masks.mkdir(parents=True)
        base = np.kron(rng.integers(0, 255, (20, 20, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
        for t in range(length):
            Image.fromarray(base[t : t + H, 2 * t : 2 * t + W]).save(frames / f"{t:05d}.jpg")
            mask = np.zeros((H, W), np.uint8)
            mask[5:20, 5 + t : 25 + t] = 1
            mask[25:45, 30 - t : 50 - t] = 2
            write_mask(masks / f"{t:05d}.png", mask)
    (root / "ImageSets" / "2017").mkdir(parents=True)
    (root / "ImageSets" / "2017" / "val.txt").write_text("".join(f"{name}\n" for name in LENGTHS))
    return root


def arguments(davis: Path, checkpoint: Path, output: Path, *more: object) -> list[str]:
    base = [
        "--model",
        "aott",
        "--dataset",
        "davis2017",
        "--data_root",
        davis,
        "--ckpt_path",
        checkpoint,
        "--output_path",
        output,
    ]
    return [str(a) for a in (*base, "--device", "cpu", *more)]


def call(monkeypatch, arguments: list[str]) -> int:
    monkeypatch.setattr(sys, "argv", ["eval.py", *arguments])
    return program.main()


def files(folder: Path) -> dict[str, bytes]:
    """Masks and archive of an evaluation."""
    kept = [p for p in folder.rglob("*") if p.is_file() and p.suffix in (".png", ".zip") and "frames" not in p.name]
    return {str(p.relative_to(folder)): p.read_bytes() for p in kept}


def test_masks_scores_timing_and_archive(davis, checkpoint, tmp_path, monkeypatch, capsys) -> None:
    out = tmp_path / "out"
    assert call(monkeypatch, arguments(davis, checkpoint, out)) == 0
    segmenter = VideoSegmenter(build_model("aott", checkpoint=checkpoint, device="cpu"))
    for name, length in LENGTHS.items():
        assert len(list((out / "Annotations" / name).iterdir())) == length
        segmenter.reset()
        for t in range(length):
            frame = np.array(Image.open(davis / "JPEGImages" / "480p" / name / f"{t:05d}.jpg"))
            mask = read_mask(davis / "Annotations" / "480p" / name / "00000.png") if t == 0 else None
            result = out / "Annotations" / name / f"{t:05d}.png"
            assert np.array_equal(read_mask(result), segmenter.step(frame, mask))
            assert Image.open(result).mode == "P"
    assert Image.open(out / "scores_frames.png").width > W
    scores = json.loads((out / "scores.json").read_text())
    assert 0 <= scores["global"]["J&F-Mean"] <= 1
    timing = json.loads((out / "timing.json").read_text())
    assert timing["frames"] == sum(LENGTHS.values())
    assert [v["predicted_frames"] for v in timing["videos"]] == [n - 1 for n in LENGTHS.values()]
    assert timing["model_fps"] > timing["end_to_end_fps"] / 2
    assert len(list(out.glob("davis2017_val_default_AOTT_ckpt_aott.zip"))) == 1
    assert "J&F-Mean" in capsys.readouterr().out


@pytest.mark.thorough
def test_two_processes_give_the_same_files_as_one(davis, checkpoint, tmp_path) -> None:
    for number in (1, 2):
        command = [sys.executable, "tools/eval.py", *arguments(davis, checkpoint, tmp_path / f"out{number}")]
        done = subprocess.run([*command, "--gpu_num", str(number)], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert files(tmp_path / "out1") == files(tmp_path / "out2")
    assert len(files(tmp_path / "out1")) == sum(LENGTHS.values()) + 1


@pytest.mark.thorough
def test_killed_at_any_moment_and_resumed_equals_an_uninterrupted_run(davis, checkpoint, tmp_path, monkeypatch) -> None:
    assert call(monkeypatch, arguments(davis, checkpoint, tmp_path / "whole")) == 0
    chance = random.Random(0)
    command = [sys.executable, "tools/eval.py", *arguments(davis, checkpoint, tmp_path / "killed")]
    for _ in range(2):
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
            begin = time.monotonic()  # the first second of work is what matters, not the imports before it
            while not (tmp_path / "killed" / "settings.json").exists() and time.monotonic() < begin + 60:
                time.sleep(0.02)
            time.sleep(chance.uniform(0, 4))
            os.kill(process.pid, signal.SIGKILL)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "killed" / "Annotations").glob("*/*.png")}
    assert call(monkeypatch, arguments(davis, checkpoint, tmp_path / "killed")) == 0
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
    assert all(p.stat().st_mtime_ns == t for p, t in before.items())
    assert not list((tmp_path / "killed").glob(".*.tmp*"))


def test_a_corrupt_frame_is_reported_and_the_others_run(davis, checkpoint, tmp_path, monkeypatch, caplog) -> None:
    bad = davis / "JPEGImages" / "480p" / "cat" / "00003.jpg"
    whole = bad.read_bytes()
    bad.write_bytes(whole[: len(whole) // 2])
    out = tmp_path / "out"
    assert call(monkeypatch, arguments(davis, checkpoint, out)) == 1
    assert "video cat: " in caplog.text
    assert "00003.jpg" in caplog.text
    assert sorted(p.name for p in (out / "Annotations").iterdir()) == ["bear", "dog", "eel"]
    assert not list(out.glob("*.zip"))
    assert not (out / "scores.json").exists()
    bad.write_bytes(whole)
    assert call(monkeypatch, arguments(davis, checkpoint, out)) == 0
    assert len(list((out / "Annotations" / "cat").iterdir())) == LENGTHS["cat"]


def test_a_full_disk_ends_the_run_and_loses_nothing(davis, checkpoint, small_disk, monkeypatch, capsys) -> None:
    out = small_disk(56) / "out"
    assert call(monkeypatch, arguments(davis, checkpoint, out)) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert "No space left" in error
    assert str(out) in error
    for video in (out / "Annotations").iterdir():
        assert len([read_mask(p) for p in video.iterdir()]) == LENGTHS[video.name]
    subprocess.run(["mount", "-o", "remount,size=4m", str(out.parent)], check=True)
    assert call(monkeypatch, arguments(davis, checkpoint, out)) == 0
    assert (out / "scores.json").exists()


@pytest.mark.thorough
def test_several_videos_at_once_give_what_each_gives_alone(davis, checkpoint, tmp_path, monkeypatch, caplog) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    bad = davis / "JPEGImages" / "480p" / "cat" / "00003.jpg"
    whole = bad.read_bytes()
    bad.write_bytes(whole[: len(whole) // 2])
    assert call(monkeypatch, arguments(davis, checkpoint, together, "--videos_at_once", 3, "--save_scores")) == 1
    assert "video cat: " in caplog.text
    assert sorted(p.name for p in (together / "Annotations").iterdir()) == ["bear", "dog", "eel"]
    bad.write_bytes(whole)
    assert call(monkeypatch, arguments(davis, checkpoint, together, "--videos_at_once", 3, "--save_scores")) == 0
    assert call(monkeypatch, arguments(davis, checkpoint, alone)) == 0
    assert files(alone).keys() == files(together).keys()
    for name in files(alone):
        if name.endswith(".png"):  # batches round otherwise, which may turn a pixel over
            assert (read_mask(alone / name) != read_mask(together / name)).mean() < 0.01
    timing = json.loads((together / "timing.json").read_text())
    assert [v["predicted_frames"] for v in timing["videos"]] == [n - 1 for n in LENGTHS.values()]
    assert all(v["model_seconds"] > 0 for v in timing["videos"])
    assert len(list((together / "Scores").iterdir())) == len(LENGTHS)


def test_settings_are_not_mixed_in_one_folder(davis, checkpoint, tmp_path, monkeypatch, capsys) -> None:
    out = tmp_path / "out"
    assert call(monkeypatch, arguments(davis, checkpoint, out)) == 0
    for more, what in (
        (["--flip"], "flip: False there, True now"),
        (["--ms", "1.0", "1.3"], "scales"),
        (["--max_memory_frames", "5"], "config"),
    ):
        assert call(monkeypatch, arguments(davis, checkpoint, out, *more)) == 1
        assert what in capsys.readouterr().err
    other = tmp_path / "other.safetensors"
    save_weights(build_model("aott", device="cpu"), other)
    assert call(monkeypatch, arguments(davis, other, out)) == 1
    assert "checkpoint: " in capsys.readouterr().err


def test_foreign_results_are_left_unchanged(davis, checkpoint, tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "out" / "Annotations" / "cat").mkdir(parents=True)
    assert call(monkeypatch, arguments(davis, checkpoint, tmp_path / "out")) == 1
    assert "was not written by an evaluation" in capsys.readouterr().err


def test_without_ground_truth_there_are_no_scores(davis, checkpoint, tmp_path, monkeypatch) -> None:
    for mask in (davis / "Annotations").rglob("*.png"):
        if mask.stem != "00000":
            mask.unlink()
    assert call(monkeypatch, arguments(davis, checkpoint, tmp_path / "out")) == 0
    assert not (tmp_path / "out" / "scores.json").exists()
    assert len(list((tmp_path / "out").glob("*.zip"))) == 1


@pytest.mark.thorough
def test_scores_requested_later_are_computed(davis, checkpoint, tmp_path, monkeypatch) -> None:
    flags = arguments(davis, checkpoint, tmp_path / "out")
    assert call(monkeypatch, flags) == 0
    before = files(tmp_path / "out")
    assert call(monkeypatch, [*flags, "--save_scores"]) == 0
    assert sorted(path.stem for path in (tmp_path / "out" / "Scores").iterdir()) == sorted(LENGTHS)
    assert files(tmp_path / "out") == before


@pytest.mark.parametrize("videos", [("bear", "cat"), ("bear",)])
def test_your_own_dataset_is_scored_if_it_has_ground_truth(
    davis, checkpoint, tmp_path, monkeypatch, caplog, videos
) -> None:
    own = {"name": "own", "frames": "JPEGImages/480p/{video}", "masks": "Annotations/480p/{video}", "given": "first"}
    (davis / "truth").mkdir()
    for video in videos:
        (davis / "Annotations" / "480p" / video).rename(davis / "truth" / video)
        (davis / "Annotations" / "480p" / video).mkdir()
        shutil.copy(davis / "truth" / video / "00000.png", davis / "Annotations" / "480p" / video)
    for video in LENGTHS.keys() - {"bear", "cat"}:
        shutil.rmtree(davis / "JPEGImages" / "480p" / video)
    (davis / "own.json").write_text(json.dumps({**own, "ground_truth": "truth/{video}"}))
    caplog.set_level("INFO")
    flags = arguments(davis, checkpoint, tmp_path / "out")
    flags[flags.index("davis2017")] = str(davis / "own.json")
    del flags[flags.index("--data_root") : flags.index("--data_root") + 2]
    assert call(monkeypatch, flags) == 0
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert set(scores["per_sequence"]) == set(videos)
    assert ("1 of 2 videos have ground truth: only these are scored" in caplog.text) == (len(videos) == 1)


def test_two_programs_don_t_write_to_one_folder(davis, checkpoint, tmp_path, monkeypatch, capsys) -> None:
    with exclusive_lock(tmp_path / "out"):
        assert call(monkeypatch, arguments(davis, checkpoint, tmp_path / "out")) == 1
    assert "another program is writing to it: wait, or give another folder" in capsys.readouterr().err


def test_time_shared_by_videos_counts_once() -> None:
    together = [VideoTiming("a", frames=10, seconds=4, began=100), VideoTiming("b", frames=20, seconds=6, began=101)]
    later = VideoTiming("c", frames=3, seconds=1, began=9999)
    assert summarize([*together, later], {})["end_to_end_fps"] == pytest.approx(33 / 8)


def test_a_missing_annotation_is_named(davis, checkpoint, tmp_path, monkeypatch, capsys) -> None:
    for mask in (davis / "Annotations" / "480p" / "dog").iterdir():
        mask.unlink()
    assert call(monkeypatch, arguments(davis, checkpoint, tmp_path / "out")) == 1
    assert "dog" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (["--dataset", "davis2071"], "unknown dataset 'davis2071': did you mean davis2017"),
        (["--split", "vall"], "no split 'vall'"),
        (["--data_root", "nowhere"], "nowhere"),
        (["--model", "deaott"], "doesn't fit deaott"),
        (["--videos_at_once", "0"], "--videos_at_once must be at least 1"),
        (["--frames", "7"], "--frames is for a2d and jhmdb, not davis2017"),
        (["--dataset", "a2d", "--split", "val"], "--split: a2d has no such option"),
        (["--dataset", "jhmdb", "--propagate", "aott"], "--propagate: jhmdb has no such option"),
        (["--results_at", "480p"], "--results_at is for --full_resolution"),
        (["--gpu_num", "0"], "--gpu_num must be at least 1"),
        (["--dataset", "davis2017_unsupervised"], "davis2017_unsupervised"),
    ],
)
def test_bad_arguments_are_one_line(davis, checkpoint, tmp_path, monkeypatch, capsys, more, what) -> None:
    assert call(monkeypatch, arguments(davis, checkpoint, tmp_path / "out", *more)) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert what in error
