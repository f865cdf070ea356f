"""Segment many videos, resumably, and write a summary.

    voskit batch list.csv --output_path out
    voskit batch videos --mask first_masks --gpu_num 4
    torchrun --nproc_per_node 4 -m voskit batch list.jsonl --output_path s3://bucket/masks

Each video gets a folder <output_path>/<name> with the files of voskit demo. summary.json and summary.csv list the
videos that were segmented, those that failed, and why.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # python tools/batch.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from voskit.__main__ import main as voskit

    sys.exit(voskit(["batch", *sys.argv[1:]]))

import logging

from voskit.tools.command import run_tool
from voskit.tools.flags.batch import BatchArgs as Args

logger = logging.getLogger("batch")


def run(args: Args) -> int:
    """Segment the videos; return 0 only if all were segmented."""
    args.check()
    jobs = args.read_jobs()
    results = args.results()
    from voskit.evaluators.batch.run import run_batch

    records = run_batch(
        args.build_worker,
        jobs,
        results,
        engine=args.engine,
        workers=args.gpu_num,
        resume=args.resume,
        command=[sys.executable, "-m", "voskit", "batch", *sys.argv[1:]],
        threads=args.threads,
        gpus=args.gpus_per_worker,
    )
    done = sum(record.state == "done" for record in records.values())
    if records:
        logger.info("%d of %d videos are done, see %s/summary.csv", done, len(records), args.output_path)
    return int(done < len(records))


def main() -> int:
    """Parse the command line and run."""
    return run_tool(run, Args, __doc__, interrupted="interrupted; run again to resume")
