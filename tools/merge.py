"""Merge several evaluations that saved their score maps: views or checkpoints on one benchmark.

    voskit eval --model xmem ... --set mem_every=3 --short_edge 480 --save_scores --output_path a
    voskit eval --model xmem ... --set mem_every=3 --short_edge 600 --flip --save_scores --output_path b
    voskit merge --results a b --output_path merged

Masks go to <output_path>/Annotations, for voskit pack and voskit score.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # python tools/merge.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from voskit.__main__ import main as voskit

    sys.exit(voskit(["merge", *sys.argv[1:]]))

from dataclasses import dataclass

from voskit.tools.command import run_tool


@dataclass(frozen=True, kw_only=True)
class Args:
    """Merge several evaluations that saved their score maps."""

    results: tuple[Path, ...]
    """Folders of the evaluations (their --output_path)."""
    output_path: Path
    """Folder of the merged masks."""


def run(args: Args) -> int:
    """Merge all videos."""
    from voskit.evaluators.benchmarks.merge import merge_runs

    if not args.results:
        raise ValueError("--results: give the folders of two or more evaluations")
    merge_runs(args.results, args.output_path)
    print(f"results: {args.output_path}")
    return 0


def main() -> int:
    """Parse the command line and run."""
    return run_tool(run, Args, __doc__)
