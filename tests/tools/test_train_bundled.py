"""train_bundled.sh and its stages: the commands in order, and the same weights from the same seed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from programs import run_program
from small_models import small_fields

import dataset_trees as trees
import voskit
from voskit.configs.stages import get_stage_config
from voskit.dataloaders.masks.files import write_mask

ROOT = Path(__file__).resolve().parents[2]
STAGES = tuple(f"open_{name}" for name in ("small", "whole", "medium", "collage", "large")) + tuple(
    f"bundled_{name}" for name in ("identities", "video", "large")
)
TINY = {"crop": 65, "batch_size": 1, "workers": 0, "log_every": 1, "short_edge": 80, "min_object_area": 0.0}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images with an object, the layout of DAVIS, and animated figures."""
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for folder in ("Static/JPEGImages/set", "Static/Annotations/set", "figures"):
        (root / folder).mkdir(parents=True)
    for number in range(3):
        noise = Image.fromarray(rng.integers(0, 255, (12, 16, 3), np.uint8)).resize((160, 120))
        noise.save(root / f"Static/JPEGImages/set/{number}.jpg")
        mask = np.zeros((120, 160), np.uint8)
        mask[30:90, 40:120] = 1
        write_mask(root / f"Static/Annotations/set/{number}.png", mask)
    figure = np.zeros((64, 64, 4), np.uint8)
    figure[8:50, 10:54] = (250, 200, 0, 255)
    Image.fromarray(figure).save(root / "figures/1f600.webp", lossless=True)
    trees.davis2017(root / "DAVIS", split="train")
    return root


def run_script(data: Path, out: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHON": sys.executable,
        "DATA": str(data),
        "FIGURES": str(data / "figures"),
        "OUT": str(out),
        "RENDERED": "0",
        "CUTOUTS": "2",
        "TRAIN": "--device cpu --set total_steps=2 " + " ".join(f"{name}={value}" for name, value in TINY.items()),
        **more,
    }
    return subprocess.run(["bash", str(ROOT / "train_bundled.sh")], env=environment, capture_output=True, text=True)


@pytest.mark.thorough
def test_clips_are_generated_stages_trained_in_turn_and_settings_stored(data: Path, tmp_path: Path) -> None:
    done = run_script(data, tmp_path, STAGES="open_small open_whole")
    assert done.returncode == 0, done.stderr
    assert len(list((data / "Cutouts" / "Annotations").iterdir())) == 2
    runs = {path.name for path in (tmp_path / "bundled_DeAOTT").iterdir()}
    assert runs == {"OPEN_SMALL", "OPEN_WHOLE"}
    network = voskit.build_model("deaott", checkpoint=tmp_path / "deaott_open.safetensors", device="cpu")
    config = network.config
    assert (config.max_objects, config.top_k, config.neighbors_apart, config.min_short_edge) == (10, 64, True, 480)


@pytest.mark.thorough
def test_a_stage_that_fails_ends_the_script(data: Path, tmp_path: Path) -> None:
    done = run_script(data, tmp_path, STAGES="open_whole", CUTOUTS="0")
    assert done.returncode == 1
    assert "starts from stage open_small" in done.stderr
    assert not (tmp_path / "deaott_open.safetensors").exists()


def test_each_stage_starts_from_the_one_before() -> None:
    script = (ROOT / "train_bundled.sh").read_text()
    assert f'"{" ".join(STAGES)}"' in script
    assert [get_stage_config(name).previous for name in STAGES] == [None, *STAGES[:-1]]


def test_the_first_steps_on_generated_clips_are_the_same_from_the_same_seed(data: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "datasets/Synthetic/make_cutouts.py"), "--figures", str(data / "figures")]
    command += ["--photographs", str(data / "Static"), "--output", str(data / "Cutouts"), "--clips", "2"]
    assert run_program(command).returncode == 0
    datasets = ("static", "davis2017", "collage", "Cutouts/cutouts.json")
    fields = {**TINY, "clip_length": 2, "previous": None, "datasets": datasets, "total_steps": 3, "davis_repeat": 1}
    weights = []
    for run, seed in (("first", 7), ("second", 7), ("third", 8)):
        options = {"stage_fields": fields, "model_fields": small_fields("deaott"), "seed": seed, "device": "cpu"}
        result = voskit.train("deaott", "bundled_video", data, tmp_path / run, progress=False, **options)
        assert result.finished
        weights.append(voskit.build_model("deaott", checkpoint=result.last_weights, device="cpu").state_dict())
    first, second, third = weights
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], third[name]) for name in first)
