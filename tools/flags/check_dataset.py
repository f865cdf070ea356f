"""Flags of ``voskit check-dataset``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class CheckDatasetArgs:
    """Check a dataset: report every missing, damaged or mismatched file."""

    dataset: str
    """A registered dataset, or a JSON file that describes your own."""
    data_root: Path | None = None
    """Folder that holds the dataset. Default: the folder of the JSON file."""
    split: str | None = None
    """A split of the dataset. Default: the first."""
    full: bool = False
    """Decode every frame and mask. Default: their headers, and the given masks."""
    workers: int | None = None
    """Number of threads. Default: four per processor."""
    show: int = 100
    """Maximum number of problems to print; 0: all."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """Fields of the dataset's description to change, such as full_resolution=True."""
