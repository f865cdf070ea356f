"""Documents: commands exist and run, links lead somewhere, and Python blocks run as they stand."""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
from docs_commands import DOCUMENTS, HISTORY, ROOT, Arguments, Command, blocks, commands
from docs_stand_ins import SMALLER, prepare
from media_files import write_video
from moving_clip import squares
from PIL import Image
from programs import run_program
from small_models import build_small

import voskit
from voskit.__main__ import COMMANDS, main
from voskit.dataloaders.masks.files import write_mask
from voskit.evaluators.annotation import start
from voskit.plugins import take_plugins
from voskit.tools.command import _read_flags

TEMPLATES = "MODEL_ZOO.md"
"""The page whose commands have placeholders in place of models and folders."""
NOT_HERE = {
    r"pip3? |-m venv |source |\. \.venv": "installs packages; tests/test_packaging.py does so",
    r"pytest": "runs these tests",
    r"tests/goldens/record\.py": "writes the recorded numbers again",
    r"http\.server": "serves until it is stopped",
    r"--device cuda": "needs a GPU",
    r"srun ": "needs Slurm; tests/evaluators/batch sets its variables",
    r"--engine ray": "needs Ray; tests/tools/test_batch.py runs it where it is installed",
    r"benchmarks/annotation\.py": "needs a browser; tests/benchmarks/test_annotation_program.py runs it",
    r"sam2:weights=": "needs a download; tests/evaluators/prompts/test_sam.py runs a small network of this kind",
}
"""Commands that can't run here, as patterns of their text, and the reasons."""
QUICK = ("annotate", "check-dataset", "demo", "export", "masks-to-png", "merge", "pack", "score", "weights")
SLOW = {"--format", "--plugin", "--start", "--text", "r50_deaotl"}
"""Words that make a command of a quick tool slow."""


@pytest.mark.parametrize("page", [*DOCUMENTS, *HISTORY], ids=lambda path: path.name)
def test_commands_have_flags_that_exist(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    for command in commands(page):
        if command.text.split()[1] == "voskit" and not command.tool.startswith("-"):
            assert command.tool in COMMANDS, command.text
        if command.tool in COMMANDS or command.tool.startswith("benchmarks/"):
            words = [word for word in command.arguments if word != "..."]
            _read_flags(take_plugins(words)[1], flags_of(command.tool))


def flags_of(tool: str) -> type:
    """Return the dataclass of the flags of a tool."""
    if not tool.startswith("benchmarks/"):
        return get_type_hints(importlib.import_module(f"voskit.tools.{tool.replace('-', '_')}").run)["args"]
    spec = importlib.util.spec_from_file_location(f"benchmark_{Path(tool).stem}", ROOT / tool)
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module.Args


def test_a_planted_flag_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    for text in (
        "```bash\nvoskit demo --flip \\\n  --no_such_flag 3  # comment\n```\n",
        "The program `python\nbenchmarks/io.py --no_such_flag 3` measures it.",
        "```\ntorchrun --nproc_per_node 2 -m voskit eval --no_such_flag 3\n```\n",
    ):
        page.write_text(text)
        with pytest.raises(ValueError, match="no_such_flag"):
            test_commands_have_flags_that_exist(page, monkeypatch)


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda path: path.name)
def test_links_have_targets(page: Path) -> None:
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


def run_here(pages: Iterable[Path]) -> list[Any]:
    """Return the commands that can run here, each once; slow ones are marked.

    A command of ``voskit`` inside a sentence may be a part of one, so only its flags are checked.
    """
    whole = [
        command
        for command in dict.fromkeys(command for page in pages for command in commands(page))
        if (command.in_block or command.starter or command.tool.endswith(".sh")) and "..." not in command.text
    ]
    chosen = [command for command in whole if not any(re.search(pattern, command.text) for pattern in NOT_HERE)]
    return [
        pytest.param(command, id=command.text, marks=[] if is_quick(command) else [pytest.mark.thorough])
        for command in chosen
    ]


def is_quick(command: Command) -> bool:
    """Return whether a command takes a second or two with its stand-ins, or has none, so that it fails at once."""
    if command.tool not in SMALLER:
        return True
    has_clip = command.tool != "demo" or any(word.endswith(".mp4") for word in command.arguments)
    return command.tool in QUICK and not command.starter and has_clip and not SLOW & {*command.arguments}


@pytest.mark.parametrize("command", run_here(page for page in (*DOCUMENTS, *HISTORY) if page.name != TEMPLATES))
def test_commands_run(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOSKIT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(start, "serve", lambda workspace, *_, **__: workspace.close())
    arguments, environment = prepare(command)
    if command.tool in COMMANDS and not command.starter and "--plugin" not in arguments:
        assert exit_code([command.tool, *arguments]) == 0
    else:
        words = [*program(command), *arguments]
        environment = {**os.environ, **environment}
        if words[0] == sys.executable:
            done = run_program(words, env=environment)
        else:
            done = subprocess.run(words, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    for flag in ("--output_path", "--output", "--plot"):
        for path in Arguments(tuple(arguments)).get(flag):
            assert Path(path.removeprefix("file://")).exists(), f"{flag} {path} wasn't written"


def exit_code(words: list[str]) -> int:
    """Run a subcommand in this process."""
    try:
        return main(words)
    except SystemExit as end:  # --help
        return int(end.code or 0)


def program(command: Command) -> list[str]:
    """Return the words that start the tool of a command in a process of its own."""
    if command.tool.endswith(".sh"):
        return ["bash", str(ROOT / command.tool)]
    if script := next((word for word in (*command.starter, command.tool) if word.endswith(".py")), ""):
        return [sys.executable, str(ROOT / script)]
    launcher = [sys.executable, "-m"]
    if "torchrun" in command.starter:
        launcher += ["torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]
    return [*launcher, "voskit", command.tool]


def test_reasons_belong_to_existing_commands() -> None:
    texts = [command.text for page in DOCUMENTS for command in commands(page)]
    assert [pattern for pattern in NOT_HERE if not any(re.search(pattern, text) for text in texts)] == []


def test_a_new_command_runs_or_fails_until_it_is_named(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```bash\nvoskit frobnicate my_video.mp4 && voskit weights\n```\nThe program `python new/one.py`.\n"
    )
    new, known, inside = run_here([page])
    assert [parameter.marks for parameter in (new, known, inside)] == [[], [], []], "they run by default"
    for (command,) in (new.values, inside.values):
        with pytest.raises(AssertionError, match=f"no stand-ins for {command.tool}"):
            prepare(command)


def test_the_check_of_your_own_dataset_prints_the_line_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = (text for text in blocks(ROOT / "docs" / "datasets.md", "") if "nothing wrong" in text)
    (command,) = (each for each in commands(ROOT / "docs" / "datasets.md") if "dances/dances.json" in each.arguments)
    monkeypatch.chdir(tmp_path)
    assert main([command.tool, *prepare(command)[0]]) == 0
    assert capsys.readouterr().out.splitlines() == block.splitlines()[1:]


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
