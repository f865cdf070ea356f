"""Reading of command lines: words without a flag, further names of flags, and flags of similar programs."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import torch
import tyro

from voskit.tools.command import _read_flags, run_command
from voskit.tools.flags.annotation import AnnotateArgs
from voskit.tools.flags.clips import ClipArgs
from voskit.tools.flags.compare import CompareArgs
from voskit.tools.flags.evaluation import EvalArgs
from voskit.tools.flags.training import TrainArgs


@dataclass(frozen=True, kw_only=True)
class Flags:
    data_path: str | None = None
    mask: tuple[Path, ...] = ()
    overlay: bool = True
    output_path: Annotated[Path, tyro.conf.arg(aliases=["--to"])] = Path("out")


@pytest.mark.parametrize(
    "line",
    [
        "my.mp4 --mask m.png --output_path o",
        "--output_path o my.mp4 --mask m.png",
        "--no-overlay my.mp4 --mask m.png --output_path o",
        "--output_path=o my.mp4",
    ],
)
def test_a_word_that_no_flag_takes_is_the_video(line: str) -> None:
    read = _read_flags(line.split(), Flags)
    assert read[:2] == ["--data_path", "my.mp4"]
    assert sorted(read[1:]) == sorted(line.split())


def test_a_list_takes_all_words_up_to_the_next_flag() -> None:
    line = ["--mask", "a.png", "b.png", "--overlay"]
    assert _read_flags(line, Flags) == line


@pytest.mark.parametrize("line", ["--set lr=1 --set batch_size=4", "--set=lr=1 --amp --set batch_size=4"])
def test_a_list_is_given_once_else_its_first_values_would_be_lost(line: str) -> None:
    with pytest.raises(ValueError, match="--set is given twice: write all its values after one --set"):
        _read_flags(line.split(), TrainArgs)
    repeated = ["--run", "aott", "--run", "deaott"]
    assert _read_flags(repeated, CompareArgs) == repeated


@pytest.mark.parametrize(
    ("line", "flag", "args"),
    [
        ("a.mp4 --point", "--point", ClipArgs),
        ("--data-path --mask m.png", "--data-path", ClipArgs),  # it isn't the bundled scenes
        ("a.mp4 --mask m.png --export --amp", "--export", ClipArgs),
        ("a.mp4 --prompter --port 80", "--prompter", AnnotateArgs),
    ],
)
def test_a_list_without_a_value_is_named(line: str, flag: str, args: type) -> None:
    with pytest.raises(ValueError, match=f"^{flag} has no value: give at least one, or leave out the flag$"):
        _read_flags(line.split(), args)


def test_two_videos_for_a_command_that_takes_one_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'b\.mp4' belongs to no flag"):
        _read_flags(["a.mp4", "--overlay", "b.mp4"], Flags)


@pytest.mark.parametrize(
    ("args", "alias", "flag"),
    [
        (TrainArgs, "--data_root", "--data_path"),
        (EvalArgs, "--data-path", "--data_root"),
        (Flags, "--to", "--output_path"),
    ],
)
def test_an_alias_is_its_flag(args: type, alias: str, flag: str) -> None:
    assert _read_flags([alias, "x"], args) == [flag, "x"]
    assert _read_flags([f"{alias}=x"], args) == [f"{flag}=x"]


def test_out_of_memory_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def run() -> int:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore")

    assert run_command(run) == 1
    line = "error: CUDA out of memory. Tried to allocate 2 GiB. Use smaller frames, fewer frames in memory, or --amp\n"
    assert capsys.readouterr().err == line


def test_a_killed_loader_process_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    class Killed(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> int:
            os.kill(os.getpid(), signal.SIGKILL)
            return index

    assert run_command(lambda: len(list(torch.utils.data.DataLoader(Killed(), num_workers=1)))) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: DataLoader worker")
    assert "lower the number of loader processes" in error
    assert error.count("\n") == 1


def test_an_error_of_the_system_is_the_file_and_the_reason(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run_command(lambda: int((tmp_path / "none").read_text())) == 1
    assert capsys.readouterr().err == f"error: {tmp_path}/none: No such file or directory\n"


def test_an_empty_argument_is_refused() -> None:
    with pytest.raises(ValueError, match="an argument is empty: perhaps it comes from a shell variable that isn't set"):
        _read_flags(["my.mp4", "--mask", ""], Flags)


def test_an_unknown_flag_names_the_one_to_use() -> None:
    with pytest.raises(ValueError, match="unknown flag --video: use --data_path"):
        _read_flags(["--video", "my.mp4"], Flags)
    with pytest.raises(ValueError, match="unknown flag --nosuch: "):  # not: "2" belongs to no flag
        _read_flags(["a.mp4", "--nosuch", "2"], Flags)
