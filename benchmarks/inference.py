"""Seconds a frame of each model: from a decoded frame to its mask, steady state.

python benchmarks/inference.py --models aott r50_deaotl --height 480 --width 854 --objects 3
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import tyro

from common import grid_mask, moving_frames, save
from configs import list_models
from evaluators import VideoSegmenter
from networks import build_model


@dataclass(frozen=True)
class Args:
    """Seconds a frame of each model."""

    models: tuple[str, ...] = tuple(list_models())
    height: int = 480
    width: int = 854
    objects: int = 3
    frames: int = 8
    warm_up: int = 3
    device: str = "cpu"
    threads: int = 2
    amp: Literal["fp16", "bf16"] | None = None
    output: Path | None = None


def seconds_a_frame(args: Args, name: str) -> tuple[float, float]:
    """Median over the frames after warm-up, and millions of parameters; weights are random."""
    torch.manual_seed(0)
    model = build_model(name, device=args.device)
    segmenter = VideoSegmenter(model, amp=args.amp)
    times = []
    frames = moving_frames(1 + args.warm_up + args.frames, args.height, args.width)
    for t, frame in enumerate(frames):
        begin = time.perf_counter()
        segmenter.step(frame, mask=grid_mask(args.objects, args.height, args.width) if t == 0 else None)
        times.append(time.perf_counter() - begin)
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    return statistics.median(times[1 + args.warm_up :]), parameters


def main() -> None:
    args = tyro.cli(Args)
    torch.set_num_threads(args.threads)
    print(f"{args.height}x{args.width}, {args.objects} objects, {args.device}, {args.amp or 'float32'}")
    print(f"{'model':>18} {'M parameters':>13} {'s a frame':>10}")
    rows = []
    for name in args.models:
        seconds, parameters = seconds_a_frame(args, name)
        rows.append({"model": name, "parameters_M": round(parameters, 2), "seconds": round(seconds, 3)})
        print(f"{name:>18} {parameters:13.2f} {seconds:10.2f}", flush=True)
    save("inference", {"settings": {k: str(v) for k, v in vars(args).items()}, "rows": rows}, args.output)


if __name__ == "__main__":
    main()
