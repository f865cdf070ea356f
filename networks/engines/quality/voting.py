"""Votes in connected regions against patchy masks: small uncertain pieces of an object inside a look-alike.

Shapes: K objects, h w the size of a coarse map.
"""

from __future__ import annotations

import cv2
import numpy as np

from voskit.networks.engines.prediction import Prediction

_UNSURE = 0.5  # mean lead over the runner-up below which a piece may be reassigned
_MOST = 0.5  # maximum area of a reassigned piece, as a fraction of the object's largest piece


def voted(prediction: Prediction) -> Prediction:
    """Return a prediction in which uncertain pieces are assigned to the object around them.

    A piece is a connected region of an object's mask other than its largest one. If the mean lead of its probability is
    small and most of the objects' pixels around it belong to one other object, the two objects' logits are swapped
    there. Predictions of several id groups aren't changed: a piece and its surroundings may be in different groups.
    """
    if prediction.groups > 1 or len(prediction.slots) < 2:
        return prediction
    coarse = prediction.coarse()
    best, label = coarse.max(0)
    second = coarse.scatter(0, label[None], -1.0).amax(0)
    label_HW, lead_HW = label.to(dtype=best.dtype).cpu().numpy().astype(np.int32), (best - second).cpu().numpy()
    for row in range(1, len(coarse)):
        for piece_HW in _pieces(label_HW == row):
            other = _surroundings(label_HW, piece_HW, row)
            if other is not None and lead_HW[piece_HW].mean() < _UNSURE:
                prediction = prediction.exchanged(piece_HW, row, other)
    return prediction


def _pieces(mask_HW: np.ndarray) -> list[np.ndarray]:
    """Return the connected regions of a mask that are much smaller than its largest one, [h, w] bool each."""
    count, regions, stats, _ = cv2.connectedComponentsWithStats(mask_HW.astype(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    if count < 3:
        return []
    most = areas[1:].max()
    return [regions == region for region in range(1, count) if areas[region] < _MOST * most]


def _surroundings(label_HW: np.ndarray, piece_HW: np.ndarray, own: int) -> int | None:
    """Return the object that has most of the objects' pixels around a piece; None: there is none."""
    around = cv2.dilate(piece_HW.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & ~piece_HW
    found = label_HW[around]
    found = found[(found > 0) & (found != own)]
    if not found.size:
        return None
    counts = np.bincount(found)
    return int(counts.argmax()) if 2 * counts.max() > found.size else None
