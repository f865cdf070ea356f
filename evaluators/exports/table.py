"""Export of a CSV table with a row for each frame and object."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from voskit.evaluators.exports.base import EXPORTS, Export, ExportClip, OutputFile
from voskit.evaluators.exports.frames import ExportFrame, Region

COLUMNS = (
    "frame", "time", "object", "name", "present", "area", "left", "top", "width", "height", "center_x", "center_y",
    "confidence", "margin",
)  # fmt: skip


@EXPORTS.register("csv")
@dataclass(kw_only=True)
class TableExport(Export):
    """``objects.csv``: a row for each frame and each object that has appeared so far, in pixels and seconds.

    ``present`` is 1 if the object is visible; otherwise its box and center (the mean of its pixels) are empty.
    ``confidence`` and ``margin`` are the network's, see ``VideoSegmenter.quality``; empty for masks without a network.
    """

    output = "objects.csv"

    def start(self, clip: ExportClip, folder: Path) -> None:
        super().start(clip, folder)
        self._file = OutputFile(self.path)
        self._stream: IO[str] = self._file.temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="")
        self._rows = csv.writer(self._stream, lineterminator="\n")
        self._rows.writerow(COLUMNS)
        self._seen: set[int] = set()

    def write(self, frame: ExportFrame) -> None:
        self._seen |= frame.regions.keys() | frame.quality.keys()
        time = "" if frame.frame.time is None else f"{frame.frame.time:.6f}"
        for object_id in sorted(self._seen):
            quality = frame.quality.get(object_id, {})
            measures = ["" if (value := quality.get(key)) is None else f"{value:.4f}" for key in COLUMNS[-2:]]
            place = _place(frame.regions.get(object_id))
            self._rows.writerow(
                [frame.frame.name, time, object_id, self.clip.names.get(object_id, ""), *place, *measures]
            )

    def close(self, *, complete: bool = True) -> None:
        self._stream.close()
        self._file.finish(complete=complete)


def _place(region: Region | None) -> list[object]:
    """Return the columns from ``present`` to ``center_y``."""
    if region is None:
        return [0, 0, *[""] * 6]
    rows, columns = np.nonzero(region.values)
    center = f"{columns.mean() + region.left:.2f}", f"{rows.mean() + region.top:.2f}"
    return [1, len(rows), *region.box, *center]
