"""Readers of dataset masks: PNGs of ids, BURST's run-length encodings and panoptic RGB PNGs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from voskit.dataloaders.datasets.meta import Segment
from voskit.dataloaders.images import load_image
from voskit.dataloaders.masks.coco import decode_run_lengths
from voskit.dataloaders.masks.mask_images import load_raw_mask
from voskit.dataloaders.masks.mask_set import VOID, MaskSet, narrow


class MaskReader(Protocol):
    """Reader of the masks of one video."""

    def read(self, path: Path, frame: str) -> np.ndarray:
        """Read the mask of a frame: H x W uint8 or uint16 ids, 0 = background. Raises ValueError if that fails."""


class PngMaskReader:
    """Reader of palette and grayscale PNGs.

    Args:
        binary: read any value but 0 as object 1.
        ignore_id: value that isn't an object, unless the mask has no other value (a mask of 0 and 255).
        masks: all masks of the video, to interpret them consistently, as ``voskit demo`` does, see
            :class:`~voskit.dataloaders.masks.mask_set.MaskSet`. None: masks of a published benchmark, whose values are
            the ids, except for masks of 0 and 255 alone.
        truth: true masks of the video in another folder, see ``MaskSet``.
    """

    def __init__(
        self,
        *,
        binary: bool = False,
        ignore_id: int | None = None,
        masks: Sequence[Path] | None = None,
        truth: Sequence[Path] = (),
    ) -> None:
        self.binary = binary
        self.ignore_id = ignore_id
        self._set = None if masks is None else MaskSet(masks, quiet=ignore_id is not None, truth=truth)

    def read(self, path: Path, frame: str) -> np.ndarray:
        if self.binary:
            return (load_raw_mask(path, exact=True).values > 0).astype(np.uint8)
        ids = self._read(path, lone=True)
        values = _values(ids)
        if self.ignore_id in values:
            if len(values) > 1:
                return narrow(np.where(ids == self.ignore_id, 0, ids))
            return (ids > 0).astype(np.uint8)  # the only value is the object
        return ids

    def read_with_void(self, path: Path, void: int) -> np.ndarray:
        """Read a mask and keep its ignored pixels, H x W uint16.

        Pixels of ``ignore_id`` are ignored, even if the mask has no other value. Without an ``ignore_id``, pixels of
        255 are ignored if the other values of the video are ids counted from 1.

        Args:
            path: the mask.
            void: value of ignored pixels in the result.
        """
        if self.binary:
            return self.read(path, path.stem).astype(np.uint16)
        if self.ignore_id is None and self._set is not None:
            return self._set.read(path, void=void).astype(np.uint16)
        ids = self._read(path, lone=self.ignore_id is None).astype(np.uint16)
        if self.ignore_id is not None:
            ids[ids == self.ignore_id] = void
        return ids

    def for_masks(self, masks: Sequence[Path]) -> PngMaskReader:
        """Return a reader for these masks: a copy if it interprets the masks of a video together, else itself."""
        return self if self._set is None else PngMaskReader(binary=self.binary, ignore_id=self.ignore_id, masks=masks)

    def _read(self, path: Path, *, lone: bool) -> np.ndarray:
        if self._set is not None:
            return self._set.read(path, lone=lone)
        raw = load_raw_mask(path, exact=True)
        values = raw.values
        if raw.notes or raw.kind == "bit":  # a soft edge
            return (values > 0).astype(np.uint8)
        if lone and raw.kind == "gray" and values.max(initial=0) == VOID and _values(values) == [VOID]:
            return (values > 0).astype(np.uint8)
        return narrow(values)


def _values(ids: np.ndarray) -> list[int]:
    """Return the values of a mask except 0, ascending, in less than half the time of ``np.unique``."""
    counts = np.bincount(ids.ravel())
    counts[0] = 0
    return np.flatnonzero(counts).tolist()


class BurstMaskReader:
    """Reader of the ``segmentations`` of a BURST sequence. Paths are used only in error messages.

    If two tracks overlap (BURST's own don't), the higher id wins.
    """

    def __init__(self, sequence: Mapping[str, Any]) -> None:
        self.size = (int(sequence["height"]), int(sequence["width"]))
        frames = [Path(p).stem for p in sequence["annotated_image_paths"]]
        self._tracks = dict(zip(frames, sequence["segmentations"], strict=True))

    def read(self, path: Path, frame: str) -> np.ndarray:
        mask = np.zeros(self.size, np.uint16)
        for track, segmentation in sorted(self._tracks[frame].items(), key=lambda item: int(item[0])):
            where = f"{path}: frame {frame}, track {track}"
            if not isinstance(segmentation, Mapping) or "rle" not in segmentation:
                raise ValueError(f"{where}: no run-length encoding 'rle': add one, or remove the track from the frame")
            mask[decode_run_lengths(where, segmentation["rle"], self.size)] = int(track)
        return narrow(mask)


class PanopticMaskReader:
    """Reader of panoptic RGB PNGs (id = R + 256 G + 65536 B), which maps segments to object ids.

    Args:
        segments: segments of the video by object id.
    """

    def __init__(self, segments: Mapping[int, Segment]) -> None:
        self._segments = segments

    def read(self, path: Path, frame: str) -> np.ndarray:
        known = np.array([0, *(s.id for s in self._segments.values())])
        numbers = np.array([0, *self._segments])
        ids = read_panoptic_ids(path)
        place = np.minimum(np.searchsorted(known, ids), len(known) - 1)  # object ids increase with segment ids
        if not np.array_equal(known[place], ids):
            unknown = int(ids[known[place] != ids][0])
            raise ValueError(f"{path}: segment {unknown} is not in the JSON file of the dataset")
        mask = numbers[place].astype(np.uint16)
        return narrow(mask)


def read_panoptic_ids(path: Path) -> np.ndarray:
    """Read the ids of a panoptic RGB PNG, H x W uint32. Raises FileNotFoundError, or ValueError for other files."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: this panoptic mask is missing")
    image = load_image(path)
    if image.mode not in ("RGB", "RGBA"):
        raise ValueError(f"{path}: a panoptic mask must be RGB (R + 256 G + 65536 B), but this file is {image.mode}")
    channels = np.asarray(image, np.uint32)
    return channels[..., 0] | channels[..., 1] << 8 | channels[..., 2] << 16
