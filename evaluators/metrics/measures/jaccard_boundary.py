"""Region similarity J and boundary accuracy F of the masks of a frame, 0 to 1.

Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation", CVPR 2016, section 3. J
is intersection over union; 1 if both masks are empty. F is the harmonic mean of the precision and recall of boundary
pixels, which match within a tolerance; 1 if neither mask has a boundary, 0 if only one has or nothing matches.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from voskit.evaluators.metrics.measures.bit_planes import (
    BoundaryKind,
    Planes,
    boundaries,
    bounding_box,
    count,
    dilate,
    pack_ids,
    unpack,
)

Values = NDArray[np.float64]


def region_of_planes(prediction: Planes, truth: Planes) -> Values:
    """Return J of each pair of masks in two sets of planes, G x H x W each: N values."""
    both, either = overlaps(prediction, truth)
    return divide(both, either, empty=1.0)


def boundary_of_planes(prediction: Planes, truth: Planes, radius: float, kind: BoundaryKind = "plain") -> Values:
    """Return F of each pair of masks in two sets of planes, G x H x W each: N values. ``radius``: pixel tolerance."""
    return np.concatenate([_boundary_of_group(p, t, radius, kind) for p, t in zip(prediction, truth, strict=True)])


def overlaps(prediction: Planes, truth: Planes) -> tuple[Values, Values]:
    """Count the intersection and union of each pair of masks in two sets of planes, G x H x W each: N values each."""
    both, either = [], []
    for p, t in zip(prediction, truth, strict=True):
        box = bounding_box(p | t)
        both.append(count(p[box] & t[box]))
        either.append(count(p[box] | t[box]))
    return np.concatenate(both), np.concatenate(either)


def divide(numerator: Values, denominator: Values, *, empty: float) -> Values:
    """Divide elementwise; where the denominator is 0, the result is ``empty``."""
    return np.divide(numerator, denominator, out=np.full(numerator.shape, empty), where=denominator > 0)


def all_pairs(
    prediction: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    proposals: Sequence[int],
    objects: Sequence[int],
    radius: float,
    kind: BoundaryKind = "plain",
) -> tuple[Values, Values]:
    """Return J and F of every proposal with every object of two H x W uint8 label maps, P x O each."""
    both = _joint_areas(prediction, truth, proposals, objects)
    predicted, true = pack_ids(prediction, proposals), pack_ids(truth, objects)
    areas_P = np.concatenate([count(plane) for plane in predicted])[: len(proposals)]
    areas_O = np.concatenate([count(plane) for plane in true])[: len(objects)]
    region = divide(both, areas_P[:, None] + areas_O[None] - both, empty=1.0)

    box = bounding_box(np.bitwise_or.reduce(np.concatenate([predicted, true])))
    edges_p = [boundaries(plane[box], kind) for plane in predicted]
    edges_t = [boundaries(plane[box], kind) for plane in true]
    matched_p = _hits(edges_p, [_dilate_if_any(edge, radius) for edge in edges_t])[: len(proposals), : len(objects)]
    matched_t = _hits(edges_t, [_dilate_if_any(edge, radius) for edge in edges_p])[: len(objects), : len(proposals)].T
    lengths_P = np.concatenate([count(edge) for edge in edges_p])[: len(proposals), None]
    lengths_O = np.concatenate([count(edge) for edge in edges_t])[None, : len(objects)]
    return region, _f_measure(matched_p, matched_t, *np.broadcast_arrays(lengths_P, lengths_O))


def _boundary_of_group(prediction: Planes, truth: Planes, radius: float, kind: BoundaryKind) -> Values:
    box = bounding_box(prediction | truth)
    edges_p, edges_t = boundaries(prediction[box], kind), boundaries(truth[box], kind)
    matched_p = count(edges_p & _dilate_if_any(edges_t, radius))
    matched_t = count(edges_t & _dilate_if_any(edges_p, radius))
    return _f_measure(matched_p, matched_t, count(edges_p), count(edges_t))


def _dilate_if_any(plane: Planes, radius: float) -> Planes:
    return dilate(plane, radius) if plane.any() else plane


def _f_measure(matched_p: Values, matched_t: Values, length_p: Values, length_t: Values) -> Values:
    precision = divide(matched_p, length_p, empty=0.0)
    recall = divide(matched_t, length_t, empty=0.0)
    f = divide(2 * precision * recall, precision + recall, empty=0.0)
    return np.where((length_p == 0) & (length_t == 0), 1.0, f)


def _joint_areas(
    prediction: NDArray[np.uint8], truth: NDArray[np.uint8], proposals: Sequence[int], objects: Sequence[int]
) -> Values:
    size = (max(proposals, default=0) + 1, max(objects, default=0) + 1)
    joint = np.zeros(size)
    rows = max(1, (1 << 24) // prediction.shape[1] - 1)  # calcHist counts in float32
    for top in range(0, len(prediction), rows):
        parts = [np.ascontiguousarray(ids[top : top + rows]) for ids in (prediction, truth)]
        joint += cv2.calcHist(parts, [0, 1], None, list(size), [0, size[0], 0, size[1]]).reshape(size)
    return joint[np.ix_(list(proposals), list(objects))]


def _hits(edges: list[Planes], dilated: list[Planes]) -> Values:
    """Count the boundary pixels of each mask (rows) inside each dilated mask (columns)."""
    at = np.flatnonzero(np.bitwise_or.reduce(edges))
    first = unpack(np.stack([plane.ravel()[at] for plane in edges], axis=1))
    second = unpack(np.stack([plane.ravel()[at] for plane in dilated], axis=1))
    return (first.T @ second).astype(np.float64)
