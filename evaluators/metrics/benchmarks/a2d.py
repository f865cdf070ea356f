"""Scorer of A2D-Sentences and JHMDB-Sentences: precision at K, overall and mean IoU, and COCO's average precision.

Gavrilyuk et al., "Actor and Action Video Segmentation from a Sentence", CVPR 2018. Ground truth and predictions are
COCO files: one true mask per image, and a list of predictions with scores.
"""

from __future__ import annotations

import contextlib
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from voskit.dataloaders.masks.coco import decode_region
from voskit.evaluators.metrics.base import SCORERS, Request, Scorer, Scores
from voskit.evaluators.metrics.frames.sequences import read_json

_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
_PRECISIONS = ("mAP 0.5:0.95", "AP 0.5", "AP 0.75", "AP 0.5:0.95 S", "AP 0.5:0.95 M", "AP 0.5:0.95 L")
_SMOOTH = np.float32(1e-6)
_FIELDS = ("image_id", "category_id", "segmentation", "score")


class Sentences(Scorer):
    """IoU of each image's prediction with the highest score (the last one if several have it), and AP of all."""

    def run(self, request: Request) -> Scores:
        """Score a file of predictions against the file of the ground truth."""
        truth = read_json(request.data_root, "images", "annotations", "categories")
        predictions = read_json(request.results)
        if not isinstance(predictions, list):
            raise ValueError(f"{request.results}: must be a JSON list of predictions in COCO format")
        for number, prediction in enumerate(predictions):
            _check_prediction(prediction, f"{request.results}: prediction {number}")
        per_image = _best_overlaps(truth, predictions, request.results)
        ious = np.array([row["iou"] for row in per_image.values()])
        both = np.array([row["intersection"] for row in per_image.values()])
        either = np.array([row["union"] for row in per_image.values()])
        figures = average_precisions(truth, predictions)
        figures |= {f"P@{k}": float((ious > k).mean()) for k in _THRESHOLDS}
        figures |= {"overall_iou": float(both.sum() / either.sum()), "mean_iou": float(ious.mean())}
        headline = ("mAP 0.5:0.95", *(f"P@{k}" for k in _THRESHOLDS), "overall_iou", "mean_iou")
        return Scores(self.name, dict(request.options), {"global": figures, "per_image": per_image}, headline)


def average_precisions(truth: dict[str, Any], predictions: list[dict[str, Any]]) -> dict[str, float]:
    """Return COCO's six averages over masks, without categories; -1 if there are no true objects of a size."""
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        data = COCO()
        data.dataset = truth
        data.createIndex()
        if not predictions:
            return dict.fromkeys(_PRECISIONS, 0.0)
        evaluation = COCOeval(data, data.loadRes([dict(entry) for entry in predictions]), "segm")
        evaluation.params.useCats = 0
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: float(value) for name, value in zip(_PRECISIONS, evaluation.stats[:6], strict=True)}


def _check_prediction(prediction: Any, where: str) -> None:
    """Raise ValueError if a prediction lacks a field or has an invalid one; ``where`` is the message's prefix."""
    if not isinstance(prediction, dict) or not prediction.keys() >= set(_FIELDS):
        raise ValueError(f"{where} must be an object with {', '.join(_FIELDS)}")
    image, score, encoding = prediction["image_id"], prediction["score"], prediction["segmentation"]
    if not isinstance(image, int | str) or not isinstance(prediction["category_id"], int | str):
        raise ValueError(f"{where}: image_id and category_id must be integers or strings")
    if not isinstance(score, int | float) or not math.isfinite(score):
        raise ValueError(f"{where}: the score must be a finite number, not {score!r}")
    if not isinstance(encoding, dict) or not isinstance(encoding.get("counts"), str):
        raise ValueError(f"{where}: the segmentation must be a compressed run-length encoding, as in COCO's results")
    decode_region(where, encoding, None)


def _best_overlaps(
    truth: dict[str, Any], predictions: list[dict[str, Any]], source: Path
) -> dict[str, dict[str, float]]:
    """Return IoU, intersection and union by image.

    As in the published scorer, IoU is computed in float32, with 1e-6 added to both counts.
    """
    masks = {entry["image_id"]: entry["segmentation"] for entry in truth["annotations"]}
    best: dict[Any, dict[str, Any]] = {}
    for prediction in predictions:
        image = prediction["image_id"]
        if image not in masks:
            raise ValueError(f"{source}: image_id {image!r} isn't in the ground truth")
        if list(prediction["segmentation"]["size"]) != list(masks[image]["size"]):
            raise ValueError(
                f"{source}: a mask of image_id {image!r} is {prediction['segmentation']['size']} (height, width), "
                f"but the ground truth is {masks[image]['size']}"
            )
        if image not in best or prediction["score"] >= best[image]["score"]:
            best[image] = prediction
    rows = {}
    for image, mask in masks.items():
        if image not in best:
            raise ValueError(f"{source}: no prediction for image_id {image!r}")
        predicted, true = coco_mask.decode(best[image]["segmentation"]), coco_mask.decode(mask)
        both = np.float32(np.count_nonzero(predicted & true))
        either = np.float32(np.count_nonzero(predicted | true))
        iou = np.float32((both + _SMOOTH) / (either + _SMOOTH))
        rows[str(image)] = {"iou": float(iou), "intersection": float(both), "union": float(either)}
    return rows


for _name in ("a2d", "jhmdb"):
    SCORERS.register(_name)(Sentences(_name))
