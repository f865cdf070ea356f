"""tools/train.py and train_eval.sh on a few small images."""

from __future__ import annotations

import copy
import json
import math
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from voskit.dataloaders.datasets import open_dataset
from voskit.dataloaders.files import exclusive_lock
from voskit.dataloaders.masks.files import write_mask
from voskit.evaluators.benchmarks.validation import Share, Validation
from voskit.networks import build_model, save_weights
from voskit.tools import train

ROOT = Path(__file__).resolve().parents[2]
SMALL = (
    "--set",
    "total_steps=2",
    "batch_size=2",
    "crop=49",
    "clip_length=3",
    "workers=0",
    "save_every=1",
    "log_every=1",
)


@pytest.fixture
def data(tmp_path) -> Path:
    """Static images and a DAVIS train list of two videos."""
    rng = np.random.default_rng(0)
    static, davis = tmp_path / "data" / "Static", tmp_path / "data" / "DAVIS"
    folders = [(static / "JPEGImages" / "set", static / "Annotations" / "set", 4)]
    for video in ("a", "b"):
        folders.append((davis / "JPEGImages" / "480p" / video, davis / "Annotations" / "480p" / video, 5))
    for images, masks, count in folders:
        images.mkdir(parents=True)
        masks.mkdir(parents=True)
        for t in range(count):
            mask = np.zeros((80, 100), np.uint8)
            mask[20:60, 20 + t : 70 + t] = 1
            Image.fromarray(rng.integers(0, 255, (80, 100, 3), dtype=np.uint8)).save(images / f"{t:05d}.jpg")
            write_mask(masks / f"{t:05d}.png", mask)
    (davis / "ImageSets" / "2017").mkdir(parents=True)
    for split in ("train", "val"):
        (davis / "ImageSets" / "2017" / f"{split}.txt").write_text("a\nb\n")
    return tmp_path / "data"


def call(monkeypatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["train.py", "--device", "cpu", *map(str, arguments)])
    return train.main()


def test_a_stage_and_the_next_one(data, tmp_path, monkeypatch) -> None:
    out = tmp_path / "out"
    common = ("--data_path", data, "--output_path", out, *SMALL)
    assert call(monkeypatch, "--stage", "pre", *common) == 0
    assert call(monkeypatch, "--stage", "pre_dav", *common) == 0
    weights = out / "default_AOTT" / "PRE_DAV" / "ema.safetensors"
    build_model("aott", checkpoint=weights, device="cpu")
    before = weights.stat().st_mtime_ns
    assert call(monkeypatch, "--stage", "pre_dav", *common) == 0  # there is nothing left to do
    assert weights.stat().st_mtime_ns >= before


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (("--stage", "pre_dav"), "starts from stage pre, but"),
        (("--stage", "prey"), "unknown stage 'prey'"),
        (("--set", "total_step=3"), "no field 'total_step'"),
        (("--data_path", "nowhere"), "nowhere"),
        (("--ckpt_path", "none.pth"), "none.pth does not exist"),
        (("--accumulate", "2", "--set", "batch_size=3"), "can't be split into 2 equal parts"),
        (("--gpu_num", "0"), "--gpu_num, the number of processes, must be at least 1, got 0"),
        (("--val_split", "val"), "--val_split is for --val_dataset"),
        (("--set", "max_objects=0"), "'max_objects' of Pre must be at least 1"),
        (("--set", "ema_ratio=-1"), "'ema_ratio' of Pre must be at least 0, got -1"),
    ],
)
def test_bad_arguments_are_one_line(data, tmp_path, monkeypatch, capsys, more, what) -> None:
    assert call(monkeypatch, "--data_path", data, "--output_path", tmp_path / "out", *more) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert what in errors[0]


def test_an_error_of_all_processes_is_one_line(data, tmp_path) -> None:
    command = [sys.executable, ROOT / "tools" / "train.py", "--device", "cpu", "--gpu_num", "2", "--data_path", data]
    command += ["--output_path", tmp_path / "out", *SMALL, "batch_size=3"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "error: a batch of 3 clips can't be divided among 2 processes\n"


def test_unwritable_weights_are_one_line_of_all_processes(data, tmp_path) -> None:
    (tmp_path / "out" / "default_AOTT" / "PRE" / "ema.safetensors").mkdir(parents=True)
    command = [sys.executable, ROOT / "tools" / "train.py", "--device", "cpu", "--gpu_num", "2", "--data_path", data]
    command += ["--output_path", tmp_path / "out", *SMALL]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 1
    assert "ema.safetensors" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_one_folder_has_one_training(data, tmp_path, monkeypatch, capsys) -> None:
    out = tmp_path / "out"
    with exclusive_lock(out / "default_AOTT" / "PRE"):
        assert call(monkeypatch, "--data_path", data, "--output_path", out, *SMALL) == 1
    assert "default_AOTT/PRE: another program is writing to it" in capsys.readouterr().err
    assert not (out / "default_AOTT" / "PRE" / "checkpoints").exists()


def test_a_run_resumes_with_or_without_its_initial_weights(data, tmp_path, monkeypatch, capsys) -> None:
    files = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    for path in files:
        save_weights(build_model("aott", device="cpu", top_k=20), path)
    common = ("--data_path", data, "--output_path", tmp_path / "out", *SMALL, "--ckpt_path")
    assert call(monkeypatch, *common, files[0]) == 0
    capsys.readouterr()
    assert call(monkeypatch, *common, files[1]) == 1
    assert "(initial checkpoint had checksum " in capsys.readouterr().err
    files[0].unlink()
    assert call(monkeypatch, *common, files[0]) == 0  # what it would say of the network is in the checkpoint


@pytest.mark.thorough
def test_validation_keeps_the_best(data, tmp_path, monkeypatch) -> None:
    out = tmp_path / "out"
    validation = ("--val_dataset", "davis2017", "--val_root", data / "DAVIS", "--val_split", "val")
    assert call(monkeypatch, "--data_path", data, "--output_path", out, *SMALL, *validation) == 0
    run = out / "default_AOTT" / "PRE"
    build_model("aott", checkpoint=run / "best.safetensors", device="cpu")
    scores = json.loads((run / "validation" / "scores.json").read_text())["global"]
    state = torch.load(run / "checkpoints" / "step_00000002.pt", weights_only=True)
    assert 0 <= scores["J&F-Mean"] <= state["best"] <= 1


@pytest.mark.thorough
def test_a_validation_that_fails_is_reported_at_the_end(data, tmp_path, monkeypatch, capsys, caplog) -> None:
    mask = data / "DAVIS" / "Annotations" / "480p" / "b" / "00003.png"
    whole = mask.read_bytes()
    mask.write_bytes(whole[:50])
    validation = ("--val_dataset", "davis2017", "--val_root", data / "DAVIS", "--val_split", "val")
    arguments = ("--data_path", data, "--output_path", tmp_path / "out", *SMALL, *validation)
    assert call(monkeypatch, *arguments) == 1
    assert "validation failed at step 1, 2; run the command again to score the last one" in caplog.messages
    assert (tmp_path / "out" / "default_AOTT" / "PRE" / "ema.safetensors").exists()
    mask.write_bytes(whole)
    caplog.clear()
    assert call(monkeypatch, *arguments) == 1
    assert "validation failed at step 1" in caplog.messages  # its weights are gone
    assert (tmp_path / "out" / "default_AOTT" / "PRE" / "best.safetensors").exists()


@pytest.mark.thorough
def test_validation_by_two_processes_equals_that_of_one(data, tmp_path) -> None:
    network = build_model("aott", device="cpu")
    dataset = open_dataset("davis2017", data / "DAVIS", split="val")
    one = Validation(dataset, tmp_path / "one")(network)
    barrier = threading.Barrier(2, timeout=300)
    halves = [Validation(dataset, tmp_path / "two", Share(rank, 2), barrier.wait) for rank in (0, 1)]
    with ThreadPoolExecutor(2) as pool:
        two = list(pool.map(lambda half: half(copy.deepcopy(network)), halves))
    assert two[0] == one
    assert math.isnan(two[1])


@pytest.mark.thorough
def test_sigterm_stops_all_processes_with_a_checkpoint(data, tmp_path) -> None:
    command = [
        sys.executable,
        str(ROOT / "tools" / "train.py"),
        "--device",
        "cpu",
        "--gpu_num",
        "2",
        "--data_path",
        data,
    ]
    command += ["--output_path", tmp_path / "out", *SMALL, "total_steps=100000", "save_every=100000", "workers=1"]
    run = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)
    assert run.stderr is not None
    for line in run.stderr:
        if line.startswith("step 2 of"):
            break
    run.terminate()
    assert run.wait(timeout=300) == 143
    (checkpoint,) = (tmp_path / "out" / "default_AOTT" / "PRE" / "checkpoints").glob("*.pt")
    step = int(checkpoint.stem.removeprefix("step_"))
    assert step >= 2
    assert f"stopped at step {step}; run the command again to resume" in run.stderr.read()


@pytest.mark.thorough
def test_train_eval_sh_trains_evaluates_scores_and_packs(data, tmp_path) -> None:
    environment = {
        **os.environ,
        "PYTHON": sys.executable,
        "DATA": str(data),
        "OUT": str(tmp_path / "out"),
        "STAGES": "pre pre_dav",
        "DATASETS": f"davis2017:val:{data}/DAVIS",
        "TRAIN": " ".join(["--device", "cpu", *SMALL]),
        "EVAL": "--device cpu",
    }
    done = subprocess.run(["bash", str(ROOT / "train_eval.sh")], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "out" / "default_AOTT" / "PRE_DAV" / "eval_davis2017_val"
    assert (folder / "scores.json").exists()
    assert len(list(folder.glob("*.zip"))) == 1
