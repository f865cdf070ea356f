"""VPQ, video panoptic quality over windows of frames (Kim et al., "Video Panoptic Segmentation", CVPR 2020)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

WINDOWS = (1, 2, 4, 6, 8)
_VOID = 0


@dataclass
class VpqCounts:
    """Counts by category: sum of the IoUs of matches, true positives, false positives, false negatives."""

    iou: defaultdict[int, float] = field(default_factory=lambda: defaultdict(float))
    tp: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    fp: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    fn: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))


@dataclass
class _Tubes:
    """Segments of a window joined by id: areas, first category of each, and intersections of (truth, prediction)."""

    truth: dict[int, int] = field(default_factory=dict)
    prediction: dict[int, int] = field(default_factory=dict)
    truth_category: dict[int, int] = field(default_factory=dict)
    predicted_category: dict[int, int] = field(default_factory=dict)
    both: dict[tuple[int, int], int] = field(default_factory=dict)


def vpq_counts(
    predicted: Sequence[NDArray[np.uint32]],
    true: Sequence[NDArray[np.uint32]],
    predicted_categories: Sequence[Mapping[int, int]],
    true_categories: Sequence[Mapping[int, int]],
    true_areas: Sequence[Mapping[int, int]],
) -> dict[int, VpqCounts]:
    """Count the matches in one video, for each window length.

    Args:
        predicted, true: ids of each frame, H x W; 0 is void.
        predicted_categories, true_categories: categories by id, for each frame.
        true_areas: areas by id, as stated in the file of the ground truth, for each frame.
    """
    frames = [
        _tubes_of_frame(*frame)
        for frame in zip(predicted, true, predicted_categories, true_categories, true_areas, strict=True)
    ]
    result = {}
    for k in WINDOWS:
        counts = VpqCounts()
        for start in range(len(frames) - k + 1):
            _count_window(_join(frames[start : start + k]), counts)
        result[k] = counts
    return result


def panoptic_quality(videos: Iterable[VpqCounts], things: frozenset[int]) -> dict[str, Any]:
    """Return PQ, SQ and RQ for one window length over all videos, 0 to 1.

    Returns:
        ``All``, ``Things`` and ``Stuff`` (means over the ``n`` categories that occur), and ``per_class``.
    """
    total = VpqCounts()
    for counts in videos:
        for name in ("iou", "tp", "fp", "fn"):
            for category, value in getattr(counts, name).items():
                getattr(total, name)[category] += value
    per_class: dict[int, dict[str, float]] = {}
    for category in sorted(set(total.tp) | set(total.fp) | set(total.fn)):
        tp, fp, fn = total.tp[category], total.fp[category], total.fn[category]
        sq = total.iou[category] / tp if tp else 0.0
        rq = tp / (tp + (fp + fn) / 2)
        pq = total.iou[category] / (tp + (fp + fn) / 2)
        per_class[category] = {"pq": pq, "sq": sq, "rq": rq, "iou": total.iou[category], "tp": tp, "fp": fp, "fn": fn}
    groups = {"All": set(per_class), "Things": things & set(per_class), "Stuff": set(per_class) - things}
    quality: dict[str, Any] = {}
    for name, members in groups.items():
        rows = [per_class[category] for category in sorted(members)]
        means = {key: float(np.mean([row[key] for row in rows])) if rows else 0.0 for key in ("pq", "sq", "rq")}
        quality[name] = {**means, "n": len(rows)}
    return {**quality, "per_class": {str(category): row for category, row in per_class.items()}}


def _tubes_of_frame(
    predicted: NDArray[np.uint32],
    true: NDArray[np.uint32],
    predicted_categories: Mapping[int, int],
    true_categories: Mapping[int, int],
    true_areas: Mapping[int, int],
) -> _Tubes:
    joint, counts = np.unique(true.astype(np.uint64) << 32 | predicted, return_counts=True)
    both = {(int(v >> 32), int(v & 0xFFFFFFFF)): int(n) for v, n in zip(joint.tolist(), counts.tolist(), strict=True)}
    areas: defaultdict[int, int] = defaultdict(int)
    for (_, p), n in both.items():
        areas[p] += n
    return _Tubes(
        dict(true_areas),
        {p: areas[p] for p in predicted_categories},
        dict(true_categories),
        dict(predicted_categories),
        both,
    )


def _join(frames: Sequence[_Tubes]) -> _Tubes:
    window = _Tubes()
    for frame in frames:
        for name in ("truth", "prediction", "both"):
            totals = getattr(window, name)
            for key, area in getattr(frame, name).items():
                totals[key] = totals.get(key, 0) + area
        window.truth_category = frame.truth_category | window.truth_category  # the first frame wins
        window.predicted_category = frame.predicted_category | window.predicted_category
    return window


def _count_window(tubes: _Tubes, counts: VpqCounts) -> None:
    matched_t, matched_p = set(), set()
    for (t, p), both in tubes.both.items():
        if t not in tubes.truth_category or p not in tubes.predicted_category:
            continue
        category = tubes.truth_category[t]
        if tubes.predicted_category[p] != category:
            continue
        iou = both / (tubes.prediction[p] + tubes.truth[t] - both - tubes.both.get((_VOID, p), 0))
        if iou > 0.5:
            counts.tp[category] += 1
            counts.iou[category] += iou
            matched_t.add(t)
            matched_p.add(p)
    for t, category in tubes.truth_category.items():
        if t not in matched_t:
            counts.fn[category] += 1
    for p, category in tubes.predicted_category.items():
        if p not in matched_p and tubes.both.get((_VOID, p), 0) / tubes.prediction[p] <= 0.5:
            counts.fp[category] += 1
