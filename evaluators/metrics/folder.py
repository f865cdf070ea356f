"""Any two folders of videos with masks, counted as vos-benchmark (hkchengrex) does. Figures are 0 to 100."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voskit.dataloaders.masks.files import read_mask
from voskit.dataloaders.masks.palette import MAX_ID
from voskit.evaluators.metrics.base import SCORERS, Option, Request, Scores, VideoFolders, VideoScorer, video_folders
from voskit.evaluators.metrics.frames.jobs import run_frames
from voskit.evaluators.metrics.frames.label_maps import read_label_map
from voskit.evaluators.metrics.frames.measure import VOID, FramePair, FrameValues, Rules, measure
from voskit.evaluators.metrics.frames.sequences import frame_pairs, mask_names
from voskit.evaluators.metrics.measures import statistics
from voskit.evaluators.metrics.semi_supervised import scored_frames

logger = logging.getLogger(__name__)

_KEYS = ("J&F", "J", "F")


class FolderPair(VideoScorer):
    """Videos present in both folders, frames present in the truth's; ids are whatever values occur, 255 included.

    A video whose truth has no other value than 255 besides 0 (or 0 and 255 with a soft edge) has one object, id 1, as
    masks are read everywhere; frames without the object don't change that. So it is with ``ignore_id``.

    An object counts from the first counted frame on where truth or prediction has its id, and is reported where the
    truth of some counted frame has it.
    """

    options = {
        "frames": Option("inner", ("inner", "all"), "inner: without each video's first and last truth; all: every one"),
        "binary": Option("no", ("no", "yes"), "yes: any value but 0 is the one object, in both folders"),
        "ignore_id": Option("none", None, "a value of the truth that is no object and is left out of both masks"),
    }

    def find(self, request: Request) -> dict[str, VideoFolders]:
        """The common videos; others are named in a warning."""
        names = _common_videos(request.data_root, request.results)
        return video_folders(names, request.data_root, request.data_root.parent / "JPEGImages")

    def run(self, request: Request) -> Scores:
        """Score the videos.

        Raises:
            ValueError: a video's results have none of the ids of its truth.
        """
        ignore_id = _number(request.options["ignore_id"])
        videos = self.videos(request)
        work, uncounted = {}, {}
        for video, folders in videos.items():
            truth, results = folders.masks, request.results / video
            names = mask_names(truth)
            counted = names[1:-1] if request.options["frames"] == "inner" else names
            rules = rules_for(truth, names, request.options["binary"] == "yes", ignore_id)
            work[video] = (rules, frame_pairs(truth, results, counted))
            uncounted[video] = [
                FramePair(name, truth / f"{name}.png", results / f"{name}.png")
                for name in dict.fromkeys((names[0], names[-1]))
                if name not in counted and (results / f"{name}.png").is_file()
            ]
        values = run_frames(measure, work, num_workers=request.num_workers, progress=request.progress)
        per_object, per_sequence, frames = {}, {}, []
        for video, (rules, pairs) in work.items():
            _refuse_other_ids(request.results / video, rules, values[video], uncounted[video])
            rows = object_rows(values[video])
            per_object[video] = rows
            if rows:
                per_sequence[video] = statistics.mean_of(rows.values(), _KEYS)
            frames += scored_frames(video, rules, pairs, values[video], videos[video].images)
        totals = statistics.mean_of([row for rows in per_object.values() for row in rows.values()], _KEYS)
        tables = {"global": totals, "per_sequence": per_sequence, "per_object": per_object}
        return Scores(self.name, dict(request.options), tables, _KEYS, frames)


def rules_for(truth: Path, names: Sequence[str], binary: bool, ignore_id: int | None) -> Rules:
    """How a video's masks are read: as given masks are, but decided for all frames of its truth together."""
    lone = _lone_value([truth / f"{name}.png" for name in names], ignore_id)
    if lone is None:
        return Rules(binary=binary, void=ignore_id)
    return Rules(binary=binary, one_from=(lone + 1) // 2, void_is_one=True)


def _lone_value(masks: Iterable[Path], ignore_id: int | None) -> int | None:
    """255 or ``ignore_id`` where a video's truth has no other value besides 0, else None."""
    found = None
    for path in masks:
        stored = read_label_map(path)
        values = np.unique(stored[stored != 0]).tolist()
        if not values:
            continue
        value = values[-1]
        if values not in ([VOID], [ignore_id]):
            # the mask reader's word on 0 and 255 with values between, which may be a soft edge or ids
            soft = value == VOID and np.array_equal(read_mask(path, ignore=VOID) == 1, stored > VOID // 2)
            if not soft:
                return None
        if found not in (None, value):
            return None
        found = value
    return found


def _refuse_other_ids(
    results: Path, rules: Rules, values: Sequence[FrameValues], uncounted: Sequence[FramePair]
) -> None:
    """Raise ValueError where truth and results have objects, but none in common, not in uncounted frames either."""

    def sides(values: Sequence[FrameValues]) -> tuple[set[int], set[int]]:
        return set().union(*(v.in_truth for v in values)), set().union(*(v.in_prediction for v in values))

    true, predicted = sides(values)
    if true and predicted and not true & predicted:
        true, predicted = sides([*values, *measure(rules, uncounted)])
        if not true & predicted:
            raise ValueError(
                f"{results}: its ids ({_listing(predicted)}) and those of the ground truth ({_listing(true)}) have "
                "none in common: give both the same ids, or say with binary that any value but 0 is the one object"
            )


def _listing(ids: Iterable[int]) -> str:
    first, more = sorted(ids)[:5], len(set(ids)) > 5
    return ", ".join(map(str, first)) + ", ..." * more


def _number(text: str) -> int | None:
    if text == "none":
        return None
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= MAX_ID:
        raise ValueError(f"--ignore_id {text}: give a value of masks, 1 to {MAX_ID}")
    return int(text)


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
