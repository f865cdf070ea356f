"""What is wrong with a dataset: raised at once when it is opened for use, collected when it is looked over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        path: the file or folder.
        text: what is wrong with it, in one line.
        missing: it does not exist.
        video: name of the video that it belongs to; empty where it concerns the whole dataset.
    """

    path: Path
    text: str
    missing: bool = False
    video: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


Report = Callable[[Problem], None]


def raise_problem(problem: Problem) -> None:
    """Raise a problem, as a FileNotFoundError where something is missing, else as a ValueError."""
    raise (FileNotFoundError if problem.missing else ValueError)(str(problem))
