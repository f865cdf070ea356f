"""voskit annotate: its flags are checked before a page is served."""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from moving_clip import H, W, moving_frames, squares
from PIL import Image

from voskit.dataloaders.masks.files import read_mask
from voskit.evaluators.annotation import start
from voskit.evaluators.annotation.security import Access
from voskit.evaluators.annotation.workspace import Workspace
from voskit.tools.annotate import run
from voskit.tools.flags.annotation import AnnotateArgs


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    folder = tmp_path / "clip"
    folder.mkdir()
    for number, frame in enumerate(moving_frames(3)):
        Image.fromarray(frame).save(folder / f"{number:05d}.png")
    return folder


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Workspace, Access]]:
    """Workspaces that would be served; each is closed at once."""
    found: list[tuple[Workspace, Access]] = []

    def serve(workspace: Workspace, access: Access, listener: socket.socket, **_: Any) -> None:
        found.append((workspace, access))
        workspace.close()

    monkeypatch.setattr(start, "serve", serve)
    return found


def flags(tmp_path: Path, **values: Any) -> AnnotateArgs:
    return AnnotateArgs(
        **{"output_path": tmp_path / "out", "port": 0, "open_browser": False, "device": "cpu", **values}
    )


def test_without_a_path_the_clips_of_the_results_are_listed(clip: Path, tmp_path: Path, served: list) -> None:
    assert run(flags(tmp_path)) == 0
    assert run(flags(tmp_path, data_path=clip)) == 0
    assert run(flags(tmp_path, root=tmp_path)) == 0
    assert [[one.path for one in workspace.project.clips] for workspace, _ in served] == [[], [clip], [clip]]
    assert served[2][0].project.root == tmp_path


def test_access_follows_the_flags(tmp_path: Path, served: list, monkeypatch: pytest.MonkeyPatch) -> None:
    run(flags(tmp_path))
    monkeypatch.setenv("VOSKIT_PASSWORD", "of the environment")
    run(flags(tmp_path, host="0.0.0.0", allowed_hosts=("Proxy.example",), max_upload=0.5))
    run(flags(tmp_path, password="of the flag"))
    local, open_to_all, last = (access for _, access in served)
    assert (local.password, local.any_address) == (None, False)
    assert (open_to_all.password, open_to_all.any_address, open_to_all.upload_limit) == (
        "of the environment",
        True,
        2**29,
    )
    assert "proxy.example" in open_to_all.hosts
    assert last.password == "of the flag"
    assert local.token == last.token


def test_a_first_mask_is_given_once(clip: Path, tmp_path: Path, served: list) -> None:
    Image.fromarray(squares(5).astype(np.uint8)).save(tmp_path / "first.png")
    values = {"data_path": clip, "mask": tmp_path / "first.png"}
    assert run(flags(tmp_path, **values)) == 0
    assert np.array_equal(read_mask(tmp_path / "out" / "clip" / "given" / "00000.png"), squares(5))
    workspace, _ = served[0]
    deadline = time.monotonic() + 60
    while not (formats := workspace.describe()["formats"]["export"]):  # filled in the background
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert formats[0]["name"] == "png"
    assert formats[0]["about"].startswith("png/<frame>.png: object ids.")
    with pytest.raises(ValueError, match="already has given masks: resume without --mask"):
        run(flags(tmp_path, **values))
    with pytest.raises(ValueError, match="--mask is for a single clip"):
        run(flags(tmp_path, mask=tmp_path / "first.png"))
    Image.fromarray(np.zeros((H // 2, W), np.uint8)).save(tmp_path / "first.png")
    with pytest.raises(ValueError, match=r"first\.png"):
        run(flags(tmp_path, **values, output_path=tmp_path / "other"))


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"model": "r50_referformer"}, "takes text prompts, not masks: use voskit demo --text"),
        ({"data_path": Path("nothing.mp4")}, "nothing.mp4: no such file or folder"),
        ({"data_path": Path("https://a.org/b.mp4")}, "b.mp4: the page annotates files, so download the video"),
        ({"ckpt_path": Path("nothing.pth")}, "--ckpt_path nothing.pth: no such file"),
        ({"root": Path("nothing")}, "--root nothing: no such folder"),
        ({"output_path": Path(__file__)}, "is a file: give a folder for the results"),
        ({"prompter": ("grabcutt",)}, "unknown prompter 'grabcutt'.*grabcut"),
        ({"max_upload": 0.0}, "--max_upload must be positive"),
        ({"host": "203.0.113.7"}, "--host 203.0.113.7"),
    ],
)
def test_wrong_flags_are_reported_at_once(values: dict[str, Any], error: str, tmp_path: Path, served: list) -> None:
    with pytest.raises((ValueError, OSError), match=error):
        run(flags(tmp_path, **values))
    assert served == []


def test_a_clip_that_can_t_be_read_ends_the_command(tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no video at all")
    with pytest.raises(ValueError, match=r"bad\.mp4: cannot be opened as a video"):
        run(flags(tmp_path, data_path=tmp_path / "bad.mp4"))


def test_without_its_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ValueError, match=r"which the page needs: pip install 'voskit\[annotate\]'"):
        run(flags(tmp_path))
