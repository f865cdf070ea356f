"""Problems in a dataset: raised when it is opened, collected when it is checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Problem:
    """One problem in a dataset.

    Attributes:
        path: the file or folder.
        text: description of the problem in one line.
        missing: the file or folder doesn't exist.
        video: name of the video; empty if the problem concerns the whole dataset.
    """

    path: Path
    text: str
    missing: bool = False
    video: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


def counted(count: int, noun: str) -> str:
    """Return a count with its noun in the singular or plural: ``1 object``, ``2 objects``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


Report = Callable[[Problem], None]


def raise_problem(problem: Problem) -> None:
    """Raise a problem, as FileNotFoundError if a file is missing, otherwise as ValueError."""
    raise (FileNotFoundError if problem.missing else ValueError)(str(problem))
