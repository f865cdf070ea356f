"""Long-term attention alone: all positions of the memory against the likeliest ones, for one or more groups of objects.

python benchmarks/long_term_attention.py --groups 1 10 --top_k 30 64
python benchmarks/long_term_attention.py --device cuda --dtype fp16
"""

from __future__ import annotations

from common import save  # isort: skip  (makes the project importable)

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import tyro

from voskit.networks.ops import attention

FORMS = {"aot": (8, 32, 32), "deaot": (1, 128, 1024)}
"""Heads, channels a head of the key and of the value."""
TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
STRIDE = 16


@dataclass(frozen=True)
class Args:
    """Long-term attention alone."""

    size: str = "588x1040"
    """Height and width of the network's input; maps are a sixteenth of that."""
    frames: int = 10
    """Frames in memory."""
    groups: tuple[int, ...] = (1, 10)
    """Groups of objects; as in a first layer, they share query and key."""
    top_k: tuple[int, ...] = (30, 64)
    dtype: Literal["fp32", "fp16", "bf16"] = "fp32"
    runs: int = 5
    device: str = "cpu"
    threads: int = 2
    output: Path | None = None


@torch.inference_mode()
def seconds(args: Args, form: str, groups: int, choices: tuple[int | None, ...]) -> list[float]:
    """Median seconds of each choice of ``top_k``, taken in turns."""
    height, width = (int(x) // STRIDE + 1 for x in args.size.split("x"))
    heads, channels, values = FORMS[form]
    generator = torch.Generator().manual_seed(0)

    def random(batch: int, frames: int, columns: int) -> torch.Tensor:
        x = torch.randn(batch, heads, frames * height * width, columns, generator=generator)
        return x.to(args.device, TYPES[args.dtype])

    q, k, v = random(1, 1, channels), random(1, args.frames, channels), random(groups, args.frames, values)
    times: list[list[float]] = [[] for _ in choices]
    for run in range(args.runs + 1):
        for own, top_k in zip(times, choices, strict=True):
            begin = time.perf_counter()
            attention(q, k, v, top_k)
            if q.is_cuda:
                torch.cuda.synchronize()
            if run:  # the first one warms up
                own.append(time.perf_counter() - begin)
    return [statistics.median(own) for own in times]


def main() -> None:
    """Measure all cases and print them."""
    args = tyro.cli(Args, description=__doc__)
    torch.set_num_threads(args.threads)
    choices = (None, *args.top_k)
    rows = []
    print("| form | groups | top_k | ms | ratio |\n| --- | ---: | ---: | ---: | ---: |")
    for form in FORMS:
        for groups in args.groups:
            taken = seconds(args, form, groups, choices)
            for top_k, own in zip(choices, taken, strict=True):
                ratio = taken[0] / own
                rows.append({"form": form, "groups": groups, "top_k": top_k, "seconds": own, "ratio": ratio})
                print(f"| {form} | {groups} | {top_k or 'all'} | {1000 * own:.0f} | {ratio:.1f} |", flush=True)
    save("long_term_attention", {"size": args.size, "frames": args.frames, "rows": rows}, args.output)


if __name__ == "__main__":
    main()
