"""Calibration of ``VideoSegmenter.quality``: confidence against true J, and its price.

    python benchmarks/quality.py --data_root DAVIS --ckpt_path F --plot calibration.svg
    python benchmarks/quality.py --dataset probe --data_root datasets/Probe --model aott --ckpt_path F

For each predicted frame and object of a dataset with ground truth: confidence, margin and share of unsure pixels, and
the mask's J. Prints the mean J by confidence, and the area under the ROC curve (AUC) of each figure as a predictor of
"J is below 0.5". An object that is neither there nor predicted has no J and is left out.
"""

from __future__ import annotations

from common import Table, save  # isort: skip  (makes the project importable)

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from scipy.stats import rankdata
from tqdm import tqdm

from voskit.dataloaders.datasets import Dataset, Video, open_dataset
from voskit.dataloaders.masks.files import read_mask
from voskit.evaluators import VideoSegmenter
from voskit.networks import build_model

FIGURES = ("confidence", "margin", "unsure")
BAD = 0.5
BINS = 10


@dataclass(frozen=True)
class Args:
    """Calibration of the quality of objects."""

    data_root: Path
    dataset: str = "davis2017"
    split: str | None = None
    videos: tuple[str, ...] = ()
    """Names of videos. Default: all of the split."""
    max_frames: int | None = None
    """Frames of each video. Default: all."""
    model: str = "deaott"
    ckpt_path: Path | None = None
    """Default: the published weights, or for deaott the bundled ones."""
    max_long_edge: int | None = None
    """Largest long edge of the network's input. Default: the model's."""
    device: str = "cpu"
    threads: int = 1
    plot: Path | None = None
    """SVG file of the calibration curve."""
    output: Path | None = None


def measured(segmenter: VideoSegmenter, video: Video, most: int | None, times: dict[str, float]) -> Iterator[Any]:
    """Yield a row for each predicted frame and object; add the seconds of frames and of qualities to ``times``."""
    if video.ground_truth is None:
        raise ValueError(f"video {video.name} has no ground truth")
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
            path = video.ground_truth / f"{frame.name}.png"
            if mask is not None or not path.exists():
                continue
            times["frame"] += middle - begin
            times["quality"] += end - middle
            truth = read_mask(path)
            for object_id, found in quality.items():
                own, true = ids == object_id, truth == object_id
                if either := int((own | true).sum()):
                    j = int((own & true).sum()) / either
                    yield {"video": video.name, "frame": frame.name, "id": object_id, "J": j, **asdict(found)}


def auc(scores: Sequence[float], bad: Sequence[bool]) -> float:
    """Return the probability that a bad mask has a lower score than a good one; NaN without both kinds."""
    ranks, wrong = rankdata(scores), np.asarray(bad)
    low, high = int(wrong.sum()), int((~wrong).sum())
    if not low or not high:
        return float("nan")
    return float(1 - (ranks[wrong].sum() - low * (low + 1) / 2) / (low * high))


def calibration(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return number of masks, mean confidence and mean J of each tenth of the confidence's range."""
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


def write_plot(path: Path, rows: Sequence[dict[str, Any]], bins: Sequence[dict[str, Any]], title: str) -> None:
    """Draw each mask as a dot and the mean J by confidence as a line."""
    left, top, side = 50, 40, 320

    def point(confidence: float, j: float) -> str:
        return f"{left + confidence * side:.1f},{top + (1 - j) * side:.1f}"

    dots = []
    for row in rows:
        x, y = point(row["confidence"], row["J"]).split(",")
        dots.append(f'<circle cx="{x}" cy="{y}" r="1.5" fill="#36c" fill-opacity="0.25"/>')
    ticks = []
    for value in (0, 0.25, 0.5, 0.75, 1):
        x, y = (float(c) for c in point(value, value).split(","))
        ticks.append(f'<line x1="{left}" x2="{left + side}" y1="{y}" y2="{y}" stroke="#ddd"/>')
        ticks.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{value:g}</text>')
        ticks.append(f'<text x="{x}" y="{top + side + 16}" text-anchor="middle">{value:g}</text>')
    curve = " ".join(point(b["mean"], b["J"]) for b in bins)
    bottom = top + side
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 410" font-family="sans-serif" font-size="12">'
        f'<rect width="400" height="410" fill="#fff"/><text x="{left}" y="22" font-size="14">{title}</text>'
        f"{''.join(ticks)}{''.join(dots)}"
        f'<line x1="{left}" y1="{bottom}" x2="{left + side}" y2="{top}" stroke="#999" stroke-dasharray="4"/>'
        f'<polyline points="{curve}" fill="none" stroke="#c30" stroke-width="2.5"/>'
        f'<text x="{left + side / 2}" y="{bottom + 34}" text-anchor="middle">confidence</text>'
        f'<text x="14" y="{top + side / 2}">J</text></svg>\n',
        encoding="utf-8",
    )


def chosen(dataset: Dataset, names: Sequence[str]) -> list[Video]:
    """Return the videos of these names, or all of them."""
    return [dataset.video(name) for name in names] if names else list(dataset)


def main(args: Args) -> None:
    """Measure all videos."""
    torch.set_num_threads(args.threads)
    dataset = open_dataset(args.dataset, args.data_root, split=args.split)
    weights = {"pretrained": True} if args.ckpt_path is None else {"checkpoint": args.ckpt_path}
    segmenter = VideoSegmenter(build_model(args.model, device=args.device, **weights), max_long_edge=args.max_long_edge)
    times = {"frame": 0.0, "quality": 0.0}
    rows: list[dict[str, Any]] = []
    for video in tqdm(chosen(dataset, args.videos), unit="video"):
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
    print(f"the quality took {share:.1%} of the time of a frame")
    if args.plot is not None:
        write_plot(
            args.plot, rows, bins, f"{args.model}, {dataset.name}: {len(rows)} masks, AUC {aucs['confidence']:.3f}"
        )
    save("quality", args, bins=bins, auc=aucs, share_of_time=share, rows=rows)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
