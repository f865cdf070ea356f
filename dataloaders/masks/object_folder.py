"""Folder with one mask file for each object of a frame, named by its id or by a word."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from voskit.dataloaders import MAX_ID
from voskit.dataloaders.images import IMAGE_EXTENSIONS, list_images
from voskit.dataloaders.masks.mask_images import ARRAY_EXTENSIONS, UnclearCutOutError, load_raw_mask
from voskit.dataloaders.masks.mask_set import narrow

logger = logging.getLogger(__name__)

MASK_EXTENSIONS = (*IMAGE_EXTENSIONS, *ARRAY_EXTENSIONS)


def read_object_folder(folder: Path) -> tuple[np.ndarray, dict[int, str]]:
    """Read a folder of objects: the ids, H x W uint8 or uint16, and the objects' names if files are named by words.

    Raises:
        ValueError: a file can't be read, shows several objects, or has another size than the others; or two files are
            the same object.
    """
    files = list_images(folder, MASK_EXTENSIONS)
    ids, names = _folder_ids(folder, files)
    mask: np.ndarray | None = None
    overlap = 0
    for file, object_id in sorted(zip(files, ids, strict=True), key=lambda pair: pair[1]):
        try:
            raw = load_raw_mask(file).as_shape()
        except UnclearCutOutError as error:
            raw = error.shape
        values = raw.values
        if raw.by_color:
            raise ValueError(
                f"{file}: index 0 of its palette isn't black: save the object as white on black, or as its cut-out"
            )
        for note in raw.notes:
            logger.info("%s: %s", file, note)
        if len(found := np.unique(values[values != 0])) > 1:
            raise ValueError(
                f"{file}: in a folder of objects each file is one object, but this one has {len(found)} values other "
                "than 0: give a single file as the mask, or one two-valued file per object"
            )
        if not len(found):
            logger.warning("%s: object %d has no pixels", file, object_id)
        region = values != 0
        if mask is None:
            mask = np.zeros(region.shape, np.uint16)
        if region.shape != mask.shape:
            raise ValueError(
                f"{file}: this mask is {region.shape[0]}x{region.shape[1]} (height x width), the masks before it "
                f"(from {files[0].name} on) are {mask.shape[0]}x{mask.shape[1]}: give masks of one size"
            )
        overlap += int(np.count_nonzero(region & (mask != 0)))
        mask[region] = object_id
    assert mask is not None
    if overlap:
        logger.warning(
            "%s: each file is read as an object; they overlap in %d pixels, where the higher id wins", folder, overlap
        )
    return narrow(mask), names


def _folder_ids(folder: Path, files: list[Path]) -> tuple[list[int], dict[int, str]]:
    """Return the id of each file: its stem if all stems are positive integers, otherwise 1 to n in order; and names."""
    stems = [file.stem for file in files]
    if not all(stem.isascii() and stem.isdigit() and int(stem) > 0 for stem in stems):
        numbering = ", ".join(f"{file.name} is {index}" for index, file in enumerate(files, start=1))
        logger.warning("%s: not all file names are positive integers, so objects are numbered: %s", folder, numbering)
        return list(range(1, len(files) + 1)), dict(enumerate(stems, 1))
    by_id: dict[int, Path] = {}
    for file, stem in zip(files, stems, strict=True):
        other = by_id.setdefault(int(stem), file)
        if other is not file:
            raise ValueError(f"{folder}: {other.name} and {file.name} are both object {int(stem)}: remove one of them")
        if int(stem) > MAX_ID:
            raise ValueError(f"{file}: object ids must be between 1 and {MAX_ID}: rename the file")
    return list(by_id), {}
