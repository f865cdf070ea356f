"""Check results and write the archive for a benchmark's server.

    voskit pack --dataset youtubevos2019 --split val_all_frames --data_root datasets/YTB/2019 \\
        --results out/Annotations --output out/submission.zip

If the results have a problem, nothing is written and the exit code is 1.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # python tools/pack.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from voskit.__main__ import main as voskit

    sys.exit(voskit(["pack", *sys.argv[1:]]))

import logging

from voskit.tools.command import run_tool
from voskit.tools.flags.pack import PackArgs


def run(args: PackArgs) -> int:
    """Check and pack the results."""
    from voskit.dataloaders.datasets.dataset import find_dataset_config, open_dataset
    from voskit.dataloaders.datasets.problem import counted
    from voskit.evaluators.submissions.pack import pack

    config, root = find_dataset_config(args.dataset, args.data_root)
    dataset = open_dataset(config.override_from_text(*args.set), root, split=args.split, require_frames=False)
    suffix = dataset.config.archive_suffix if args.layout == "server" else ".zip"
    archive = args.output or args.results.parent / f"{dataset.name}_{dataset.split}{suffix}"
    members = pack(dataset, args.results, archive, layout=args.layout, workers=args.workers)
    print(f"{archive}: {counted(len(members), 'file')}, {archive.stat().st_size / 2**20:.1f} MiB")
    return 0


def main() -> int:
    """Parse the command line and run."""
    return run_tool(run, PackArgs, __doc__, interrupted="interrupted; nothing was written", level=logging.WARNING)
