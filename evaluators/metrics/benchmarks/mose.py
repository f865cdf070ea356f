"""Scorers of MOSE v1 (Ding et al., ICCV 2023) and MOSE v2.

MOSE v2 adapts the tolerance of F to the object's size and reports J&F after disappearance and reappearance (Ding et
al., "MOSEv2: A More Challenging Dataset for Video Object Segmentation in Complex Scenes", arXiv:2508.05630).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from voskit.evaluators.metrics.frames.measure import FramePair, Rules, read_pair
from voskit.evaluators.metrics.frames.sequences import frame_pairs, image_of, mask_names, read_json
from voskit.evaluators.metrics.measures import statistics
from voskit.evaluators.metrics.measures.bit_planes import pack_ids, tolerance
from voskit.evaluators.metrics.measures.jaccard_boundary import boundary_of_planes
from voskit.evaluators.metrics.semi_supervised import J_AND_F, DavisFolders, SemiRules, score_semi_supervised

_HEADLINE_V2 = ("J&F_new", "J", "F_new", "disappear_J&F_new", "reappear_J&F_new", "F", "J&F")


class MoseV1(VideoScorer):
    """The DAVIS 2017 metric, for splits with local ground truth. The server's program isn't public."""

    options = {"split": Option("valid", None, "the folder with Annotations and JPEGImages")}

    def find(self, request: Request) -> dict[str, VideoFolders]:
        """Return every video with ground truth."""
        split = request.options["split"]
        if not (request.data_root / split / "Annotations").is_dir():
            there = ", ".join(sorted(path.parent.name for path in request.data_root.glob("*/Annotations"))) or "none"
            raise FileNotFoundError(f"{request.data_root / split / 'Annotations'}: no such folder; splits: {there}")
        folders = DavisFolders("", f"{split}/Annotations", f"{split}/JPEGImages")
        return folders.videos(request.data_root, subfolders(request.data_root / folders.masks))

    def run(self, request: Request) -> Scores:
        """Score every video with ground truth."""
        result = score_semi_supervised(request, self.videos(request), SemiRules(), J_AND_F)
        return Scores(self.name, dict(request.options), result.tables(J_AND_F), J_AND_F, result.frames)


@dataclass(frozen=True)
class MoseValues:
    """J, F_new and F of the N objects in a frame, and a flag for each object without true pixels."""

    region: NDArray[np.float64]
    boundary_new: NDArray[np.float64]
    boundary: NDArray[np.float64]
    empty: NDArray[np.bool_]


def measure_mose(rules: Rules, pairs: Sequence[FramePair]) -> list[MoseValues]:
    """Measure frames by the rules of MOSE v2."""
    return [_measure_frame(rules, pair) for pair in pairs]


def region_with_one_added(both: int, either: int) -> float:
    """Return (both + 1) / (either + 1), but at most 1; if ``either`` is 0, return 1."""
    return min(1.0, (both + 1) / (either + 1)) if either else 1.0


def tolerances(shape: tuple[int, int], area: int) -> tuple[float, float]:
    """Return the tolerances of F and F_new, in pixels, for an object of ``area`` true pixels.

    If the object is large or absent, both are 0.008 of the diagonal, unrounded. Otherwise, the tolerance of F is that
    value rounded up, and the tolerance of F_new is a tenth of the square root of the area, rounded up.
    """
    full = tolerance(*shape)
    narrow = math.ceil(0.1 * math.sqrt(area)) if area else full
    return (math.ceil(full), narrow) if narrow < full else (full, full)


def segments(empty: Sequence[bool]) -> tuple[list[range], list[range]]:
    """Return the stretches of frames after each disappearance and after each reappearance of an object.

    An object that is absent in frame 0 starts no stretch there, but its absence still counts as a disappearance.
    """
    n = len(empty)
    gone = [t for t in range(n) if empty[t] and (t == 0 or not empty[t - 1])]
    back = [t for t in range(1, n) if not empty[t] and empty[t - 1]]
    ends = [*back, *[n] * len(gone)]
    absent = [range(start, ends[i]) for i, start in enumerate(gone) if start > 0]
    ends = [*gone[1:], *[n] * (len(back) + 1)]
    present = [range(start, ends[i]) for i, start in enumerate(back)]
    return absent, present


class MoseV2(VideoScorer):
    """J&F with adaptive tolerance for the objects in ``meta.json``. The first and the last frame don't count."""

    def find(self, request: Request) -> dict[str, VideoFolders]:
        """Return the videos in the meta file."""
        root = _root(request)
        return video_folders(_entries(request), root / "Annotations", root / "JPEGImages")

    def check(self, request: Request) -> None:
        """Check that the meta file can be read."""
        _entries(request)

    def run(self, request: Request) -> Scores:
        """Score all videos. The results must have a mask for every true mask, including the first."""
        entries, videos = _entries(request), self.videos(request)
        work: dict[str, tuple[Rules, list[FramePair]]] = {}
        for video, folders in sorted(videos.items()):
            names = sorted(mask_names(folders.masks), key=int)
            pairs = frame_pairs(folders.masks, masks_folder(request.results, video), names)
            work[video] = (Rules(objects=tuple(int(k) for k in entries[video]["objects"])), pairs[1:-1])
        values = run_frames(measure_mose, work, num_workers=request.num_workers, progress=request.progress)
        per_object: dict[str, dict[str, Any]] = {}
        frames: list[ScoredFrame] = []
        for video, (rules, pairs) in work.items():
            assert rules.objects is not None
            per_object |= {f"{video}_{k}": _row(values[video], i) for i, k in enumerate(rules.objects)}
            folder = videos[video].images
            frames += [
                ScoredFrame(
                    video, pair, rules, float((v.region + v.boundary_new).mean() / 2), image_of(folder, pair.name)
                )
                for pair, v in zip(pairs, values[video], strict=True)
            ]
        tables = {"global": _totals(per_object), "per_object": per_object}
        return Scores(self.name, dict(request.options), tables, _HEADLINE_V2, frames)


def _root(request: Request) -> Path:
    """Return the folder of the split: the data root, or ``valid`` in it."""
    valid = request.data_root / "valid"
    return valid if (valid / "Annotations").is_dir() else request.data_root


def _entries(request: Request) -> dict[str, Any]:
    places = (_root(request) / "meta.json", request.data_root / "meta.json")
    path: Path = request.meta or next((path for path in places if path.is_file()), places[0])
    entries: dict[str, Any] = read_json(path, "videos")["videos"]
    return entries


def _measure_frame(rules: Rules, pair: FramePair) -> MoseValues:
    assert rules.objects is not None
    predicted, true = read_pair(rules, pair)
    rows = []
    for k in rules.objects:
        p, t = predicted == k, true == k
        area = int(np.count_nonzero(t))
        both, either = int(np.count_nonzero(p & t)), int(np.count_nonzero(p | t))
        planes = pack_ids(predicted, [k]), pack_ids(true, [k])
        wide, narrow = tolerances((true.shape[0], true.shape[1]), area)
        boundary = float(boundary_of_planes(*planes, wide)[0])
        new = boundary if narrow == wide else float(boundary_of_planes(*planes, narrow)[0])
        rows.append((region_with_one_added(both, either), new, boundary, area == 0))
    table = np.array(rows, np.float64).reshape(-1, 4)
    return MoseValues(table[:, 0], table[:, 1], table[:, 2], table[:, 3].astype(bool))


def _row(values: Sequence[MoseValues], i: int) -> dict[str, Any]:
    j = np.array([value.region[i] for value in values])
    new = np.array([value.boundary_new[i] for value in values])
    f = np.array([value.boundary[i] for value in values])
    empty = [bool(value.empty[i]) for value in values]
    row: dict[str, Any] = {"J": statistics.mean(j), "F_new": statistics.mean(new), "F": statistics.mean(f)}
    for name, stretches in zip(("disappear", "reappear"), segments(empty), strict=True):
        for key, series in (("J", j), ("F_new", new)):
            row[f"{key}_{name}"] = statistics.mean([series[s.start : s.stop].mean() for s in stretches])
    return {**row, "J_frames": j.tolist(), "F_new_frames": new.tolist(), "F_frames": f.tolist(), "empty_truth": empty}


def _totals(per_object: dict[str, dict[str, Any]]) -> dict[str, float]:
    def over_objects(key: str) -> float:
        return statistics.mean([row[key] for row in per_object.values()])

    j, new, f = over_objects("J"), over_objects("F_new"), over_objects("F")
    again = {
        f"{name}_J&F_new": (over_objects(f"J_{name}") + over_objects(f"F_new_{name}")) / 2
        for name in ("disappear", "reappear")
    }
    return {"J&F_new": (j + new) / 2, "J": j, "F_new": new, **again, "F": f, "J&F": (j + f) / 2}


for _scorer in (MoseV1("mosev1"), MoseV2("mosev2")):
    SCORERS.register(_scorer.name)(_scorer)
