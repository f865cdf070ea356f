"""Time per frame and peak memory by number of objects, resolution and number of frames in memory.

    python benchmarks/scaling.py --model aott --objects 1 10 44 100 --how plain fp32 bf16 --plot scaling.svg
    python benchmarks/scaling.py --device cuda --model r50_deaotl --how plain fp32 fp16

Each case runs in a new process, so that cases don't share their peak. ``plain`` is ``benchmarks/plain.py``; ratios are
relative to the first of ``--how``. Networks get the video at its native resolution. Weights are random. ``--plot``
needs matplotlib.
"""

from __future__ import annotations

from common import Table, grid_mask, height_and_width, run_in_new_process, moving_frames, save  # isort: skip

import importlib
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from plain import PlainSegmenter

from voskit.evaluators import VideoSegmenter
from voskit.networks import build_model
from voskit.networks.memory_usage import peak_memory


@dataclass(frozen=True)
class Args:
    """Time per frame and peak memory by objects, resolution and memory."""

    model: str = "aott"
    how: tuple[str, ...] = ("plain", "fp32")
    """plain, fp32, fp16, bf16"""
    objects: tuple[int, ...] = (1, 3, 10, 30, 100)
    sizes: tuple[str, ...] = ("360x640", "480x854", "720x1280", "1080x1920")
    memory_frames: tuple[int, ...] = (1, 5, 10, 20)
    fixed_objects: int = 3
    """Number of objects when resolution or memory varies."""
    fixed_size: str = "480x854"
    """Resolution when objects or memory vary."""
    scale: float = 1.0
    """Test scale of the network's input."""
    frames: int = 3
    """Number of frames after two warm-up frames; their median is reported."""
    device: str = "cpu"
    threads: int = 2
    output: Path | None = None
    plot: Path | None = None
    """File for a plot."""


@dataclass(frozen=True)
class Case:
    """One measurement."""

    varied: str
    """objects, size or memory"""
    how: str
    objects: int
    size: str
    memory: int


def list_cases(args: Args) -> list[Case]:
    """Return all cases of the three series."""
    same = (args.fixed_objects, args.fixed_size, 1)
    settings = [("objects", (n, *same[1:])) for n in args.objects]
    settings += [("size", (same[0], size, 1)) for size in args.sizes]
    settings += [("memory", (*same[:2], n)) for n in args.memory_frames]
    return [Case(varied, how, *values) for varied, values in settings for how in args.how]


def measure(args: Args, case: Case) -> dict[str, float]:
    """Return the median seconds per frame and the peak memory in MiB."""
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    height, width = height_and_width(case.size)
    model = build_model(args.model, device=args.device)
    gap = 1 if case.memory > 1 else 9999
    options: dict[str, Any] = {"long_term_gap": gap, "max_long_edge": 100_000, "scales": (args.scale,)}
    if case.how == "plain":
        segmenter: VideoSegmenter = PlainSegmenter(model, **options)
    else:
        segmenter = VideoSegmenter(model, amp=None if case.how == "fp32" else case.how, **options)  # type: ignore[arg-type]
    filling = max(1, case.memory - args.frames)
    times = []
    for t, frame in enumerate(moving_frames(filling + 2 + args.frames, height, width)):
        begin = time.perf_counter()
        segmenter.step(frame, mask=grid_mask(case.objects, height, width) if t == 0 else None)
        times.append(time.perf_counter() - begin)
    peak = peak_memory(torch.device(args.device)) / 2**20
    return {"seconds": statistics.median(times[-args.frames :]), "peak_MiB": peak}


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Plot time above memory, with a column for each series."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator, NullFormatter

    labels = {"objects": "objects", "size": "rows of pixels", "memory": "frames in memory"}
    columns = {varied: label for varied, label in labels.items() if any(row["varied"] == varied for row in rows)}
    width = 1 + 3.4 * len(columns)
    figure, axes = plt.subplots(2, len(columns), figsize=(width, 6), sharex="col", squeeze=False)
    for column, (varied, label) in enumerate(columns.items()):
        for how in dict.fromkeys(row["how"] for row in rows):
            own = [row for row in rows if row["varied"] == varied and row["how"] == how]
            x = [int(row["size"].split("x")[0]) if varied == "size" else row[varied] for row in own]
            axes[0, column].plot(x, [row["seconds"] for row in own], marker="o", label=how)
            axes[1, column].plot(x, [row["peak_MiB"] / 1024 for row in own], marker="o", label=how)
        axes[1, column].set_xlabel(label)
        for axis in axes[:, column]:
            axis.set_yscale("log")
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5)))
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_minor_formatter(NullFormatter())
            axis.grid(alpha=0.3, which="both")
    axes[0, 0].set_ylabel("seconds per frame")
    axes[1, 0].set_ylabel("peak memory, GiB")
    axes[0, 0].legend()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main(args: Args) -> None:
    """Measure all cases."""
    if args.plot is not None:
        importlib.import_module("matplotlib")  # if it is missing, fail before the measurements
    print(f"{args.model}, {args.device}, scale {args.scale}")
    table = Table(objects="d", size="", memory="d", how="", seconds=".3f", ratio=".2f", peak_MiB=".0f")
    first = {"seconds": 0.0}
    for case in list_cases(args):
        row = {**vars(case), **run_in_new_process(measure, args, case)}
        first = row if case.how == args.how[0] else first
        row["ratio"] = round(first["seconds"] / row["seconds"], 2)
        table.add(row)
    save("scaling", args, rows=table.rows)
    if args.plot is not None:
        draw(table.rows, args.plot)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
