"""Any two folders of videos with masks, counted as vos-benchmark (hkchengrex) does. Figures are 0 to 100."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluators.metrics import statistics
from evaluators.metrics.base import SCORERS, Option, Request, Scorer, Scores
from evaluators.metrics.frames import FrameValues, Rules, measure
from evaluators.metrics.jobs import run_frames
from evaluators.metrics.semi_supervised import scored_frames
from evaluators.metrics.sequences import frame_pairs, mask_names

logger = logging.getLogger(__name__)

_KEYS = ("J&F", "J", "F")


class FolderPair(Scorer):
    """Videos present in both folders, frames present in the truth's; ids are whatever values occur, 255 included.

    An object counts from the first counted frame on where truth or prediction has its id, and is reported where the
    truth of some counted frame has it.
    """

    options = {
        "frames": Option("inner", ("inner", "all"), "inner: without each video's first and last truth; all: every one")
    }

    def run(self, request: Request) -> Scores:
        """Score the common videos; others are named in a warning."""
        rules = Rules()
        work = {}
        for video in _common_videos(request.data_root, request.results):
            names = mask_names(request.data_root / video)
            counted = names[1:-1] if request.options["frames"] == "inner" else names
            work[video] = (rules, frame_pairs(request.data_root / video, request.results / video, counted))
        values = run_frames(measure, work, num_workers=request.num_workers, progress=request.progress)
        per_object, per_sequence, frames = {}, {}, []
        for video, (_, pairs) in work.items():
            rows = object_rows(values[video])
            per_object[video] = rows
            if rows:
                per_sequence[video] = statistics.mean_of(rows.values(), _KEYS)
            images = request.data_root.parent / "JPEGImages" / video
            frames += scored_frames(video, rules, pairs, values[video], images)
        totals = statistics.mean_of([row for rows in per_object.values() for row in rows.values()], _KEYS)
        tables = {"global": totals, "per_sequence": per_sequence, "per_object": per_object}
        return Scores(self.name, dict(request.options), tables, _KEYS, frames)


def object_rows(values: Sequence[FrameValues]) -> dict[str, dict[str, Any]]:
    """Id to J, F, J&F (0 to 100) and values by frame (0 to 1) of a video measured with every id."""
    rows: dict[str, dict[str, Any]] = {}
    for object_id in sorted(set().union(*(value.in_truth for value in values))):
        begin = next(t for t, value in enumerate(values) if object_id in value.ids)
        region, boundary = np.ones(len(values) - begin), np.ones(len(values) - begin)  # 1 where neither side has it
        for t, value in enumerate(values[begin:]):
            if object_id in value.ids:
                at = value.ids.index(object_id)
                region[t], boundary[t] = value.region[at], value.boundary[at]
        j, f = 100 * float(region.mean()), 100 * float(boundary.mean())
        by_frame = {"J_frames": region.tolist(), "F_frames": boundary.tolist()}
        rows[str(object_id)] = {"J&F": (j + f) / 2, "J": j, "F": f, **by_frame}
    return rows


def _common_videos(truth: Path, results: Path) -> list[str]:
    videos = [{path.name for path in folder.iterdir() if path.is_dir()} for folder in (truth, results)]
    common = sorted(videos[0] & videos[1])
    if not common:
        raise ValueError(f"{results}: no folder here is called like a video of {truth}")
    for folder, alone in ((truth, videos[0] - videos[1]), (results, videos[1] - videos[0])):
        if alone:
            logger.warning("%s: left out, in this folder only: %s", folder, ", ".join(sorted(alone)))
    return common


SCORERS.register("folder")(FolderPair("folder"))
