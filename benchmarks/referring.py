"""Seconds per frame and text prompt, and peak memory, of models with text prompts, by window length.

    python benchmarks/referring.py --models r50_referformer --windows 1 5 12 36
    python benchmarks/referring.py --device cuda --models r50_referformer vswinb_referformer --how fp32 fp16

Weights are random. Each row is measured in a new process; the text prompts of a window share its encoded frames.
``share`` is in seconds per frame and prompt. Memory is the peak of resident memory, or on CUDA of allocated memory.
"""

from __future__ import annotations

from common import Table, height_and_width, run_in_new_process, moving_frames, save  # isort: skip  (makes the project importable)

import itertools
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import torch
import tyro

from voskit.configs import list_models
from voskit.evaluators import ReferringSegmenter
from voskit.evaluators.benchmarks.timing import Stopwatch
from voskit.networks import build_model

SENTENCES = ("a woman in a black top standing beside the white tent", "the boy", "a red car on the left", "the dog")


@dataclass(frozen=True)
class Args:
    """Seconds per frame and text prompt of models with text prompts."""

    models: tuple[str, ...] = tuple(list_models("referring"))
    how: tuple[str, ...] = ("fp32",)
    """fp32, fp16, bf16."""
    windows: tuple[int, ...] = (1, 5, 12, 36)
    sentences: tuple[int, ...] = (1, 4)
    """Numbers of text prompts per call, up to 4."""
    size: str = "480x854"
    """Height and width of the video; the network resizes it to its short edge."""
    repeat: int = 1
    device: str = "cpu"
    threads: int = 2
    output: Path | None = None


def main(args: Args) -> None:
    """Measure all cases."""
    table = Table(model="", how="", window="d", sentences="d", share=".3f", GiB=".2f")
    for name, how, window, count in itertools.product(args.models, args.how, args.windows, args.sentences):
        row = run_in_new_process(measure, args, name, how, window, count)
        row |= {"share": row["seconds"] / window / count, "GiB": row["bytes"] / 2**30}
        table.add({"model": name, "how": how, "window": window, "sentences": count, **row})
    save("referring", args, rows=table.rows)


def measure(args: Args, name: str, how: str, window: int, count: int) -> dict[str, float]:
    """Return the best seconds for a window, including masks at the frames' size, and the peak memory in bytes."""
    torch.set_num_threads(args.threads)
    height, width = height_and_width(args.size)
    frames = list(moving_frames(window, height, width))
    precision = cast("Literal['fp16', 'bf16'] | None", None if how == "fp32" else how)
    segmenter = ReferringSegmenter(build_model(name, device=args.device), amp=precision)
    stopwatch = Stopwatch(torch.device(args.device))
    best = float("inf")
    for _ in range(args.repeat):
        with stopwatch.running():
            found = segmenter.refer(frames, SENTENCES[:count])
            for i in range(window):
                segmenter.ids([one.probabilities(i, (height, width)) for one in found])
        best = min(best, stopwatch.seconds)
    if args.device.startswith("cuda"):
        return {"seconds": best, "bytes": torch.cuda.max_memory_allocated(args.device)}
    return {"seconds": best, "bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
