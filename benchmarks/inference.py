"""Seconds per frame of each model and of a plain implementation, from a decoded frame to its mask.

    python benchmarks/inference.py --models aott r50_deaotl --sizes 480x854 --objects 3 --how plain fp32 bf16
    python benchmarks/inference.py --device cuda --models aott r50_deaotl --objects 1 3 10 --how fp32 fp16 compiled-fp16
    python benchmarks/inference.py --models aost --depth 1 2 3
    python benchmarks/inference.py --models jointformer --set max_memory_frames=1 topk_num=60

The ways of running a model (``--how``) take turns frame by frame, so that a busy machine slows all of them.

- ``plain`` is ``benchmarks/plain.py`` (AOT and DeAOT).
- ``agreement`` is the share of pixels with the same id as in the first way. It means little with random weights, which
  are the default.
- ``limit`` is a lower bound for the seconds: the time of the last frame's convolutions and matrix products at the rate
  of large square matrices in that precision. Triton kernels are not counted.
"""

from __future__ import annotations

from common import TYPES, Table, grid_mask, height_and_width, moving_frames, save  # isort: skip  (makes the project importable)

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from plain import PlainSegmenter
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from voskit.configs import get_model_config, list_models
from voskit.configs.models.aot import IdentityBankConfig
from voskit.dataloaders.masks.files import read_mask
from voskit.dataloaders.video.frames import open_frames
from voskit.evaluators import VideoSegmenter
from voskit.networks import build_model

WAYS = ("plain", *TYPES, *(f"compiled-{p}" for p in TYPES))


@dataclass(frozen=True)
class Args:
    """Seconds per frame of each model."""

    models: tuple[str, ...] = tuple(list_models("semi_supervised"))
    how: tuple[str, ...] = ("fp32",)
    """plain, fp32, fp16, bf16, compiled-fp32, compiled-fp16, compiled-bf16; ratios are relative to the first."""
    sizes: tuple[str, ...] = ("480x854",)
    """Heights and widths of the video."""
    objects: tuple[int, ...] = (3,)
    frames: int = 8
    warm_up: int = 3
    long_term_gap: int | None = None
    """Interval between frames in the long-term memory. Default: the model's."""
    scale: float = 1.0
    """Test scale of the network's input."""
    frames_path: Path | None = None
    """A folder of images or a video. Default: synthetic frames."""
    mask: Path | None = None
    """Mask of the first frame. Default: rectangles."""
    ckpt_path: Path | None = None
    """Checkpoint, for a single model. Default: random weights."""
    device: str = "cpu"
    threads: int = 2
    depth: tuple[int, ...] = ()
    """Depths to run, for models with several depths (AOST). Default: all layers."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """Fields of the models' configs to change."""
    output: Path | None = None


def load_frames(args: Args, height: int, width: int) -> list[np.ndarray]:
    count = 1 + args.warm_up + args.frames
    if args.frames_path is None:
        return list(moving_frames(count, height, width))
    with open_frames(str(args.frames_path)) as source:
        return [frame.image for frame, _ in zip(source, range(count), strict=False)]


def build_segmenter(args: Args, name: str, way: str, fields: dict[str, int]) -> VideoSegmenter:
    if way not in WAYS:
        raise SystemExit(f"unknown --how {way!r}: choose from {', '.join(WAYS)}")
    torch.manual_seed(0)
    changes = get_model_config(name).changes_from_text(*args.set) | fields
    model = build_model(name, checkpoint=args.ckpt_path, device=args.device, **changes)
    options: dict[str, Any] = {"scales": (args.scale,), "long_term_gap": args.long_term_gap}
    if way == "plain":
        return PlainSegmenter(model, **options)
    precision = precision_of(way)
    amp: Any = None if precision == "fp32" else precision
    return VideoSegmenter(model, amp=amp, compile=precision != way, **options)


def precision_of(way: str) -> str:
    return "fp32" if way == "plain" else way.removeprefix("compiled-")


def product_rate(args: Args, precision: str, size: int = 2048) -> float:
    """Return the operations per second of a product of square matrices (the best of ten)."""
    a, b = torch.randn(2, size, size, device=args.device, dtype=TYPES[precision])
    times = []
    for _ in range(10):
        begin = time.perf_counter()
        (a @ b)[0, 0].item()
        times.append(time.perf_counter() - begin)
    return 2 * size**3 / min(times)


def count_operations(segmenter: VideoSegmenter, frame: np.ndarray) -> int:
    """Count the operations of a frame's convolutions and matrix products."""
    with (
        sdpa_kernel(SDPBackend.MATH),
        FlopCounterMode(display=False) as counter,
    ):  # the counter misses fused kernels
        segmenter.step(frame)
    return counter.get_total_flops()


def measure(args: Args, name: str, size: str, objects: int, rates: dict[str, float]) -> list[dict[str, Any]]:
    """Return a row for each way of running a model: medians over the frames after the warm-up."""
    height, width = height_and_width(size)
    frames = load_frames(args, height, width)
    mask = grid_mask(objects, *frames[0].shape[:2]) if args.mask is None else read_mask(args.mask)
    config = get_model_config(name)
    depths: list[dict[str, int]] = [{"depth": d} for d in args.depth] if config.depths else []
    has_plain_form = isinstance(config, IdentityBankConfig) and not config.depths
    ways = [(way, fields) for fields in depths or [{}] for way in args.how if way != "plain" or has_plain_form]
    segmenters = [build_segmenter(args, name, way, fields) for way, fields in ways]
    times: list[list[float]] = [[] for _ in ways]
    equal: list[list[float]] = [[] for _ in ways]
    for t, frame in enumerate(frames):
        reference = None
        for segmenter, own_times, own_equal in zip(segmenters, times, equal, strict=True):
            begin = time.perf_counter()
            ids = segmenter.step(frame, mask=mask if t == 0 else None)
            own_times.append(time.perf_counter() - begin)
            reference = ids if reference is None else reference
            own_equal.append(float((ids == reference).mean()))
    seconds = [statistics.median(x[1 + args.warm_up :]) for x in times]
    counts = [count_operations(segmenter, frames[-1]) for segmenter in segmenters]
    parameters = [sum(p.numel() for p in segmenter.model.parameters()) / 1e6 for segmenter in segmenters]
    return [
        {
            "model": name,
            **fields,
            "size": size,
            "objects": len(np.unique(mask[mask > 0])),
            "how": way,
            "parameters_M": round(count, 2),
            "seconds": round(own, 4),
            "ratio": round(seconds[0] / own, 2),
            "gigaoperations": round(done / 1e9, 1),
            "limit": round(done / rates[precision_of(way)], 4),
            "agreement": round(statistics.mean(agreement), 5),
        }
        for (way, fields), count, own, done, agreement in zip(ways, parameters, seconds, counts, equal, strict=True)
    ]


def main(args: Args) -> None:
    """Measure all models."""
    torch.set_num_threads(args.threads)
    rates = {precision: product_rate(args, precision) for precision in dict.fromkeys(map(precision_of, args.how))}
    shown = ", ".join(f"{rate / 1e9:.0f} gigaoperations per second in {p}" for p, rate in rates.items())
    print(f"{args.device}, scale {args.scale}; products: {shown}")
    formats = {"seconds": ".3f", "ratio": ".2f", "limit": ".3f", "agreement": ".5f"}
    table = Table(model="", depth="d", size="", objects="d", how="", **formats)
    for name in args.models:
        for size in args.sizes:
            for objects in args.objects:
                for row in measure(args, name, size, objects, rates):
                    table.add(row)
    save("inference", args, operations_per_second=rates, rows=table.rows)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
