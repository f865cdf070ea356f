"""Flags of ``voskit score``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ScoreArgs:
    """Score results with the rules of a benchmark."""

    dataset: str
    """The benchmark; an unknown name lists all."""
    data_root: Path
    """Its ground truth in the published layout (A2D, JHMDB: a JSON file)."""
    results: Path
    """The predictions: a folder or a JSON file."""
    output: Path | None = None
    """Folder of the scores, or their file, *.json. Default: scores.json next to the results."""
    split: str | None = None
    """List of sequences, for benchmarks with several."""
    reading: str | None = None
    """Variant of the protocol, for benchmarks with two (YouTube-VOS, Long-Time Video, LVOS)."""
    task: str | None = None
    """BURST: exemplar_guided, class_guided or open_world. LVOS: semi_supervised or unsupervised_multiple."""
    frames: str | None = None
    """dataset folder: inner (without first and last) or all."""
    binary: bool = False
    """dataset folder: all values except 0 are one object."""
    ignore_id: int | None = None
    """dataset folder: a value of the ground truth to ignore, such as 255."""
    resolution: str | None = None
    """DAVIS: folder of the masks, 480p or Full-Resolution."""
    num_workers: int | None = None
    """Number of processes. Default: one per core."""
    page: bool = True
    """Draw the page of worst and best frames."""

    @property
    def options(self) -> dict[str, str]:
        """Options of the benchmark's rules that were given."""
        names = ("split", "reading", "task", "frames", "ignore_id", "resolution")
        given = {name: str(value) for name in names if (value := getattr(self, name)) is not None}
        return {**given, "binary": "yes"} if self.binary else given
