"""Score results with the rules of a benchmark.

    voskit score --dataset davis2017 --data_root datasets/DAVIS --results out/Annotations
    voskit score --dataset folder --data_root ground_truth --results out --output scores.json

Prints a table. Writes scores.json and, next to it, a CSV file for each table and a page of the worst and best frames.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # python tools/score.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from voskit.__main__ import main as voskit

    sys.exit(voskit(["score", *sys.argv[1:]]))

from contextlib import closing

from voskit.tools.command import run_tool
from voskit.tools.flags.scoring import ScoreArgs
from voskit.tools.progress import GrowingBar


def run(args: ScoreArgs) -> int:
    """Score results, print the table and write the files."""
    from voskit.evaluators.metrics import score
    from voskit.evaluators.metrics.page import write_page
    from voskit.evaluators.metrics.report import scores_path, summary_text, write_scores

    output = scores_path(args.output, args.results)
    with closing(GrowingBar("frame")) as bar:
        scores = score(
            args.dataset, args.data_root, args.results, num_workers=args.num_workers, progress=bar, **args.options
        )
    written = write_scores(scores, output)
    if args.page and scores.has_page:
        written.append(write_page(scores.frames, output.with_name(f"{output.stem}_frames.png")))
    print(summary_text(scores))
    print("\nwritten: " + ", ".join(str(path) for path in written))
    return 0


def main() -> int:
    """Parse the command line and run."""
    return run_tool(run, ScoreArgs, __doc__)
