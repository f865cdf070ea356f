"""Check a dataset: report every missing, damaged or mismatched file.

    voskit check-dataset --dataset davis2017 --split val --data_root datasets/DAVIS
    voskit check-dataset --dataset my_dataset.json --full

The exit code is 1 if there is a problem.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # python tools/check_dataset.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from voskit.__main__ import main as voskit

    sys.exit(voskit(["check-dataset", *sys.argv[1:]]))

import logging
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

from voskit.tools.command import run_tool
from voskit.tools.flags.check_dataset import CheckDatasetArgs


def run(args: CheckDatasetArgs) -> int:
    """Print the problems and their number; return 1 if there are any."""
    from voskit.dataloaders.datasets.check import check_dataset
    from voskit.dataloaders.datasets.dataset import find_dataset_config

    def bar(results: Iterable[Any], total: int) -> Iterable[Any]:
        return tqdm(results, total=total, unit="video", disable=None, leave=False)

    config, root = find_dataset_config(args.dataset, args.data_root)
    config = config.override_from_text(*args.set)
    report = check_dataset(config, root, split=args.split, full=args.full, workers=args.workers, progress=bar)
    shown = report.problems[: args.show or None]
    for problem in shown:
        print(problem)
    if len(shown) < len(report.problems):
        print(f"... and {len(report.problems) - len(shown)} more (--show 0 prints all)")
    print(f"{config.name} {args.split or config.splits[0]}: {report.summary}")
    return int(bool(report.problems))


def main() -> int:
    """Parse the command line and run."""
    return run_tool(run, CheckDatasetArgs, __doc__, level=logging.WARNING)
