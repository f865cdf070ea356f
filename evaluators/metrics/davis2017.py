"""The DAVIS family's semi-supervised measure, and the benchmarks that score with it or with a small change.

Objects are 1 to the highest id of the first frame's truth; 255 in the truth is background. Per object mean, recall and
decay over the counted frames; global figures are plain means over all objects of all sequences (Pont-Tuset et al.,
"The 2017 DAVIS Challenge on Video Object Segmentation", arXiv:1704.00675).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from voskit.evaluators.metrics.base import (
    SCORERS,
    Option,
    Request,
    ScoredFrame,
    Scores,
    VideoFolders,
    VideoScorer,
    video_folders,
)
from voskit.evaluators.metrics.frames import FramePair, FrameValues, Rules, highest_id, measure
from voskit.evaluators.metrics.jobs import run_frames
from voskit.evaluators.metrics.measures import statistics
from voskit.evaluators.metrics.sequences import frame_pairs, image_of, mask_names, read_list

J_AND_F = ("J&F-Mean", "J-Mean", "J-Recall", "J-Decay", "F-Mean", "F-Recall", "F-Decay")
_J_AND_LAST = ("J-Mean", "J-Recall", "J-Decay", "J_last-Mean", "J_last-Recall", "J_last-Decay")


@dataclass(frozen=True)
class Layout:
    """Where a benchmark keeps its lists, masks and images: folders below the data's root."""

    lists: str
    masks: str
    images: str

    def videos(self, root: Path, names: Sequence[str]) -> dict[str, VideoFolders]:
        """The folders of sequences."""
        return video_folders(names, root / self.masks, root / self.images)


@dataclass(frozen=True, kw_only=True)
class SemiRules:
    """What differs between the benchmarks of the family.

    Args:
        skip_last: the last frame isn't counted (the first never is).
        boundary: F is measured.
        refuse_unknown: a prediction with an id above the objects is an error, else it is ignored.
        void_is_one: 255 in a prediction is read as id 1.
    """

    skip_last: bool = True
    boundary: bool = True
    refuse_unknown: bool = True
    void_is_one: bool = False


@dataclass
class SemiResult:
    """Rows by ``<sequence>_<id>``, means by sequence, and the counted frames."""

    per_object: dict[str, dict[str, Any]] = field(default_factory=dict)
    per_sequence: dict[str, dict[str, Any]] = field(default_factory=dict)
    frames: list[ScoredFrame] = field(default_factory=list)

    def tables(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The tables of the result with the global means of ``keys``."""
        totals = statistics.mean_of(with_j_and_f(self.per_object.values()), keys)
        return {"global": totals, "per_sequence": self.per_sequence, "per_object": self.per_object}


def with_j_and_f(rows: Any) -> list[dict[str, Any]]:
    """Rows with J&F-Mean where they have both means."""
    return [{**row, "J&F-Mean": (row["J-Mean"] + row["F-Mean"]) / 2} if "F-Mean" in row else dict(row) for row in rows]


def object_row(region: np.ndarray, boundary: np.ndarray | None) -> dict[str, Any]:
    """An object's statistics and per-frame values."""
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
    """Measure the sequences as the family does.

    Raises:
        FileNotFoundError, ValueError: a missing or unfit file; see ``sequences`` and ``frames``. No first mask of the
            truth has an object.
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
                highest=objects if rules.refuse_unknown else None,
                void_is_one=rules.void_is_one,
            ),
            frame_pairs(truth, request.results / sequence, counted),
        )
    if not any(sequence_rules.objects for sequence_rules, _ in work.values()):
        raise ValueError(
            f"{request.data_root}: no first mask of the ground truth has an id of an object, 1 to 254: "
            "masks of 0 and 255 are scored by davis2016 or folder"
        )
    values = run_frames(measure, work, num_workers=request.num_workers, progress=request.progress)
    result = SemiResult()
    for sequence, (measured, pairs) in work.items():
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
    """The frames of a sequence with their values and pictures."""
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
    """A benchmark scored like DAVIS 2017 semi-supervised."""

    options = {"split": Option("val", None, "the list of sequences")}
    layout = Layout("ImageSets/2017", "Annotations/480p", "JPEGImages/480p")
    rules = SemiRules()

    def layout_for(self, request: Request) -> Layout:
        """The folders for the options asked for."""
        return self.layout

    def rules_for(self, request: Request) -> SemiRules:
        """The rules for the options asked for."""
        return self.rules

    def find(self, request: Request) -> dict[str, VideoFolders]:
        """The sequences of the list."""
        layout = self.layout_for(request)
        names = read_list(request.data_root / layout.lists / f"{request.options['split']}.txt")
        return layout.videos(request.data_root, names)

    def run(self, request: Request) -> Scores:
        """Score all sequences of the split."""
        result = score_semi_supervised(request, self.videos(request), self.rules_for(request), J_AND_F)
        return Scores(self.name, dict(request.options), result.tables(J_AND_F), J_AND_F, result.frames)


class Davis2017(DavisStyle):
    """DAVIS 2017 semi-supervised."""

    options = {
        "split": Option("val", None, "a list of ImageSets/2017"),
        "resolution": Option("480p", ("480p", "Full-Resolution"), "the folder of masks"),
    }

    def layout_for(self, request: Request) -> Layout:
        """Masks and images of the resolution asked for."""
        size = request.options["resolution"]
        return Layout("ImageSets/2017", f"Annotations/{size}", f"JPEGImages/{size}")


class LongTimeVideo(DavisStyle):
    """Long-Time Video, 1x or 3x: only labelled frames are read."""

    options = {
        "split": Option("val", None, "a list in the data's root; without val.txt all sequences"),
        "reading": Option(
            "davis",
            ("davis", "afburr"),
            "davis: without first and last labelled frame, as XMem and its followers report; afburr: the data set "
            "authors' scorer, where the last counts and 255 in a prediction is object 1",
        ),
    }
    layout = Layout("", "Annotations", "JPEGImages")

    def find(self, request: Request) -> dict[str, VideoFolders]:
        """The sequences of the list, or all: the published folders have none."""
        masks, split = request.data_root / self.layout.masks, request.options["split"]
        if split == "val" and masks.is_dir() and not (request.data_root / "val.txt").is_file():
            return self.layout.videos(request.data_root, _folders_in(masks))
        return super().find(request)

    def rules_for(self, request: Request) -> SemiRules:
        """The rules of the reading asked for."""
        authors = request.options["reading"] == "afburr"
        return SemiRules(skip_last=not authors, void_is_one=authors)


class Visor(DavisStyle):
    """EPIC-KITCHENS VISOR semi-supervised VOS: the last frame counts."""

    options = {"split": Option("val", None, "a list of ImageSets/2022: val is scored whole, val_unseen apart")}
    layout = Layout("ImageSets/2022", "Annotations/480p", "JPEGImages/480p")
    rules = SemiRules(skip_last=False)


class MoseV1(VideoScorer):
    """MOSEv1 with the DAVIS 2017 measure. The server's program is not public; this is for splits with local truth."""

    options = {"split": Option("valid", None, "the folder with Annotations and JPEGImages")}

    def find(self, request: Request) -> dict[str, VideoFolders]:
        """Every video that the truth has."""
        split = request.options["split"]
        if not (request.data_root / split / "Annotations").is_dir():
            there = ", ".join(sorted(path.parent.name for path in request.data_root.glob("*/Annotations"))) or "none"
            raise FileNotFoundError(f"{request.data_root / split / 'Annotations'}: no such folder; splits: {there}")
        layout = Layout("", f"{split}/Annotations", f"{split}/JPEGImages")
        return layout.videos(request.data_root, _folders_in(request.data_root / layout.masks))

    def run(self, request: Request) -> Scores:
        """Score every video that the truth has."""
        result = score_semi_supervised(request, self.videos(request), SemiRules(), J_AND_F)
        return Scores(self.name, dict(request.options), result.tables(J_AND_F), J_AND_F, result.frames)


class Vost(DavisStyle):
    """VOST: J, and J_last of the last quarter of the counted frames, the paper's J_tr (Tokmakov et al., CVPR 2023)."""

    options = {"split": Option("val", None, "a list of ImageSets")}
    layout = Layout("ImageSets", "Annotations", "JPEGImages")
    rules = SemiRules(boundary=False, refuse_unknown=False)

    def run(self, request: Request) -> Scores:
        """Score all sequences of the split."""
        result = score_semi_supervised(request, self.videos(request), self.rules, _J_AND_LAST)
        for row in result.per_object.values():
            row |= statistics.summary("J_last", row["J_frames"][int(0.75 * len(row["J_frames"])) :])
        tables = result.tables(_J_AND_LAST)
        return Scores(self.name, dict(request.options), tables, ("J-Mean", "J_last-Mean"), result.frames)


def _folders_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


for _scorer in (Davis2017("davis2017"), LongTimeVideo("longvideo"), Visor("visor"), MoseV1("mosev1"), Vost("vost")):
    SCORERS.register(_scorer.name)(_scorer)
