"""Seconds a frame of each model: from a decoded frame to its mask, steady state.

python benchmarks/inference.py --models aott r50_deaotl --height 480 --width 854 --objects 3
python benchmarks/inference.py --models aost --depth 1 2 3
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import tyro

from common import grid_mask, moving_frames, save
from configs import get_model_config, list_models
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
    depth: tuple[int, ...] = ()
    """Depths to time, of models that let one choose it; each frame goes through all of them in turn. Default: all
    layers."""
    output: Path | None = None


def seconds_a_frame(args: Args, name: str) -> list[dict[str, Any]]:
    """A row for each depth: median over the frames after warm-up, and millions of parameters; weights are random."""
    chosen = [{"depth": d} for d in args.depth] if get_model_config(name).depths else []
    fields: list[dict[str, int]] = chosen or [{}]
    models = [build_model(name, device=args.device, **own) for own in fields]
    segmenters = [VideoSegmenter(model, amp=args.amp) for model in models]
    times: list[list[float]] = [[] for _ in models]
    for t, frame in enumerate(moving_frames(1 + args.warm_up + args.frames, args.height, args.width)):
        mask = grid_mask(args.objects, args.height, args.width) if t == 0 else None
        for segmenter, own_times in zip(segmenters, times, strict=True):
            begin = time.perf_counter()
            segmenter.step(frame, mask=mask)
            own_times.append(time.perf_counter() - begin)
    return [
        {
            "model": name,
            **own,
            "parameters_M": round(sum(p.numel() for p in model.parameters()) / 1e6, 2),
            "seconds": round(statistics.median(own_times[1 + args.warm_up :]), 3),
        }
        for own, model, own_times in zip(fields, models, times, strict=True)
    ]


def main() -> None:
    args = tyro.cli(Args)
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    print(f"{args.height}x{args.width}, {args.objects} objects, {args.device}, {args.amp or 'float32'}")
    print(f"{'model':>18} {'depth':>6} {'M parameters':>13} {'s a frame':>10}")
    rows = []
    for name in args.models:
        for row in seconds_a_frame(args, name):
            rows.append(row)
            print(
                f"{name:>18} {row.get('depth', ''):>6} {row['parameters_M']:13.2f} {row['seconds']:10.2f}", flush=True
            )
    save("inference", {"settings": {k: str(v) for k, v in vars(args).items()}, "rows": rows}, args.output)


if __name__ == "__main__":
    main()
