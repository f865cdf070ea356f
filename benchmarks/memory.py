"""Memory in use and time per frame over a long video.

python benchmarks/memory.py --model deaotl --frames 1000 --height 240 --width 432 --max_memory_frames 10
python benchmarks/memory.py --model xmem --frames 10000 --height 64 --width 96 --max_memory_frames unbounded --native
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

from common import Table, grid_mask, moving_frames, save
from voskit.configs import get_model_config
from voskit.evaluators import VideoSegmenter
from voskit.networks import build_model
from voskit.networks.memory_usage import memory_in_use


@dataclass(frozen=True)
class Args:
    """Memory in use and time per frame over a long video."""

    model: str = "aott"
    frames: int = 1000
    height: int = 240
    width: int = 432
    objects: int = 3
    max_memory_frames: int | Literal["unbounded"] = 10
    native: bool = False
    """Keep the size of the frames instead of resizing them to the model's short edge."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """Fields of the model's config to change."""
    device: str = "cpu"
    output: Path | None = None


def main(args: Args) -> None:
    """Measure at twenty frames of the video."""
    torch.manual_seed(0)
    changes = get_model_config(args.model).changes_from_text(*args.set)
    model = build_model(args.model, device=args.device, **changes)
    segmenter = VideoSegmenter(model, max_memory_frames=args.max_memory_frames, short_edge=-1 if args.native else None)
    device = torch.device(args.device)
    mask = grid_mask(args.objects, args.height, args.width)
    begin = time.perf_counter()
    every = max(1, args.frames // 20)
    print(f"{args.model}, {args.height}x{args.width}, {args.objects} objects, memory frames: {args.max_memory_frames}")
    table = Table(frame="d", MiB=".1f", ms=".1f", memory_frames="d")
    for t, frame in enumerate(moving_frames(args.frames, args.height, args.width)):
        segmenter.step(frame, mask=mask if t == 0 else None)
        if (t + 1) % every == 0:
            now = time.perf_counter()
            used, ms = (memory_in_use(device) or 0) / 2**20, (now - begin) / every * 1000
            table.add({"frame": t + 1, "MiB": used, "ms": ms, "memory_frames": segmenter.memory_frames})
            begin = time.perf_counter()
    steady = [row["MiB"] for row in table.rows if row["frame"] > 50]
    growth = max(steady) - steady[0]
    print(f"after frame 50: {min(steady):.1f} to {max(steady):.1f} MiB, {growth:+.1f} MiB over {len(steady)} readings")
    save(f"memory_{args.model}", args, rows=table.rows, growth_after_50_MiB=round(growth, 1))


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
