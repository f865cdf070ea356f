"""Export of masks as PNG files: object ids, or a black and white file for each object."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from voskit.dataloaders.files import atomic_write, make_folder
from voskit.dataloaders.masks.files import write_mask
from voskit.dataloaders.masks.palette import bright_palette, davis_palette, voc_palette
from voskit.evaluators.exports.base import EXPORTS, Export, ExportClip, check_choice
from voskit.evaluators.exports.by_object import Moment, SequenceExport
from voskit.evaluators.exports.frames import ExportFrame

_PALETTES = {"davis": davis_palette, "voc": voc_palette, "bright": bright_palette, "gray": None}


@EXPORTS.register("png")
@dataclass(kw_only=True)
class PngExport(Export):
    """``png/<frame>.png``: object ids. ``palette``: ``davis``, ``voc``, ``bright``, or ``gray`` for none."""

    palette: str = "davis"

    output = "png"

    def __post_init__(self) -> None:
        check_choice("palette", self.palette, _PALETTES)

    def start(self, clip: ExportClip, folder: Path) -> None:
        super().start(clip, folder)
        make_folder(self.path)

    def write(self, frame: ExportFrame) -> None:
        colors = _PALETTES[self.palette]
        path = self.path / f"{frame.frame.name}.png"
        write_mask(path, frame.ids, palette=colors() if colors else None, grayscale=colors is None)

    def close(self, *, complete: bool = True) -> None:
        pass


@EXPORTS.register("binary")
@dataclass(kw_only=True)
class BinaryExport(SequenceExport):
    """``binary/<object>/<frame>.png``: white where the object is; ``objects=together``: where any object is."""

    objects: str = "each"

    output = "binary"

    def open(self, label: str) -> Path:
        make_folder(self.path / label)
        return self.path / label

    def put(self, sequence: Any, moment: Moment, frame: ExportFrame | None, key: int) -> None:
        white = np.zeros(self.clip.size, bool)
        if frame is not None:
            white = frame.ids == key if key else frame.ids > 0
        write_picture(sequence / f"{moment.name}.png", white.astype(np.uint8) * np.uint8(255))


def write_picture(path: Path, pixels: np.ndarray) -> None:
    """Write a PNG, completely or not at all, of H x W uint8 or uint16, or H x W x 3 or 4 uint8 pixels."""
    encoded = _encode(pixels) if pixels.any() else _empty_picture(pixels.shape, pixels.dtype.str)
    with atomic_write(path) as temporary:
        temporary.write_bytes(encoded)


def _encode(pixels: np.ndarray) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, format="PNG", compress_level=4)
    return encoded.getvalue()


@lru_cache(maxsize=4)
def _empty_picture(shape: tuple[int, ...], dtype: str) -> bytes:
    """Return a PNG of zeros, cached because the sequence of a late object starts with many."""
    return _encode(np.zeros(shape, dtype))
