"""Figures of one run on one dataset: accuracy, returns, id switches, speed and memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from voskit.evaluators.compare.tracks import Tracks
from voskit.evaluators.metrics.measures import statistics

BINS = 10
"""Number of parts of a video in ``Figures.curve``."""


@dataclass(frozen=True)
class Column:
    """Column of the table: title, meaning, and format of its values."""

    title: str
    meaning: str
    spec: str = ".1f"


COLUMNS = {
    "J&F": Column("J&F", "mean of J and F over all objects, 0 to 100, with the rules of DAVIS 2017"),
    "J": Column("J", "region similarity, 0 to 100"),
    "J_end": Column("J end", "J in the last quarter of each video"),
    "decay": Column("decay", "J in the first quarter minus J in the last"),
    "J_back": Column("J back", "J after an absence of at least five annotated frames, until the next absence"),
    "found": Column("found", "percentage of such returns with a mean J above 50"),
    "ghosts": Column("ghosts", "percentage of absence frames in which the absent object has a mask"),
    "switches": Column("switches", "how often an id changes from one object to another, summed over all videos", "d"),
    "mixed": Column("mixed", "percentage of the objects' pixels that have the id of another object"),
    "seconds": Column("s/frame", "seconds per predicted frame, from the decoded frame to its ids", ".3f"),
    "memory": Column("memory", "MiB: maximum long-term memory; on accelerators, maximum allocation", ".0f"),
}
"""Columns of the table, by key of ``Figures.row``."""


@dataclass(frozen=True)
class Figures:
    """Figures of one run on one dataset.

    Attributes:
        row: values by key of ``COLUMNS``; NaN if there is nothing to measure, such as no object that returns.
        videos: J&F by video, 0 to 100.
        curve: mean J over all objects in each tenth of the videos, 0 to 100; NaN where no frame counts.
    """

    row: Mapping[str, float]
    videos: Mapping[str, float]
    curve: tuple[float, ...]


def figures_of(tracks: Mapping[str, Tracks], timing: Mapping[str, Any]) -> Figures:
    """Compute the figures of a run.

    Args:
        tracks: measurements by video.
        timing: content of ``timing.json``.
    """
    rows = {video: _object_rows(each) for video, each in tracks.items()}
    objects = [row for of_video in rows.values() for row in of_video]
    back = [np.mean(each.overlaps[frames, k, k]) for each, k, frames in _spans(tracks, "returns")]
    ghosts = [each.pixels[frames, :, k + 1].sum(1) > 0 for each, k, frames in _spans(tracks, "absences")]
    exchanged, pixels = np.sum([each.exchanged for each in tracks.values()], axis=0).tolist() if tracks else (0, 0)
    keys = ("J&F", "J", "J_end", "decay")
    row = {key: 100 * statistics.mean([r[key] for r in objects]) for key in keys}
    row["J_back"] = 100 * statistics.mean(back)
    row["found"] = 100 * statistics.recall(back)
    row["ghosts"] = 100 * statistics.mean(np.concatenate(ghosts) if ghosts else [])
    row["switches"] = sum(sum(each.switches()) for each in tracks.values())
    row["mixed"] = 100 * exchanged / pixels if pixels else float("nan")
    row["seconds"] = 1 / timing["model_fps"] if timing.get("model_fps") else float("nan")
    row["memory"] = _memory(timing)
    videos = {video: 100 * statistics.mean([r["J&F"] for r in of_video]) for video, of_video in rows.items()}
    curves = np.array([r["curve"] for r in objects]).reshape(-1, BINS)
    curve = tuple(100 * statistics.mean(curves[:, at]) for at in range(BINS))
    return Figures(row, videos, curve)


def _object_rows(tracks: Tracks) -> list[dict[str, Any]]:
    """Return the figures of each object, 0 to 1."""
    overlaps, counted, rows = tracks.overlaps, tracks.counted, []
    for k in range(overlaps.shape[1]):
        region, boundary = overlaps[counted[:, k], k, k], tracks.boundary[counted[:, k], k]
        end, decay = statistics.mean(statistics.quarters(region)[-1]), statistics.decay(region)
        row = {"J": statistics.mean(region), "J_end": end, "decay": decay}
        row["J&F"] = (row["J"] + statistics.mean(boundary)) / 2
        at = np.flatnonzero(counted[:, k]) * BINS // len(overlaps)
        rows.append({**row, "curve": [statistics.mean(region[at == b]) for b in range(BINS)]})
    return rows


def _spans(tracks: Mapping[str, Tracks], kind: str) -> list[tuple[Tracks, int, slice]]:
    """Return the absences or returns of all objects."""
    return [
        (each, k, frames)
        for each in tracks.values()
        for k in range(each.present.shape[1])
        for frames in getattr(each, kind)(k)
    ]


def _memory(timing: Mapping[str, Any]) -> float:
    """Return the maximum memory of any video, in MiB."""
    key = "peak_memory" if timing.get("accelerator") else "memory_bytes"
    sizes = [video.get(key) for video in timing["videos"]]
    return max((size / 2**20 for size in sizes if size is not None), default=float("nan"))
