"""Score results with the rules of a benchmark.

    voskit score --dataset davis2017 --data_root datasets/DAVIS --results out/Annotations
    voskit score --dataset folder --data_root masks --results out/masks --output scores.json

Prints a table. Writes scores.json and, beside it, a CSV file for each table and a page of the worst and best frames.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # python tools/score.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from voskit.__main__ import main as voskit

    sys.exit(voskit(["score", *sys.argv[1:]]))

from dataclasses import dataclass

from tqdm import tqdm

from voskit.tools.command import run_tool

OTHER_FILES = (".csv", ".html", ".md", ".npz", ".png", ".pkl", ".tsv", ".txt", ".xlsx", ".xml", ".yaml", ".yml", ".zip")
"""Endings of names that are meant as files; folders may have dots in their names, too."""


@dataclass(frozen=True)
class Args:
    """Score results with the rules of a benchmark."""

    dataset: str
    """The benchmark; an unknown name lists all."""
    data_root: Path
    """Its ground truth in the published layout (A2D, JHMDB: a JSON file)."""
    results: Path
    """The predictions: a folder or a JSON file."""
    output: Path | None = None
    """Folder of the scores, or their file, *.json. Default: scores.json beside the results."""
    split: str | None = None
    """List of sequences, for benchmarks with several."""
    reading: str | None = None
    """Interpretation of the rules, for benchmarks with two (YouTube-VOS, Long-Time Video, LVOS)."""
    task: str | None = None
    """BURST: exemplar_guided, class_guided or open_world. LVOS: semi_supervised or unsupervised_multiple."""
    frames: str | None = None
    """dataset folder: inner (without first and last) or all."""
    binary: bool = False
    """dataset folder: all values except 0 are one object."""
    ignore_id: int | None = None
    """dataset folder: a value of the ground truth that is no object, such as 255."""
    resolution: str | None = None
    """DAVIS: folder of the masks, 480p or Full-Resolution."""
    num_workers: int | None = None
    """Processes. Default: one for each core."""
    page: bool = True
    """Draw the page of worst and best frames."""


class Bar:
    """A progress bar for calls (done, total), which grows if there is more work than was known."""

    def __init__(self) -> None:
        tqdm.monitor_interval = 0  # without a thread of its own, processes can be forked
        self._bar = tqdm(total=0, unit="frame", disable=None)

    def __call__(self, done: int, total: int) -> None:
        if self._bar.n >= (self._bar.total or 0):
            self._bar.total = self._bar.n + total
        self._bar.update(done)

    def close(self) -> None:
        """Keep the bar on its line."""
        self._bar.close()


def scores_file(output: Path | None, results: Path) -> Path:
    """Return the file of the scores for ``--output``, and make its folder.

    Raises:
        ValueError: the name is that of a file of another type.
        OSError: the folder can't be made or written.
    """
    from voskit.dataloaders.files import make_folder

    output = results.parent if output is None else output
    if output.is_dir() or output.suffix.lower() != ".json":
        if output.is_file() or (output.suffix.lower() in OTHER_FILES and not output.is_dir()):
            raise ValueError(f"--output {output}: give a folder, or a file called *.json")
        output /= "scores.json"
    make_folder(output.parent)
    return output


def run(args: Args) -> int:
    """Score, print and write."""
    from voskit.evaluators.metrics import score
    from voskit.evaluators.metrics.page import write_page
    from voskit.evaluators.metrics.report import summary_text, write_scores

    names = ("split", "reading", "task", "frames", "ignore_id", "resolution")
    options = {name: str(value) for name in names if (value := getattr(args, name)) is not None}
    if args.binary:
        options["binary"] = "yes"
    output = scores_file(args.output, args.results)
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
    """Parse the command line and run."""
    return run_tool(run, Args, __doc__)
