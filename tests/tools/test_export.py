"""tools/export.py: a checkpoint becomes a small file with the settings of inference."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from voskit.networks import build_model, save_weights
from voskit.tools import export


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "aott.safetensors"
    save_weights(build_model("aott", device="cpu"), path)
    return path


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["export.py", *map(str, arguments)])
    return export.main()


def test_half_the_size_with_settings_and_fewer_identities(checkpoint: Path, tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "new" / "small.safetensors"
    more = ("--set", "long_term_gap=5", "--identities", 3, 1)
    assert call(monkeypatch, "--model", "aott", "--ckpt_path", checkpoint, "--output_path", out, *more) == 0
    assert out.stat().st_size < 0.51 * checkpoint.stat().st_size
    small, whole = (build_model("aott", checkpoint=path, device="cpu") for path in (out, checkpoint))
    assert (small.config.long_term_gap, small.config.max_objects) == (5, 2)
    kept = whole.decoder.conv_out.weight[[0, 3, 1]]
    assert torch.allclose(small.decoder.conv_out.weight, kept, atol=1e-3)


def test_the_mean_of_several(checkpoint: Path, tmp_path: Path, monkeypatch) -> None:
    torch.manual_seed(1)
    other, out = build_model("aott", device="cpu"), tmp_path / "mean.safetensors"
    save_weights(other, tmp_path / "other.safetensors")
    files = ("--ckpt_path", checkpoint, tmp_path / "other.safetensors", "--shares", 3, 1, "--dtype", "fp32")
    assert call(monkeypatch, "--model", "aott", *files, "--output_path", out) == 0
    mean, first = (build_model("aott", checkpoint=path, device="cpu").state_dict() for path in (out, checkpoint))
    for name, x in other.state_dict().items():
        assert torch.allclose(mean[name], 0.75 * first[name] + 0.25 * x, atol=1e-6), name


def test_a_mean_of_different_settings_logs_which_it_keeps(
    checkpoint: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    other, out = tmp_path / "other.safetensors", tmp_path / "mean.safetensors"
    common = ("--model", "aott", "--output_path")
    assert call(monkeypatch, *common, other, "--ckpt_path", checkpoint, "--set", "long_term_gap=7") == 0
    assert call(monkeypatch, *common, out, "--ckpt_path", other, checkpoint) == 0
    assert f"different settings; those of {other} are kept: long_term_gap=7" in capsys.readouterr().err
    assert call(monkeypatch, *common, out, "--ckpt_path", other, checkpoint, "--set", "long_term_gap=3") == 0
    assert "different settings" not in capsys.readouterr().err


def test_networks_of_other_shapes_have_no_mean(checkpoint: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    fewer = tmp_path / "fewer.safetensors"
    common = ("--model", "aott", "--output_path")
    assert call(monkeypatch, *common, fewer, "--ckpt_path", checkpoint, "--identities", 1, 2) == 0
    assert call(monkeypatch, *common, tmp_path / "a.safetensors", "--ckpt_path", checkpoint, fewer) == 1
    assert "network 2 can't be averaged with the first one" in capsys.readouterr().err
    assert call(monkeypatch, *common, tmp_path / "a.safetensors", "--ckpt_path", checkpoint, "--shares", 1, 2) == 1
    assert "the mean of 1 networks needs 1 shares" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (["--output_path", "a.pth"], "the name must end in .safetensors"),
        (["--output_path", "a.safetensors", "--identities", "11"], "different numbers from 1 to 10, got [11]"),
        (["--output_path", "a.safetensors", "--set", "gap=1"], "gap"),
        (["--output_path", "a.safetensors", "--shares", "nan", "--dtype", "fp32"], "positive, finite sum, got [nan]"),
        (["--output_path", "a.safetensors", "--shares", "inf", "--dtype", "fp32"], "positive, finite sum, got [inf]"),
    ],
)
def test_bad_arguments_are_one_line(checkpoint: Path, tmp_path: Path, monkeypatch, capsys, more, what) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "--model", "aott", "--ckpt_path", checkpoint, *more) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert what in error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("output", "what"),
    [("taken/a.safetensors", "taken is a file"), ("folder.safetensors", "folder.safetensors is a folder")],
)
def test_a_place_that_is_taken_is_reported_before_weights_are_loaded(
    output: str, what: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("taken").write_text("a file")
    Path("folder.safetensors").mkdir()
    assert call(monkeypatch, "--model", "aott", "--ckpt_path", "missing.pth", "--output_path", output) == 1
    assert capsys.readouterr().err.startswith(f"error: --output_path {what}")


def test_families_without_identities_refuse_to_keep_some(tmp_path: Path, monkeypatch, capsys) -> None:
    path = tmp_path / "xmem.safetensors"
    save_weights(build_model("xmem", device="cpu"), path)
    more = ("--output_path", tmp_path / "a.safetensors", "--identities", 1)
    assert call(monkeypatch, "--model", "xmem", "--ckpt_path", path, *more) == 1
    assert "xmem has no identity bank" in capsys.readouterr().err
