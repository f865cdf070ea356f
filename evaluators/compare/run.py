"""Comparison of several runs on several datasets: evaluation, measurement, and a table that is kept up to date."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from voskit.dataloaders.datasets import Dataset
from voskit.dataloaders.files import load_json, make_folder
from voskit.evaluators.benchmarks.propagation import PropagationEvaluation
from voskit.evaluators.benchmarks.run import evaluate
from voskit.evaluators.compare.figures import Figures, figures_of
from voskit.evaluators.compare.report import write_report
from voskit.evaluators.compare.tracks import measure_tracks
from voskit.evaluators.metrics.frames.jobs import default_workers
from voskit.evaluators.segmenter import VideoSegmenter

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """Model to compare, with its weights and options.

    Attributes:
        name: shown in the table; the results are in a folder with this name.
        build: function that returns the segmenter for a dataset's name.
        checkpoint: file of the weights, see ``evaluate``.
    """

    name: str
    build: Callable[[str], VideoSegmenter]
    checkpoint: Path | None = None


@dataclass
class Comparison:
    """Results of a comparison.

    Attributes:
        figures: by dataset and by the name of the run; runs that failed are missing.
        failures: error messages by dataset and by the name of the run.
    """

    figures: dict[str, dict[str, Figures]] = field(default_factory=dict)
    failures: dict[str, dict[str, str]] = field(default_factory=dict)


def compare(
    runs: Sequence[Run],
    datasets: Mapping[str, Dataset],
    output: Path,
    *,
    num_workers: int | None = None,
    progress: bool = True,
) -> Comparison:
    """Evaluate runs on datasets and tabulate the figures, or resume a comparison that was stopped.

    ``output/<dataset>/<run>`` gets the results of ``voskit.evaluate``, whose finished videos aren't computed again. If
    only some videos of a dataset are compared, the folder's name ends in a checksum of their names. ``output`` gets
    ``comparison.json``, ``.csv``, ``.md`` and ``.svg``, which are written after each run, so an interrupted comparison
    leaves a table of the finished runs.

    Args:
        runs: the runs, with different names.
        datasets: opened datasets by their name in the table. They need masks to propagate and ground truth.
        output: folder of the results.
        num_workers: number of processes for scoring; None: one per core.
        progress: show progress bars.

    Returns:
        the figures. If a run fails, its error is logged and kept in ``failures``, and the others continue.

    Raises:
        ValueError: there is nothing to compare, two runs have the same name, or a dataset has no masks or ground truth.
        OSError: the table can't be written.
    """
    folders = _folders([run.name for run in runs])
    for name, dataset in datasets.items():
        check_dataset(name, dataset)
    if not folders or not datasets:
        raise ValueError("nothing to compare: give at least one run and one dataset")
    make_folder(output)
    workers = default_workers() if num_workers is None else num_workers
    comparison = Comparison()
    for name, dataset in datasets.items():
        for run in runs:
            logger.info("%s on %s", run.name, name)
            folder = output / _dataset_folder(name, dataset) / folders[run.name]
            try:
                figures = _figures(run, dataset, folder, workers, progress)
            except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: the accelerator's memory is full
                logger.error("%s on %s: %s", run.name, name, error)
                comparison.failures.setdefault(name, {})[run.name] = str(error)
                continue
            comparison.figures.setdefault(name, {})[run.name] = figures
            write_report(comparison.figures, comparison.failures, output)
    write_report(comparison.figures, comparison.failures, output)
    return comparison


def check_dataset(name: str, dataset: Dataset) -> None:
    """Raise ValueError if a dataset has no masks or no ground truth, so that runs can't be compared on it."""
    PropagationEvaluation.check(dataset)
    if not dataset.has_ground_truth:
        without = next(video.name for video in dataset if video.ground_truth is None)
        raise ValueError(f"dataset {name}: video {without} has no ground truth, so there is nothing to compare with")
    if any(path.suffix != ".png" for video in dataset for path in video.truth_frames.values()):
        raise ValueError(f"dataset {name}: the ground truth must be PNG masks")


def _figures(run: Run, dataset: Dataset, folder: Path, workers: int, progress: bool) -> Figures:
    evaluate(run.build(dataset.name), dataset, output=folder, checkpoint=run.checkpoint, progress=progress)
    tracks = measure_tracks(dataset, folder / "Annotations", num_workers=workers)
    return figures_of(tracks, load_json(folder / "timing.json"))


def _folders(names: Sequence[str]) -> dict[str, str]:
    """Return a folder name for each run. Raises ValueError if two are equal."""
    folders: dict[str, str] = {}
    for name in names:
        folder = _folder(name)
        if folder in folders.values():
            raise ValueError(f"two runs are named {name!r}: give one of them another name")
        folders[name] = folder
    return folders


def _dataset_folder(name: str, dataset: Dataset) -> str:
    """Return a folder name for a dataset; each selection of its videos has its own."""
    if len(dataset) == len(dataset.listed):
        return _folder(name)
    names = "\n".join(video.name for video in dataset)
    return f"{_folder(name)}_{hashlib.sha256(names.encode()).hexdigest()[:8]}"


def _folder(name: str) -> str:
    """Replace characters in a name that aren't allowed on all file systems."""
    return re.sub(r"[^\w.,=+-]+", "_", name).strip("._") or "_"
