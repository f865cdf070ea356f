"""Compare models, checkpoints, memory policies and options over one or more datasets.

    voskit compare --dataset probe --run deaott --run "deaott policy=every_nth_frame:gap=2" --output_path O
    voskit compare --dataset probe:cuts --dataset davis2017:val=datasets/DAVIS --run "mine: r50_deaotl ckpt_path=F flip"

Prints a table and writes it to O, with a chart. Run it again to resume.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # python tools/compare.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from voskit.__main__ import main as voskit

    sys.exit(voskit(["compare", *sys.argv[1:]]))


from voskit.tools.command import run_tool
from voskit.tools.flags.compare import CompareArgs
from voskit.tools.flags.runs import as_run, read_dataset, read_run


def run(args: CompareArgs) -> int:
    """Compare; return 0 only if no run failed."""
    flags = [read_run(text, device=args.device, threads=args.threads) for text in args.run]
    choices = {text.partition("=")[0]: read_dataset(text) for text in args.dataset or ("probe",)}
    from voskit.evaluators.compare.datasets import open_datasets
    from voskit.evaluators.compare.report import table_text
    from voskit.evaluators.compare.run import compare

    datasets = open_datasets(choices, args.videos)
    done = compare(
        [as_run(name, each) for name, each in flags], datasets, args.output_path, num_workers=args.num_workers
    )
    print(table_text(done.figures))
    print(f"\nresults: {args.output_path}")
    return 1 if done.failures else 0


def main() -> int:
    """Parse the command line and run."""
    return run_tool(run, CompareArgs, __doc__, interrupted="interrupted; run it again to resume")
