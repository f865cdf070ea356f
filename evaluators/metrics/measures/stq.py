"""STQ, segmentation and tracking quality (Weber et al., "STEP: Segmenting and Tracking Every Pixel", NeurIPS 2021)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Track = tuple[int, int]  # category and instance


@dataclass
class StqCounts:
    """Counts of one video.

    Args:
        confusion: pixels, (C + 1) x (C + 1); rows are the true, columns the predicted categories, the last one is void.
        truth, prediction: area of each track of a thing.
        both: area of the intersection of each pair (truth, prediction) of tracks.
    """

    confusion: NDArray[np.int64]
    truth: dict[Track, int] = field(default_factory=dict)
    prediction: dict[Track, int] = field(default_factory=dict)
    both: dict[tuple[Track, Track], int] = field(default_factory=dict)


def stq_counts(
    predicted: Sequence[NDArray[np.uint32]],
    true: Sequence[NDArray[np.uint32]],
    predicted_categories: Sequence[Mapping[int, int]],
    true_categories: Sequence[Mapping[int, int]],
    num_categories: int,
    things: frozenset[int],
) -> StqCounts:
    """Count pixels and tracks of one video. For the arguments, see ``vpq.vpq_counts``.

    Instances are numbered from 0 in the order in which the files first list their ids. Instance 0 of the ground truth,
    if it is a thing, is a crowd: its pixels don't count for true or predicted tracks.
    """
    counts = StqCounts(np.zeros((num_categories + 1, num_categories + 1), np.int64))
    number_t, number_p = _numbers(true_categories), _numbers(predicted_categories)
    truth: defaultdict[Track, int] = defaultdict(int)
    prediction: defaultdict[Track, int] = defaultdict(int)
    both: defaultdict[tuple[Track, Track], int] = defaultdict(int)
    for p_ids, t_ids, p_of, t_of in zip(predicted, true, predicted_categories, true_categories, strict=True):
        joint, areas = np.unique(t_ids.astype(np.uint64) << 32 | p_ids, return_counts=True)
        for value, area in zip(joint.tolist(), areas.tolist(), strict=True):
            t, p = value >> 32, value & 0xFFFFFFFF
            row, column = t_of.get(t, num_categories), p_of.get(p, num_categories)
            counts.confusion[row, column] += area
            if row in things and number_t[t] == 0:
                continue
            if row in things:
                truth[row, number_t[t]] += area
            if column in things:
                prediction[column, number_p[p]] += area
            if row in things and column in things:
                both[(row, number_t[t]), (column, number_p[p])] += area
    counts.truth, counts.prediction, counts.both = dict(truth), dict(prediction), dict(both)
    return counts


def segmentation_tracking_quality(videos: Iterable[StqCounts]) -> dict[str, float]:
    """Return STQ, AQ and IoU over videos, 0 to 1. AQ is 0 if there are no true tracks."""
    listed = list(videos)
    confusion = np.sum([video.confusion for video in listed], axis=0)
    iou = _mean_iou(confusion)
    tracks = sum(len(video.truth) for video in listed)
    aq = sum(_association(video) for video in listed) / tracks if tracks else 0.0
    return {"STQ": float(np.sqrt(aq * iou)), "AQ": aq, "IoU": iou}


def _numbers(categories: Sequence[Mapping[int, int]]) -> dict[int, int]:
    numbers: dict[int, int] = {}
    for frame in categories:
        for k in frame:
            numbers.setdefault(k, len(numbers))
    return numbers


def _mean_iou(confusion: NDArray[np.int64]) -> float:
    scored = confusion.copy()
    scored[-1] = 0  # true void
    both = np.diag(scored)
    either = scored.sum(axis=0) + scored.sum(axis=1) - both
    present = either > 0
    return float((both[present] / either[present]).mean()) if present.any() else 0.0


def _association(video: StqCounts) -> float:
    quality = 0.0
    for (t, p), both in video.both.items():
        quality += both * both / (video.truth[t] + video.prediction[p] - both) / video.truth[t]
    return quality
