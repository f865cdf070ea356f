"""Export of masks as NumPy arrays."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voskit.evaluators.exports.base import EXPORTS, Export, ExportClip, OutputFile
from voskit.evaluators.exports.frames import ExportFrame


@EXPORTS.register("npz")
@dataclass(kw_only=True)
class ArraysExport(Export):
    """``masks.npz``: ``masks/<frame>``, H x W ids of each frame, which ``numpy.load`` reads one by one.

    It also contains ``frames`` [T], the names of the frames; ``times`` [T], in seconds (NaN: none); and ``object_ids``
    and ``object_names`` [N].
    """

    output = "masks.npz"

    def start(self, clip: ExportClip, folder: Path) -> None:
        super().start(clip, folder)
        self._file = OutputFile(self.path)
        self._zip = zipfile.ZipFile(self._file.temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=3)
        self._frames: list[str] = []
        self._times: list[float] = []
        self._ids: set[int] = set()

    def write(self, frame: ExportFrame) -> None:
        self._add(f"masks/{frame.frame.name}", frame.ids.astype(np.uint8 if frame.ids.max() < 256 else np.uint16))
        self._frames.append(frame.frame.name)
        self._times.append(np.nan if frame.frame.time is None else frame.frame.time)
        self._ids |= frame.regions.keys()

    def close(self, *, complete: bool = True) -> None:
        ids = sorted(self._ids)
        with self._zip:
            self._add("frames", np.array(self._frames, str))
            self._add("times", np.array(self._times, float))
            self._add("object_ids", np.array(ids, np.uint16))
            self._add("object_names", np.array([self.clip.names.get(object_id, "") for object_id in ids], str))
        self._file.finish(complete=complete)

    def _add(self, key: str, array: np.ndarray) -> None:
        info: Any = zipfile.ZipInfo(f"{key}.npy", (1980, 1, 1, 0, 0, 0))
        info.compress_type = zipfile.ZIP_DEFLATED
        with self._zip.open(info, "w", force_zip64=True) as member:
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
