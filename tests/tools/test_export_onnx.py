"""tools/export.py --format onnx: a folder of graphs, and errors before weights are loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from packages import require
from PIL import Image
from small_models import build_small

from voskit.configs import get_model_config
from voskit.evaluators.onnx.export import log_enlarged
from voskit.networks import save_weights
from voskit.runtime import OnnxSegmenter
from voskit.tools import export
from voskit.tools.flags.export import ExportArgs
from voskit.tools.flags.onnx import calibration_clip

require("onnxscript")


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["export.py", "--format", "onnx", *map(str, arguments)])
    return export.main()


@pytest.mark.thorough
def test_writes_a_folder_that_runs(tmp_path: Path, monkeypatch, capsys) -> None:
    torch.manual_seed(0)
    save_weights(build_small("aott"), tmp_path / "aott.safetensors")
    flags = ("--size", "33x49", "--objects", 4, "--memory_frames", 2, "--precision", "fp16")
    out = tmp_path / "new" / "exported"
    common = ("--model", "aott", "--ckpt_path", tmp_path / "aott.safetensors")
    assert call(monkeypatch, *common, *flags, "--output_path", out) == 0
    assert f"{out / 'manifest.json'}: " in capsys.readouterr().out
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["model"], manifest["precision"], manifest["frame_size"]) == ("aott", "fp16", [33, 49])
    assert (manifest["objects"], manifest["license"]) == (10, "that of the weights")
    frame = np.zeros((33, 49, 3), np.uint8)
    assert OnnxSegmenter(out).step(frame, np.ones((33, 49), np.uint8)).all()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--model", "jointformer"), "supported families: aot, deaot, aost, xmem, referformer"),
        (("--model", "no_such_model"), "no_such_model"),
        (("--model", "aott", "--size", "480"), "--size '480': give height and width"),
        (("--model", "aott", "--size", "8x480"), "16 pixels or more"),
        (("--model", "aott", "--objects", 0), "--objects must be 1 or more"),
        (("--model", "aott", "--memory_frames", 0), "--memory_frames must be 1 or more"),
        (("--model", "r50_referformer", "--objects", 4), "--objects is for models that propagate masks"),
        (("--model", "aott", "--set", "presence_frames=3"), "presence_frames is not part of ONNX graphs"),
        (("--model", "aott", "--set", "max_memory_frames=2"), "--set max_memory_frames: use --memory_frames"),
        (("--model", "deaott", "--set", "enable_long_term=true"), "enable_long_term adds prototypes"),
        (("--model", "aott", "--ckpt_path", "A", "B"), "takes one checkpoint"),
        (("--model", "aott", "--precision", "int8", "--calibration", "clip.mp4"), "belong together"),
        (
            ("--model", "aott", "--calibration", "clip.mp4", "--calibration_mask", "first.png"),
            "--calibration is for --precision int8",
        ),
        (("--model", "aott", "--identities", "1", "2"), "--identities is for --format safetensors"),
        (("--model", "aott", "--format", "web", "--window", "5"), "--window is for --format onnx"),
        (("--model", "aott", "--onnxruntime_web", "dist"), "--onnxruntime_web is for --format web"),
        (("--model", "aott", "--format", "safetensors", "--objects", "3"), "--objects is for --format onnx or web"),
        (("--model", "aott", "--ckpt_path", "missing.pth"), "missing.pth"),
        (("--model", "aott", "--window", 3), "--window: aott sees one frame at a time"),
        (("--model", "r50_referformer", "--window", 0), "'window' of R50ReferFormer must be at least 1"),
        (
            ("--model", "r50_referformer", "--precision", "fp16"),
            "--precision fp16: r50_referformer is exported in fp32 only",
        ),
        (("--model", "vswint_referformer"), "windows of up to 8 frames, the limit of its encoder: add --window 8"),
    ],
)
def test_what_cannot_be_exported_is_reported_at_once(
    flags: tuple[object, ...], message: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    assert call(monkeypatch, *flags, "--output_path", tmp_path / "out") == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_output_is_a_folder(tmp_path: Path, monkeypatch, capsys) -> None:
    assert call(monkeypatch, "--model", "aott", "--output_path", tmp_path / "a.onnx") == 1
    assert "give a folder" in capsys.readouterr().err
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setattr("voskit.networks.build_model", None)  # told before weights are loaded
    (tmp_path / "taken_1.0").write_text("a file")
    assert call(monkeypatch, "--model", "aott", "--output_path", tmp_path / "taken_1.0") == 1
    assert "taken_1.0 is a file" in capsys.readouterr().err  # not refused for its name
    assert call(monkeypatch, "--model", "aott", "--output_path", tmp_path / "taken") == 1
    assert "taken is a file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("size", "fields", "enlarged"),
    [((60, 90), {}, True), ((480, 864), {}, False), ((60, 90), {"short_edge": 60}, False)],
)
def test_enlarged_frames_are_reported(
    size: tuple[int, int], fields: dict[str, int], enlarged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    log_enlarged(get_model_config("deaott", min_short_edge=480, **fields), size)
    assert ("are enlarged to 481x721" in caplog.text) == enlarged


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnxscript"])
def test_a_missing_package_is_reported_at_once(package: str, tmp_path: Path) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None; from voskit.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    flags = ("export", "--format", "onnx", "--model", "deaott", "--output_path", str(tmp_path / "out"))
    done = subprocess.run([sys.executable, "-c", code, *flags], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f"error: ONNX export needs the package {package}: pip install voskit[onnx]\n"


@pytest.mark.parametrize(
    ("frames", "mask", "message"),
    [
        (2, np.ones((10, 10)), "first.png"),
        (2, np.zeros((64, 96)), "first.png: the mask has no object"),
        (1, np.ones((64, 96)), "clip: int8 calibration needs at least two frames"),
    ],
)
def test_a_clip_that_does_not_fit_int8_is_reported_at_once(
    frames: int, mask: np.ndarray, message: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    clip = write_clip(tmp_path, frames, mask)
    assert call(monkeypatch, "--model", "deaott", "--precision", "int8", *clip, "--output_path", tmp_path / "out") == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_short_clip_gives_all_its_frames_and_as_many_objects_as_are_exported(tmp_path: Path) -> None:
    mask = np.zeros((64, 96))
    mask[:20], mask[40:] = 3, 7
    _, clip, _, first = write_clip(tmp_path, 3, mask)
    args = ExportArgs(
        model="xmem", output_path=tmp_path / "out", calibration=clip, calibration_mask=first, objects=1,
    )  # fmt: skip
    images, ids = calibration_clip(args)
    assert [image[0, 0, 0] for image in images] == [0, 1, 2]
    assert set(np.unique(ids)) == {0, 3}


def write_clip(folder: Path, frames: int, mask: np.ndarray) -> tuple[str, Path, str, Path]:
    """Write a clip and the mask of its first frame and return their flags."""
    (folder / "clip").mkdir()
    for number in range(frames):
        Image.fromarray(np.full((64, 96, 3), number, np.uint8)).save(folder / "clip" / f"{number}.png")
    Image.fromarray(mask.astype(np.uint8)).save(folder / "first.png")
    return "--calibration", folder / "clip", "--calibration_mask", folder / "first.png"
