"""Documents: commands have flags that exist, links lead somewhere, and the README's Python runs as it stands."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest

import voskit
from voskit.__main__ import COMMANDS
from voskit.plugins import take_plugins
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
        _read_flags(take_plugins(arguments)[1], tool.Args)


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
