"""J&F and frames per second of a model at each depth, as a table, JSON and a plot.

python benchmarks/depth.py --model aost --ckpt_path F --data_root DAVIS --videos dog libby --plot docs/images/depth.svg

The depths take turns frame by frame, so that a busy machine slows all of them.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro

from common import Table, save
from voskit.configs import get_model_config
from voskit.dataloaders.datasets import Video, open_dataset
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.clips.mask_writer import MaskWriter
from voskit.evaluators.metrics import score
from voskit.networks import build_model


@dataclass(frozen=True)
class Args:
    """J&F and frames per second of a model at each depth."""

    ckpt_path: Path
    data_root: Path
    """A folder in the layout of DAVIS 2017."""
    videos: tuple[str, ...] = ()
    """Names of videos. Default: all of the split."""
    model: str = "aost"
    split: str = "val"
    max_long_edge: int | None = None
    """Largest long edge of the network's input. Default: the model's."""
    device: str = "cpu"
    threads: int = 2
    title: str = ""
    """Title of the plot, e.g. the name of the weights."""
    plot: Path | None = None
    output: Path | None = None


def run_video(video: Video, segmenters: dict[int, VideoSegmenter], folder: Path) -> dict[int, list[float]]:
    """Segment a video at all depths, write the masks, and return the seconds of each predicted frame by depth."""
    seconds: dict[int, list[float]] = defaultdict(list)
    writers = {depth: MaskWriter(folder / str(depth) / video.name) for depth in segmenters}
    with video.source() as source:
        for frame in source:
            mask = video.mask(frame.name)
            for depth, segmenter in segmenters.items():
                begin = time.perf_counter()
                ids = segmenter.step(frame.image, mask)
                if mask is None:
                    seconds[depth].append(time.perf_counter() - begin)
                writers[depth].write(frame.name, ids)
    for depth, segmenter in segmenters.items():
        writers[depth].close()
        segmenter.reset()
    return seconds


def measure(args: Args) -> list[dict[str, Any]]:
    """Return a row for each depth."""
    dataset = open_dataset("davis2017", args.data_root, split=args.split)
    videos = [v for v in dataset if not args.videos or v.name in args.videos]
    if unknown := set(args.videos) - {v.name for v in videos}:
        raise ValueError(f"--videos: {', '.join(sorted(unknown))} not in {args.data_root}")
    depths = get_model_config(args.model).depths
    models = {d: build_model(args.model, checkpoint=args.ckpt_path, device=args.device, depth=d) for d in depths}
    segmenters = {d: VideoSegmenter(model, max_long_edge=args.max_long_edge) for d, model in models.items()}
    seconds: dict[int, list[float]] = defaultdict(list)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        truth = link_videos(args.data_root, args.split, [v.name for v in videos], Path(folder) / "truth")
        for video in videos:
            for depth, times in run_video(video, segmenters, Path(folder) / "results").items():
                seconds[depth] += times
        for depth, model in models.items():
            scores = score("davis2017", truth, Path(folder) / "results" / str(depth), split=args.split)
            rows.append(
                {
                    "depth": depth,
                    "parameters_M": round(sum(p.numel() for p in model.parameters()) / 1e6, 3),
                    "J&F": round(scores.tables["global"]["J&F-Mean"], 4),
                    "seconds": round(statistics.median(seconds[depth]), 4),
                    "frames": len(seconds[depth]),
                }
            )
    return rows


def link_videos(root: Path, split: str, videos: list[str], folder: Path) -> Path:
    """Create a folder in the same layout with only these videos."""
    (folder / "ImageSets" / "2017").mkdir(parents=True)
    (folder / "ImageSets" / "2017" / f"{split}.txt").write_text("".join(f"{v}\n" for v in videos))
    for kind in ("Annotations", "JPEGImages"):
        (folder / kind).symlink_to((root / kind).resolve())
    return folder


def draw(rows: list[dict[str, Any]], title: str, path: Path) -> None:
    """Plot J&F and frames per second against depth, as SVG."""
    panels = (("J&amp;F", [row["J&F"] for row in rows]), ("frames per second", [1 / row["seconds"] for row in rows]))
    parts = [panel(name, [row["depth"] for row in rows], values, 360 * i) for i, (name, values) in enumerate(panels)]
    text = f'<text x="360" y="20" text-anchor="middle">{title.replace("&", "&amp;")}</text>'
    style = 'font-family="sans-serif" font-size="12" fill="#222"'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 300" {style}>'
        f'<rect width="720" height="300" fill="#fff"/>{text}{"".join(parts)}</svg>\n'
    )


def panel(name: str, depths: list[int], values: list[float], left: int) -> str:
    """Return the SVG of a curve with its axes; the vertical axis starts at 0."""
    bottom, top, width = 250, 50, 240
    xs = [left + 70 + width * (i + 0.5) / len(depths) for i in range(len(depths))]
    ys = [bottom - (bottom - top) * value / (1.15 * max(values)) for value in values]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
    marks = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#1f5fa8"/>'
        f'<text x="{x:.1f}" y="{y - 10:.1f}" text-anchor="middle">{value:.3g}</text>'
        f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{depth}</text>'
        for x, y, value, depth in zip(xs, ys, values, depths, strict=True)
    )
    middle = (bottom + top) / 2
    return (
        f'<path d="M{left + 70} {top}V{bottom}H{left + 70 + width}" fill="none" stroke="#222"/>'
        f'<polyline points="{points}" fill="none" stroke="#1f5fa8" stroke-width="2"/>{marks}'
        f'<text x="{left + 70 + width / 2}" y="{bottom + 38}" text-anchor="middle">depth</text>'
        f'<text transform="translate({left + 50} {middle}) rotate(-90)" text-anchor="middle">{name}</text>'
    )


def main(args: Args) -> None:
    """Measure all depths."""
    torch.set_num_threads(args.threads)
    rows = measure(args)
    table = Table(**{"depth": "d", "parameters_M": ".3f", "J&F": ".4f", "seconds": ".3f"})
    for row in rows:
        table.add(row)
    save(f"depth_{args.model}", args, rows=rows)
    if args.plot is not None:
        draw(rows, args.title or f"{args.model}, {args.ckpt_path.name}", args.plot)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
