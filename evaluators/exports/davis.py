"""Export to an archive in the layout of DAVIS 2017."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from voskit.dataloaders.masks.files import encode_mask
from voskit.evaluators.exports.base import EXPORTS, Export, ExportClip, OutputFile
from voskit.evaluators.exports.by_object import file_name
from voskit.evaluators.exports.frames import ExportFrame
from voskit.evaluators.submissions.archive import archive_member


@EXPORTS.register("davis")
@dataclass(kw_only=True)
class DavisExport(Export):
    """``davis.zip``: ``Annotations/480p/<clip>/<frame>.png``, ``JPEGImages/480p/<clip>/<frame>.jpg``, list of clips.

    ``images=false`` omits the JPEGs; ``quality`` is the JPEG quality, 1 to 95.
    """

    images: bool = True
    quality: int = 95

    output = "davis.zip"

    def __post_init__(self) -> None:
        check_quality(self.quality)

    def start(self, clip: ExportClip, folder: Path) -> None:
        super().start(clip, folder)
        self._file = OutputFile(self.path)
        self._zip = zipfile.ZipFile(self._file.temporary, "w", zipfile.ZIP_STORED)
        self._name = file_name(clip.name)

    def write(self, frame: ExportFrame) -> None:
        place = f"480p/{self._name}/{frame.frame.name}"
        self._zip.writestr(archive_member(f"Annotations/{place}.png"), encode_mask(frame.ids))
        if self.images:
            self._zip.writestr(archive_member(f"JPEGImages/{place}.jpg"), encode_jpeg(frame.frame.image, self.quality))

    def close(self, *, complete: bool = True) -> None:
        with self._zip:
            for subset in ("train", "val"):
                self._zip.writestr(archive_member(f"ImageSets/2017/{subset}.txt"), f"{self._name}\n")
        self._file.finish(complete=complete)


def check_quality(quality: int) -> None:
    """Raise ValueError unless a JPEG quality is between 1 and 95."""
    if not 1 <= quality <= 95:
        raise ValueError(f"quality must be between 1 and 95, not {quality}")


def encode_jpeg(image: np.ndarray, quality: int) -> bytes:
    """Encode a frame, H x W x 3 uint8, as a JPEG with full color resolution."""
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, format="JPEG", quality=quality, subsampling=0)
    return encoded.getvalue()
