"""Stray pieces of objects, by the rule of ``voskit.networks.engines.quality.strays``."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from voskit.runtime.objects import resize_nearest

_GONE = np.float32(-1e10)


def remove_strays(
    logits_GKHW: np.ndarray,
    label_HW: np.ndarray,
    before_HW: np.ndarray,
    slots: Sequence[int],
    places: Sequence[tuple[int, int]],
    distance: float,
) -> None:
    """Set the logits of objects to -1e10 at their stray pieces, in place.

    Args:
        logits_GKHW: logits of each group at the network's coarse size.
        label_HW: likeliest slot of each position.
        before_HW: slots of the previous frame, of any size.
        slots: slots of the objects.
        places: group and channel of each object.
        distance: distance as a fraction of the map's short edge.
    """
    last_HW = resize_nearest(before_HW, label_HW.shape)
    side = 2 * round(distance * min(label_HW.shape)) + 1
    for slot, place in zip(slots, places, strict=True):
        where_HW = _strays(label_HW == slot, last_HW == slot, side)
        if where_HW is not None:
            logits_GKHW[place][where_HW] = _GONE


def _strays(mask_HW: np.ndarray, before_HW: np.ndarray, side: int) -> np.ndarray | None:
    """Return the pieces of a mask that no square of this side around the previous mask reaches, [h, w] bool."""
    if not mask_HW.any() or not before_HW.any():
        return None
    count, pieces = cv2.connectedComponents(mask_HW.astype(np.uint8), connectivity=8)
    if count < 3:  # the background and one piece
        return None
    near_HW = cv2.dilate(before_HW.astype(np.uint8), np.ones((side, side), np.uint8)) > 0
    stay = np.unique(pieces[near_HW & mask_HW])
    if len(stay) == count - 1:
        return None
    strays_HW = mask_HW & ~np.isin(pieces, stay)
    return strays_HW if 2 * strays_HW.sum() <= mask_HW.sum() else None
