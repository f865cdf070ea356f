"""Shell commands of the documents, and their flags."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "MODEL_ZOO.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
HISTORY = sorted((ROOT / "docs" / "history").glob("*.md"))

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_PROGRAM = re.compile(r"([A-Z_]+=\S* )*((\S*/)?(voskit|python3?|pip|pytest|torchrun|srun)\s|\./\w+\.sh)")
_STARTERS = ("python", "torchrun", "srun")
_VARIABLE = re.compile(r"([A-Z_]+)=(\"[^\"]*\"|\S*)")
_FLAG = re.compile(r"--?[A-Za-z][\w-]*")


@dataclass(frozen=True)
class Command:
    """A command of a document.

    Attributes:
        text: page and words.
        starter: words in front of the tool, such as ``python`` or ``torchrun --nproc_per_node 4 -m``.
        tool: a subcommand of ``voskit``, a script such as ``benchmarks/io.py``, or another program.
        arguments: words after the tool.
        in_block: True for a command of a code block, False for one inside a sentence, which may be a part of one.
        environment: variables that are set in front of the program.
    """

    text: str = field(compare=False)
    starter: tuple[str, ...]
    tool: str
    arguments: tuple[str, ...]
    in_block: bool = field(compare=False)
    environment: dict[str, str] = field(compare=False)


def blocks(path: Path, language: str) -> list[str]:
    """Return the code blocks of a page in one language."""
    return [text for name, text in _BLOCK.findall(path.read_text(encoding="utf-8")) if name == language]


def commands(path: Path) -> list[Command]:
    """Return the commands in the code blocks of a page and inside its sentences.

    Every line of a shell block is a command. In a block without a language, lines that begin with a known program are.
    """
    text = path.read_text(encoding="utf-8")
    found = []
    for language, block in _BLOCK.findall(text):
        lines = block.replace("\\\n", " ").splitlines() if language in ("bash", "") else []
        found += [(line, True) for line in _with_variables(lines) if language or _PROGRAM.match(line)]
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", _BLOCK.sub("", text))]
    found += [(span, False) for span in spans if _PROGRAM.match(span)]
    return [command for line, in_block in found for command in _split(path.name, line, in_block)]


def _with_variables(lines: list[str]) -> Iterator[str]:
    """Yield the lines with the variables replaced that earlier lines set."""
    values: dict[str, str] = {}
    for line in lines:
        for name, value in values.items():
            line = line.replace(f"${name}", value)
        yield line
        if assigned := _VARIABLE.fullmatch(line.strip()):
            values[assigned[1]] = assigned[2].strip('"')


def _split(page: str, line: str, in_block: bool) -> list[Command]:
    """Return the commands of a line."""
    lexer = shlex.shlex(re.sub(r"\$\([^)]*\)", "FILE", line), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found = []
    for is_separator, group in itertools.groupby(lexer, key=lambda word: word in ("&&", "|", ";")):
        words = list(group)
        environment = {}
        while words and re.match(r"[A-Z_]+=", words[0]):
            name, _, environment[name] = words.pop(0).partition("=")
        if is_separator or not words:
            continue
        place = next((at for at in range(len(words)) if _is_tool(words, at)), 0)
        starter, tool, rest = words[:place], words[place], words[place + 1 :]
        if Path(tool).name == "voskit" and rest:
            tool, *rest = rest
        elif tool.startswith("tools/"):
            starter, tool = [*starter, tool], Path(tool).stem.replace("_", "-")
        text = f"{page}: {' '.join(words)}"
        found.append(Command(text, tuple(starter), tool, tuple(rest), in_block, environment))
    return found


def _is_tool(words: list[str], at: int) -> bool:
    if at and not Path(words[0]).name.startswith(_STARTERS):
        return False
    return Path(words[at]).name == "voskit" or (words[at].endswith(".py") and "/" in words[at])


class Arguments:
    """Arguments of a command whose flags can be replaced.

    Args:
        words: flags and their values, in any order.
    """

    def __init__(self, words: tuple[str, ...]) -> None:
        self.words = list(words)

    def __contains__(self, word: str) -> bool:
        return word in self.words

    def get(self, flag: str) -> list[str]:
        """Return the values of a flag; empty if it isn't there."""
        return self.words[slice(*self._values(flag))] if flag in self.words else []

    def one(self, flag: str, default: str = "") -> str:
        """Return the value of a flag."""
        return next(iter(self.get(flag)), default)

    def set(self, flag: str, *values: str) -> None:
        """Replace the values of a flag, or append it. Values ``NAME=VALUE`` replace those of the same name only."""
        names = {value.partition("=")[0] for value in values if "=" in value}
        kept = [value for value in self.get(flag) if value.partition("=")[0] not in names] if names else []
        if flag not in self.words:
            self.words.append(flag)
        self.words[slice(*self._values(flag))] = [*kept, *values]

    def set_all(self, text: str) -> None:
        """Set several flags from a command line."""
        other = Arguments(tuple(shlex.split(text)))
        for flag in filter(_FLAG.fullmatch, other.words):
            self.set(flag, *other.get(flag))

    def _values(self, flag: str) -> tuple[int, int]:
        begin = self.words.index(flag) + 1
        ends = (at for at, word in enumerate(self.words) if at >= begin and _FLAG.match(word))
        return begin, next(ends, len(self.words))
