"""HOTA of tracks (Luiten et al., "HOTA: A Higher Order Metric for Evaluating Multi-Object Tracking", IJCV 2021)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voskit.evaluators.metrics.measures.assignment import best_assignment

THRESHOLDS = np.arange(0.05, 0.99, 0.05)
_EPSILON = float(np.finfo(float).eps)
_AVERAGED = ("HOTA", "DetA", "AssA", "DetRe", "DetPr", "AssRe", "AssPr", "LocA", "OWTA")

Values = NDArray[np.float64]


def _zeros() -> Values:
    return np.zeros(len(THRESHOLDS))


@dataclass
class HotaCounts:
    """Sums for each of the 19 similarity thresholds. Counts of several sequences can be added.

    Args:
        tp, fn, fp: numbers of matched pairs, missed true objects and false detections, over frames.
        association, recall, precision: sums, over matched pairs, of the association scores of their tracks.
        similarity: sum, over matched pairs, of their similarity.
    """

    tp: Values = field(default_factory=_zeros)
    fn: Values = field(default_factory=_zeros)
    fp: Values = field(default_factory=_zeros)
    association: Values = field(default_factory=_zeros)
    recall: Values = field(default_factory=_zeros)
    precision: Values = field(default_factory=_zeros)
    similarity: Values = field(default_factory=_zeros)

    def __add__(self, other: HotaCounts) -> HotaCounts:
        return HotaCounts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def hota_counts(
    truth: Sequence[Sequence[int]], prediction: Sequence[Sequence[int]], similarity: Sequence[Values]
) -> HotaCounts:
    """Count the matches in one sequence.

    Args:
        truth, prediction: track ids in each frame.
        similarity: similarities in each frame, truth x prediction, 0 to 1.
    """
    rows, columns = _index(truth), _index(prediction)
    lengths_t, lengths_p = _lengths(truth, rows), _lengths(prediction, columns)
    potential = np.zeros((len(rows), len(columns)))
    for t_ids, p_ids, s in zip(truth, prediction, similarity, strict=True):
        total = s.sum(axis=1, keepdims=True) + s.sum(axis=0, keepdims=True) - s
        at = np.ix_([rows[k] for k in t_ids], [columns[k] for k in p_ids])
        potential[at] += np.divide(s, total, out=np.zeros_like(s), where=total > _EPSILON)
    alignment = potential / np.maximum(_EPSILON, lengths_t[:, None] + lengths_p[None] - potential)

    counts = HotaCounts()
    matches = np.zeros((len(THRESHOLDS), len(rows), len(columns)))
    for t_ids, p_ids, s in zip(truth, prediction, similarity, strict=True):
        r, c = np.array([rows[k] for k in t_ids], int), np.array([columns[k] for k in p_ids], int)
        i, j = best_assignment(alignment[np.ix_(r, c)] * s)
        good = s[i, j][None] >= THRESHOLDS[:, None] - _EPSILON
        counts.tp += good.sum(axis=1)
        counts.fn += len(t_ids) - good.sum(axis=1)
        counts.fp += len(p_ids) - good.sum(axis=1)
        counts.similarity += (good * s[i, j]).sum(axis=1)
        matches[:, r[i], c[j]] += good
    for name, length in (
        ("association", lengths_t[:, None] + lengths_p[None] - matches),
        ("recall", lengths_t[:, None]),
        ("precision", lengths_p[None]),
    ):
        setattr(counts, name, (matches * matches / np.maximum(1, length)).sum(axis=(1, 2)))
    return counts


def hota_figures(counts: HotaCounts) -> dict[str, Any]:
    """Return HOTA and its parts, 0 to 1: means over thresholds, and ``HOTA_alpha``, ``HOTA_TP``, ... by threshold."""
    by_threshold = _by_threshold(counts)
    return _averages(by_threshold) | {
        "HOTA_alpha": by_threshold["HOTA"].tolist(),
        "HOTA_TP": counts.tp.tolist(),
        "HOTA_FN": counts.fn.tolist(),
        "HOTA_FP": counts.fp.tolist(),
    }


def class_average(classes: Iterable[HotaCounts]) -> dict[str, Any]:
    """Return the figures of ``hota_figures`` as plain means over classes; counts are added up."""
    listed = list(classes)
    tables = [_by_threshold(counts) for counts in listed]
    means = {key: np.mean([table[key] for table in tables], axis=0) for key in _AVERAGED}
    total = sum(listed, HotaCounts())
    return _averages(means) | {
        "HOTA_alpha": means["HOTA"].tolist(),
        "HOTA_TP": total.tp.tolist(),
        "HOTA_FN": total.fn.tolist(),
        "HOTA_FP": total.fp.tolist(),
    }


def _by_threshold(counts: HotaCounts) -> dict[str, Values]:
    tp, fn, fp = counts.tp, counts.fn, counts.fp
    det_a, det_re = tp / np.maximum(1, tp + fn + fp), tp / np.maximum(1, tp + fn)
    ass_a = counts.association / np.maximum(1, tp)
    return {
        "HOTA": np.sqrt(det_a * ass_a),
        "DetA": det_a,
        "AssA": ass_a,
        "DetRe": det_re,
        "DetPr": tp / np.maximum(1, tp + fp),
        "AssRe": counts.recall / np.maximum(1, tp),
        "AssPr": counts.precision / np.maximum(1, tp),
        "LocA": np.where(tp > 0, counts.similarity / np.maximum(1, tp), 1.0),
        "OWTA": np.sqrt(det_re * ass_a),
    }


def _averages(by_threshold: dict[str, Values]) -> dict[str, Any]:
    return {key: float(by_threshold[key].mean()) for key in _AVERAGED}


def _index(frames: Sequence[Sequence[int]]) -> dict[int, int]:
    return {k: at for at, k in enumerate(sorted(set().union(*frames)))}


def _lengths(frames: Sequence[Sequence[int]], index: dict[int, int]) -> Values:
    return np.bincount([index[k] for frame in frames for k in frame], minlength=len(index)).astype(np.float64)
