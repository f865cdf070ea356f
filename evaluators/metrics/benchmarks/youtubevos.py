"""Scorer of YouTube-VOS 2018 and 2019: J and F over objects of seen and unseen categories.

Xu et al., "YouTube-VOS: A Large-Scale Video Object Segmentation Benchmark", arXiv:1809.03327. The server's program was
never published. It is known that J and F are averaged over objects, separately for seen and unseen categories, and
that the overall figure is the mean of the four. It is unknown which frames count, so there are two protocols (option
``reading``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from voskit.evaluators.clips.report import masks_folder
from voskit.evaluators.metrics.base import SCORERS, Option, Request, Scores, VideoFolders, VideoScorer, video_folders
from voskit.evaluators.metrics.frames.jobs import run_frames
from voskit.evaluators.metrics.frames.measure import FramePair, Rules, measure
from voskit.evaluators.metrics.frames.sequences import frame_pairs, read_json
from voskit.evaluators.metrics.measures import statistics
from voskit.evaluators.metrics.semi_supervised import scored_frames

_KEYS = ("Overall", "J-seen", "J-unseen", "F-seen", "F-unseen")


class YouTubeVos(VideoScorer):
    """J and F of seen and unseen categories.

    The ground truth, which the organizers keep private, is ``reference/Annotations/<video>/<frame>.png`` in the data
    root.
    """

    options = {
        "split": Option("val", ("val", "test"), "the folder valid or test with meta.json"),
        "reading": Option(
            "after_first_without_last",
            ("after_first_without_last", "after_first"),
            "the frames of an object after its first one, without the last frame of the video (as pytracking counts) "
            "or with it",
        ),
    }

    def find(self, request: Request) -> dict[str, VideoFolders]:
        """Return the videos in ``meta.json``."""
        meta = _meta_file(request)
        names = read_json(meta, "videos")["videos"]
        return video_folders(names, request.data_root / "reference" / "Annotations", meta.parent / "JPEGImages")

    def check(self, request: Request) -> None:
        """Check that ``meta.json`` and the files of seen categories can be read."""
        read_json(_meta_file(request), "videos")
        _Categories(request.data_root)

    def run(self, request: Request) -> Scores:
        """Score all videos in ``meta.json``."""
        videos = read_json(_meta_file(request), "videos")["videos"]
        categories, places = _Categories(request.data_root), self.videos(request)
        work: dict[str, tuple[Rules, list[FramePair]]] = {}
        for video, folders in places.items():
            objects = {int(k): v["frames"] for k, v in videos[video]["objects"].items()}
            listed = sorted(set().union(*objects.values()))
            first = min(min(frames) for frames in objects.values())
            counted = [frame for frame in listed if frame > first]
            rules = Rules(objects=tuple(sorted(objects)))
            work[video] = (rules, frame_pairs(folders.masks, masks_folder(request.results, video), counted))
        values = run_frames(measure, work, num_workers=request.num_workers, progress=request.progress)

        per_object: dict[str, dict[str, Any]] = {}
        frames = []
        with_last = request.options["reading"] == "after_first"
        for video, (rules, pairs) in work.items():
            frames += scored_frames(video, rules, pairs, values[video], places[video].images)
            at = {pair.name: value for pair, value in zip(pairs, values[video], strict=True)}
            last = max(max(entry["frames"]) for entry in videos[video]["objects"].values())
            for object_id, entry in videos[video]["objects"].items():
                counted = [f for f in sorted(entry["frames"])[1:] if with_last or f != last]
                place = (rules.objects or ()).index(int(object_id))
                region = [float(at[frame].region[place]) for frame in counted]
                boundary = [float(at[frame].boundary[place]) for frame in counted]
                per_object[f"{video}/{object_id}"] = {
                    "seen": categories.seen(video, object_id, entry),
                    "J": statistics.mean(region),
                    "F": statistics.mean(boundary),
                    "J_frames": region,
                    "F_frames": boundary,
                }
        tables = {"global": _totals(per_object), "per_object": per_object}
        return Scores(self.name, dict(request.options), tables, _KEYS, frames)


def _meta_file(request: Request) -> Path:
    folder = {"val": "valid", "test": "test"}.get(request.options["split"], "")
    return request.meta or request.data_root / folder / "meta.json"


def _totals(per_object: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Return the means over objects, without those that have no counted frame (NaN)."""
    totals = {
        f"{measure}-{group}": statistics.mean([row[measure] for row in per_object.values() if row["seen"] == seen])
        for measure in ("J", "F")
        for group, seen in (("seen", True), ("unseen", False))
    }
    return {"Overall": float(np.mean(list(totals.values()))), **totals}


class _Categories:
    """Categories seen in training.

    The category of an object is in ``meta.json``, or in ``categories.json`` in the data root. The seen categories are
    listed in ``categories.json``; otherwise they are those in ``train/meta.json``.
    """

    def __init__(self, root: Path) -> None:
        self._file = root / "categories.json"
        self._listed: dict[str, Any] = read_json(self._file) if self._file.is_file() else {}
        if "seen" in self._listed:
            self._seen = set(self._listed["seen"])
        elif (root / "train" / "meta.json").is_file():
            videos = read_json(root / "train" / "meta.json", "videos")["videos"].values()
            self._seen = {entry["category"] for video in videos for entry in video["objects"].values()}
        else:
            raise FileNotFoundError(
                f"{self._file}: no such file, and no train/meta.json: one of them must list the seen categories"
            )

    def seen(self, video: str, object_id: str, entry: dict[str, Any]) -> bool:
        """Return True if the category of an object was seen in training."""
        category = entry.get("category") or self._listed.get("objects", {}).get(video, {}).get(object_id)
        if category is None:
            raise ValueError(
                f"{self._file}: no category for object {object_id} of video {video}, and none in meta.json: add it"
            )
        return category in self._seen


for _name in ("youtubevos2018", "youtubevos2019"):
    SCORERS.register(_name)(YouTubeVos(_name))
