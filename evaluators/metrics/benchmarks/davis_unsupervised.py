"""Scorers of DAVIS 2017 unsupervised and of Ref-DAVIS17, which uses the same metric.

Proposals are matched one-to-one to objects, to maximize the sum of their mean (J + F) / 2 (Caelles et al., "The 2019
DAVIS Challenge on VOS", arXiv:1905.00737). All frames count; void is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voskit.dataloaders.datasets import ANNOTATORS
from voskit.dataloaders.datasets.layout import subfolders
from voskit.evaluators.clips.report import masks_folder
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
from voskit.evaluators.metrics.frames.jobs import run_frames
from voskit.evaluators.metrics.frames.measure import (
    MAX_PROPOSALS,
    VOID,
    FramePair,
    Rules,
    highest_id,
    measure_all_pairs,
)
from voskit.evaluators.metrics.frames.sequences import frame_pairs, image_of, mask_names, read_list
from voskit.evaluators.metrics.measures import statistics
from voskit.evaluators.metrics.measures.assignment import best_assignment
from voskit.evaluators.metrics.semi_supervised import J_AND_F, object_row, with_j_and_f


def match(region: NDArray[np.float64], boundary: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return the pairs (proposal, object) of the best matching, in ascending order of proposals.

    Args:
        region, boundary: T x P x O, J and F of every proposal with every object in every frame.
    """
    worth = (region.mean(axis=0) + boundary.mean(axis=0)) / 2
    return [(int(p), int(o)) for p, o in zip(*best_assignment(worth), strict=True)]


def score_proposals(
    request: Request, videos: Mapping[str, VideoFolders]
) -> tuple[dict[str, dict[str, Any]], list[ScoredFrame]]:
    """Match proposals to objects and score them.

    Returns:
        Rows named ``<sequence>_<k>`` for the k-th matched pair in each sequence, and the frames.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is invalid, or a sequence has more than 20 proposals.
    """
    work: dict[str, tuple[Rules, Sequence[FramePair]]] = {}
    for sequence, folders in videos.items():
        names = mask_names(folders.masks)
        objects = tuple(range(1, 1 + highest_id(folders.masks / f"{names[0]}.png")))
        rules = Rules(objects=objects, void=VOID, highest=MAX_PROPOSALS)
        work[sequence] = (rules, frame_pairs(folders.masks, masks_folder(request.results, sequence), names))
    values = run_frames(measure_all_pairs, work, num_workers=request.num_workers, progress=request.progress)
    rows: dict[str, dict[str, Any]] = {}
    frames: list[ScoredFrame] = []
    for sequence, (rules, pairs) in work.items():
        assert rules.objects is not None
        used = max(len(rules.objects), *(value.highest for value in values[sequence]))
        region = np.array([value.region for value in values[sequence]])[:, :used]
        boundary = np.array([value.boundary for value in values[sequence]])[:, :used]
        matched = match(region, boundary)
        for k, (p, o) in enumerate(matched, start=1):
            rows[f"{sequence}_{k}"] = object_row(region[:, p, o], boundary[:, p, o])
        if not matched:
            continue
        at = tuple(np.array(matched).T)
        means = ((region + boundary) / 2)[:, at[0], at[1]].mean(axis=1)
        frames += [
            ScoredFrame(
                sequence, pair, replace(rules, highest=None), float(value), image_of(videos[sequence].images, pair.name)
            )
            for pair, value in zip(pairs, means, strict=True)
        ]
    return rows, frames


class Davis2017Unsupervised(VideoScorer):
    """J&F of up to 20 proposals, matched to the objects."""

    options = {
        "split": Option("val", None, "a list in ImageSets/2017, or in ImageSets/2019 for the test sets"),
        "resolution": Option("480p", ("480p", "Full-Resolution"), "the folder of masks"),
    }

    def find(self, request: Request) -> dict[str, VideoFolders]:
        """Return the sequences in the list."""
        split, size = request.options["split"], request.options["resolution"]
        names = read_list(request.data_root / "ImageSets" / ("2019" if "test" in split else "2017") / f"{split}.txt")
        masks = request.data_root / "Annotations_unsupervised" / size
        return video_folders(names, masks, request.data_root / "JPEGImages" / size)

    def run(self, request: Request) -> Scores:
        """Score all sequences of the split."""
        rows, frames = score_proposals(request, self.videos(request))
        totals = statistics.mean_of(with_j_and_f(rows.values()), J_AND_F)
        return Scores(self.name, dict(request.options), {"global": totals, "per_object": rows}, J_AND_F, frames)


class RefDavis17(VideoScorer):
    """Unsupervised metric for each annotator's results, ``anno_0`` to ``anno_3``, and the mean."""

    archives = ("annotators",)
    options = {"split": Option("val", None, "a list in DAVIS/ImageSets/2017, or the folder valid or train")}

    def find(self, request: Request) -> dict[str, VideoFolders]:
        """Return the sequences in the list of DAVIS, or all in ``valid`` (``train``) of the converted layout."""
        split = request.options["split"]
        converted = request.data_root / {"val": "valid"}.get(split, split)
        if (converted / "Annotations").is_dir():
            names = subfolders(converted / "Annotations")
            return video_folders(names, converted / "Annotations", converted / "JPEGImages")
        root = request.data_root / "DAVIS" if (request.data_root / "DAVIS").is_dir() else request.data_root
        names = read_list(root / "ImageSets" / "2017" / f"{split}.txt")
        return video_folders(names, root / "Annotations_unsupervised" / "480p", root / "JPEGImages" / "480p")

    def run(self, request: Request) -> Scores:
        """Score the folders of the four annotators."""
        videos = self.videos(request)
        per_annotator: dict[str, dict[str, float]] = {}
        per_object: dict[str, dict[str, Any]] = {}
        frames: list[ScoredFrame] = []
        for annotator in (f"anno_{a}" for a in range(ANNOTATORS)):
            rows, scored = score_proposals(replace(request, results=request.results / annotator), videos)
            per_annotator[annotator] = statistics.mean_of(with_j_and_f(rows.values()), J_AND_F)
            per_object |= {f"{annotator}/{name}": row for name, row in rows.items()}
            frames += [replace(frame, sequence=f"{annotator}/{frame.sequence}") for frame in scored]
        tables = {
            "global": statistics.mean_of(per_annotator.values(), J_AND_F),
            "per_annotator": per_annotator,
            "per_object": per_object,
        }
        return Scores(self.name, dict(request.options), tables, J_AND_F, frames)


for _scorer in (Davis2017Unsupervised("davis2017_unsupervised"), RefDavis17("refdavis17")):
    SCORERS.register(_scorer.name)(_scorer)
