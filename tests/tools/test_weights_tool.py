"""tools/weights.py: the table of published weights, and downloads by name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from voskit.networks import weights
from voskit.tools.weights import main


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of downloads, with one checkpoint and one encoder in it."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv("VOSKIT_HOME", str(tmp_path))
    for name in ("R50_DeAOTL_PRE.pth", "resnet50-0676ba61.pth"):
        (folder / name).write_bytes(b"0" * 2**20)
    return folder


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the program in this process and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["voskit weights", *arguments])
    return main()


def test_the_table_says_what_is_published_and_what_is_here(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {tuple(line.split()[:2]): line.split() for line in lines}
    assert rows["deaott", "open"] == ["deaott", "open", "*", "14", "deaott_open.safetensors", str(_bundled())]
    here = str(home / "R50_DeAOTL_PRE.pth")
    assert rows["r50_deaotl", "PRE"] == ["r50_deaotl", "PRE", "1", "R50_DeAOTL_PRE.pth", here]
    assert rows["r50_deaotl", "PRE_YTB_DAV"][2:] == ["*", "~76", "R50_DeAOTL_PRE_YTB_DAV.pth"]
    assert rows["encoder", "ResNet-50"][2:] == ["1", "resnet50-0676ba61.pth", str(home / "resnet50-0676ba61.pth")]
    assert rows["encoder", "ResNeSt-50"][2:] == ["resnest50-528c19ca.pth"]
    assert len(rows) >= len(weights.list_published())
    assert str(home) in lines[-1]


def _bundled() -> Path:
    return weights.PRETRAINED / "deaott_open.safetensors"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["r50_deaotl", "--variant", "PRE"], "R50_DeAOTL_PRE.pth"),
        (["resnet50-0676ba61.pth"], "resnet50-0676ba61.pth"),
    ],
)
def test_a_name_prints_the_path_of_its_file_and_nothing_else(
    arguments: list[str], name: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, *arguments) == 0
    assert capsys.readouterr().out == f"{home / name}\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["r50_deaot"], "unknown model 'r50_deaot': did you mean r50_deaotl"),
        (["r50_deaotl", "--variant", "PRE_DAV"], "no published variant 'PRE_DAV': there are PRE, PRE_YTB_DAV"),
        (["--variant", "PRE"], "--variant PRE: give the model, too"),
        (["r50_deaotl"], "VOSKIT_OFFLINE is set: download https://drive.google.com/"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], text: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, *arguments) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
    assert text in captured.err and captured.out == ""
