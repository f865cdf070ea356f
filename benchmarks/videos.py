"""Seconds a frame of several videos: one after the other, and side by side as a batch.

    python benchmarks/videos.py --models aott deaott --videos 1 2 4
    python benchmarks/videos.py --device cuda --models aott r50_deaotl --videos 1 2 4 8 --amp fp16

Both ways take turns frame by frame, so that they have the same moments of the machine. Agreement is the share of pixels
that have the same id both ways. Weights are random, unless a checkpoint is given.
"""

from __future__ import annotations

from common import grid_mask, moving_frames, save  # isort: skip  (makes the project importable)

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
    """Seconds a frame of several videos, one after the other and side by side."""

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
    """Weights, where there is one model. Default: random ones."""
    device: str = "cpu"
    threads: int = 2
    output: Path | None = None


def measure(args: Args, name: str, videos: int) -> dict[str, Any]:
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


def main() -> None:
    args = tyro.cli(Args)
    torch.set_num_threads(args.threads)
    print(f"{args.device}, {args.amp or 'float32'}, {args.height}x{args.width}, {args.objects} objects")
    print(f"{'model':>18} {'videos':>6} {'one by one':>10} {'together':>9} {'ratio':>6} {'agreement':>9}")
    rows = []
    for name in args.models:
        for videos in args.videos:
            row = measure(args, name, videos)
            rows.append(row)
            print(
                f"{name:>18} {videos:6d} {row['one_by_one']:10.3f} {row['together']:9.3f} {row['ratio']:6.2f} "
                f"{row['agreement']:9.5f}",
                flush=True,
            )
    save("videos", {"settings": {k: str(v) for k, v in vars(args).items()}, "rows": rows}, args.output)


if __name__ == "__main__":
    main()
