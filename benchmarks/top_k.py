"""Time to find the largest k of many scores with ``torch.topk`` and ``voskit.networks.ops.top_k.largest``.

python benchmarks/top_k.py
"""

from __future__ import annotations

from common import Table, median_seconds, save  # isort: skip  (makes the project importable)

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
"""Number of positions in memory at 480 x 854, and k."""


@dataclass(frozen=True)
class Args:
    """Time to find the largest k of many scores."""

    rows: int = 1000
    """Number of queries per call."""
    runs: int = 15
    threads: int = 2
    output: Path | None = None


def main(args: Args) -> None:
    """Measure all cases."""
    torch.set_num_threads(args.threads)
    table = Table(case="", scores="d", k="d", topk_ms=".1f", ms=".1f", ratio=".1f")
    for case, (length, k) in CASES.items():
        scores = torch.randn(args.rows, length, generator=torch.Generator().manual_seed(0))
        calls = [partial(torch.topk, scores, k=k, sorted=False), partial(largest, scores, k=k)]
        plain, own = (1000 * seconds for seconds in median_seconds(calls, args.runs))
        table.add({"case": case, "scores": length, "k": k, "topk_ms": plain, "ms": own, "ratio": plain / own})
    save("top_k", args, rows=table.rows)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
