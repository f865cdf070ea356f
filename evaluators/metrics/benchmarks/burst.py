"""Scorer of BURST: HOTA by class for the exemplar-guided and class-guided tasks, OWTA for the open-world task.

Athar et al., "BURST: A Benchmark for Unifying Object Recognition, Segmentation and Tracking in Video", WACV 2023. As in
the published program, HOTA and its parts compare bounding boxes of masks; average precision compares masks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from voskit.dataloaders.files import load_json
from voskit.evaluators.metrics.base import SCORERS, Option, Request, Scorer, Scores
from voskit.evaluators.metrics.frames.jobs import run_jobs
from voskit.evaluators.metrics.frames.sequences import published_format, read_json
from voskit.evaluators.metrics.measures.assignment import best_assignment
from voskit.evaluators.metrics.measures.hota import HotaCounts, class_average, hota_counts, hota_figures
from voskit.evaluators.metrics.measures.statistics import mean
from voskit.evaluators.metrics.measures.track_ap import TrackMatches, average_precision, match_tracks

_DATA = Path(__file__).resolve().parents[1] / "data"
_CLASSES = load_json(_DATA / "burst_classes.json")
_COMMON = frozenset(_CLASSES["common"])
_DISTRACTORS = frozenset(_CLASSES["distractors"])
_MERGED_INTO = {int(category): other for category, other in _CLASSES["merged_into"].items()}
_ANY_CLASS = 0
_GUIDED = ("HOTA", "DetA", "AssA")
_OPEN = ("OWTA", "DetRe", "AssA")
_EPSILON = float(np.finfo(float).eps)


@dataclass(frozen=True)
class Side:
    """Tracks in a sequence, true or predicted: masks by frame and track, class and score by track."""

    frames: tuple[Mapping[int, Mapping[str, Any]], ...]
    classes: Mapping[int, int]
    scores: Mapping[int, float]

    def of_class(self, class_id: int) -> list[dict[int, Mapping[str, Any]]]:
        """Return the masks of the tracks of one class, by frame and track."""
        return [{k: m for k, m in frame.items() if self.classes[k] == class_id} for frame in self.frames]


@dataclass(frozen=True)
class Sequence:
    """True and predicted tracks in the annotated frames, and classes that are absent or not exhaustively annotated."""

    truth: Side
    prediction: Side
    negative: frozenset[int]
    not_exhaustive: frozenset[int]


@dataclass(frozen=True)
class ClassResult:
    """Counts of a class in a sequence."""

    hota: HotaCounts
    tracks: TrackMatches


class Burst(Scorer):
    """Scorer of a file of tracks against ``<split>/all_classes.json``, or ``train/train.json``.

    The open-world task also needs ``common_classes.json`` and ``uncommon_classes.json``. The folder ``<split>`` is in
    the data root or in its folder ``annotations``.
    """

    archives = ("burst",)
    options = {
        "split": Option("val", ("val", "test", "train"), "the folder of the ground truth"),
        "task": Option("exemplar_guided", ("exemplar_guided", "class_guided", "open_world"), "the task of the method"),
    }

    def check(self, request: Request) -> None:
        """Check that the file of the ground truth exists."""
        if not (path := _truth_file(request)).is_file():
            raise FileNotFoundError(f"{path}: no such file")

    def run(self, request: Request) -> Scores:
        """Score a file of tracks."""
        if request.results.is_dir():
            raise ValueError(f"{request.results}: BURST results must be a JSON file: write it with voskit pack")
        with published_format(request.results):
            predictions = _by_name(read_json(request.results, "sequences"))
        truth = _truth_file(request)
        if request.options["task"] == "open_world":
            return self._open_world(request, truth, predictions)
        results = self._measure(request, truth, predictions)
        names = _class_names(read_json(truth, "categories"))
        # only classes in the ground truth: other predicted classes cost nothing
        classes = sorted({c for each in results.values() for c, result in each.items() if result.tracks.truths})
        totals = {c: _total(results, c) for c in classes}
        per_class: dict[str, dict[str, Any]] = {
            names[c]: {"category_id": c, **hota_figures(hota), **ap} for c, (hota, ap) in totals.items()
        }
        groups = {
            "all": classes,
            "common": [c for c in classes if c in _COMMON],
            "uncommon": [c for c in classes if c not in _COMMON],
        }
        figures = {
            key: {group: 100 * mean([per_class[names[c]][key] for c in members]) for group, members in groups.items()}
            for key in (*_GUIDED, "AP")
        }
        combined_ap = _mean_ap([ap for _, ap in totals.values()])
        hotas = [hota for hota, _ in totals.values()]
        per_class["cls_comb_cls_av"] = {"category_id": None, **class_average(hotas), **combined_ap}
        per_class["cls_comb_det_av"] = {
            "category_id": None,
            **hota_figures(sum(hotas, HotaCounts())),
            **combined_ap,
        }
        per_sequence = {
            name: {names[c]: hota_figures(result.hota) for c, result in each.items() if c in totals}
            for name, each in results.items()
        }
        tables = {"global": figures, "per_sequence": per_sequence, "per_class": per_class}
        return Scores(self.name, dict(request.options), tables)

    def _open_world(self, request: Request, truth: Path, predictions: dict[str, dict[str, Any]]) -> Scores:
        figures: dict[str, dict[str, float]] = {key: {} for key in _OPEN}
        per_sequence: dict[str, dict[str, Any]] = {}
        for group in ("all", "common", "uncommon"):
            file = truth if group == "all" else truth.with_name(f"{group}_classes.json")
            results = self._measure(request, file, predictions)
            total = hota_figures(_total(results, _ANY_CLASS)[0])
            for key in _OPEN:
                figures[key][group] = 100 * total[key]
            if group == "all":
                per_sequence = {name: hota_figures(each[_ANY_CLASS].hota) for name, each in results.items()}
        tables = {"global": figures, "per_sequence": per_sequence}
        return Scores(self.name, dict(request.options), tables)

    def _measure(
        self, request: Request, truth_file: Path, predictions: dict[str, dict[str, Any]]
    ) -> dict[str, dict[int, ClassResult]]:
        truth = _by_name(read_json(truth_file, "sequences"))
        task = request.options["task"]
        jobs, sizes = [], []
        for name, entry in truth.items():
            if name not in predictions:
                raise ValueError(f"{request.results}: sequence {name} of {truth_file} is missing")
            sequence = _sequence(entry, predictions[name], request.results, name, one_class=task == "open_world")
            jobs.append((sequence, task))
            sizes.append(max(1, len(sequence.truth.frames)))
        done = run_jobs(measure_sequence, jobs, num_workers=request.num_workers, sizes=sizes, progress=request.progress)
        return dict(sorted(zip(truth, done, strict=True)))


def measure_sequence(sequence: Sequence, task: str) -> dict[int, ClassResult]:
    """Measure every class that is in the true or the predicted tracks."""
    classes = set(sequence.truth.classes.values()) | set(sequence.prediction.classes.values())
    if task == "open_world":
        classes |= {_ANY_CLASS}
    return {c: _measure_class(sequence, c, clean=task == "class_guided") for c in sorted(classes)}


def box_iou(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoU, N x M, of N x 4 and M x 4 boxes (left, top, width, height). An empty box has IoU 0."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum((first[:, :2] + first[:, 2:])[:, None], (second[:, :2] + second[:, 2:])[None])
    both = np.clip(high - low, 0, None).prod(axis=2)
    either = first[:, 2:].prod(axis=1)[:, None] + second[:, 2:].prod(axis=1)[None] - both
    return np.divide(both, either, out=np.zeros_like(both), where=either > 0)


def _measure_class(sequence: Sequence, class_id: int, *, clean: bool) -> ClassResult:
    truth, prediction = sequence.truth.of_class(class_id), sequence.prediction.of_class(class_id)
    tracks = _match(sequence, truth, prediction, class_id)
    t_ids, p_ids, similarity = [], [], []
    for any_truth, t_frame, p_frame in zip(sequence.truth.frames, truth, prediction, strict=True):
        if not any_truth:  # HOTA skips such a frame, average precision doesn't
            continue
        s = box_iou(_boxes(t_frame.values()), _boxes(p_frame.values()))
        kept = np.ones(len(p_frame), bool)
        if clean and (class_id in sequence.not_exhaustive or not (len(t_frame) or class_id in sequence.negative)):
            kept = _matched(s)
        t_ids.append(list(t_frame))
        p_ids.append([k for k, keep in zip(p_frame, kept, strict=True) if keep])
        similarity.append(s[:, kept])
    return ClassResult(hota_counts(t_ids, p_ids, similarity), tracks)


def _matched(similarity: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mark the columns that a one-to-one matching assigns to a row with a similarity of at least 0.5."""
    worth = np.where(similarity >= 0.5 - _EPSILON, similarity, 0.0)
    rows, columns = best_assignment(worth)
    found = np.zeros(similarity.shape[1], bool)
    found[columns[worth[rows, columns] > 0]] = True
    return found


def _match(
    sequence: Sequence, truth: list[dict[int, Any]], prediction: list[dict[int, Any]], class_id: int
) -> TrackMatches:
    """Match tracks for AP. A wrong track of a class that isn't (exhaustively) annotated costs nothing."""
    sides = [_tracks(side) for side in (truth, prediction)]
    scores = [sequence.prediction.scores[k] for k in sides[1]]
    known = any(truth) or class_id in sequence.negative
    free = not known or class_id in sequence.not_exhaustive
    return match_tracks(list(sides[0].values()), list(sides[1].values()), scores, ignore_unmatched=free)


def _tracks(frames: list[dict[int, Any]]) -> dict[int, dict[int, Any]]:
    tracks: dict[int, dict[int, Any]] = {}
    for t, frame in enumerate(frames):
        for k, mask in frame.items():
            tracks.setdefault(k, {})[t] = mask
    return dict(sorted(tracks.items()))


def _boxes(masks: Iterable[Mapping[str, Any]]) -> NDArray[np.float64]:
    return np.asarray([coco.toBbox(dict(mask)) for mask in masks], np.float64).reshape(-1, 4)


def _total(results: dict[str, dict[int, ClassResult]], class_id: int) -> tuple[HotaCounts, dict[str, Any]]:
    there = [each[class_id] for each in results.values() if class_id in each]
    by_threshold = average_precision([result.tracks for result in there])
    return sum((r.hota for r in there), HotaCounts()), {
        "AP": float(np.mean(by_threshold)),
        "AP_thresholds": by_threshold,
    }


def _mean_ap(classes: list[dict[str, Any]]) -> dict[str, Any]:
    by_threshold = np.mean([each["AP_thresholds"] for each in classes], axis=0)
    return {"AP": float(by_threshold.mean()), "AP_thresholds": by_threshold.tolist()}


def _truth_file(request: Request) -> Path:
    split = request.options["split"]
    folders = (request.data_root / split, request.data_root / "annotations" / split)
    names = ("all_classes.json", *(["train.json"] if split == "train" else []))
    files = [folder / name for name in names for folder in folders]
    return next((file for file in files if file.is_file()), files[-2])


def _class_names(truth: dict[str, Any]) -> dict[int, str]:
    """Return names by id: those of LVIS v0.5, as in the official tool, else those of the file."""
    listed = {entry["id"]: entry["name"] for entry in truth["categories"]}
    return listed | dict(enumerate(load_json(_DATA / "lvis_v05_names.json")["names"], start=1))


def _by_name(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the sequences by ``<split>-<dataset>-<name>``."""
    split = data.get("split", "val")
    return {f"{split}-{entry['dataset']}-{entry['seq_name']}": entry for entry in data["sequences"]}


def _sequence(
    truth: dict[str, Any], prediction: dict[str, Any], source: Path, name: str, *, one_class: bool
) -> Sequence:
    with published_format(source):
        paths, listed = prediction["annotated_image_paths"], prediction["segmentations"]
        if len(paths) != len(listed):
            raise ValueError(f"{source}: {name}: 'segmentations' and 'annotated_image_paths' differ in length")
        predicted = {
            path: {int(k): entry for k, entry in tracks.items()} for path, tracks in zip(paths, listed, strict=True)
        }
    distractors = {int(k) for k, c in truth["track_category_ids"].items() if c in _DISTRACTORS}
    size = [truth["height"], truth["width"]]
    t_frames, p_frames = [], []
    for path, listed in zip(truth["annotated_image_paths"], truth["segmentations"], strict=True):
        if path not in predicted:
            raise ValueError(f"{source}: {name}: frame {path} is missing")
        t_frames.append({int(k): entry for k, entry in listed.items() if int(k) not in distractors})
        p_frames.append(predicted[path])
    with published_format(source):
        predicted_side = _side(p_frames, prediction["track_category_ids"], size, one_class)
    return Sequence(
        _side(t_frames, truth["track_category_ids"], size, one_class),
        predicted_side,
        frozenset(truth["neg_category_ids"]),
        frozenset(truth["not_exhaustive_category_ids"]),
    )


def _side(
    frames: list[dict[int, dict[str, Any]]], categories: dict[str, int], size: list[int], one_class: bool
) -> Side:
    masks = tuple({k: {"size": size, "counts": _counts(entry)} for k, entry in frame.items()} for frame in frames)
    present = sorted({k for frame in frames for k in frame})
    classes = {k: _ANY_CLASS if one_class else _MERGED_INTO.get(c := int(categories[str(k)]), c) for k in present}
    scores = {k: mean([frame[k].get("score", 1.0) for frame in frames if k in frame]) for k in present}
    return Side(masks, classes, scores)


def _counts(entry: Mapping[str, Any]) -> str:
    if not isinstance(counts := entry["rle"], str):
        raise TypeError(f"an rle must be a string, not {counts!r}")
    return counts


SCORERS.register("burst")(Burst("burst"))
