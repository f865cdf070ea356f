"""Stray pieces: regions of an object far from its previous mask, most of which lie on a look-alike.

Shapes: h w the size of a coarse map, H W the output size.
"""

from __future__ import annotations

import cv2
import numpy as np
from torch import Tensor

from voskit.networks.engines.objects import resize_labels
from voskit.networks.engines.prediction import Prediction, likeliest, look_up


def without_strays(prediction: Prediction, before_HW: Tensor, distance: float) -> Prediction:
    """Return a prediction without the stray pieces of objects.

    A piece is a connected region of an object's mask. Pieces near the object's previous mask are kept. If these are at
    least half of the mask, the others are strays. Otherwise the object has moved or reappeared, and all pieces are
    kept.

    Args:
        prediction: the frame's prediction.
        before_HW: slots of the previous frame.
        distance: maximum distance, horizontally and vertically, of a kept piece, as a fraction of the map's short edge.
    """
    label = look_up((0, *prediction.slots), likeliest(prediction.coarse()))
    before = resize_labels(before_HW, (label.shape[0], label.shape[1]))
    label_HW, last_HW = label.cpu().numpy(), before.cpu().numpy()
    side = 2 * round(distance * min(label_HW.shape)) + 1
    strays = {}
    for slot in prediction.slots:
        where_HW = _strays(label_HW == slot, last_HW == slot, side)
        if where_HW is not None:
            strays[slot] = where_HW
    return prediction.without_at(strays) if strays else prediction


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
