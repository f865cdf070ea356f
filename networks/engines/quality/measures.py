"""Quality of each object in a frame, from the probabilities of its prediction.

Shapes: K objects, h w the size of a coarse map (about a quarter of the network's input).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

UNSURE_MARGIN = 0.5
"""A pixel is uncertain if the most likely class leads the second one by less than this probability."""
if TYPE_CHECKING:
    from voskit.networks.engines.prediction import FrameProbabilities

_NEAR = 2  # positions of a coarse map around a mask that belong to its soft edge
_SPECK = 0.02  # a connected region below this fraction of the object's area isn't counted


@dataclass(frozen=True)
class ObjectQuality:
    """Quality of an object's mask in a frame, estimated from the network's own probabilities."""

    area: int
    """Pixels of the object in the frame's mask."""
    confidence: float
    """Estimate of the mask's J, 0 to 1: the object's probability inside its mask, divided by the mask's area plus the
    object's probability outside the mask. For an object without a mask, its largest probability at any position."""
    margin: float
    """Mean lead of the object's probability over the runner-up inside its mask, 0 to 1; 0 without a mask."""
    present: bool
    """The object has a mask in this frame."""
    change: float | None = None
    """Area over the area in the previous frame, minus 1. None: it had no mask there, or this is its first frame."""
    unsure: float = 0.0
    """Fraction of the mask whose lead over the runner-up is below one half, 0 to 1."""
    rival: float = 0.0
    """The object's probability away from its mask, such as at a look-alike, over the mask's area."""
    components: int = 0
    """Number of connected regions of the mask, ignoring specks of less than 2 % of its area; counted at a quarter of
    the network's resolution."""


def object_qualities(
    coarse_KHW: Tensor, areas: Sequence[int], before: Sequence[int | None] | None = None
) -> list[ObjectQuality]:
    """Measure the quality of each object of a frame.

    Args:
        coarse_KHW: probabilities [K + 1, h, w], the background first; see ``FrameProbabilities.coarse``.
        areas: pixels of each object in the frame's mask, K numbers.
        before: pixels of each object in the previous frame, None for new objects. Default: unknown.
    """
    objects = len(coarse_KHW) - 1
    best_HW, label_HW = coarse_KHW.max(0)
    second_HW = coarse_KHW.scatter(0, label_HW[None], -1.0).amax(0)
    lead_HW = best_HW - second_HW
    columns = torch.stack([torch.ones_like(best_HW), best_HW, lead_HW, (lead_HW < UNSURE_MARGIN).float()])
    sums = torch.zeros(4, objects + 1, device=coarse_KHW.device)
    sums.index_add_(1, label_HW.flatten(), columns.flatten(1))
    near_KHW = F.max_pool2d(F.one_hot(label_HW, objects + 1).permute(2, 0, 1).float(), 2 * _NEAR + 1, 1, _NEAR)
    away = (coarse_KHW * (1 - near_KHW)).sum((1, 2))
    highest = coarse_KHW.flatten(1).amax(1)
    rows = torch.stack([*sums, coarse_KHW.sum((1, 2)), away, highest])
    counts, inside, lead, unsure, mass, rival, peak = rows.tolist()
    labels = label_HW.to(torch.uint8 if objects < 256 else torch.int32).cpu().numpy()
    before = [None] * objects if before is None else before
    out = []
    for i, (area, earlier) in enumerate(zip(areas, before, strict=True), 1):
        present = area > 0
        seen = present and counts[i] > 0
        out.append(
            ObjectQuality(
                area=area,
                confidence=inside[i] / (counts[i] + max(0.0, mass[i] - inside[i])) if seen else peak[i],
                margin=lead[i] / counts[i] if seen else 0.0,
                present=present,
                change=area / earlier - 1 if earlier else None,
                unsure=unsure[i] / counts[i] if seen else 0.0,
                rival=rival[i] / counts[i] if seen else 0.0,
                components=_components(labels == i) if seen else int(present),
            )
        )
    return out


def _components(inside_HW: np.ndarray) -> int:
    """Count the connected regions that aren't specks."""
    import cv2

    _, _, stats, _ = cv2.connectedComponentsWithStats(inside_HW.view(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    return int((areas >= _SPECK * areas.sum()).sum())


def areas_of(slots_HW: Tensor, slots: Sequence[int]) -> list[int]:
    """Count the pixels of each slot in a frame's mask."""
    counts = torch.bincount(slots_HW.flatten(), minlength=max(slots, default=0) + 1).tolist()
    return [counts[slot] for slot in slots]


def predicted_quality(
    prediction: FrameProbabilities, slots_HW: Tensor | None, object_ids: Sequence[int]
) -> dict[int, ObjectQuality]:
    """Return the quality of each object of a predicted frame by its id, without changes of areas.

    Args:
        prediction: the frame's probabilities.
        slots_HW: its most likely slots; None: areas are counted on the coarse map.
        object_ids: ids of the prediction's slots.
    """
    coarse = prediction.coarse()
    if slots_HW is None:
        areas = areas_of(coarse.max(0).indices, range(1, len(coarse)))
    else:
        areas = areas_of(slots_HW, prediction.slots)
    found = object_qualities(coarse, areas)
    return dict(zip(object_ids, found, strict=True))
