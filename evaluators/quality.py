"""Quality of the objects in the last frame of a ``VideoSegmenter``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from voskit.networks.engines.quality import ObjectQuality, areas_of, object_qualities

if TYPE_CHECKING:
    from voskit.evaluators.segmenter import SegmentedFrame


@torch.inference_mode()
def frame_quality(frame: SegmentedFrame, before: SegmentedFrame | None) -> dict[int, ObjectQuality]:
    """Return the quality of each object by its id, measured at the first call for a frame.

    Args:
        frame: the last frame, whose probabilities are still in memory.
        before: the frame before it; None: there is none.
    """
    if frame.quality is None:
        areas, earlier = frame_areas(frame), {} if before is None else frame_areas(before)
        found = object_qualities(_coarse(frame), list(areas.values()), [earlier.get(i) for i in areas])
        frame.quality = dict(zip(areas, found, strict=True))
    return dict(frame.quality)


@torch.inference_mode()
def frame_areas(frame: SegmentedFrame) -> dict[int, int]:
    """Return the area of each object in pixels, by its id."""
    if frame.areas is None:
        frame.areas = dict(zip(frame.slots, areas_of(frame.slots_HW, list(frame.slots.values())), strict=True))
    return frame.areas


def _coarse(frame: SegmentedFrame) -> Tensor:
    """Return the coarse probabilities of the first view, [K + 1, h, w]."""
    coarse = frame.predictions[0].coarse()
    return coarse.flip(2) if frame.flipped[0] else coarse
