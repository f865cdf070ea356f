"""Merge several evaluations that saved their score maps: views or checkpoints of one benchmark.

    python tools/eval.py --model xmem ... --set mem_every=3 --short_edge 480 --save_scores --output_path a
    python tools/eval.py --model xmem ... --set mem_every=3 --short_edge 600 --flip --save_scores --output_path b
    python tools/merge.py --results a b --output_path merged

Masks go to <output_path>/Annotations; tools/pack.py and tools/score.py take it from there.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro
from tqdm import tqdm

from dataloaders.masks import write_mask
from evaluators.score_maps import merged_frames
from tools.command import run_command


@dataclass(frozen=True, kw_only=True)
class Args:
    """Merge several evaluations that saved their score maps."""

    results: tuple[Path, ...]
    """Output folders of the evaluations."""
    output_path: Path
    """Folder of the merged masks."""


def run(args: Args) -> int:
    """Merge all videos."""
    if not args.results:
        raise ValueError("--results: give the output folders of two or more evaluations")
    if (args.output_path / "Annotations").exists():
        raise ValueError(f"{args.output_path / 'Annotations'} is there already: give another output folder")
    names = sorted(path.name for path in (args.results[0] / "Scores").glob("*.npz"))
    if not names:
        raise ValueError(f"{args.results[0]} has no score maps; run tools/eval.py with --save_scores")
    for name in tqdm(names, unit="video"):
        for frame, ids in merged_frames([folder / "Scores" / name for folder in args.results]):
            path = args.output_path / "Annotations" / Path(name).stem / f"{frame}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_mask(path, ids)
    print(f"results: {args.output_path}")
    return 0


def main() -> int:
    """Parse and run."""
    args = tyro.cli(Args, description=__doc__)
    return run_command(lambda: run(args), interrupted="interrupted")


if __name__ == "__main__":
    sys.exit(main())
