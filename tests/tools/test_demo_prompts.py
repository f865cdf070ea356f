"""voskit demo with boxes and points in place of a mask."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_models import build_small

from voskit.dataloaders.masks.files import read_mask
from voskit.evaluators.prompts.base import Point
from voskit.evaluators.prompts.first_mask import read_prompts
from voskit.networks import save_weights
from voskit.tools import demo

H, W = 60, 80


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red and a blue square on green, three frames."""
    folder = tmp_path_factory.mktemp("data") / "clip"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 12, (H, W, 3), dtype=np.uint8)
    for t in range(3):
        frame = np.full((H, W, 3), (60, 150, 60), np.uint8)
        frame[10:30, 5 + t : 25 + t] = (200, 40, 40)
        frame[20:50, 50 - t : 70 - t] = (40, 40, 200)
        Image.fromarray(frame + noise).save(folder / f"{t:03d}.png")
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "aott.safetensors"
    save_weights(build_small("aott"), path)
    return path


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    small = ("--set", "embed_dim=32", "self_heads=2", "attention_heads=2", "ffn_dim=64", "window=5")
    own = ("--model", "aott", "--device", "cpu", *small)
    monkeypatch.setattr(sys, "argv", ["voskit demo", *map(str, arguments), *own])
    return demo.main()


def test_boxes_and_points_give_the_first_mask_which_is_kept(
    clip: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    code = call(
        monkeypatch, clip, "--box", "3:5,10,25,30", "--point", "7:60,35", "7:10,50,0", "--ckpt_path", weights,
        "--output_path", tmp_path, "--no-overlay",
    )  # fmt: skip
    assert code == 0
    ids = read_mask(tmp_path / "clip_mask.png")
    true = np.zeros((H, W), np.int64)
    true[10:30, 5:25], true[20:50, 50:70] = 3, 7
    assert np.mean(ids == true) > 0.98
    assert np.array_equal(read_mask(tmp_path / "clip" / "masks" / "000.png"), ids)
    assert len(list((tmp_path / "clip" / "masks").iterdir())) == 3
    assert [r for r in caplog.messages if "clip_mask.png" in r]


def test_prompts_are_in_the_frame_of_the_start(
    clip: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ("--start", 2, "--ckpt_path", weights, "--output_path", tmp_path, "--no-overlay")
    assert call(monkeypatch, clip, "--box", "3:7,10,27,30", *flags) == 0
    true = np.zeros((H, W), np.int64)
    true[10:30, 7:27] = 3
    assert np.mean(read_mask(tmp_path / "clip_mask.png") == true) > 0.98
    assert [path.name for path in (tmp_path / "clip" / "masks").iterdir()] == ["002.png"]


def test_a_prompter_of_a_plugin_is_called_by_its_name(
    clip: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOSKIT_PLUGINS", "")
    plugin = tmp_path / "box_prompter.py"
    plugin.write_text(
        "import os\n"
        "from voskit.evaluators.prompts.base import PROMPTERS, check_prompt\n\n"
        "@PROMPTERS.register('whole_box')\n"
        "class WholeBox:\n"
        "    def __init__(self, shrink=0):\n"
        "        self.shrink = shrink\n"
        "    def segment(self, image, *, points=(), box=None, mask=None):\n"
        "        x0, y0, x1, y1 = check_prompt(image, points, box, mask).box\n"
        "        found = image[..., 0] < 0\n"
        "        s = self.shrink\n"
        "        found[y0 + s : y1 - s, x0 + s : x1 - s] = True\n"
        "        return found\n"
    )
    code = call(
        monkeypatch, clip, "--plugin", plugin, "--prompter", "whole_box:shrink=2", "--box", "1:10,10,30,20",
        "--ckpt_path", weights, "--output_path", tmp_path / "out", "--no-overlay",
    )  # fmt: skip
    assert code == 0
    assert (read_mask(tmp_path / "out" / "clip_mask.png") == 1).sum() == 16 * 6
    from voskit.evaluators.prompts.base import PROMPTERS

    del PROMPTERS._entries["whole_box"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--box", "1:5,5,20"], "--box 1:5,5,20: expected ID:x0,y0,x1,y1"),
        (["--box", "5,5,20,20"], "expected ID:x0,y0,x1,y1"),
        (["--box", "0:5,5,20,20"], "object ids must be 1 to 65535"),
        (["--box", "1:5,5,20,20", "1:6,6,9,9"], "object 1 has two boxes"),
        (["--point", "2:5,5,7"], "the last number must be 1 (on the object) or 0"),
        (["--point", "2:5,5,0"], "object 2 has negative points only"),
        (["--point", "2:500,5"], r"object 2: point (500, 5) lies outside the frame of 80 x 60 pixels"),
        (["--box", "1:0.1,0.1,0.5,0.5"], "--box 1:0.1,0.1,0.5,0.5: these look like fractions of the frame"),
        (["--point", "1:0.5,1,1"], "--point 1:0.5,1,1: these look like fractions of the frame"),
        (["--box", "1:20,20,5,5", "--point", "1:30,10"], "--point 1:30,10: it is on the object, but outside its box"),
        (["--box", "1:5,5,20,20", "--prompter", "grabcut:pixels=-5"], "pixels must be at least 100, got -5"),
        (["--point", "1:5,5", "--prompter", "grabcut:iterations=0"], "iterations must be at least 1, got 0"),
        (["--point", "1:5,5", "--prompter", "grabcut:margin=-0.1"], "margin must be at least 0, got -0.1"),
        (["--box", "1:5,5,20,20", "2:5,5,20,20"], "object 1: objects named later cover all of it"),
        (["--box", "1:5,5,20,20", "--mask", "first.png"], "--box: give one video with --data_path"),
        (["--box", "1:5,5,20,20", "--prompter", "grab"], "unknown prompter 'grab': did you mean grabcut?"),
        (["--box", "1:5,5,20,20", "--prompter", "sam2:weights=/nowhere"], "/nowhere: no weights of sam2"),
    ],
)
def test_bad_prompts_are_reported_before_weights_are_loaded(
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    flags: list,
    message: str,
) -> None:
    missing = tmp_path / "missing.pth"
    assert call(monkeypatch, clip, *flags, "--ckpt_path", missing, "--output_path", tmp_path / "out") == 1
    errors = capsys.readouterr().err.strip().splitlines()
    assert message in errors[-1] and str(missing) not in errors[-1]


def test_prompts_are_read_in_the_order_of_their_ids() -> None:
    prompts = read_prompts(["4:1,2,3,4"], ["2:5,6", "4:7,8,0"])
    assert list(prompts) == [4, 2]
    assert prompts[4].points == [Point(7, 8, False)] and prompts[4].box == (1, 2, 3, 4)
    assert prompts[2].points == [Point(5, 6, True)]
