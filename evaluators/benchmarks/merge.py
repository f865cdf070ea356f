"""Merging (ensembling) of evaluations: masks from the sum of several runs' score maps."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from voskit.dataloaders.masks.files import write_mask
from voskit.evaluators.benchmarks.score_maps import merged_frames
from voskit.evaluators.progress import progress_bar


def merge_runs(runs: Sequence[Path], output: Path) -> None:
    """Merge evaluations of one benchmark. Masks go to ``output / "Annotations"``, which appears when it is complete.

    Args:
        runs: folders of evaluations that saved their score maps.
        output: folder for the merged masks.

    Raises:
        ValueError: the masks already exist, or the runs differ in videos, frames, objects or sizes.
        OSError: masks can't be written.
    """
    if (output / "Annotations").exists():
        raise ValueError(f"{output / 'Annotations'} exists already: give another output folder")
    names = common_videos(runs)
    partial = output / ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for name in progress_bar(names, unit="video"):
            folder = partial / name
            folder.mkdir(parents=True)
            for frame, ids in merged_frames([run / "Scores" / f"{name}.npz" for run in runs]):
                write_mask(folder / f"{frame}.png", ids)
        partial.rename(output / "Annotations")
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def common_videos(runs: Sequence[Path]) -> list[str]:
    """Return the names of the videos, which must be the same in all evaluations.

    Raises:
        ValueError: an evaluation has no score maps, or lacks videos that others have.
    """
    found = {run: {p.stem for p in (run / "Scores").glob("*.npz") if not p.name.startswith(".")} for run in runs}
    everything = set().union(*found.values())
    for run, names in found.items():
        if not names:
            raise ValueError(f"{run} has no score maps: run voskit eval with --save_scores")
        if missing := sorted(everything - names):
            raise ValueError(
                f"{run} lacks score maps of {len(missing)} of {len(everything)} videos, such as {missing[0]}: "
                "finish its voskit eval"
            )
    return sorted(everything)
