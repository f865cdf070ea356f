"""Scorer of VIPSeg: VPQ and STQ of panoptic videos.

Miao et al., "Large-scale Video Panoptic Segmentation in the Wild: A Benchmark", CVPR 2022. Masks are RGB:
id = R + 256 G + 65536 B, 0 is void.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voskit.dataloaders.datasets.mask_readers import read_panoptic_ids
from voskit.evaluators.metrics.base import SCORERS, Option, Request, Scorer, Scores
from voskit.evaluators.metrics.frames.jobs import run_jobs
from voskit.evaluators.metrics.frames.sequences import published_format, read_json
from voskit.evaluators.metrics.measures.stq import StqCounts, segmentation_tracking_quality, stq_counts
from voskit.evaluators.metrics.measures.vpq import WINDOWS, VpqCounts, panoptic_quality, vpq_counts


@dataclass(frozen=True)
class Segment:
    """Segment listed for a frame: its category, and its area (0 if the file doesn't state it)."""

    category: int
    area: int


@dataclass(frozen=True)
class PanopticFrame:
    """Masks of a frame, and its listed segments by id, in the order of the file."""

    truth: Path
    prediction: Path
    truth_segments: dict[int, Segment]
    predicted_segments: dict[int, Segment]


@dataclass(frozen=True)
class Categories:
    """Number of categories, and the ids of those that are things."""

    count: int
    things: frozenset[int]


class VipSeg(Scorer):
    """Scorer of ``pred.json`` and ``pan_pred`` against ``panoptic_gt_VIPSeg_<split>.json`` and ``panomasksRGB``."""

    archives = ("panoptic",)
    options = {"split": Option("val", None, "the split of panoptic_gt_VIPSeg_<split>.json")}

    def check(self, request: Request) -> None:
        """Check that the file of the ground truth exists."""
        if not _truth_file(request).is_file():
            raise FileNotFoundError(f"{_truth_file(request)}: no such file")

    def run(self, request: Request) -> Scores:
        """Score all videos in the ground truth."""
        truth = read_json(_truth_file(request), "categories", "videos", "annotations")
        categories = Categories(
            len(truth["categories"]), frozenset(c["id"] for c in truth["categories"] if c["isthing"])
        )
        videos = _frames(truth, request)
        jobs = [(frames, categories) for frames in videos.values()]
        sizes = [len(frames) for frames in videos.values()]
        counts = run_jobs(measure_video, jobs, num_workers=request.num_workers, sizes=sizes, progress=request.progress)
        windows = {k: panoptic_quality([vpq[k] for vpq, _ in counts], categories.things) for k in WINDOWS}
        vpq = {
            group: 100 * float(np.mean([window[group]["pq"] for window in windows.values()]))
            for group in ("All", "Things", "Stuff")
        }
        stq: dict[str, Any] = segmentation_tracking_quality([each for _, each in counts])
        per_video = {
            video: {**segmentation_tracking_quality([each]), "frames": len(videos[video])}
            for video, (_, each) in zip(videos, counts, strict=True)
        }
        tables = {
            "global": {"VPQ": vpq, "STQ": {**stq, "per_video": per_video}},
            "per_sequence": per_video,
            "windows": {str(k): window for k, window in windows.items()},
        }
        return Scores(self.name, dict(request.options), tables)


def measure_video(frames: list[PanopticFrame], categories: Categories) -> tuple[dict[int, VpqCounts], StqCounts]:
    """Count the matches in one video, for VPQ and STQ.

    Raises:
        FileNotFoundError: a mask is missing.
        ValueError: a mask is damaged, has another size, or has ids other than those listed.
    """
    predicted, true = [], []
    for frame in frames:
        truth = read_panoptic_ids(frame.truth)
        prediction = read_panoptic_ids(frame.prediction)
        if truth.shape != prediction.shape:
            raise ValueError(
                f"{frame.prediction}: the mask is {prediction.shape[0]}x{prediction.shape[1]} (height x width), the "
                f"ground truth is {truth.shape[0]}x{truth.shape[1]}"
            )
        _check_ids(frame.truth, truth, frame.truth_segments)
        _check_ids(frame.prediction, prediction, frame.predicted_segments)
        predicted.append(prediction)
        true.append(truth)
    listed_p = [{k: s.category for k, s in frame.predicted_segments.items()} for frame in frames]
    listed_t = [{k: s.category for k, s in frame.truth_segments.items()} for frame in frames]
    areas = [{k: s.area for k, s in frame.truth_segments.items()} for frame in frames]
    return (
        vpq_counts(predicted, true, listed_p, listed_t, areas),
        stq_counts(predicted, true, listed_p, listed_t, categories.count, categories.things),
    )


def _truth_file(request: Request) -> Path:
    return request.data_root / f"panoptic_gt_VIPSeg_{request.options['split']}.json"


def _frames(truth: dict[str, Any], request: Request) -> dict[str, list[PanopticFrame]]:
    source = request.results / "pred.json"
    with published_format(source):
        predicted = {
            video["video_id"]: [_segments(frame["segments_info"]) for frame in video["annotations"]]
            for video in read_json(source, "annotations")["annotations"]
        }
    images = {video["video_id"]: video["images"] for video in truth["videos"]}
    videos = {}
    for video in truth["annotations"]:
        name = video["video_id"]
        if name not in predicted:
            raise ValueError(f"{source}: video {name} is missing")
        if len(predicted[name]) != len(video["annotations"]):
            raise ValueError(
                f"{source}: video {name} has {len(predicted[name])} frames, the ground truth has "
                f"{len(video['annotations'])} (they are paired in order)"
            )
        files = [Path(image["file_name"]).with_suffix(".png").name for image in images[name]]
        videos[name] = [
            PanopticFrame(
                request.data_root / "panomasksRGB" / name / file,
                request.results / "pan_pred" / name / file,
                _segments(true["segments_info"], _truth_file(request)),
                guess,
            )
            for file, true, guess in zip(files, video["annotations"], predicted[name], strict=True)
        ]
    return videos


def _segments(listed: Sequence[dict[str, Any]], truth: Path | None = None) -> dict[int, Segment]:
    """Return the segments of a frame by id; those of the ground truth must state their areas."""
    if truth is not None and (lacking := next((entry for entry in listed if "area" not in entry), None)) is not None:
        raise ValueError(f"{truth}: segment {lacking.get('id')} has no area: add the number of its pixels")
    return {int(entry["id"]): Segment(int(entry["category_id"]), entry.get("area", 0)) for entry in listed}


def _check_ids(path: Path, ids: NDArray[np.uint32], listed: dict[int, Segment]) -> None:
    found = set(np.unique(ids).tolist()) - {0}
    if unlisted := found - set(listed):
        raise ValueError(f"{path}: id {min(unlisted)} isn't listed in the JSON file for this frame")
    if absent := set(listed) - found:
        raise ValueError(f"{path}: id {min(absent)} is listed in the JSON file but has no pixels in this frame")


SCORERS.register("vipseg")(VipSeg("vipseg"))
