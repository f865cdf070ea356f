"""Average precision of mask tracks (Dave et al., "TAO: A Large-Scale Benchmark for Tracking Any Object", ECCV 2020)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

THRESHOLDS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0, 1, 101)

Encoding = Mapping[str, Any]
Track = Mapping[int, Encoding]  # mask by frame


@dataclass
class TrackMatches:
    """Matches of the P predicted tracks of one class in one sequence.

    Args:
        scores: P scores, best first.
        matched: 10 x P, True if a track matches a true one, at each IoU threshold.
        ignored: 10 x P, True if a track counts as neither right nor wrong.
        truths: number of true tracks.
    """

    scores: NDArray[np.float64]
    matched: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    truths: int


def track_iou(first: Track, second: Track) -> float:
    """Return the IoU of two tracks, with intersection and union summed over frames."""
    both = sum(
        float(coco.area(coco.merge([dict(first[t]), dict(second[t])], intersect=True)))
        for t in first.keys() & second.keys()
    )
    areas = sum(float(coco.area(dict(mask))) for track in (first, second) for mask in track.values())
    return both / (areas - both) if areas > both else 0.0


def match_tracks(
    truth: Sequence[Track], prediction: Sequence[Track], scores: Sequence[float], *, ignore_unmatched: bool
) -> TrackMatches:
    """Match each predicted track, best first, to the free true track with the highest IoU, at each threshold."""
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    ious = np.array([[track_iou(prediction[p], t) for t in truth] for p in order]).reshape(len(order), len(truth))
    matched = np.zeros((len(THRESHOLDS), len(order)), bool)
    for row, threshold in zip(matched, THRESHOLDS, strict=True):
        free = np.ones(len(truth), bool)
        for p in range(len(order)):
            candidates = np.where(free, ious[p], -1.0)
            if len(truth) and candidates.max() >= min(threshold, 1 - 1e-10):
                row[p] = True
                free[int(candidates.argmax())] = False
    ignored = ~matched & ignore_unmatched
    return TrackMatches(np.asarray(scores, np.float64)[order], matched, ignored, len(truth))


def average_precision(sequences: Sequence[TrackMatches]) -> list[float]:
    """Return the mean precision at 101 recalls for each of the 10 thresholds; -1 without true tracks."""
    truths = sum(each.truths for each in sequences)
    if not truths:
        return [-1.0] * len(THRESHOLDS)
    order = np.argsort(-np.concatenate([each.scores for each in sequences]), kind="stable")
    matched = np.concatenate([each.matched for each in sequences], axis=1)[:, order]
    ignored = np.concatenate([each.ignored for each in sequences], axis=1)[:, order]
    return [_precision_area(hit[~skip], truths) for hit, skip in zip(matched, ignored, strict=True)]


def _precision_area(hits: NDArray[np.bool_], truths: int) -> float:
    tp = np.cumsum(hits).astype(np.float64)
    precision = tp / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(tp / truths, _RECALLS, side="left")
    return float(np.append(precision, 0.0)[np.minimum(at, len(hits))].mean())
