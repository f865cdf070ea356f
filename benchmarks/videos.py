"""Seconds per frame of several videos, one by one and as a batch.

    python benchmarks/videos.py --models aott deaott --videos 1 2 4
    python benchmarks/videos.py --device cuda --models aott r50_deaotl --videos 1 2 4 8 --amp fp16

The two alternate frame by frame, so that a busy machine slows both. ``agreement`` is the share of pixels with the same
id in both. Weights are random without ``--ckpt_path``.
"""

from __future__ import annotations

from common import Table, grid_mask, moving_frames, save  # isort: skip  (makes the project importable)

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import tyro

from voskit.evaluators import VideoSegmenter
from voskit.networks import build_model


@dataclass(frozen=True)
class Args:
    """Seconds per frame of several videos, one by one and as a batch."""

    models: tuple[str, ...] = ("aott", "deaott")
    videos: tuple[int, ...] = (1, 2, 4)
    height: int = 480
    width: int = 854
    objects: int = 3
    frames: int = 6
    warm_up: int = 2
    amp: Literal["fp16", "bf16"] | None = None
    compile: bool = False
    ckpt_path: Path | None = None
    """Checkpoint, for a single model. Default: random weights."""
    device: str = "cpu"
    threads: int = 2
    output: Path | None = None


def measure(args: Args, name: str, videos: int) -> dict[str, Any]:
    """Return a row of the table."""
    torch.manual_seed(0)
    model = build_model(name, checkpoint=args.ckpt_path, device=args.device)
    first = VideoSegmenter(model, amp=args.amp, compile=args.compile)
    alone, together = ([first.another() for _ in range(videos)] for _ in range(2))
    count = 1 + args.warm_up + args.frames
    clips = [list(moving_frames(count, args.height, args.width, seed)) for seed in range(videos)]
    mask = grid_mask(args.objects, args.height, args.width)
    times: list[tuple[float, float]] = []
    equal: list[float] = []
    for t in range(count):
        frames = [clip[t] for clip in clips]
        masks = [mask if t == 0 else None] * videos
        begin = time.perf_counter()
        expected = [segmenter.step(*item) for segmenter, *item in zip(alone, frames, masks, strict=True)]
        middle = time.perf_counter()
        ids = VideoSegmenter.step_together(together, frames, masks)
        end = time.perf_counter()
        times.append(((middle - begin) / videos, (end - middle) / videos))
        equal += [float(np.mean(a == b)) for a, b in zip(expected, ids, strict=True)]
    one_by_one, at_once = (statistics.median(x) for x in zip(*times[1 + args.warm_up :], strict=True))
    return {
        "model": name,
        "videos": videos,
        "one_by_one": round(one_by_one, 4),
        "together": round(at_once, 4),
        "ratio": round(one_by_one / at_once, 2),
        "agreement": round(statistics.mean(equal), 5),
    }


def main(args: Args) -> None:
    """Measure all models."""
    torch.set_num_threads(args.threads)
    print(f"{args.device}, {args.amp or 'float32'}, {args.height}x{args.width}, {args.objects} objects")
    table = Table(model="", videos="d", one_by_one=".3f", together=".3f", ratio=".2f", agreement=".5f")
    for name in args.models:
        for videos in args.videos:
            table.add(measure(args, name, videos))
    save("videos", args, rows=table.rows)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
