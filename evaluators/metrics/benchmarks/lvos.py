"""Scorer of LVOS v1 and v2: J, F and their variation V over time, for videos of seen and unseen categories.

Hong et al., "LVOS: A Benchmark for Long-term Video Object Segmentation", ICCV 2023.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from voskit.dataloaders.files import read_text
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
from voskit.evaluators.metrics.benchmarks.davis_unsupervised import match
from voskit.evaluators.metrics.frames.jobs import run_frames
from voskit.evaluators.metrics.frames.measure import (
    MAX_PROPOSALS,
    FramePair,
    FrameValues,
    PairValues,
    Rules,
    measure,
    measure_all_pairs,
)
from voskit.evaluators.metrics.frames.sequences import frame_pairs, read_json
from voskit.evaluators.metrics.measures import statistics
from voskit.evaluators.metrics.measures.bit_planes import BoundaryKind
from voskit.evaluators.metrics.semi_supervised import scored_frames

_STEP = 5
_MEASURES = ("J", "F", "V")


@dataclass(frozen=True)
class _Life:
    """Id of an object, and the names of its frames from its first to its last, inclusive."""

    object_id: int
    names: tuple[str, ...]


class Lvos(VideoScorer):
    """J, F and V of the objects in ``<split>_meta.json``, each in its own frames."""

    options = {
        "split": Option("val", ("val", "test"), "the folder valid or test"),
        "reading": Option(
            "plain",
            ("plain", "compiled"),
            "plain: boundaries as in DAVIS; compiled: boundaries as in the tool's optional compiled routine, which "
            "misses right and lower edges. It is unknown which one the published tables are from",
        ),
        "task": Option(
            "semi_supervised", ("semi_supervised", "unsupervised_multiple"), "ids as given, or up to 20 proposals"
        ),
    }

    def find(self, request: Request) -> dict[str, VideoFolders]:
        """Return the videos in the meta file."""
        meta = _meta_file(request)
        names = read_json(meta, "videos")["videos"]
        return video_folders(names, meta.parent / "Annotations", meta.parent / "JPEGImages")

    def check(self, request: Request) -> None:
        """Check that the meta file and the list of unseen videos can be read."""
        read_json(_meta_file(request), "videos")
        _unseen(_meta_file(request).with_name("unseen_videos.txt"))

    def run(self, request: Request) -> Scores:
        """Score all videos in the meta file, in the order of their names."""
        meta, places = _meta_file(request), self.videos(request)
        videos = read_json(meta, "videos")["videos"]
        unseen = _unseen(meta.with_name("unseen_videos.txt"))
        proposals = request.options["task"] == "unsupervised_multiple"
        kind = cast(BoundaryKind, request.options["reading"])
        lives = {video: _lives(videos[video]["objects"]) for video in sorted(places)}
        work: dict[str, tuple[Rules, list[FramePair]]] = {}
        for video, objects in lives.items():
            names = {name for life in objects for name in (life.names[:-1] if proposals else life.names[1:-1])}
            ids = tuple(life.object_id for life in objects)
            rules = Rules(objects=ids, boundary=kind, highest=MAX_PROPOSALS if proposals else None)
            pairs = frame_pairs(places[video].masks, masks_folder(request.results, video), sorted(names))
            work[video] = (rules, pairs)
        frames: list[ScoredFrame] = []
        if proposals:
            rows = _proposal_rows(request, work, lives)
        else:
            rows, values = _object_rows(request, work, lives)
            for video, (rules, pairs) in work.items():
                frames += scored_frames(video, rules, pairs, values[video], places[video].images)
        for name, row in rows.items():
            row["unseen"] = name.rpartition("_")[0] in unseen
        tables = {"global": _totals(rows), "per_object": rows}
        headline = ("J&F-Mean", "J-Mean", "F-Mean", "V-Mean")
        return Scores(self.name, dict(request.options), tables, headline, frames)


def variation(region: np.ndarray, boundary: np.ndarray) -> float:
    """Return the square root of the variance of (J + F) / 2 over frames.

    As in the official tool, the variance is rounded to four decimals first.
    """
    return float(np.sqrt(np.round(np.var((region + boundary) / 2), 4))) if region.size else float("nan")


def _row(region: np.ndarray, boundary: np.ndarray) -> dict[str, Any]:
    return {
        "J-Mean": statistics.mean(region),
        "F-Mean": statistics.mean(boundary),
        "V-Mean": variation(region, boundary),
        "J-Recall": statistics.recall(region),
        "J-Decay": 0.0,  # always 0 in the tool
        "F-Recall": statistics.recall(boundary),
        "F-Decay": 0.0,
        "J_frames": region.tolist(),
        "F_frames": boundary.tolist(),
    }


def _object_rows(
    request: Request, work: dict[str, tuple[Rules, list[FramePair]]], lives: dict[str, list[_Life]]
) -> tuple[dict[str, dict[str, Any]], dict[str, list[FrameValues]]]:
    """Return a row for each object, over its frames except the first and the last, and the values of all frames."""
    values = run_frames(measure, work, num_workers=request.num_workers, progress=request.progress)
    rows = {}
    for video, (_, pairs) in work.items():
        at = {pair.name: value for pair, value in zip(pairs, values[video], strict=True)}
        for k, life in enumerate(lives[video]):
            counted = life.names[1:-1]
            region = np.array([at[name].region[k] for name in counted])
            boundary = np.array([at[name].boundary[k] for name in counted])
            rows[f"{video}_{k + 1}"] = {"object_id": str(life.object_id), **_row(region, boundary)}
    return rows, values


def _proposal_rows(
    request: Request, work: dict[str, tuple[Rules, list[FramePair]]], lives: dict[str, list[_Life]]
) -> dict[str, dict[str, Any]]:
    """Return a row for each matched pair, over the object's frames. The last frame counts as 0, as in the tool."""
    values = run_frames(measure_all_pairs, work, num_workers=request.num_workers, progress=request.progress)
    rows = {}
    for video, (_, pairs) in work.items():
        at = {pair.name: value for pair, value in zip(pairs, values[video], strict=True)}
        series = [_over_life(life, at, k) for k, life in enumerate(lives[video])]
        region, boundary = (np.array([each[which].mean(axis=0) for each in series]).T[None] for which in (0, 1))
        for k, (p, o) in enumerate(match(region, boundary), start=1):
            rows[f"{video}_{k}"] = _row(series[o][0][:, p], series[o][1][:, p])
    return rows


def _over_life(life: _Life, at: dict[str, PairValues], k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return J and F of each proposal with the k-th object, frames x 20."""
    last = np.zeros((1, MAX_PROPOSALS))
    region = np.array([at[name].region[:, k] for name in life.names[:-1]]).reshape(-1, MAX_PROPOSALS)
    boundary = np.array([at[name].boundary[:, k] for name in life.names[:-1]]).reshape(-1, MAX_PROPOSALS)
    return np.concatenate([region, last]), np.concatenate([boundary, last])


def _totals(rows: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Return the means over objects of seen and of unseen videos, and the means of both. Empty groups are NaN."""
    totals: dict[str, float] = {}
    for key in _MEASURES:
        groups = {
            group: statistics.mean([row[f"{key}-Mean"] for row in rows.values() if row["unseen"] == unseen])
            for group, unseen in (("seen", False), ("unseen", True))
        }
        totals[f"{key}-Mean"] = (groups["seen"] + groups["unseen"]) / 2
        totals |= {f"{key}-{group}-Mean": value for group, value in groups.items()}
    return {"J&F-Mean": (totals["J-Mean"] + totals["F-Mean"]) / 2, **totals}


def _lives(objects: dict[str, Any]) -> list[_Life]:
    lives = []
    for object_id, entry in objects.items():
        frame_range = entry["frame_range"]
        start, end = int(frame_range["start"]), int(frame_range["end"])
        names = tuple(f"{frame:08d}" for frame in range(start, end + 1, _STEP))
        lives.append(_Life(int(object_id), names))
    return lives


def _meta_file(request: Request) -> Path:
    if request.meta is not None:
        return request.meta
    folder = request.data_root / {"val": "valid", "test": "test"}[request.options["split"]]
    return folder / f"{folder.name}_meta.json"


def _unseen(path: Path) -> set[str]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such list of videos")
    return set(read_text(path).split())


for _name in ("lvos", "lvosv1", "lvosv2"):
    SCORERS.register(_name)(Lvos(_name))
