"""The search for the largest of many scores alone: PyTorch's ``topk`` against the one of ``networks/ops/top_k.py``.

python benchmarks/top_k.py
"""

from __future__ import annotations

from common import save  # isort: skip  (makes the project importable)

import statistics
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import tyro

from voskit.networks.ops.top_k import largest

CASES = {
    "jointformer, davis2017": (3240, 60),
    "jointformer, youtubevos": (6480, 120),
    "jointformer, mosev1": (6480, 180),
    "xmem, 5 frames": (8100, 30),
    "deaott_open, 10 frames": (16200, 64),
}
"""Positions in memory at 480 x 854, and how many of them are read."""


@dataclass(frozen=True)
class Args:
    """The search for the largest of many scores alone."""

    rows: int = 1000
    """Positions that search, at a time."""
    runs: int = 15
    threads: int = 2
    output: Path | None = None


def main() -> None:
    """Measure all cases, the two in turns, and print them."""
    args = tyro.cli(Args, description=__doc__)
    torch.set_num_threads(args.threads)
    rows = []
    print("| case | scores | k | `topk`, ms | here, ms | ratio |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    for case, (length, k) in CASES.items():
        scores = torch.randn(args.rows, length, generator=torch.Generator().manual_seed(0))
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(args.runs):
            for own, search in zip(times, (partial(torch.topk, sorted=False), largest), strict=True):
                begin = time.perf_counter()
                search(scores, k=k)
                own.append(1000 * (time.perf_counter() - begin))
        plain, ours = (statistics.median(own) for own in times)
        rows.append({"case": case, "scores": length, "k": k, "topk_ms": plain, "ms": ours, "ratio": plain / ours})
        print(f"| {case} | {length} | {k} | {plain:.1f} | {ours:.1f} | {plain / ours:.1f} |", flush=True)
    save("top_k", {"rows_at_a_time": args.rows, "rows": rows}, args.output)


if __name__ == "__main__":
    main()
