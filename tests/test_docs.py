"""Documents: commands have flags that exist, links lead somewhere, and the README's Python runs as it stands."""

from __future__ import annotations

import importlib
import io
import re
import shlex
import sys
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
from media_files import write_video
from moving_clip import squares
from PIL import Image
from small_models import build_small

import voskit
from voskit import networks
from voskit.__main__ import COMMANDS
from voskit.dataloaders.masks.files import write_mask
from voskit.plugins import take_plugins
from voskit.tools import demo
from voskit.tools.command import _read_flags

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "MODEL_ZOO.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(path: Path, language: str) -> list[str]:
    """Return the code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands(path: Path) -> list[list[str]]:
    """Return the ``voskit`` commands in the shell blocks of a page, as words."""
    lines = [line for block in blocks(path, "bash") for line in block.replace("\\\n", " ").splitlines()]
    parts = [part.strip() for line in lines for part in re.split(r"&&|\|(?!\|)|;", line)]
    return [shlex.split(part, comments=True)[1:] for part in parts if re.match(r"(\S*/)?voskit ", part)]


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda path: path.name)
def test_commands_have_flags_that_exist(page: Path) -> None:
    for name, *arguments in commands(page):
        if name.startswith("-"):
            continue
        assert name in COMMANDS, f"voskit {name}"
        tool = importlib.import_module(f"voskit.tools.{name.replace('-', '_')}")
        _read_flags(take_plugins(arguments)[1], get_type_hints(tool.run)["args"])


def test_a_planted_flag_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```bash\nvoskit demo --flip \\\n  --no_such_flag 3  # comment\n```\n")
    with pytest.raises(ValueError, match="no_such_flag"):
        test_commands_have_flags_that_exist(page)


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:|mailto:", target):
            continue
        name, _, heading = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), target
        if heading and file.suffix == ".md":
            titles = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert heading in anchors, target


def test_the_readmes_python_runs_as_it_stands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    whole = voskit.open_frames
    monkeypatch.setattr(voskit, "open_frames", lambda path: list(whole(path))[:2])
    monkeypatch.chdir(ROOT)
    (block,) = blocks(ROOT / "README.md", "python")
    exec(compile(block, "README.md", "exec"), {})
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["00000", "00001"]


@pytest.fixture
def own_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with ``my_video.mp4`` and ``first.png``, as the pages have them, and a small network for quick runs."""
    write_video(tmp_path / "my_video.mp4", "mpeg4", 5, size=(64, 96), noise=True)
    mask = np.zeros((64, 96), np.uint8)
    mask[:60, :90] = squares(1, 2)[:60, :90]
    write_mask(tmp_path / "first.png", mask)
    network = build_small("deaott")
    monkeypatch.setattr(voskit, "build_model", lambda *_, **__: network)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", ["cookbook.md", "getting_started.md"])
def test_python_blocks_run_in_order(page: str, own_video: Path) -> None:
    namespace: dict[str, object] = {"__name__": page}
    for block in blocks(ROOT / "docs" / page, "python"):
        exec(compile(block, page, "exec"), namespace)
    if "app" in namespace:
        serve_a_frame(namespace["app"], own_video)


NOT_HERE = {"--model", "--text", "--start", "--plugin", "--help", "sam2:weights=/models/sam2.1-hiera-tiny"}
"""Words of commands that need a download, a longer video or a file of one's own."""
DEMOS = [
    pytest.param(command[1:], id=f"{page.name}: {' '.join(command)}")
    for page in DOCUMENTS
    for command in commands(page)
    if command[0] == "demo" and {"my_video.mp4", "my.mp4"} & {*command} and not NOT_HERE & {*command}
]


@pytest.mark.parametrize("arguments", DEMOS)
def test_demo_commands_run(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.zeros((320, 540), np.uint8)
    mask[80:300, 200:420] = 1
    for name in ("my_video.mp4", "my.mp4"):
        write_video(tmp_path / name, "mpeg4", 3, size=(320, 540), noise=True)
    for name in ("first.png", "masks/00000.png", "masks/00002.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_mask(tmp_path / name, mask)
    network = build_small("deaott")
    monkeypatch.setattr(networks, "build_model", lambda *_, **__: network)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["demo", *arguments, "--device", "cpu"])
    assert demo.main() == 0
    (report,) = tmp_path.glob("out/*/report.json")
    assert len(list((report.parent / "masks").glob("*.png"))) == 3


def serve_a_frame(app: object, folder: Path) -> None:
    """Send a frame and its mask to the cookbook's web server; it answers with the mask's ids."""
    from starlette.testclient import TestClient

    mask = (folder / "first.png").read_bytes()
    frame = io.BytesIO()
    Image.new("RGB", (96, 64), (90, 120, 30)).save(frame, "PNG")
    with TestClient(app) as client:  # type: ignore[arg-type]
        answer = client.post("/videos/a/frames", files={"frame": frame.getvalue(), "mask": mask})
        assert answer.status_code == 200, answer.text
        given = np.asarray(Image.open(io.BytesIO(mask)))
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(answer.content)))[given > 0], given[given > 0])
        assert client.delete("/videos/a").status_code == 200
