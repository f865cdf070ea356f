"""Conversion of given masks (arrays, tensors, PIL images) to object ids."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from torch import Tensor

if TYPE_CHECKING:
    from voskit.dataloaders.masks.mask_images import RawMask

_GRAY = 100  # values below are ids, not gray levels
_MANY_IDS = 100  # an array with more values may be a photo
VOID = 255


def ids_of_mask(mask: Any, object_ids: Collection[int], white: bool) -> tuple[np.ndarray, bool]:
    """Return the ids of a mask, and True if its 255 was read as "on".

    255 is the object with id 1 if the mask has no other value and no object has the id 255. In uint16 arrays all values
    are ids.

    Args:
        mask: H x W array or tensor of integers or bool, or a PIL image.
        object_ids: ids of the objects so far.
        white: an earlier mask was read as "on".

    Raises:
        ValueError: the mask is a path or has smooth edges, or 255 next to other values after it was "on".
    """
    if isinstance(mask, (str, os.PathLike)):
        raise ValueError(f"the mask is a path, {os.fspath(mask)}: read it with read_mask")
    if isinstance(mask, Image.Image):
        from voskit.dataloaders.masks.mask_images import raw_mask_of_image
        from voskit.dataloaders.masks.mask_set import MaskSet

        raw = raw_mask_of_image("the mask", mask)
        _refuse_smooth_edges(raw, mask)
        if raw.kind not in ("gray", "bit"):
            where = Path("the mask")
            return MaskSet([where], quiet=True).read_raw(where, raw), False
        array = raw.values
    else:
        array = mask.detach().cpu().numpy() if isinstance(mask, Tensor) else np.asarray(mask)
        if array.ndim == 3 and array.shape[0] == 1:
            array = array[0]
        integers = np.issubdtype(array.dtype, np.integer) and array.dtype != np.uint16
        if array.ndim != 2 or not integers or not array.size or array.min() < 0 or not _GRAY <= array.max() <= VOID:
            return array, False
        # arrays of small ids, the usual masks, have returned above: only others need the rules for pictures
        from voskit.dataloaders.masks.mask_images import raw_mask_of_array

        try:
            raw = raw_mask_of_array("the mask", array.astype(np.uint8))
        except ValueError:
            if len(np.unique(array)) > _MANY_IDS:
                raise
            return array, False
        _refuse_smooth_edges(raw, array)
    if not (array == VOID).any() or VOID in object_ids:
        return array, False
    if not ((array != 0) & (array != VOID)).any():
        return (array > 0).astype(np.uint8), True
    if white:
        raise ValueError(
            "an earlier mask of 0 and 255 was read as object 1, and this one has 255 next to other values: pass "
            "ids, 1 to n"
        )
    return array, False


def _refuse_smooth_edges(raw: RawMask, mask: Any) -> None:
    if any("soft edge" in note or "smooth edges" in note for note in raw.notes):
        count = len(np.unique(np.asarray(mask))) - 1
        raise ValueError(
            f"the mask has {count} values other than 0, most of them from smooth edges: pass ids, such as mask > 127 "
            "for one white object, or draw it without anti-aliasing"
        )
