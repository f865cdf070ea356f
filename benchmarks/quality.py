"""Calibration of ``VideoSegmenter.quality``: confidence compared with true J, and the time that it takes.

    python benchmarks/quality.py --dataset probe --data_root datasets/Probe --short_edge 240 --output probe.json
    python benchmarks/quality.py --data_root DAVIS --short_edge 240 --plot calibration.svg --beside probe.json

Records confidence, margin, share of unsure pixels and J for each predicted frame and object of a dataset with ground
truth. Prints the mean J by confidence, and the area under the ROC curve (AUC) of each figure as a predictor of "J is
below 0.5". Objects that are neither present nor predicted have no J and are left out.
"""

from __future__ import annotations

from common import Table, VideoArgs, region, save, true_mask  # isort: skip  (makes the project importable)

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from tqdm import tqdm

from voskit.dataloaders.datasets import Video
from voskit.evaluators import VideoSegmenter

FIGURES = ("confidence", "margin", "unsure")
BAD = 0.5
BINS = 10
DOTS = 600  # most dots in a panel of the plot


@dataclass(frozen=True, kw_only=True)
class Args(VideoArgs):
    """Calibration of the quality of objects."""

    max_frames: int | None = None
    """Number of frames of each video. Default: all."""
    plot: Path | None = None
    """SVG file for the calibration curve."""
    beside: tuple[Path, ...] = ()
    """Results of earlier runs (``--output``) to draw in the same plot."""


def measured(segmenter: VideoSegmenter, video: Video, most: int | None, times: dict[str, float]) -> Iterator[Any]:
    """Yield a row for each predicted frame and object; add the seconds of frames and of their quality to ``times``."""
    segmenter.reset()
    with video.source() as source:
        for frame in source:
            if frame.index == most:
                return
            mask = video.mask(frame.name)
            begin = time.perf_counter()
            ids = segmenter.step(frame.image, mask)
            middle = time.perf_counter()
            quality = segmenter.quality
            end = time.perf_counter()
            if mask is not None or frame.name not in video.truth_frames:
                continue
            times["frame"] += middle - begin
            times["quality"] += end - middle
            truth = true_mask(video, frame.name)
            for object_id, found in quality.items():
                own, true = ids == object_id, truth == object_id
                if own.any() or true.any():
                    named = {"video": video.name, "frame": frame.name, "id": object_id}
                    yield {**named, "J": region(own, true), **asdict(found)}


def auc(scores: Sequence[float], bad: Sequence[bool]) -> float:
    """Return the probability that a bad mask has a lower score than a good one; NaN if there is only one kind."""
    from scipy.stats import rankdata  # takes a second

    ranks, wrong = rankdata(scores), np.asarray(bad)
    low, high = int(wrong.sum()), int((~wrong).sum())
    if not low or not high:
        return float("nan")
    return float(1 - (ranks[wrong].sum() - low * (low + 1) / 2) / (low * high))


def calibration(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return number of masks, mean confidence and mean J for each tenth of the range of confidence."""
    confidence, j = (np.array([row[name] for row in rows]) for name in ("confidence", "J"))
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        {
            "confidence": f"{i / BINS:.1f} to {(i + 1) / BINS:.1f}",
            "masks": int((place == i).sum()),
            "mean": float(confidence[place == i].mean()),
            "J": float(j[place == i].mean()),
            "below": float((j[place == i] < BAD).mean()),
        }
        for i in range(BINS)
        if (place == i).any()
    ]


def panel(left: int, title: str, rows: Sequence[dict[str, Any]]) -> str:
    """Return SVG with masks as dots (at most ``DOTS``) and their mean J by confidence as a line."""
    top, side = 40, 300

    def point(confidence: float, j: float) -> tuple[float, float]:
        return round(left + confidence * side, 1), round(top + (1 - j) * side, 1)

    parts = [f'<text x="{left}" y="22" font-size="14">{escape(title)}</text>']
    for value in (0, 0.25, 0.5, 0.75, 1):
        x, y = point(value, value)
        parts.append(f'<path d="M{left} {y}h{side}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{value:g}</text>')
        parts.append(f'<text x="{x}" y="{top + side + 16}" text-anchor="middle">{value:g}</text>')
    dots = [point(row["confidence"], row["J"]) for row in rows[:: -(-len(rows) // DOTS)]]
    path = "".join(f"M{x} {y}h0" for x, y in dots)  # zero-length lines with round ends
    parts.append(f'<path d="{path}" stroke="#36c" stroke-width="3" stroke-opacity="0.5" stroke-linecap="round"/>')
    parts.append(f'<path d="M{left} {top + side}l{side} {-side}" stroke="#999" stroke-dasharray="4"/>')
    curve = " ".join("{},{}".format(*point(row["mean"], row["J"])) for row in calibration(rows))
    parts.append(f'<polyline points="{curve}" fill="none" stroke="#c30" stroke-width="2.5"/>')
    parts.append(f'<text x="{left + side / 2}" y="{top + side + 34}" text-anchor="middle">confidence</text>')
    parts.append(f'<text x="{left - 36}" y="{top + side / 2}">J</text>')
    return "".join(parts)


def write_plot(path: Path, panels: Sequence[tuple[str, Sequence[dict[str, Any]]]]) -> None:
    """Plot several datasets side by side, given as (title, rows), as SVG."""
    width = 370 * len(panels) + 10
    inside = "".join(panel(50 + 370 * k, title, rows) for k, (title, rows) in enumerate(panels))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} 390" font-family="sans-serif" font-size="12">'
        f'<rect width="{width}" height="390" fill="#fff"/>{inside}</svg>\n',
        encoding="utf-8",
    )


def main(args: Args) -> None:
    """Measure all videos."""
    torch.set_num_threads(args.threads)
    videos, segmenter = args.open_videos(), args.build_segmenter()
    times = {"frame": 0.0, "quality": 0.0}
    rows: list[dict[str, Any]] = []
    for video in tqdm(videos, unit="video"):
        rows += measured(segmenter, video, args.max_frames, times)
    if not rows:
        raise ValueError(f"{args.data_root}: no predicted frame has ground truth")
    bins = calibration(rows)
    table = Table(confidence="", masks="d", J=".3f", below=".2f")
    for row in bins:
        table.add(row)
    bad = [row["J"] < BAD for row in rows]
    signs = {"confidence": 1, "margin": 1, "unsure": -1}
    aucs = {name: auc([signs[name] * row[name] for row in rows], bad) for name in FIGURES}
    share = times["quality"] / times["frame"]
    print(f"{len(rows)} masks, {sum(bad)} with J below {BAD}; AUC:", {k: round(v, 3) for k, v in aucs.items()})
    print(f"reading the quality took {share:.1%} of the time per frame")
    title = f"{args.model}, {args.dataset}: {len(rows)} masks, AUC {aucs['confidence']:.3f}"
    if args.plot is not None:
        earlier = [json.loads(path.read_text(encoding="utf-8")) for path in args.beside]
        write_plot(args.plot, [(title, rows), *((one["title"], one["rows"]) for one in earlier)])
    save("quality", args, title=title, bins=bins, auc=aucs, share_of_time=share, rows=rows)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
