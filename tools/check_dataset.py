"""Look a dataset over: name every missing, corrupt or mismatched file.

    python tools/check_dataset.py --dataset davis2017 --split val --data_root datasets/DAVIS
    python tools/check_dataset.py --dataset my_dataset.json --full

The exit code is 1 when anything is wrong.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro
from tqdm import tqdm

from voskit.configs.datasets import get_dataset_config
from voskit.dataloaders.datasets import read_dataset_config
from voskit.dataloaders.datasets.check import check_dataset
from voskit.tools.command import run_command


@dataclass(frozen=True)
class Args:
    """Look a dataset over: name every missing, corrupt or mismatched file."""

    dataset: str
    """A registered dataset, or the JSON file that describes one's own."""
    data_root: Path | None = None
    """The folder that holds it. Default: the folder of the JSON file."""
    split: str | None = None
    """One of its splits. Default: the first."""
    full: bool = False
    """Decode every frame and mask, not just their headers and the given masks."""
    workers: int | None = None
    """Threads. Default: four for each processor."""
    show: int = 100
    """Most problems to print; 0: all."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """Fields of the dataset's description to change, such as full_resolution=True."""


def run(args: Args) -> int:
    """Check, print what is wrong and the counts; the exit code says whether all is well."""
    own = args.dataset.lower().endswith(".json")
    config = (read_dataset_config if own else get_dataset_config)(args.dataset).override_from_text(*args.set)
    root = Path(args.dataset).parent if own and args.data_root is None else args.data_root

    def bar(results: Iterable[Any], total: int) -> Iterable[Any]:
        return tqdm(results, total=total, unit="video", disable=None, leave=False)

    report = check_dataset(config, root, split=args.split, full=args.full, workers=args.workers, progress=bar)
    shown = report.problems[: args.show or None]
    for problem in shown:
        print(problem)
    if len(shown) < len(report.problems):
        print(f"... and {len(report.problems) - len(shown)} more (--show 0 prints all)")
    print(f"{config.name} {args.split or config.splits[0]}: {report.summary}")
    return int(bool(report.problems))


def main() -> int:
    """Parse and run."""
    args = tyro.cli(Args, description=__doc__)
    return run_command(lambda: run(args), level=logging.ERROR)


if __name__ == "__main__":
    sys.exit(main())
