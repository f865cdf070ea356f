"""Mask files of an annotation, read exactly as they were written."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voskit.dataloaders.files import atomic_write
from voskit.dataloaders.images import load_image
from voskit.dataloaders.masks.files import read_mask


def read_ids(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Read a mask of this program exactly as it was written, H x W uint8 or uint16 ids; others as users' masks.

    Raises:
        ValueError: the file is damaged or of another size.
    """
    image = load_image(path)
    black = image.mode == "P" and (image.getpalette() or [])[:3] == [0, 0, 0]
    if (black or image.mode.startswith("I;16")) and (image.height, image.width) == size:
        return np.array(image, np.uint8 if black else np.uint16)
    return read_mask(path, size=size)


def ids_in(mask_HW: np.ndarray) -> list[int]:
    """Return the ids of a mask, ascending, without 0."""
    counts = np.bincount(mask_HW.ravel(), minlength=1)
    return (np.flatnonzero(counts[1:]) + 1).tolist()


def mend_given(folder: Path) -> None:
    """Complete given masks of which a kill left one of the two files old: the newer one counts."""
    for given in (folder / "given").glob("*.png"):
        mask = folder / "masks" / given.name
        times = [path.stat().st_mtime_ns if path.exists() else 0 for path in (given, mask)]
        if times[0] != times[1] and (not times[1] or given.read_bytes() != mask.read_bytes()):
            newer, older = (given, mask) if times[0] > times[1] else (mask, given)
            with atomic_write(older, "mask") as temporary:
                temporary.write_bytes(newer.read_bytes())
