"""Check results and write the archive that a benchmark's server takes.

    python tools/pack.py --dataset youtubevos2019 --split val_all_frames --data_root datasets/YTB/2019 \\
        --results out/Annotations --output out/submission.zip

Nothing is written, and the exit code is 1, when anything is wrong with the results.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro

from voskit.configs.datasets import get_dataset_config
from voskit.dataloaders.datasets import open_dataset, read_dataset_config
from voskit.evaluators.submissions.pack import ArchiveLayout, pack
from voskit.tools.command import run_command


@dataclass(frozen=True)
class Args:
    """Check results and write the archive that a benchmark's server takes."""

    dataset: str
    """A registered dataset, or the JSON file that describes one's own."""
    results: Path
    """The folder of the results, one folder a video."""
    data_root: Path | None = None
    """The folder that holds the dataset; its frames need not be there. Default: the folder of the JSON file."""
    split: str | None = None
    """One of its splits. Default: the first."""
    output: Path | None = None
    """The archive. Default: <dataset>_<split>, beside the folder of results."""
    layout: ArchiveLayout = "server"
    """What the server takes, or the archives of AOT's evaluator."""
    workers: int | None = None
    """Threads. Default: as many as processors."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """Fields of the dataset's description to change, such as full_resolution=True."""


def run(args: Args) -> int:
    """Check and pack."""
    own = args.dataset.lower().endswith(".json")
    config = (read_dataset_config if own else get_dataset_config)(args.dataset).override_from_text(*args.set)
    root = Path(args.dataset).parent if own and args.data_root is None else args.data_root
    dataset = open_dataset(config, root, split=args.split, require_frames=False)
    suffix = config.archive_suffix if args.layout == "server" else ".zip"
    archive = args.output or args.results.parent / f"{dataset.name}_{dataset.split}{suffix}"
    members = pack(dataset, args.results, archive, layout=args.layout, workers=args.workers)
    print(f"{archive}: {len(members)} file(s), {archive.stat().st_size / 2**20:.1f} MiB")
    return 0


def main() -> int:
    """Parse and run."""
    args = tyro.cli(Args, description=__doc__)
    return run_command(lambda: run(args), level=logging.WARNING, interrupted="interrupted; nothing was written")


if __name__ == "__main__":
    sys.exit(main())
