"""Packing of results into the archive for a benchmark's server, after checking them."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from voskit.dataloaders.datasets import ANNOTATORS, Dataset, Problem
from voskit.dataloaders.datasets.problem import counted
from voskit.evaluators.submissions.archive import Members, write_archive, write_file
from voskit.evaluators.submissions.checks import MaskKind, ResultFolder, check_folders, video_folders
from voskit.evaluators.submissions.json_formats import burst_json, check_panoptic, panoptic_members, visor_json

logger = logging.getLogger(__name__)

ArchiveLayout = Literal["server", "aot", "aot_sparse"]

_SHOWN = 20


class SubmissionError(ValueError):
    """Error for results that a server would reject.

    Attributes:
        results: the folder of the results.
        problems: all problems in the results.
    """

    def __init__(self, results: Path, problems: Sequence[Problem]) -> None:
        super().__init__(results, problems)  # unpickling passes both again
        self.results = results
        self.problems = list(problems)

    def __str__(self) -> str:
        lines = [f"{self.results}: {counted(len(self.problems), 'problem')}, no archive was written:"]
        lines += [f"  {problem}" for problem in self.problems[:_SHOWN]]
        if len(self.problems) > _SHOWN:
            lines.append(f"  ... and {len(self.problems) - _SHOWN} more")
        return "\n".join(lines)


def pack(
    dataset: Dataset,
    results: str | os.PathLike[str],
    archive: str | os.PathLike[str],
    *,
    layout: ArchiveLayout = "server",
    workers: int | None = None,
) -> list[str]:
    """Check results and write the archive for the dataset's server.

    Identical results give identical bytes. The archive is written completely or not at all.

    Args:
        dataset: an opened dataset; ``open_dataset(..., require_frames=False)`` suffices.
        results: folder of the videos, or a folder that contains ``Annotations``. The usual layout is
            ``<video>/<frame>.png``. Ref-YouTube-VOS and MeViS: ``<video>/<expression>/<frame>.png``. Ref-DAVIS17:
            ``anno_0`` ... ``anno_3``, each with ``<video>/<frame>.png``. VIPSeg: masks of object ids, or ``pan_pred``
            and ``pred.json``.
        archive: a zip file; a JSON file for BURST, which is scored locally.
        layout: ``server``: the format of the server. ``aot``: the archive of AOT's evaluator, with all results below
            ``Annotations`` (and ``480p`` or ``Full-Resolution`` for DAVIS). ``aot_sparse``: the same, reduced to the
            frames that YouTube-VOS scores, without the given first one.
        workers: number of threads for the checks; None: one per processor.

    Returns:
        The names in the archive, sorted; for a JSON file, its name.

    Raises:
        SubmissionError: the results are incomplete or invalid; its ``problems`` lists all problems.
        ValueError: the dataset doesn't have this layout, or the archive has the wrong file extension.
        OSError: the archive can't be written.
    """
    results, archive = Path(results), Path(archive)
    suffix = dataset.config.archive_suffix if layout == "server" else ".zip"
    if archive.suffix.lower() != suffix:
        raise ValueError(
            f"{archive}: the submission of {dataset.name} is a {suffix} file: give a name that ends in {suffix}"
        )
    problems = check_results(dataset, results, layout=layout, workers=workers)
    if problems:
        raise SubmissionError(results, problems)
    members = _members(dataset, results, layout)
    if isinstance(members, bytes):
        write_file(archive, members)
        return [archive.name]
    write_archive(archive, members)
    logger.info("%s: %d files of %d videos", archive, len(members), len(dataset))
    return sorted(members)


def check_results(
    dataset: Dataset,
    results: str | os.PathLike[str],
    *,
    layout: ArchiveLayout = "server",
    workers: int | None = None,
) -> list[Problem]:
    """Find all problems that keep results from being packed. For the arguments, see :func:`pack`."""
    results = Path(results)
    kind = dataset.config.archive
    if layout != "server" and kind != "masks":
        raise ValueError(f"{dataset.name} has no archive in the layout {layout!r}: use 'server'")
    if layout == "aot_sparse" and dataset.split not in dataset.config.all_frames_splits:
        raise ValueError(f"{dataset.name} {dataset.split} has no sparse archive: all its frames are scored")
    if not dataset.videos:
        return [Problem(dataset.root, f"no videos of {dataset.name} {dataset.split} were found")]
    root, folders = result_folders(dataset, results, layout)
    ready = kind == "panoptic" and _is_panoptic(results)
    problems = check_folders(root, folders, workers, [results / "pred.json"] if ready else ())
    return problems + (check_panoptic(dataset, results) if ready else [])


def result_folders(
    dataset: Dataset, results: Path, layout: ArchiveLayout = "server"
) -> tuple[Path, list[ResultFolder]]:
    """Return the folder of all results, and the folder of each video, expression or annotator in it."""
    kind = dataset.config.archive
    if kind == "panoptic" and _is_panoptic(results):
        folders = [ResultFolder(results / "pan_pred" / v.name, v, v.submitted, frozenset(), "rgb") for v in dataset]
        return results, folders
    root = video_folders(dataset, results)
    if kind == "expressions":
        grayscale: MaskKind = "grayscale"
        return root, [
            ResultFolder(root / video.name / expression, video, video.submitted, frozenset({255}), grayscale)
            for video in dataset
            for expression in video.expressions
        ]
    if kind == "annotators":
        return root, [
            ResultFolder(root / f"anno_{k}" / video.name, video, video.submitted, frozenset(video.object_ids))
            for k in range(ANNOTATORS)
            for video in dataset
        ]
    return root, [
        ResultFolder(
            root / v.name, v, _frames(dataset, i, layout), frozenset(v.object_ids), size=dataset.result_size(v)
        )
        for i, v in enumerate(dataset.videos)
    ]


def result_name(
    dataset: str,
    split: str,
    experiment: str,
    stage: str | None,
    weights: int | str | None,
    *,
    ema: bool = False,
    flip: bool = False,
    scales: Sequence[float] = (1.0,),
) -> str:
    """Return the name of a results folder and its archive, as AOT's evaluator forms it.

    Example: ``davis2017_val_default_AOTT_PRE_YTB_DAV_ckpt_20000_ema_flip_ms_1dot0_1dot3``

    Args:
        dataset: name of the dataset.
        split: name of the split.
        experiment: names of the experiment and the model, such as ``default_AOTT``.
        stage: name of the training stage; None: not stated.
        weights: training step or name of the checkpoint; None: unknown.
        ema: the weights are averaged (EMA).
        flip: predictions are averaged with those of mirrored frames.
        scales: scales of test-time augmentation.
    """
    parts = [dataset, split, experiment, *([] if stage is None else [stage]), "ckpt"]
    name = "_".join([*parts, "unknown" if weights is None else str(weights)])
    name += "_ema" * ema + "_flip" * flip
    if tuple(scales) != (1.0,):
        name += "_ms_" + "_".join(str(float(scale)).replace(".", "dot") for scale in scales)
    return name


def _members(dataset: Dataset, results: Path, layout: ArchiveLayout) -> Members | bytes:
    config = dataset.config
    prefix = config.archive_prefix if layout == "server" else config.published_folder
    root, folders = result_folders(dataset, results, layout)
    if config.archive == "visor":
        return {"val.json": visor_json(dataset, root)}
    if config.archive == "burst":
        return burst_json(dataset, root)
    if config.archive == "panoptic" and not _is_panoptic(results):
        return panoptic_members(dataset, root, prefix)
    members: dict[str, Path | bytes] = {}
    for folder in folders:
        inside = folder.path.relative_to(root).as_posix()
        for frame in folder.frames:
            name = f"{inside}/{frame}.png"
            members[f"{prefix}/{name}" if prefix and config.archive != "panoptic" else name] = root / name
    if config.archive == "panoptic":
        members["pred.json"] = results / "pred.json"
    return members


def _frames(dataset: Dataset, index: int, layout: ArchiveLayout) -> tuple[str, ...]:
    video = dataset.videos[index]
    if layout == "server":
        return video.submitted
    if layout == "aot":
        return video.wanted
    first = video.wanted[0] if video.wanted else None
    return tuple(frame for frame in video.submitted if frame != first)


def _is_panoptic(results: Path) -> bool:
    return (results / "pred.json").exists() or (results / "pan_pred").is_dir()
