"""Flags of ``voskit pack``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class PackArgs:
    """Check results and write the archive that a benchmark's server takes."""

    dataset: str
    """A registered dataset, or a JSON file that describes your own."""
    results: Path
    """Folder of the results, with a folder for each video."""
    data_root: Path | None = None
    """Folder that holds the dataset; its frames are not needed. Default: the folder of the JSON file."""
    split: str | None = None
    """A split of the dataset. Default: the first."""
    output: Path | None = None
    """The archive. Default: <dataset>_<split>, next to the folder of results."""
    layout: Literal["server", "aot", "aot_sparse"] = "server"
    """The layout that the server takes, or an archive of AOT's evaluator."""
    workers: int | None = None
    """Number of threads. Default: one per processor."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """Fields of the dataset's description to change, such as full_resolution=True."""
