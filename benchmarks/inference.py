"""Seconds a frame of each model: from a decoded frame to its mask, steady state, beside a plain implementation.

    python benchmarks/inference.py --models aott r50_deaotl --sizes 480x854 --objects 3 --how plain fp32 bf16
    python benchmarks/inference.py --device cuda --models aott r50_deaotl --objects 1 3 10 --how fp32 fp16 compiled-fp16
    python benchmarks/inference.py --models aost --depth 1 2 3
    python benchmarks/inference.py --models jointformer --set max_memory_frames=1 topk_num=60

Each frame goes through all ways of running a model in turn, so that all of them have the same moments of the machine.
``plain`` is ``benchmarks/plain.py`` (AOT and DeAOT). Weights are random, unless a checkpoint is given; agreement is the
share of pixels that have the same id as in the first of the ways, and means little with random weights. ``limit`` is
what the convolutions and products of matrices of the last frame would take at the rate of large square matrices in that
precision: hardly any way of running them can be faster. Triton kernels aren't in it.
"""

from __future__ import annotations

from common import grid_mask, moving_frames, save  # isort: skip  (makes the project importable)

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

TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
WAYS = ("plain", *TYPES, *(f"compiled-{p}" for p in TYPES))


@dataclass(frozen=True)
class Args:
    """Seconds a frame of each model."""

    models: tuple[str, ...] = tuple(list_models("semi_supervised"))
    how: tuple[str, ...] = ("fp32",)
    """plain, fp32, fp16, bf16, compiled-fp32, compiled-fp16, compiled-bf16; ratios are against the first of them."""
    sizes: tuple[str, ...] = ("480x854",)
    """Heights and widths of the video."""
    objects: tuple[int, ...] = (3,)
    frames: int = 8
    warm_up: int = 3
    long_term_gap: int | None = None
    """Frames between two in the long-term memory. Default: the model's own."""
    scale: float = 1.0
    """Test scale of the network's input."""
    frames_path: Path | None = None
    """A folder of images or a video. Default: synthetic frames."""
    mask: Path | None = None
    """The mask of its first frame. Default: rectangles."""
    ckpt_path: Path | None = None
    """Weights, where there is one model. Default: random ones."""
    device: str = "cpu"
    threads: int = 2
    depth: tuple[int, ...] = ()
    """Depths to time, of models that let one choose it; they are further ways. Default: all layers."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """Fields of the models' configs to change."""
    output: Path | None = None


def frames_of(args: Args, height: int, width: int) -> list[np.ndarray]:
    count = 1 + args.warm_up + args.frames
    if args.frames_path is None:
        return list(moving_frames(count, height, width))
    with open_frames(str(args.frames_path)) as source:
        return [frame.image for frame, _ in zip(source, range(count), strict=False)]


def segmenter_of(args: Args, name: str, way: str, fields: dict[str, int]) -> VideoSegmenter:
    if way not in WAYS:
        raise SystemExit(f"--how has no {way!r}: it is any of {', '.join(WAYS)}")
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
    """Operations a second of a product of square matrices, the best of ten."""
    a, b = torch.randn(2, size, size, device=args.device, dtype=TYPES[precision])
    times = []
    for _ in range(10):
        begin = time.perf_counter()
        (a @ b)[0, 0].item()
        times.append(time.perf_counter() - begin)
    return 2 * size**3 / min(times)


def operations(segmenter: VideoSegmenter, frame: np.ndarray) -> int:
    """Operations of a frame's convolutions and products."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:  # it doesn't know the CPU's fused one
        segmenter.step(frame)
    return counter.get_total_flops()


def measure(args: Args, name: str, size: str, objects: int, rates: dict[str, float]) -> list[dict[str, Any]]:
    """A row for each way: median over the frames after warm-up."""
    height, width = (int(x) for x in size.split("x"))
    frames = frames_of(args, height, width)
    mask = grid_mask(objects, *frames[0].shape[:2]) if args.mask is None else read_mask(args.mask)
    config = get_model_config(name)
    depths: list[dict[str, int]] = [{"depth": d} for d in args.depth] if config.depths else []
    has_plain_form = isinstance(config, IdentityBankConfig) and not config.depths
    ways = [(way, fields) for fields in depths or [{}] for way in args.how if way != "plain" or has_plain_form]
    segmenters = [segmenter_of(args, name, way, fields) for way, fields in ways]
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
    counts = [operations(segmenter, frames[-1]) for segmenter in segmenters]
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


def main() -> None:
    args = tyro.cli(Args)
    torch.set_num_threads(args.threads)
    rates = {precision: product_rate(args, precision) for precision in dict.fromkeys(map(precision_of, args.how))}
    shown = ", ".join(f"{rate / 1e9:.0f} gigaoperations a second in {p}" for p, rate in rates.items())
    print(f"{args.device}, scale {args.scale}; products: {shown}")
    columns = f"{'model':>18} {'depth':>5} {'size':>9} {'objects':>7} {'how':>14}"
    print(f"{columns} {'s a frame':>10} {'ratio':>6} {'limit':>6} {'agreement':>9}")
    rows = []
    for name in args.models:
        for size in args.sizes:
            for objects in args.objects:
                for row in measure(args, name, size, objects, rates):
                    rows.append(row)
                    print(
                        f"{name:>18} {row.get('depth', ''):>5} {size:>9} {row['objects']:7d} {row['how']:>14} "
                        f"{row['seconds']:10.3f} {row['ratio']:6.2f} {row['limit']:6.3f} {row['agreement']:9.5f}",
                        flush=True,
                    )
    settings = {k: str(v) for k, v in vars(args).items()}
    save("inference", {"settings": settings, "operations_a_second": rates, "rows": rows}, args.output)


if __name__ == "__main__":
    main()
