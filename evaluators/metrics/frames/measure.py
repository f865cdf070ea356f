"""J and F of the frames of a video: pairs of masks, rules for comparing them, and values per frame.

``jobs.run_frames`` runs the functions of (rules, pairs) in worker processes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voskit.evaluators.metrics.frames.label_maps import Encoded, IdMap, read_label_map, read_same_size
from voskit.evaluators.metrics.measures.bit_planes import BoundaryKind, bounding_box, pack_ids, tolerance
from voskit.evaluators.metrics.measures.jaccard_boundary import all_pairs, boundary_of_planes, region_of_planes

VOID = 255
MAX_PROPOSALS = 20


@dataclass(frozen=True)
class FramePair:
    """Frame to score: its name, true mask and predicted mask."""

    name: str
    truth: Path | Encoded
    prediction: Path


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Rules for reading and comparing masks.

    Args:
        objects: ids to measure, in this order; None: all ids in a frame, including 255.
        boundary: definition of boundaries; None: don't measure F.
        one_from: read values of at least this in true masks as object 1, others as background; None: read as stored.
        void: value in true masks whose pixels are left out of both masks; None: no value.
        binary: read any value but 0 as object 1, in both masks.
        highest: raise an error if a prediction has a higher id; None: accept all.
        void_is_one: read 255 in a prediction as id 1.
    """

    objects: tuple[int, ...] | None = None
    boundary: BoundaryKind | None = "plain"
    one_from: int | None = None
    void: int | None = None
    binary: bool = False
    highest: int | None = None
    void_is_one: bool = False


@dataclass(frozen=True)
class FrameValues:
    """Measurements of one frame: N ids, and their J and F (NaN if not measured).

    If the rules name no objects, ``in_truth`` and ``in_prediction`` are the ids in each mask.
    """

    ids: tuple[int, ...]
    region: NDArray[np.float64]
    boundary: NDArray[np.float64]
    in_truth: frozenset[int] = frozenset()
    in_prediction: frozenset[int] = frozenset()

    @property
    def mean(self) -> float:
        """Mean of J and F, or of J alone, over objects; NaN without objects."""
        values = self.region if np.isnan(self.boundary).all() else (self.region + self.boundary) / 2
        return float(values.mean()) if values.size else float("nan")


@dataclass(frozen=True)
class PairValues:
    """Highest proposal id in a frame, and J and F of every proposal with every object, 20 x O each."""

    highest: int
    region: NDArray[np.float64]
    boundary: NDArray[np.float64]


def frame_radius(shape: Sequence[int]) -> int:
    """Return the tolerance of F in pixels for a frame with shape (height, width)."""
    return math.ceil(tolerance(*shape))


def read_pair(rules: Rules, pair: FramePair) -> tuple[IdMap, IdMap]:
    """Read the predicted and the true mask by the rules, H x W each.

    Raises:
        FileNotFoundError: a mask is missing.
        ValueError: a mask can't be read, the sizes differ, or an id is above ``rules.highest``.
    """
    return _apply(rules, pair, *read_same_size(pair.prediction, pair.truth))


def _apply(rules: Rules, pair: FramePair, predicted: IdMap, true: IdMap) -> tuple[IdMap, IdMap]:
    if rules.one_from is not None:
        threshold = rules.one_from if true.max(initial=0) > 1 else 1  # 1-bit masks have the values 0 and 1
        true = (true >= threshold).view(np.uint8)
    if rules.void_is_one:
        predicted = np.where(predicted == VOID, predicted.dtype.type(1), predicted)
    if rules.highest is not None and (top := int(predicted.max(initial=0))) > rules.highest:
        raise ValueError(
            f"{pair.prediction}: id {top} is above {rules.highest}, the highest id in this video: "
            "use the ids of the given masks, 0 for background"
        )
    if rules.void is not None:
        predicted = np.where(true == rules.void, predicted.dtype.type(0), predicted)
        true = np.where(true == rules.void, true.dtype.type(0), true)
    if rules.binary:
        return (predicted != 0).view(np.uint8), (true != 0).view(np.uint8)
    return predicted, true


def measure(rules: Rules, pairs: Sequence[FramePair]) -> list[FrameValues]:
    """Measure J and F of each object against the prediction with the same id, frame by frame."""
    return [_measure_frame(rules, pair) for pair in pairs]


def measure_all_pairs(rules: Rules, pairs: Sequence[FramePair]) -> list[PairValues]:
    """Measure every proposal against every object, frame by frame."""
    assert rules.objects is not None
    proposals = range(1, MAX_PROPOSALS + 1)
    results = []
    for pair in pairs:
        stored, true = read_same_size(pair.prediction, pair.truth)
        highest = int(stored.max(initial=0))
        predicted, true = (ids.astype(np.uint8, copy=False) for ids in _apply(rules, pair, stored, true))
        values = all_pairs(
            predicted, true, proposals, rules.objects, frame_radius(true.shape), rules.boundary or "plain"
        )
        results.append(PairValues(highest, *values))
    return results


def highest_id(mask: Path | Encoded) -> int:
    """Return the highest id in a true mask, with 255 as background."""
    ids = read_label_map(mask)
    return int(ids[ids != VOID].max(initial=0))


def require_files(paths: Iterable[Path], label: str = "frame of the results") -> None:
    """Raise FileNotFoundError if files are missing; the message names the first and counts the others."""
    missing = [path for path in paths if not path.is_file()]
    if missing:
        more = f" ({len(missing) - 1} more are missing)" if len(missing) > 1 else ""
        raise FileNotFoundError(f"{missing[0]}: this {label} is missing{more}")


def _measure_frame(rules: Rules, pair: FramePair) -> FrameValues:
    predicted, true = read_pair(rules, pair)
    in_truth: frozenset[int] = frozenset()
    in_prediction: frozenset[int] = frozenset()
    objects = rules.objects
    if objects is None:
        in_truth, in_prediction = _ids_of(true), _ids_of(predicted)
        objects = tuple(sorted(in_truth | in_prediction))
    radius = frame_radius(true.shape)
    box = bounding_box(((predicted | true) != 0).view(np.uint8))
    predicted_planes, true_planes = pack_ids(predicted[box], objects), pack_ids(true[box], objects)
    boundary = np.full(len(objects), np.nan)
    if rules.boundary is not None:
        boundary = boundary_of_planes(predicted_planes, true_planes, radius, rules.boundary)[: len(objects)]
    region = region_of_planes(predicted_planes, true_planes)[: len(objects)]
    return FrameValues(objects, region, boundary, in_truth, in_prediction)


def _ids_of(ids: IdMap) -> frozenset[int]:
    return frozenset(np.flatnonzero(np.bincount(ids.ravel())).tolist()) - {0}
