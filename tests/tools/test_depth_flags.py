"""--depth and --target_fps of the command lines."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_models import SMALL, save_small_aost

from voskit.dataloaders.masks.files import read_mask, write_mask
from voskit.evaluators import VideoSegmenter
from voskit.networks import build_model, save_weights
from voskit.tools import demo
from voskit.tools import eval as evaluation

H, W, T = 48, 64, 6
SET = ("--set", *(f"{k}={v}" for k, v in SMALL.items()))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return save_small_aost(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def davis(tmp_path) -> Path:
    """One short video in DAVIS 2017's layout."""
    root = tmp_path / "DAVIS"
    images, masks = (root / kind / "480p" / "bear" for kind in ("JPEGImages", "Annotations"))
    images.mkdir(parents=True)
    masks.mkdir(parents=True)
    base = np.kron(np.random.default_rng(0).integers(0, 255, (20, 20, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
    for t in range(T):
        Image.fromarray(base[t : t + H, 2 * t : 2 * t + W]).save(images / f"{t:05d}.jpg")
        mask = np.zeros((H, W), np.uint8)
        mask[5:20, 5 + t : 25 + t] = 1
        mask[25:45, 30 - t : 50 - t] = 2
        write_mask(masks / f"{t:05d}.png", mask)
    (root / "ImageSets" / "2017").mkdir(parents=True)
    (root / "ImageSets" / "2017" / "val.txt").write_text("bear\n")
    return root


def call(monkeypatch, program, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["program", "--device", "cpu", *map(str, arguments)])
    return program.main()


def masks_at(checkpoint: Path, davis: Path, depth: int) -> list[np.ndarray]:
    segmenter = VideoSegmenter(build_model("aost", checkpoint=checkpoint, depth=depth, device="cpu", **SMALL))
    out = []
    for t in range(T):
        frame = np.array(Image.open(davis / "JPEGImages" / "480p" / "bear" / f"{t:05d}.jpg"))
        mask = read_mask(davis / "Annotations" / "480p" / "bear" / f"{t:05d}.png") if t == 0 else None
        out.append(segmenter.step(frame, mask))
    return out


def demo_arguments(checkpoint: Path, davis: Path, output: Path) -> list[object]:
    images, masks = (davis / kind / "480p" / "bear" for kind in ("JPEGImages", "Annotations"))
    source = ("--data_path", images, "--mask", masks / "00000.png")
    return ["--model", "aost", "--ckpt_path", checkpoint, *source, "--output_path", output, *SET]


@pytest.mark.parametrize("depth", (1, 2))
def test_demo_at_a_depth(checkpoint, davis, tmp_path, monkeypatch, depth) -> None:
    out = tmp_path / "out"
    assert call(monkeypatch, demo, *demo_arguments(checkpoint, davis, out), "--depth", depth) == 0
    for t, want in enumerate(masks_at(checkpoint, davis, depth)):
        assert np.array_equal(read_mask(out / "bear" / "masks" / f"{t:05d}.png"), want)
    assert json.loads((out / "bear" / "report.json").read_text())["depths"] == {str(depth): T}


def test_demo_keeps_a_rate_and_shows_the_depth(checkpoint, davis, tmp_path, monkeypatch, capsys) -> None:
    """No machine makes a million frames a second, so the depth falls to 1; each depth gets four frames."""
    arguments = demo_arguments(checkpoint, davis, tmp_path / "out")
    assert call(monkeypatch, demo, *arguments, "--target-fps", 1e6) == 0
    report = json.loads((tmp_path / "out" / "bear" / "report.json").read_text())
    assert report["depths"] == {"3": 5, "2": 1}
    assert "depth 2" in capsys.readouterr().err


def test_evaluation_at_a_depth(checkpoint, davis, tmp_path, monkeypatch, capsys) -> None:
    out = tmp_path / "out"
    base = ("--model", "aost", "--ckpt_path", checkpoint, "--dataset", "davis2017", "--data_root", davis, *SET)
    assert call(monkeypatch, evaluation, *base, "--output_path", out, "--depth", 2) == 0
    for t, want in enumerate(masks_at(checkpoint, davis, 2)):
        assert np.array_equal(read_mask(out / "Annotations" / "bear" / f"{t:05d}.png"), want)
    assert [p.name for p in out.glob("*.zip")] == [f"davis2017_val_default_AOST_L2_ckpt_{checkpoint.stem}.zip"]
    assert call(monkeypatch, evaluation, *base, "--output_path", out) == 1
    assert "holds results of other settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "flags", "message"),
    [
        (
            "aott",
            ("--depth", 1),
            "error: --depth: aott has one depth only; models with a choice of depths: aost, r50_",
        ),
        (
            "aott",
            ("--target_fps", 25),
            "error: --target_fps: aott has one depth only; models with a choice of depths: aost",
        ),
        ("aost", ("--depth", 4), "error: field 'depth' of AOST must be 1 to 3, got 4"),
        ("aost", ("--depth", 0), "error: field 'depth' of AOST must be at least 1, got 0"),
        ("aost", ("--target_fps", -3), "error: target_fps must be a positive number of frames per second, got -3.0"),
    ],
)
def test_unsupported_depths_and_rates_are_refused(
    model, flags, message, checkpoint, davis, tmp_path, monkeypatch, capsys
) -> None:
    save_weights(build_model("aott", device="cpu", **SMALL), tmp_path / "aott.safetensors")
    path = checkpoint if model == "aost" else tmp_path / "aott.safetensors"
    arguments = demo_arguments(path, davis, tmp_path / "out")
    arguments[1] = model
    assert call(monkeypatch, demo, *arguments, *flags) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1 or "error:" in error.splitlines()[-1]
