"""Frames of an export: ids, regions of objects and soft mattes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from scipy import ndimage

from voskit.dataloaders.video.source import Frame

FULL = 65535
"""Value of an opaque pixel of a matte."""
_VISIBLE = 64  # lower values, below a thousandth, don't count for a matte's box


@dataclasses.dataclass(frozen=True, eq=False)
class Region:
    """Part of a frame that belongs to one object.

    Attributes:
        top, left: its first row and column in the frame.
        values: h x w, bool for a mask, uint16 from 0 to 65535 for a matte.
    """

    top: int
    left: int
    values: np.ndarray

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, width, height in pixels."""
        return self.left, self.top, self.values.shape[1], self.values.shape[0]

    def paste(self, canvas_HW: np.ndarray) -> np.ndarray:
        """Write the values into an array with the frame's size, and return it."""
        height, width = self.values.shape
        canvas_HW[self.top : self.top + height, self.left : self.left + width] = self.values
        return canvas_HW


@dataclasses.dataclass(frozen=True, eq=False)
class SoftMattes:
    """Soft mattes of a frame's objects, from the network's probabilities.

    Attributes:
        objects: the matte of each object, by id, cropped to its visible part.
        together: the matte of all objects, H x W uint16.
    """

    objects: Mapping[int, Region]
    together: np.ndarray

    @classmethod
    def of(
        cls, probabilities: Sequence[Any], object_ids: Sequence[int], ids_HW: np.ndarray, changed_HW: np.ndarray | None
    ) -> SoftMattes:
        """Compute the mattes from probabilities, which aren't needed afterwards.

        Args:
            probabilities: tensors [H, W]: the background's, then one for each object.
            object_ids: ids of the objects, in the same order.
            ids_HW: the frame's final ids.
            changed_HW: pixels whose ids weren't predicted from these probabilities and get hard edges; None: no pixels.
        """
        rows = iter(probabilities)
        together = FULL - _quantized(next(rows))
        mattes = {object_id: _quantized(row) for object_id, row in zip(object_ids, rows, strict=True)}
        if changed_HW is not None and changed_HW.any():
            together[changed_HW] = np.where(ids_HW[changed_HW] > 0, FULL, 0)
            for object_id in np.unique(ids_HW[changed_HW]).tolist():
                if object_id and object_id not in mattes:
                    mattes[object_id] = np.zeros(ids_HW.shape, np.uint16)
            for object_id, matte in mattes.items():
                matte[changed_HW] = np.where(ids_HW[changed_HW] == object_id, FULL, 0)
        regions = {object_id: _cropped(matte) for object_id, matte in mattes.items()}
        return cls({object_id: region for object_id, region in regions.items() if region is not None}, together)


@dataclasses.dataclass(frozen=True, eq=False)
class ExportFrame:
    """One frame of a clip, with its results.

    Attributes:
        frame: the frame, with its number, name, pixels and time.
        ids: H x W object ids.
        file: name of the frame's image file; for videos, of the JPEG that one would extract.
        mattes: soft mattes; None: use the hard edges of the ids.
        quality: the network's measures of each object by id, such as its confidence; empty if there was no network.
    """

    frame: Frame
    ids: np.ndarray
    file: str
    mattes: SoftMattes | None = None
    quality: Mapping[int, Mapping[str, float]] = dataclasses.field(default_factory=dict)

    @cached_property
    def hard(self) -> ExportFrame:
        """The frame without soft mattes."""
        if self.mattes is None:
            return self
        hard = dataclasses.replace(self, mattes=None)
        vars(hard)["regions"] = self.regions  # cached
        return hard

    @cached_property
    def regions(self) -> dict[int, Region]:
        """The mask of each visible object by id, ascending, cropped to its box; values are bool."""
        slices = ndimage.find_objects(self.ids.astype(np.int32))
        return {
            object_id: Region(place[0].start, place[1].start, self.ids[place] == object_id)
            for object_id, place in enumerate(slices, 1)
            if place is not None
        }

    def matte(self, object_id: int) -> Region | None:
        """Return the matte of an object, cropped to its visible part; None: it isn't visible."""
        if self.mattes is not None:
            return self.mattes.objects.get(object_id)
        region = self.regions.get(object_id)
        return None if region is None else dataclasses.replace(region, values=region.values * np.uint16(FULL))

    def matte_together(self) -> np.ndarray:
        """Return the matte of all objects, H x W uint16."""
        return (self.ids > 0) * np.uint16(FULL) if self.mattes is None else self.mattes.together


def _quantized(probability: Any) -> np.ndarray:
    """Convert a tensor of probabilities to H x W uint16, 0 to 65535."""
    return (probability.float() * FULL).round().cpu().numpy().astype(np.uint16)


def _cropped(matte_HW: np.ndarray) -> Region | None:
    """Crop a matte to its visible part; None if it has none."""
    visible = matte_HW >= _VISIBLE
    rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    if not len(rows):
        return None
    top, left = int(rows[0]), int(columns[0])
    return Region(top, left, matte_HW[top : rows[-1] + 1, left : columns[-1] + 1].copy())
