"""Merge several evaluations that saved their score maps: views or checkpoints of one benchmark.

    python tools/eval.py --model xmem ... --set mem_every=3 --short_edge 480 --save_scores --output_path a
    python tools/eval.py --model xmem ... --set mem_every=3 --short_edge 600 --flip --save_scores --output_path b
    python tools/merge.py --results a b --output_path merged

Masks go to <output_path>/Annotations; tools/pack.py and tools/score.py take it from there.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro
from tqdm import tqdm

from voskit.dataloaders.masks.files import write_mask
from voskit.evaluators.benchmarks.score_maps import merged_frames
from voskit.tools.command import run_command


@dataclass(frozen=True, kw_only=True)
class Args:
    """Merge several evaluations that saved their score maps."""

    results: tuple[Path, ...]
    """Output folders of the evaluations."""
    output_path: Path
    """Folder of the merged masks."""


def videos_of_all(runs: Sequence[Path]) -> list[str]:
    """Names of the files of score maps, which all evaluations have.

    Raises:
        ValueError: one has none, or others than the rest.
    """
    found = {run: {p.name for p in (run / "Scores").glob("*.npz") if not p.name.startswith(".")} for run in runs}
    everything = set().union(*found.values())
    for run, names in found.items():
        if not names:
            raise ValueError(f"{run} has no score maps; run tools/eval.py with --save_scores")
        if missing := sorted(Path(name).stem for name in everything - names):
            raise ValueError(
                f"{run} has no score maps of {len(missing)} of {len(everything)} videos, such as {missing[0]}: "
                "run its tools/eval.py to the end"
            )
    return sorted(everything)


def run(args: Args) -> int:
    """Merge all videos."""
    if not args.results:
        raise ValueError("--results: give the output folders of two or more evaluations")
    if (args.output_path / "Annotations").exists():
        raise ValueError(f"{args.output_path / 'Annotations'} is there already: give another output folder")
    names = videos_of_all(args.results)
    partial = args.output_path / ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for name in tqdm(names, unit="video"):
            folder = partial / Path(name).stem
            folder.mkdir(parents=True)
            for frame, ids in merged_frames([run / "Scores" / name for run in args.results]):
                write_mask(folder / f"{frame}.png", ids)
        partial.rename(args.output_path / "Annotations")
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    print(f"results: {args.output_path}")
    return 0


def main() -> int:
    """Parse and run."""
    args = tyro.cli(Args, description=__doc__)
    return run_command(lambda: run(args), interrupted="interrupted")


if __name__ == "__main__":
    sys.exit(main())
