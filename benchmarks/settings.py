"""J&F and time of a checkpoint with several inference settings, as a table and JSON.

    python benchmarks/settings.py --data_root D --ckpt_path F --variants "" "top_k=32" "long_term_gap=3 flip=true"

A variant is a list of NAME=VALUE: fields of the model's config, ``flip`` or ``scales``. The empty variant changes
nothing. The variants take turns frame by frame, so that a busy machine slows all of them. Time is CPU time.
"""

from __future__ import annotations

from common import Table, save  # isort: skip  (makes the project importable)

import statistics
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from tqdm import tqdm

from voskit.configs import get_model_config
from voskit.dataloaders.datasets import Dataset, Video, open_dataset
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.benchmarks.scoring import DatasetScoring
from voskit.evaluators.clips.mask_writer import MaskWriter
from voskit.evaluators.metrics.report import headline, table_rows
from voskit.networks import build_model

_OPTIONS = ("flip", "scales")
"""Options of ``VideoSegmenter`` that aren't fields of the config."""


@dataclass(frozen=True)
class Args:
    """J&F and time of a checkpoint with several inference settings."""

    ckpt_path: Path
    data_root: Path | None = None
    dataset: str = "davis2017"
    """Name of a dataset, or the JSON file of your own."""
    split: str | None = None
    variants: tuple[str, ...] = ("",)
    model: str = "deaott"
    threads: int = 2
    output: Path | None = None


def build_segmenter(args: Args, variant: str) -> VideoSegmenter:
    """Build the segmenter of a variant."""
    config = get_model_config(args.model)
    pairs = [text.partition("=") for text in variant.split()]
    fields = config.changes_from_text(*("=".join((k, v)) for k, _, v in pairs if k not in _OPTIONS))
    model = build_model(args.model, checkpoint=args.ckpt_path, device="cpu", **fields)
    options = {k: v for k, _, v in pairs if k in _OPTIONS}
    scales = tuple(float(x) for x in options.get("scales", "1").split(","))
    return VideoSegmenter(model, flip=options.get("flip", "false") == "true", scales=scales)


def run_video(video: Video, segmenters: dict[str, VideoSegmenter], folders: dict[str, Path]) -> dict[str, list[float]]:
    """Segment a video with all variants, write the masks, and return the CPU seconds of each predicted frame."""
    seconds: dict[str, list[float]] = defaultdict(list)
    writers = {variant: MaskWriter(folder / video.name) for variant, folder in folders.items()}
    with video.source() as source:
        for frame in source:
            mask = video.mask(frame.name)
            for variant, segmenter in segmenters.items():
                begin = time.process_time()
                ids = segmenter.step(frame.image, mask)
                if mask is None:
                    seconds[variant].append(time.process_time() - begin)
                writers[variant].write(frame.name, ids)
    for variant, segmenter in segmenters.items():
        writers[variant].close()
        segmenter.reset()
    return seconds


def measure(args: Args, dataset: Dataset) -> list[dict[str, Any]]:
    """Return a row for each variant."""
    scoring = DatasetScoring(dataset)
    if scoring.obstacle:
        raise ValueError(scoring.obstacle)
    segmenters = {variant: build_segmenter(args, variant) for variant in args.variants}
    seconds: dict[str, list[float]] = defaultdict(list)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        results = {variant: Path(folder) / str(place) for place, variant in enumerate(args.variants)}
        for video in tqdm(dataset, unit="video"):
            for variant, times in run_video(video, segmenters, results).items():
                seconds[variant] += times
        for variant, path in results.items():
            scores = scoring.score(path, Path(), args.threads)
            rows.append(
                {
                    "variant": variant or "as it is",
                    "J&F": headline(scores)[1],
                    "seconds": statistics.mean(seconds[variant]),
                    "sequences": dict(table_rows(scores.tables.get("per_sequence", {}))),
                }
            )
    return rows


def main(args: Args) -> None:
    """Measure all variants."""
    torch.set_num_threads(args.threads)
    dataset = open_dataset(args.dataset, args.data_root, split=args.split)
    table = Table(**{"variant": "", "J&F": ".4f", "seconds": ".2f"})
    rows = measure(args, dataset)
    for row in rows:
        table.add(row)
    save("settings", args, rows=rows)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
