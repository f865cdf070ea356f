"""Help texts of flags, and parsing into their dataclass."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import tyro

from voskit.tools.help_texts import parse_flags


@dataclass(frozen=True, kw_only=True)
class Described:
    """A command."""

    needed: str
    """A flag
    of two lines."""
    optional: Path | None = None
    """A file. Default: the bundled one."""
    number: int = 3
    """A number."""
    several: tuple[str, ...] = ()
    """Words."""
    own: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """A name."""


def test_help_is_one_text_and_states_a_default_once(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "argv", ["command", "--help"])
    with pytest.raises(SystemExit):
        parse_flags(Described, "A description.")
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for shown in (
        "--needed STR A flag of two lines. (required)",
        "--optional PATH A file. Default: the bundled one. --number",
        "--number INT A number. (default: 3)",
        "--several [STR [STR ...]] Words. --own",
        "--own NAME A name.",
    ):
        assert shown in text, text


def test_parsed_flags_are_of_the_given_class(monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["command", "--needed", "a", "--optional", "f.png", "--several", "x", "y"])
    assert parse_flags(Described, "") == Described(needed="a", optional=Path("f.png"), several=("x", "y"))
