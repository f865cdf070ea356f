"""Scorer of any two folders of mask videos, with the rules of vos-benchmark (hkchengrex). Figures are 0 to 100."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np

from voskit.dataloaders import MAX_ID
from voskit.dataloaders.datasets.layout import subfolders
from voskit.dataloaders.masks.mask_set import lone_value, mask_values
from voskit.evaluators.clips.report import masks_folder
from voskit.evaluators.metrics.base import SCORERS, Option, Request, Scores, VideoFolders, VideoScorer
from voskit.evaluators.metrics.frames.jobs import run_frames
from voskit.evaluators.metrics.frames.measure import VOID, FramePair, FrameValues, Rules, measure
from voskit.evaluators.metrics.frames.sequences import check_counted, frame_pairs, mask_names
from voskit.evaluators.metrics.measures import statistics
from voskit.evaluators.metrics.semi_supervised import scored_frames

logger = logging.getLogger(__name__)

_KEYS = ("J&F", "J", "F")


class FolderPair(VideoScorer):
    """J&F of the videos in both folders, over the frames with true masks. Any value is an id, including 255.

    If the true masks of a video have only the values 0 and 255 (or 0 and 255 with a soft edge), it has one object,
    id 1, as everywhere else. Frames without the object don't change that. The same is true for 0 and ``ignore_id``.

    An object counts from the first counted frame in which its id is in the true or the predicted mask. It is reported
    if its id is in the true mask of a counted frame.
    """

    options = {
        "frames": Option(
            "inner", ("inner", "all"), "inner: all but the first and the last true mask of a video; all: all of them"
        ),
        "binary": Option("no", ("no", "yes"), "yes: any value but 0 is object 1, in both folders"),
        "ignore_id": Option(
            "none", None, "a value in true masks that isn't an object; its pixels are left out of both masks"
        ),
    }

    def find(self, request: Request) -> dict[str, VideoFolders]:
        """Return the videos in both folders, and warn about others."""
        names = _common_videos(request.data_root, request.results)
        root, images = request.data_root, request.data_root.parent / "JPEGImages"
        return {name: VideoFolders(masks_folder(root, name), images / name) for name in names}

    def check(self, request: Request) -> None:
        """Check that some frames count, if the videos are known."""
        if request.videos is not None:
            self._check_counted(request, {v: mask_names(folders.masks) for v, folders in request.videos.items()})

    @staticmethod
    def _check_counted(request: Request, names: Mapping[str, Sequence[str]]) -> None:
        if request.options["frames"] == "inner":
            advice = "voskit score --dataset folder --frames all counts them"
            check_counted({video: len(masks[1:-1]) for video, masks in names.items()}, advice)

    def run(self, request: Request) -> Scores:
        """Score the videos.

        Raises:
            ValueError: the true and the predicted masks of a video have no id in common.
        """
        ignore_id = _number(request.options["ignore_id"])
        videos = self.videos(request)
        work, uncounted = {}, {}
        self._check_counted(request, {video: mask_names(folders.masks) for video, folders in videos.items()})
        for video, folders in videos.items():
            truth, results = folders.masks, masks_folder(request.results, video)
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
            _refuse_other_ids(masks_folder(request.results, video), rules, values[video], uncounted[video])
            rows = object_rows(values[video])
            per_object[video] = rows
            if rows:
                per_sequence[video] = statistics.mean_of(rows.values(), _KEYS)
            frames += scored_frames(video, rules, pairs, values[video], videos[video].images)
        totals = statistics.mean_of([row for rows in per_object.values() for row in rows.values()], _KEYS)
        tables = {"global": totals, "per_sequence": per_sequence, "per_object": per_object}
        return Scores(self.name, dict(request.options), tables, _KEYS, frames)


def rules_for(truth: Path, names: Sequence[str], binary: bool, ignore_id: int | None) -> Rules:
    """Return the rules for reading a video's masks: those of ``read_mask``, decided for all true masks together."""
    values = (mask_values(truth / f"{name}.png") for name in names)
    lone = lone_value(values, {VOID, *([] if ignore_id is None else [ignore_id])})
    if lone is None:
        return Rules(binary=binary, void=ignore_id)
    return Rules(binary=binary, one_from=(lone + 1) // 2, void_is_one=True)


def _refuse_other_ids(
    results: Path, rules: Rules, values: Sequence[FrameValues], uncounted: Sequence[FramePair]
) -> None:
    """Raise ValueError if true and predicted masks have objects but no id in common, even in uncounted frames."""

    def sides(values: Sequence[FrameValues]) -> tuple[set[int], set[int]]:
        return set().union(*(v.in_truth for v in values)), set().union(*(v.in_prediction for v in values))

    true, predicted = sides(values)
    if true and predicted and not true & predicted:
        true, predicted = sides([*values, *measure(rules, uncounted)])
        if not true & predicted:
            raise ValueError(
                f"{results}: its ids ({_listing(predicted)}) and those of the ground truth ({_listing(true)}) have "
                "none in common: use the same ids in both, or the option binary if every value but 0 is the object"
            )


def _listing(ids: Iterable[int]) -> str:
    first, more = sorted(ids)[:5], len(set(ids)) > 5
    return ", ".join(map(str, first)) + ", ..." * more


def _number(text: str) -> int | None:
    if text == "none":
        return None
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= MAX_ID:
        raise ValueError(f"--ignore_id {text}: give an integer from 1 to {MAX_ID}, or none")
    return int(text)


def object_rows(values: Sequence[FrameValues]) -> dict[str, dict[str, Any]]:
    """Return J, F, J&F (0 to 100) and the values per frame (0 to 1) of each object in a video, by id."""
    rows: dict[str, dict[str, Any]] = {}
    for object_id in sorted(set().union(*(value.in_truth for value in values))):
        begin = next(t for t, value in enumerate(values) if object_id in value.ids)
        region, boundary = np.ones(len(values) - begin), np.ones(len(values) - begin)  # 1 if neither mask has the id
        for t, value in enumerate(values[begin:]):
            if object_id in value.ids:
                at = value.ids.index(object_id)
                region[t], boundary[t] = value.region[at], value.boundary[at]
        j, f = 100 * float(region.mean()), 100 * float(boundary.mean())
        by_frame = {"J_frames": region.tolist(), "F_frames": boundary.tolist()}
        rows[str(object_id)] = {"J&F": (j + f) / 2, "J": j, "F": f, **by_frame}
    return rows


def _common_videos(truth: Path, results: Path) -> list[str]:
    """Return the names of the videos in both folders, as spelled in ``truth``; Unicode forms may differ."""
    videos, found = (set(subfolders(folder)) for folder in (truth, results))
    forms = {normalize("NFC", name): name for name in found} | {name: name for name in found}
    taken = {name: own for name in sorted(videos) if (own := forms.get(name, forms.get(normalize("NFC", name))))}
    common = list(taken)
    if not common:
        for folder in (truth, results):
            if next(folder.glob("*.png"), None) is not None:
                raise ValueError(
                    f"{folder} contains the masks of one video: give its parent folder, with a folder for each video"
                )
        raise ValueError(f"{results}: no folder here has the name of a video in {truth}")
    for folder, alone in ((truth, videos - taken.keys()), (results, found - set(taken.values()))):
        if alone:
            logger.warning("%s: left out videos that only this folder has: %s", folder, ", ".join(sorted(alone)))
    return common


SCORERS.register("folder")(FolderPair("folder"))
