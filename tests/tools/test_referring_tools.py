"""voskit demo and voskit eval with text prompts, on small clips with random weights."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from moving_clip import H, W, moving_frames
from PIL import Image
from programs import run_program

from dataset_trees import davis2017, ref_youtube
from voskit.dataloaders.masks.files import read_mask
from voskit.evaluators.clips.video.writer import VideoWriter
from voskit.networks import build_model, save_weights
from voskit.tools import batch, demo

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "own.safetensors"
    save_weights(build_model("r50_referformer", device="cpu", text_layers=1), path)
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "clip"
    folder.mkdir()
    for i, frame in enumerate(moving_frames(5)):
        Image.fromarray(frame).save(folder / f"{i:05d}.png")
    return folder


def call(tool: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / f"{tool}.py"), "--model", "r50_referformer", "--device", "cpu"]
    return run_program([*command, *map(str, arguments)])


def run_demo(checkpoint: Path, **flags: Any) -> int:
    """The demo without a process of its own."""
    return demo.run(demo.Args(**{"model": "r50_referformer", "ckpt_path": checkpoint, "device": "cpu", **flags}))


def test_the_demo_takes_text_prompts(checkpoint: Path, clip: Path, tmp_path: Path, caplog) -> None:
    small = {"short_edge": 64, "set": ("window=2",), "output_path": tmp_path}
    with caplog.at_level("INFO"):
        assert run_demo(checkpoint, data_path=(str(clip),), text=("a dog", "The white tent"), **small) == 0
    assert "id 2: 'The white tent', score 0." in caplog.text
    masks = [read_mask(tmp_path / "clip" / "masks" / f"{i:05d}.png") for i in range(5)]
    assert all(m.shape == (H, W) and np.isin(m, (0, 1, 2)).all() for m in masks)
    report = json.loads((tmp_path / "clip" / "report.json").read_text())
    assert report["complete"] is True
    assert [s["text"] for s in report["sentences"]] == ["a dog", "The white tent"]
    assert all(len(s["scores"]) == 3 for s in report["sentences"])  # one for each window
    assert (tmp_path / "clip" / "overlay.mp4").stat().st_size > 0


def test_a_batch_gives_the_masks_of_the_demo(checkpoint: Path, clip: Path, tmp_path: Path) -> None:
    texts = ["a dog", "The white tent"]
    rows = [{"video": str(clip), "text": texts}, {"video": str(clip), "text": " ", "name": "wordless"}]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    small: dict[str, Any] = {"short_edge": 64, "set": ("window=2",), "overlay": False}
    weights: dict[str, Any] = {"model": "r50_referformer", "ckpt_path": checkpoint, "device": "cpu"}
    arguments = batch.Args(data_path=str(tmp_path / "list.jsonl"), output_path=str(tmp_path / "b"), **weights, **small)
    assert batch.run(arguments) == 1  # the second row has no words
    states = {row["name"]: row["state"] for row in csv.DictReader((tmp_path / "b" / "summary.csv").open())}
    assert states == {"clip": "done", "wordless": "failed"}
    run_demo(checkpoint, data_path=(str(clip),), text=tuple(texts), output_path=tmp_path / "d", **small)
    for i in range(5):
        one, other = (read_mask(tmp_path / run / "clip" / "masks" / f"{i:05d}.png") for run in ("b", "d"))
        assert np.array_equal(one, other)


@pytest.mark.thorough
def test_the_demo_propagates_from_key_frames(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with VideoWriter(path) as writer:
        for frame in moving_frames(5):
            writer.write(frame)
    small = {"short_edge": 64, "output_path": tmp_path, "propagate": "deaott"}
    assert run_demo(checkpoint, data_path=(str(path),), text=("a dog",), **small) == 0
    masks = [read_mask(tmp_path / "clip" / "masks" / f"{i:05d}.png") for i in range(5)]
    assert all(np.isin(m, (0, 1)).all() for m in masks)
    (sentence,) = json.loads((tmp_path / "clip" / "report.json").read_text())["sentences"]
    assert (sentence["key_frame"] is not None) == any(m.any() for m in masks)
    assert sorted(p.name for p in (tmp_path / "clip").iterdir()) == [
        "contact_sheet.png", "masks", "overlay.mp4", "report.json",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        ({"mask": (Path("first.png"),), "text": ("a dog",)}, "give --data_path and --text, and no --mask or --scene"),
        ({"scene": "bunny", "text": ("a dog",)}, "and no --mask or --scene"),
        ({}, "give --data_path and --text"),
        ({"text": ("a dog",), "flip": True}, "--flip is for models with masks"),
        ({"text": ("a dog",), "max_memory_frames": 3}, "--max_memory_frames is for models with masks"),
        ({"text": ("a dog",), "set": ("windo=3",)}, "no field 'windo': did you mean window"),
        ({"text": ("a dog",) * 256, "ckpt_path": Path("missing.pth")}, "256 text prompts: at most 255 fit"),
        ({"text": (" ",)}, "a text prompt must describe the object in words"),
        ({"text": ("a dog",), "start": "99", "ckpt_path": Path("missing.pth")}, "has no frame 99"),
        ({"text": ("a dog",), "propagate": "r50_aotl"}, "R50_AOTL_PRE_YTB_DAV.pth is missing"),
        ({"text": ("a dog",), "propagate_ckpt": Path("a.pth")}, "--propagate_ckpt is the checkpoint of the model that"),
        (
            {"text": ("a dog",), "propagate": "r101_referformer", "ckpt_path": Path("missing.pth")},
            "--propagate r101_referformer: the model takes text prompts",
        ),
        (
            {"text": ("a dog",), "propagate": "aott", "propagate_ckpt": Path("a.pth")},
            "--propagate_ckpt a.pth: no such file",
        ),
        (
            {"text": ("a dog",), "model": "deaott", "ckpt_path": None},
            "--text: deaott takes masks; models with text prompts: ",
        ),
        (
            {"propagate": "deaott", "model": "deaott", "ckpt_path": None, "mask": Path("a.png")},
            "--propagate is for models",
        ),
        (
            {"propagate_ckpt": Path("a.pth"), "model": "deaott", "ckpt_path": None, "mask": Path("a.png")},
            "--propagate_ckpt is for models",
        ),
    ],
)
def test_flags_that_don_t_fit_are_reported(checkpoint: Path, clip: Path, tmp_path: Path, flags, error: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=error):
        run_demo(checkpoint, data_path=(str(clip),), output_path=tmp_path, **flags)


@pytest.mark.thorough
def test_an_evaluation_writes_the_archive(checkpoint: Path, tmp_path: Path) -> None:
    root = ref_youtube(tmp_path / "data")
    place = ("--dataset", "refytvos", "--data_root", root, "--output_path", tmp_path / "out")
    done = call("eval", "--ckpt_path", checkpoint, *place, "--set", "short_edge=64", "--gpu_num", 2)
    assert done.returncode == 0, done.stderr
    assert "the authors' settings for refytvos: {'window': None}" in done.stderr
    assert len(list((tmp_path / "out").glob("*.zip"))) == 1
    other = call("eval", "--ckpt_path", checkpoint, *place, "--set", "short_edge=64", "window=2")
    assert other.returncode == 1
    assert "holds results of other settings (config.window: " in other.stderr


@pytest.mark.thorough
def test_an_evaluation_without_expressions_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    root = davis2017(tmp_path / "data")
    place = ("--dataset", "davis2017", "--data_root", root, "--output_path", tmp_path / "out")
    done = call("eval", "--ckpt_path", checkpoint, *place)
    assert done.returncode == 1
    assert "has no expressions" in done.stderr.splitlines()[-1]
