"""Readers of the mask formats of datasets: PNGs of ids, BURST's run-length encodings, panoptic RGB PNGs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from voskit.dataloaders.datasets.meta import Segment
from voskit.dataloaders.images import load_image
from voskit.dataloaders.masks.coco import decode_run_lengths
from voskit.dataloaders.masks.files import read_mask


class MaskReader(Protocol):
    """Reader of the masks of one video."""

    def read(self, path: Path, frame: str) -> np.ndarray:
        """Read the mask of a frame: H x W uint8 or uint16 ids, 0 = background. Raises ValueError if it can't be
        read."""


class PngMaskReader:
    """Reader of palette and grayscale PNGs.

    Args:
        binary: read any value but 0 as object 1.
        ignore_id: value that isn't an object, unless the mask has no other value (a mask of 0 and 255).
    """

    def __init__(self, *, binary: bool = False, ignore_id: int | None = None) -> None:
        self.binary = binary
        self.ignore_id = ignore_id

    def read(self, path: Path, frame: str) -> np.ndarray:
        ids = read_mask(path, ignore=self.ignore_id)
        if self.binary:
            return (ids > 0).astype(np.uint8)
        if self.ignore_id is not None and ids.max(initial=0) == self.ignore_id:
            ids = (ids == self.ignore_id).astype(np.uint8)  # the only value is the object; others have removed it above
        return ids


class BurstMaskReader:
    """Reader of the ``segmentations`` of a BURST sequence. Paths are used in error messages only.

    If two tracks overlap, which those of BURST don't, the higher id wins.
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
        return mask.astype(np.uint8) if mask.max(initial=0) <= 255 else mask


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
        place = np.minimum(np.searchsorted(known, ids), len(known) - 1)  # object ids rise with segment ids
        if not np.array_equal(known[place], ids):
            unknown = int(ids[known[place] != ids][0])
            raise ValueError(f"{path}: segment {unknown} is not in the JSON file of the dataset")
        mask = numbers[place].astype(np.uint16)
        return mask.astype(np.uint8) if mask.max(initial=0) <= 255 else mask


def read_panoptic_ids(path: Path) -> np.ndarray:
    """Read the ids of a panoptic RGB PNG, H x W uint32. Raises FileNotFoundError, or ValueError for other files."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: this panoptic mask is missing")
    image = load_image(path)
    if image.mode not in ("RGB", "RGBA"):
        raise ValueError(f"{path}: a panoptic mask must be RGB (id = R + 256 G + 65536 B), this file is {image.mode}")
    channels = np.asarray(image, np.uint32)
    return channels[..., 0] | channels[..., 1] << 8 | channels[..., 2] << 16
