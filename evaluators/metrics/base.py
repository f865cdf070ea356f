"""What every scorer has: a name, options with listed choices, and scores as its result."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from voskit.configs.registry import Registry
from voskit.evaluators.metrics.frames.jobs import Progress, default_workers
from voskit.evaluators.metrics.frames.measure import FramePair, Rules

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Option:
    """A named choice that a benchmark offers.

    Args:
        default: the value where none is given.
        choices: all values; None where the data says which there are (lists of sequences).
        meaning: one line for errors and help.
    """

    default: str
    choices: tuple[str, ...] | None
    meaning: str


@dataclass(frozen=True)
class ScoredFrame:
    """A frame with the value by which the best and the worst are found, and what to draw.

    Args:
        value: 0 to 1, mean over objects.
        image: the frame's picture, or where it would be.
    """

    sequence: str
    pair: FramePair
    rules: Rules
    value: float
    image: Path | None = None


@dataclass
class Scores:
    """The figures of one evaluation.

    Args:
        dataset: the scorer's name.
        options: the options in force, defaults included.
        tables: ``global``, ``per_sequence``, ``per_object``, ...: dictionaries as the benchmarks name their figures,
            NaN where there is none.
        headline: the keys of ``global`` that a paper would report, in order; empty means all.
        frames: for the page of the worst and best frames; empty where frames have no value of their own.
    """

    dataset: str
    options: dict[str, str]
    tables: Mapping[str, Any]
    headline: tuple[str, ...] = ()
    frames: list[ScoredFrame] = field(default_factory=list)


@dataclass(frozen=True)
class VideoFolders:
    """Where a video's true masks and its frames lie."""

    masks: Path
    images: Path


def video_folders(names: Iterable[str], masks: Path, images: Path) -> dict[str, VideoFolders]:
    """The folders of videos that lie side by side, in folders called like them."""
    return {name: VideoFolders(masks / name, images / name) for name in names}


@dataclass(frozen=True)
class Request:
    """What to score.

    Args:
        options: every option of the scorer.
        videos: the videos to score, for a ``VideoScorer``; None: those that the benchmark's own layout has.
        meta: the benchmark's file about all videos, where it has one; None: where its own layout has it.
    """

    data_root: Path
    results: Path
    options: Mapping[str, str]
    num_workers: int = 1
    progress: Progress | None = None
    videos: Mapping[str, VideoFolders] | None = None
    meta: Path | None = None


class Scorer(ABC):
    """The official measure of one benchmark.

    Scorers know where truth and results of their benchmark lie and how its figures are made; masks are compared by
    ``frames``, in several processes.
    """

    options: ClassVar[dict[str, Option]] = {}

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def run(self, request: Request) -> Scores:
        """Score. Raises FileNotFoundError or ValueError naming the file that is missing or unfit."""

    def check(self, request: Request) -> None:  # noqa: B027 - nothing to look for is a fine answer
        """See that the files are there that tell about the truth, before there are results.

        Raises:
            FileNotFoundError, ValueError: as ``run`` would for them.
        """

    def complete_options(self, given: Mapping[str, str]) -> dict[str, str]:
        """Defaults with ``given`` laid over.

        Raises:
            ValueError: an option or value that isn't offered; the message lists what is.
        """
        for name, value in given.items():
            if name not in self.options:
                known = ", ".join(f"--{key}" for key in self.options) or "none"
                raise ValueError(f"--{name}: {self.name} has no such option; it has: {known}")
            choices = self.options[name].choices
            if choices is not None and value not in choices:
                raise ValueError(
                    f"--{name} {value}: {self.name} offers {', '.join(choices)} ({self.options[name].meaning})"
                )
        return {name: given.get(name, option.default) for name, option in self.options.items()}


class VideoScorer(Scorer):
    """A scorer that can be told where the true masks of each video lie, in place of the benchmark's own layout."""

    @abstractmethod
    def find(self, request: Request) -> Mapping[str, VideoFolders]:
        """The videos in the benchmark's own layout. Raises FileNotFoundError or ValueError as ``run``."""

    def videos(self, request: Request) -> Mapping[str, VideoFolders]:
        """The videos to score."""
        return self.find(request) if request.videos is None else request.videos


SCORERS: Registry[Scorer] = Registry("dataset to score")


def score(
    dataset: str,
    data_root: str | Path,
    results: str | Path,
    *,
    num_workers: int | None = None,
    progress: Progress | None = None,
    **options: str,
) -> Scores:
    """Score results with the rules of a benchmark.

    Args:
        dataset: a name of ``list_scorers()``.
        data_root: folder (for A2D and JHMDB: JSON file) of the ground truth, laid out as the benchmark publishes it.
        results: folder or JSON file of the predictions, laid out as for the benchmark's server or tool.
        num_workers: processes; None takes all cores.
        progress: called with the frames done since the last call and all frames.
        **options: what the benchmark offers, e.g. ``split``, ``reading``, ``task``.

    Raises:
        ValueError: unknown dataset, option or value (the message lists the choices), or a file that is unfit.
        FileNotFoundError: a file that is needed is missing; the message names it.
    """
    scorer = SCORERS.get(dataset)
    completed = scorer.complete_options(options)
    for path in (Path(data_root), Path(results)):
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder")
    workers = default_workers() if num_workers is None else num_workers
    return scorer.run(Request(Path(data_root), Path(results), completed, workers, progress))
