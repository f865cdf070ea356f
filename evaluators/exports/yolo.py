"""Export to YOLO segmentation labels: polygons of objects, with images and the list of classes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial import KDTree

from voskit.dataloaders.files import atomic_write, atomic_write_text, make_folder
from voskit.evaluators.exports.base import EXPORTS, Export, ExportClip
from voskit.evaluators.exports.coco import Categories
from voskit.evaluators.exports.davis import check_quality, encode_jpeg
from voskit.evaluators.exports.frames import ExportFrame, Region


@EXPORTS.register("yolo-seg")
@dataclass(kw_only=True)
class YoloExport(Export):
    """``yolo-seg/``: ``labels/<frame>.txt``, ``images/<frame>.jpg`` and ``data.yaml``, for training with Ultralytics.

    Classes are the names of the objects. A line is one object: its class and a polygon. Pieces and holes are joined
    into one polygon by lines one pixel wide, so an object of one piece without holes is exact, and others nearly so.
    ``images=false`` omits the JPEGs; ``quality`` is the JPEG quality, 1 to 95.
    """

    images: bool = True
    quality: int = 95

    output = "yolo-seg"

    def __post_init__(self) -> None:
        check_quality(self.quality)

    def start(self, clip: ExportClip, folder: Path) -> None:
        super().start(clip, folder)
        self._categories = Categories(clip.names)
        for part in ("labels", *(["images"] if self.images else [])):
            make_folder(self.path / part)

    def write(self, frame: ExportFrame) -> None:
        height, width = self.clip.size
        lines = []
        for object_id, region in frame.regions.items():
            points = (polygon(region) + 0.5) / (width, height)  # centers of pixels
            numbers = " ".join(f"{value:.6g}" for value in points.ravel())
            lines.append(f"{self._categories[object_id] - 1} {numbers}\n")
        atomic_write_text(self.path / "labels" / f"{frame.frame.name}.txt", "".join(lines))
        if self.images:
            with atomic_write(self.path / "images" / f"{frame.frame.name}.jpg") as temporary:
                temporary.write_bytes(encode_jpeg(frame.frame.image, self.quality))

    def close(self, *, complete: bool = True) -> None:
        names = [f"  {entry['id'] - 1}: {_quoted(entry['name'])}\n" for entry in self._categories.table()]
        text = f"train: images\nval: images\nnames:\n{''.join(names)}"
        atomic_write_text(self.path / "data.yaml", text)


def _quoted(text: str) -> str:
    """Quote a text for YAML, in ASCII: as in JSON, but without surrogate pairs, which YAML doesn't join."""
    letters = (f"\\U{ord(letter):08x}" if ord(letter) > 0xFFFF else json.dumps(letter)[1:-1] for letter in text)
    return f'"{"".join(letters)}"'


def polygon(region: Region) -> np.ndarray:
    """Return the outline of a mask as one polygon of pixels, N x 2 (x, y) integers.

    Every point is a pixel of the mask. Further pieces and holes are entered from the nearest point of the outline so
    far, and left the same way.
    """
    contours, _ = cv2.findContours(region.values.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    parts = sorted((contour[:, 0] for contour in contours), key=len, reverse=True)
    outline = joined(parts) + np.array([region.left, region.top])
    return outline if len(outline) > 2 else np.resize(outline, (3, 2))  # a polygon has at least three points


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Join closed outlines, N x 2 each, by double lines between their nearest points."""
    outline = parts[0]
    left = list(parts[1:])
    while left:
        gaps = [_nearest(outline, part) for part in left]
        best = min(range(len(left)), key=lambda place: gaps[place][0])
        _, at, start = gaps[best]
        part = left.pop(best)
        visit = np.concatenate([part[start:], part[: start + 1]])
        outline = np.concatenate([outline[: at + 1], visit, outline[at:]])
    return outline


def _nearest(one: np.ndarray, other: np.ndarray) -> tuple[int, int, int]:
    """Return the squared distance of the nearest points of two outlines, and their indices."""
    distances, places = KDTree(one).query(other)
    start = int(distances.argmin())
    return round(float(distances[start]) ** 2), int(places[start]), start
