"""Export of mattes and cut-outs of objects as PNG files."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from voskit.dataloaders.files import make_folder
from voskit.evaluators.exports.base import EXPORTS, ExportClip, OutputFile, check_choice
from voskit.evaluators.exports.by_object import MatteExport, Moment
from voskit.evaluators.exports.frames import ExportFrame, Region
from voskit.evaluators.exports.pngs import write_picture


@EXPORTS.register("alpha")
@dataclass(kw_only=True)
class AlphaExport(MatteExport):
    """``alpha/<object>/<frame>.png``: gray mattes, ``bits=8`` or ``bits=16``; further options: ``MatteExport``."""

    bits: int = 8
    objects: str = "each"
    edges: str = "soft"
    black: float = 0.1
    white: float = 0.9

    output = "alpha"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("bits", self.bits, (8, 16))

    def open(self, label: str) -> Path:
        make_folder(self.path / label)
        return self.path / label

    def put(self, sequence: Any, moment: Moment, frame: ExportFrame | None, key: int) -> None:
        opacity = self.whole_opacity(frame, key)
        write_picture(sequence / f"{moment.name}.png", opacity if self.bits == 16 else to_bytes(opacity))


@EXPORTS.register("rgba")
@dataclass(kw_only=True)
class CutoutExport(MatteExport):
    """``rgba/<object>/<frame>.png``: cut-outs with straight alpha; further options: ``MatteExport``.

    ``crop=true`` crops each file to its object, skips frames without it, and lists the positions in ``places.csv``.
    """

    crop: bool = False
    objects: str = "each"
    edges: str = "soft"
    black: float = 0.1
    white: float = 0.9

    output = "rgba"

    def start(self, clip: ExportClip, folder: Path) -> None:
        super().start(clip, folder)
        self._places: tuple[OutputFile, IO[str], Any] | None = None
        if self.crop:
            file = OutputFile(self.path / "places.csv")
            stream = file.temporary.open("w", encoding="utf-8", newline="")
            self._places = file, stream, csv.writer(stream, lineterminator="\n")
            self._places[2].writerow(["file", "left", "top", "width", "height"])

    def open(self, label: str) -> Path:
        make_folder(self.path / label)
        return self.path / label

    def put(self, sequence: Any, moment: Moment, frame: ExportFrame | None, key: int) -> None:
        path = sequence / f"{moment.name}.png"
        if self._places is None:
            write_picture(path, cut_out(frame, self.whole_opacity(frame, key)))
            return
        matte = None if frame is None else self.opacity(frame, key)
        visible = None if matte is None else trimmed(matte)
        if frame is None or visible is None:
            return
        left, top, width, height = visible.box
        image = frame.frame.image[top : top + height, left : left + width]
        write_picture(path, with_alpha(image, visible.values))
        self._places[2].writerow([f"{sequence.name}/{path.name}", left, top, width, height])

    def close(self, *, complete: bool = True) -> None:
        super().close(complete=complete)
        if self._places is not None:
            self._places[1].close()
            self._places[0].finish(complete=complete)


def to_bytes(opacity: np.ndarray) -> np.ndarray:
    """Convert opacities from 0 to 65535 to bytes, 0 to 255."""
    return ((opacity.astype(np.uint32) + 128) // 257).astype(np.uint8)


def cut_out(frame: ExportFrame | None, opacity_HW: np.ndarray) -> np.ndarray:
    """Return a frame with opacity as alpha, H x W x 4 uint8; without a frame, transparent black."""
    if frame is None:
        return np.zeros((*opacity_HW.shape, 4), np.uint8)
    return with_alpha(frame.frame.image, opacity_HW)


def with_alpha(image: np.ndarray, opacity_HW: np.ndarray) -> np.ndarray:
    """Return an image with straight alpha, H x W x 4 uint8; fully transparent pixels are black."""
    alpha = to_bytes(opacity_HW)[..., None]
    return np.concatenate([image * (alpha > 0), alpha], axis=2)


def trimmed(matte: Region) -> Region | None:
    """Crop a matte to its pixels above 0; None if it has none."""
    rows, columns = np.flatnonzero(matte.values.any(axis=1)), np.flatnonzero(matte.values.any(axis=0))
    if not len(rows):
        return None
    top, left = int(rows[0]), int(columns[0])
    return Region(matte.top + top, matte.left + left, matte.values[top : rows[-1] + 1, left : columns[-1] + 1])
