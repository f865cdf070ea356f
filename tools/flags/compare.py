"""Flags of ``voskit compare``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True, kw_only=True)
class CompareArgs:
    """Compare models and options over datasets."""

    run: Annotated[tuple[str, ...], tyro.conf.UseAppendAction]
    """A model and its flags without dashes: "r50_aotl ckpt_path=F flip long_term_gap=2", or with a name in the table,
    "flipped: deaott flip". Repeat for each run."""
    dataset: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """NAME, NAME:SPLIT or NAME:SPLIT=FOLDER, or a JSON file that describes your own. Repeat for each dataset.
    Default: probe, generated if missing. Default folder: the usual one in datasets/."""
    videos: tuple[str, ...] = ()
    """Names of videos to compare on. Default: all."""
    output_path: Path = Path("results/compare")
    """Folder of the results."""
    device: str | None = None
    """cuda, cuda:1, mps, cpu, ... Default: the best one."""
    threads: int | None = None
    """Threads on the CPU. Default: OMP_NUM_THREADS, or the number of free cores."""
    num_workers: int | None = None
    """Number of processes for scoring. Default: one per core."""
