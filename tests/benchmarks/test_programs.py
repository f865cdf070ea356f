"""Benchmark programs on tiny inputs: they finish, print a table and save JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from programs import run_program
from thorough import mark_thorough

import dataset_trees as trees
from voskit.networks import build_model, save_weights

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
TINY = "--height 64 --width 96"
BRIEF = [
    ("io", f"{TINY} --frames 4 --compute 0"),
    ("long_term_attention", "--size 64x96 --frames 2 --groups 1 2 --top_k 4 --runs 1"),
    ("top_k", "--rows 4 --runs 1"),
]
LONG = [
    ("inference", "--models aott --sizes 64x96 --how plain fp32 --frames 2 --warm_up 1"),
    ("memory", f"--model aott {TINY} --frames 60 --native"),
    ("local_attention", "--sizes 64x96 --forms aot --runs 1 --backward"),
    ("referring", "--models r50_referformer --windows 2 --sentences 1 --size 64x96"),
    ("runtimes", "--model aott --random --size 33x49 --how pytorch onnx-fp32 --frames 1 --warm_up 1"),
    ("scaling", "--objects --sizes --memory_frames 2 --fixed_size 64x96 --how plain --frames 1"),
    ("videos", f"--models aott --videos 2 {TINY} --frames 1 --warm_up 1"),
]


def run(name: str, flags: str, figures: Path) -> str:
    """Run a program, check the JSON that it saves, and return its output."""
    command = [sys.executable, f"{name}.py", *flags.split(), "--output", str(figures)]
    done = run_program(command, cwd=BENCHMARKS)
    assert done.returncode == 0, done.stderr
    assert "torch" in json.loads(figures.read_text())
    return done.stdout


@pytest.mark.parametrize(
    ("name", "flags"),
    mark_thorough([*BRIEF, *LONG], LONG),
)
def test_a_program_saves_its_figures(name: str, flags: str, tmp_path: Path) -> None:
    assert f"saved {tmp_path / 'figures.json'}" in run(name, flags, tmp_path / "figures.json")


@pytest.mark.thorough
def test_training_steps_are_measured(tmp_path: Path) -> None:
    flags = "--models deaott --crop 97 --batch_size 2 --clip_length 2 --warm_up 1 --steps 1 --device cpu"
    assert "deaott" in run("training", flags, tmp_path / "figures.json")


@pytest.mark.thorough
def test_each_depth_is_scored_and_timed(tmp_path: Path) -> None:
    weights, davis = tmp_path / "aost.safetensors", trees.davis2017(tmp_path / "davis")
    save_weights(build_model("aost", device="cpu"), weights)
    run("depth", f"--ckpt_path {weights} --data_root {davis}", tmp_path / "figures.json")


@pytest.mark.thorough
def test_inference_settings_are_scored_and_timed(tmp_path: Path) -> None:
    weights, davis = tmp_path / "deaott.safetensors", trees.davis2017(tmp_path / "davis")
    save_weights(build_model("deaott", device="cpu"), weights)
    command = [sys.executable, "settings.py", "--ckpt_path", str(weights), "--data_root", str(davis), "--split", "val"]
    command += ["--variants", "", "top_k=4 flip=true", "--output", str(tmp_path / "figures.json")]
    done = run_program(command, cwd=BENCHMARKS)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "figures.json").read_text())["rows"]
    assert [row["variant"] for row in rows] == ["as it is", "top_k=4 flip=true"]
    assert all(0 <= row["J&F"] <= 1 and row["seconds"] > 0 for row in rows)


@pytest.mark.thorough
def test_baselines_are_scored(tmp_path: Path) -> None:
    davis = trees.davis2017(tmp_path / "davis")
    flags = f"--data_root {davis} --methods copy dis farneback untrained --output_path {tmp_path / 'masks'}"
    assert "| sequence | copy | dis | farneback | untrained |" in run("baselines", flags, tmp_path / "figures.json")


def test_prompters_are_scored_from_boxes_and_clicks(tmp_path: Path) -> None:
    davis = trees.davis2017(tmp_path / "davis")
    run("prompts", f"--data_root {davis} --min_pixels 1 --max_objects 2", tmp_path / "figures.json")
    box, points, mask = json.loads((tmp_path / "figures.json").read_text())["rows"]
    assert 0 <= box["box"] <= 1 and points["clicks_1"] == mask["clicks_1"] and 0 <= mask["clicks_5"] <= 1


@pytest.mark.thorough
def test_a_copied_mask_loses_what_moves_in_the_cabinet(tmp_path: Path) -> None:
    davis, figures = trees.davis2017(tmp_path / "davis"), tmp_path / "figures.json"
    run("baselines", f"--data_root {davis} --methods copy --cabinet --output_path {tmp_path / 'masks'}", figures)
    scene = json.loads(figures.read_text())["cabinet"]["copy"]
    assert len(scene["objects"]) == 49
    assert 10 < scene["found"] < 40
    assert scene["mean_iou"] < 0.7
