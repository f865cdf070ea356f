"""Score results with the rules of a benchmark.

    python tools/score.py --dataset davis2017 --data_root datasets/DAVIS --results out/Annotations
    python tools/score.py --dataset folder --data_root masks --results out/masks --output scores.json

Prints a table and writes, side by side, scores.json, a CSV for each table, and a page of the worst and best frames.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro
from tqdm import tqdm

from voskit.evaluators.metrics import list_scorers, score
from voskit.evaluators.metrics.page import write_page
from voskit.evaluators.metrics.report import summary_text, write_scores
from voskit.tools.command import run_command


@dataclass(frozen=True)
class Args:
    """Score results with the rules of a benchmark."""

    dataset: str
    """The benchmark; an unknown name lists them."""
    data_root: Path
    """Its ground truth, laid out as it is published (A2D, JHMDB: a JSON file)."""
    results: Path
    """The predictions: folder or JSON file."""
    output: Path | None = None
    """A name that ends in .json. Default: scores.json beside the results."""
    split: str | None = None
    """The list of sequences, where the benchmark has several."""
    reading: str | None = None
    """Which reading of the rules, where there are two (YouTube-VOS, Long-Time Video, LVOS)."""
    task: str | None = None
    """BURST: exemplar_guided, class_guided or open_world. LVOS: semi_supervised or unsupervised_multiple."""
    frames: str | None = None
    """dataset folder: inner (without first and last) or all."""
    binary: bool = False
    """dataset folder: any value but 0 is the one object."""
    ignore_id: int | None = None
    """dataset folder: a value of the truth that is no object, such as 255 beside ids."""
    resolution: str | None = None
    """DAVIS: the folder of masks, 480p or Full-Resolution."""
    num_workers: int | None = None
    """Processes. Default: all cores."""
    page: bool = True
    """Draw the page of worst and best frames."""


class Bar:
    """A progress bar that takes (done, total) and grows where there is more to do than was known."""

    def __init__(self) -> None:
        tqdm.monitor_interval = 0  # no thread of its own: processes can then be forked
        self._bar = tqdm(total=0, unit="frame", disable=None)

    def __call__(self, done: int, total: int) -> None:
        if self._bar.n >= (self._bar.total or 0):
            self._bar.total = self._bar.n + total
        self._bar.update(done)

    def close(self) -> None:
        """Leave the line."""
        self._bar.close()


def run(args: Args) -> int:
    """Score, print and write."""
    names = ("split", "reading", "task", "frames", "ignore_id", "resolution")
    options = {name: str(value) for name in names if (value := getattr(args, name)) is not None}
    if args.binary:
        options["binary"] = "yes"
    output = args.results.parent / "scores.json" if args.output is None else args.output
    if output.suffix.lower() != ".json":
        raise ValueError(f"--output {output}: give a name that ends in .json")
    bar = Bar()
    try:
        scores = score(
            args.dataset, args.data_root, args.results, num_workers=args.num_workers, progress=bar, **options
        )
    finally:
        bar.close()
    written = write_scores(scores, output)
    if args.page and scores.frames:
        written.append(write_page(scores.frames, output.with_name(f"{output.stem}_frames.png")))
    print(summary_text(scores))
    print("\nwritten: " + ", ".join(str(path) for path in written))
    return 0


def main() -> int:
    """Parse and run."""
    args = tyro.cli(Args, description=f"{__doc__}\nBenchmarks: {', '.join(list_scorers())}")
    return run_command(lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
