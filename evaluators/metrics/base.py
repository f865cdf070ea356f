"""Base classes of scorers: options, requests, scores, and the registry."""

from __future__ import annotations

import logging
import math
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from voskit.configs.registry import Registry
from voskit.dataloaders.datasets.layout import subfolders
from voskit.evaluators.metrics.frames.jobs import Progress, default_workers
from voskit.evaluators.metrics.frames.measure import FramePair, Rules

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Option:
    """Option of a scorer.

    Args:
        default: default value.
        choices: all values; None if they depend on the data (lists of sequences).
        meaning: one-line description, for errors and help.
    """

    default: str
    choices: tuple[str, ...] | None
    meaning: str


@dataclass(frozen=True)
class ScoredFrame:
    """Scored frame, for the page of the best and worst frames.

    Args:
        sequence: name of the sequence.
        pair: its masks.
        rules: rules for reading the masks.
        value: mean over objects, 0 to 1; NaN without objects.
        image: image file of the frame; None if there is none.
    """

    sequence: str
    pair: FramePair
    rules: Rules
    value: float
    image: Path | None = None


@dataclass
class Scores:
    """Scores of one evaluation.

    Args:
        dataset: name of the scorer.
        options: all options, including defaults.
        tables: ``global``, ``per_sequence``, ``per_object``, ...: dictionaries of figures, with the benchmark's own
            names. A missing figure is NaN.
        headline: keys of ``global`` that papers report, in order; empty: all keys.
        frames: frames for the page of the worst and best ones; empty if the metric has no value for single frames.
    """

    dataset: str
    options: dict[str, str]
    tables: Mapping[str, Any]
    headline: tuple[str, ...] = ()
    frames: list[ScoredFrame] = field(default_factory=list)

    @property
    def has_page(self) -> bool:
        """True if at least one frame has a value, so that there are worst and best frames to show."""
        return not all(math.isnan(frame.value) for frame in self.frames)

    def __repr__(self) -> str:
        """Show the dataset and the global figures, without the other tables."""
        return f"{type(self).__name__}({self.dataset}, {self.tables['global']})"


@dataclass(frozen=True)
class VideoFolders:
    """Folders of a video: its true masks and its frames."""

    masks: Path
    images: Path


def video_folders(names: Iterable[str], masks: Path, images: Path) -> dict[str, VideoFolders]:
    """Return the folders of videos with masks in ``masks/<name>`` and frames in ``images/<name>``."""
    return {name: VideoFolders(masks / name, images / name) for name in names}


@dataclass(frozen=True)
class Request:
    """Input of a scorer: files, options and workers.

    Args:
        data_root: folder or file of the ground truth.
        results: folder or file of the predictions.
        options: all options of the scorer.
        num_workers: number of processes.
        progress: called after each unit of work, see ``Progress``.
        videos: videos to score, for a ``VideoScorer``; None: those in the benchmark's own layout.
        meta: meta file of the benchmark; None: the one in the benchmark's own layout.
    """

    data_root: Path
    results: Path
    options: Mapping[str, str]
    num_workers: int = 1
    progress: Progress | None = None
    videos: Mapping[str, VideoFolders] | None = None
    meta: Path | None = None


class Scorer(ABC):
    """Official metric of one benchmark.

    A scorer knows the layout of its benchmark's ground truth and results, and computes its figures. The modules in
    ``frames`` compare the masks, in several processes.
    """

    options: ClassVar[dict[str, Option]] = {}
    archives: ClassVar[tuple[str, ...]] = ()
    """Archive formats (``DatasetConfig.archive``) of the datasets whose results it reads; empty: it reads none."""

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def run(self, request: Request) -> Scores:
        """Score the results. Raises FileNotFoundError or ValueError, which names the missing or invalid file."""

    def check(self, request: Request) -> None:  # noqa: B027 - optional
        """Check the files that describe the ground truth, before there are results.

        Raises:
            FileNotFoundError, ValueError: as ``run`` does.
        """

    def complete_options(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return all options: those in ``given``, and the defaults of the others.

        Raises:
            ValueError: unknown option or value; the message lists the known ones.
        """
        for name, value in given.items():
            if name not in self.options:
                known = ", ".join(f"--{key}" for key in self.options) or "none"
                raise ValueError(f"--{name}: {self.name} has no such option; its options: {known}")
            choices = self.options[name].choices
            if choices is not None and value not in choices:
                raise ValueError(
                    f"--{name} {value}: {self.name} offers {', '.join(choices)} ({self.options[name].meaning})"
                )
        return {name: given.get(name, option.default) for name, option in self.options.items()}


class VideoScorer(Scorer):
    """Scorer that also reads true masks in layouts other than the benchmark's own, see ``Request.videos``."""

    archives: ClassVar[tuple[str, ...]] = ("masks", "visor")

    @abstractmethod
    def find(self, request: Request) -> Mapping[str, VideoFolders]:
        """Find the videos in the benchmark's own layout. Raises FileNotFoundError or ValueError as ``run`` does."""

    def videos(self, request: Request) -> Mapping[str, VideoFolders]:
        """Return the videos to score."""
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
    """Score results with the official metric of a benchmark.

    Args:
        dataset: one of ``voskit.evaluators.metrics.list_scorers()``.
        data_root: folder (for A2D and JHMDB: JSON file) of the ground truth, in the published layout.
        results: folder or JSON file of the predictions, in the layout of the benchmark's server or tool; or the folder
            of an evaluation, which contains ``Annotations``.
        num_workers: number of processes; None: one per core.
        progress: called with the number of frames done since the last call and the total number of frames.
        **options: options of the scorer as strings, such as ``split``, ``reading`` or ``task``; see docs/scoring.md.

    Returns:
        The scores: ``tables["global"]`` has the figures of the benchmark, other tables those of sequences and objects.
        The range is 0 to 1 or 0 to 100, as in the benchmark.

    Raises:
        ValueError: unknown dataset, option or value (the message lists the known ones), or an invalid file.
        FileNotFoundError: a file is missing; the message names it.
    """
    scorer = SCORERS.get(dataset)
    completed = scorer.complete_options(options)
    for path in (Path(data_root), Path(results)):
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder")
    if zipfile.is_zipfile(results):
        raise ValueError(f"{results}: an archive: unpack it, and give the folder of the results")
    workers = default_workers() if num_workers is None else num_workers
    return scorer.run(Request(Path(data_root), _videos_of(Path(results)), completed, workers, progress))


def _videos_of(results: Path) -> Path:
    """Return the folder of the videos: ``results``, or the folder in it that evaluators write."""
    below = results / "Annotations"
    found = below if below.is_dir() else results
    if found.is_dir() and subfolders(found) in (["480p"], ["Full-Resolution"]):  # written by AOT's evaluator
        (name,) = subfolders(found)
        found /= name
    if found != results:
        logger.info("results are read from %s", found)
    return found
