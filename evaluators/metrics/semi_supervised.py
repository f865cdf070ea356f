"""Semi-supervised J&F of DAVIS 2017, shared by the benchmarks that follow it.

Objects are 1 to the highest id in the first true mask; 255 in true masks is background. Each object has a mean, recall
and decay over the counted frames. Global figures are plain means over all objects of all sequences (Pont-Tuset et al.,
"The 2017 DAVIS Challenge on Video Object Segmentation", arXiv:1704.00675).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from voskit.evaluators.clips.report import masks_folder
from voskit.evaluators.metrics.base import (
    Option,
    Request,
    ScoredFrame,
    Scores,
    VideoFolders,
    VideoScorer,
    video_folders,
)
from voskit.evaluators.metrics.frames.jobs import run_frames
from voskit.evaluators.metrics.frames.measure import FramePair, FrameValues, Rules, highest_id, measure
from voskit.evaluators.metrics.frames.sequences import check_counted, frame_pairs, image_of, mask_names, read_list
from voskit.evaluators.metrics.measures import statistics

logger = logging.getLogger(__name__)

J_AND_F = ("J&F-Mean", "J-Mean", "J-Recall", "J-Decay", "F-Mean", "F-Recall", "F-Decay")


@dataclass(frozen=True)
class DavisFolders:
    """Folders of a benchmark's lists, masks and images, relative to the data root."""

    lists: str
    masks: str
    images: str

    def videos(self, root: Path, names: Sequence[str]) -> dict[str, VideoFolders]:
        """Return the folders of the named sequences."""
        return video_folders(names, root / self.masks, root / self.images)


@dataclass(frozen=True, kw_only=True)
class SemiRules:
    """Differences between the benchmarks that follow DAVIS 2017.

    Args:
        skip_last: don't count the last frame. The first frame never counts.
        boundary: measure F.
        refuse_unknown: raise an error if a prediction has an id above the objects' ids; otherwise ignore such ids.
        void_is_one: read 255 in a prediction as id 1.
    """

    skip_last: bool = True
    boundary: bool = True
    refuse_unknown: bool = True
    void_is_one: bool = False


@dataclass
class SemiResult:
    """Scores of objects, by ``<sequence>_<id>``, means by sequence, and all counted frames."""

    per_object: dict[str, dict[str, Any]] = field(default_factory=dict)
    per_sequence: dict[str, dict[str, Any]] = field(default_factory=dict)
    frames: list[ScoredFrame] = field(default_factory=list)

    def tables(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the tables for :class:`Scores`, with global means of ``keys``."""
        totals = statistics.mean_of(with_j_and_f(self.per_object.values()), keys)
        return {"global": totals, "per_sequence": self.per_sequence, "per_object": self.per_object}


def with_j_and_f(rows: Any) -> list[dict[str, Any]]:
    """Return copies of the rows, with J&F-Mean added to those that have both means."""
    return [{**row, "J&F-Mean": (row["J-Mean"] + row["F-Mean"]) / 2} if "F-Mean" in row else dict(row) for row in rows]


def object_row(region: np.ndarray, boundary: np.ndarray | None) -> dict[str, Any]:
    """Return the statistics and per-frame values of one object."""
    row: dict[str, Any] = statistics.summary("J", region)
    if boundary is not None:
        row |= statistics.summary("F", boundary)
    row["J_frames"] = region.tolist()
    if boundary is not None:
        row["F_frames"] = boundary.tolist()
    return row


def score_semi_supervised(
    request: Request, videos: Mapping[str, VideoFolders], rules: SemiRules, keys: Sequence[str]
) -> SemiResult:
    """Measure J and F of the sequences.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file can't be scored, or no first true mask has an object.
    """
    work: dict[str, tuple[Rules, Sequence[FramePair]]] = {}
    for sequence, folders in videos.items():
        truth = folders.masks
        names = mask_names(truth)
        objects = highest_id(truth / f"{names[0]}.png")
        counted = names[1:-1] if rules.skip_last else names[1:]
        work[sequence] = (
            Rules(
                objects=tuple(range(1, objects + 1)),
                boundary="plain" if rules.boundary else None,
                highest=objects if rules.refuse_unknown and objects else None,
                void_is_one=rules.void_is_one,
            ),
            frame_pairs(truth, masks_folder(request.results, sequence), counted),
        )
    without = [sequence for sequence, (sequence_rules, _) in work.items() if not sequence_rules.objects]
    if without and len(without) < len(work):
        logger.warning(
            "%d of %d sequences don't count, such as %s: their first true mask shows no object",
            len(without), len(work), without[0],
        )  # fmt: skip
    check_counted(
        {sequence: len(pairs) for sequence, (_, pairs) in work.items()},
        "give the ground truth of all frames, not only the given masks",
    )
    if not any(sequence_rules.objects for sequence_rules, _ in work.values()):
        raise ValueError(
            f"{request.data_root}: no video's first ground-truth mask has an object id (1 to 254): "
            "score masks of 0 and 255 with davis2016 or folder"
        )
    values = run_frames(measure, work, num_workers=request.num_workers, progress=request.progress)
    result = SemiResult()
    for sequence, (measured, pairs) in work.items():
        if not pairs:
            continue  # no frame counts, see check_counted
        rows = _rows_of_sequence(measured, values[sequence], rules.boundary)
        result.per_object |= {f"{sequence}_{k}": row for k, row in rows.items()}
        if rows:
            result.per_sequence[sequence] = statistics.mean_of(
                with_j_and_f(rows.values()), [key for key in keys if "last" not in key]
            )
        result.frames += scored_frames(sequence, measured, pairs, values[sequence], videos[sequence].images)
    return result


def scored_frames(
    sequence: str, rules: Rules, pairs: Sequence[FramePair], values: Sequence[FrameValues], images: Path
) -> list[ScoredFrame]:
    """Return the frames of a sequence with their values and images."""
    return [
        ScoredFrame(sequence, pair, rules, value.mean, image_of(images, pair.name))
        for pair, value in zip(pairs, values, strict=True)
    ]


def _rows_of_sequence(rules: Rules, values: Sequence[FrameValues], boundary: bool) -> Mapping[int, dict[str, Any]]:
    assert rules.objects is not None
    region = np.array([value.region for value in values]).reshape(len(values), len(rules.objects))
    edges = np.array([value.boundary for value in values]).reshape(region.shape)
    return {k: object_row(region[:, i], edges[:, i] if boundary else None) for i, k in enumerate(rules.objects)}


class DavisStyle(VideoScorer):
    """Base class of scorers that follow DAVIS 2017."""

    options = {"split": Option("val", None, "the list of sequences")}
    folders = DavisFolders("ImageSets/2017", "Annotations/480p", "JPEGImages/480p")
    rules = SemiRules()

    def folders_for(self, request: Request) -> DavisFolders:
        """Return the folders for the options of a request."""
        return self.folders

    def rules_for(self, request: Request) -> SemiRules:
        """Return the rules for the options of a request."""
        return self.rules

    def find(self, request: Request) -> dict[str, VideoFolders]:
        """Return the sequences in the list."""
        folders = self.folders_for(request)
        names = read_list(request.data_root / folders.lists / f"{request.options['split']}.txt")
        return folders.videos(request.data_root, names)

    def run(self, request: Request) -> Scores:
        """Score all sequences of the split."""
        result = score_semi_supervised(request, self.videos(request), self.rules_for(request), J_AND_F)
        return Scores(self.name, dict(request.options), result.tables(J_AND_F), J_AND_F, result.frames)
