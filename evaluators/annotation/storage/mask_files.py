"""Mask files of an annotation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voskit.dataloaders.files import atomic_write


def ids_in(mask_HW: np.ndarray) -> list[int]:
    """Return the ids of a mask, ascending, without 0."""
    counts = np.bincount(mask_HW.ravel(), minlength=1)
    return (np.flatnonzero(counts[1:]) + 1).tolist()


def mend_given(folder: Path) -> None:
    """Repair given masks with only one of two files updated before a kill: the newer file is kept."""
    for given in (folder / "given").glob("*.png"):
        mask = folder / "masks" / given.name
        times = [path.stat().st_mtime_ns if path.exists() else 0 for path in (given, mask)]
        if times[0] != times[1] and (not times[1] or given.read_bytes() != mask.read_bytes()):
            newer, older = (given, mask) if times[0] > times[1] else (mask, given)
            with atomic_write(older, "mask") as temporary:
                temporary.write_bytes(newer.read_bytes())
