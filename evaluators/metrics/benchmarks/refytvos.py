"""Scorers of Ref-YouTube-VOS and MeViS: J&F of one mask per frame and expression, averaged over expressions.

Seo et al., "URVOS", ECCV 2020; Ding et al., "MeViS", ICCV 2023. The program of the Ref-YouTube-VOS server isn't
public. This is the MeViS authors' metric, for the same layout: every listed frame counts.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from voskit.evaluators.metrics.base import SCORERS, Option, Request, ScoredFrame, Scorer, Scores
from voskit.evaluators.metrics.frames.jobs import run_frames
from voskit.evaluators.metrics.frames.label_maps import Encoded
from voskit.evaluators.metrics.frames.measure import FramePair, Rules, measure, require_files
from voskit.evaluators.metrics.frames.sequences import read_json
from voskit.evaluators.metrics.measures import statistics
from voskit.evaluators.metrics.semi_supervised import scored_frames

logger = logging.getLogger(__name__)

_KEYS = ("J&F", "J", "F")


@dataclass(frozen=True)
class ExpressionFiles:
    """Paths relative to the data root: expressions with ``anno_id``, encoded masks by that id, and images."""

    expressions: str
    masks: str
    images: str


class Referring(Scorer):
    """J&F by expression. Expressions of a video without a folder of results count as 0."""

    archives = ("expressions",)
    files: dict[str, ExpressionFiles]

    def check(self, request: Request) -> None:
        """Check that the files of expressions and true masks exist."""
        files = self.files[request.options["split"]]
        for path in (request.data_root / files.expressions, request.data_root / files.masks):
            if not path.is_file():
                raise FileNotFoundError(f"{path}: no such file")

    def run(self, request: Request) -> Scores:
        """Score every expression in the ground truth."""
        files = self.files[request.options["split"]]
        videos = read_json(request.data_root / files.expressions, "videos")["videos"]
        masks = read_json(request.data_root / files.masks)
        rules = Rules(objects=(1,), binary=True)
        work: dict[str, tuple[Rules, list[FramePair]]] = {}
        for video, entry in videos.items():
            if not (request.results / video).is_dir():
                logger.warning("%s: no such folder: the expressions of this video count as 0", request.results / video)
            for expression, target in entry["expressions"].items():
                name = f"{video}/{expression}"
                work[name] = (rules, self._pairs(request, files, masks, name, target["anno_id"], entry["frames"]))
        values = run_frames(measure, work, num_workers=request.num_workers, progress=request.progress)
        rows: dict[str, dict[str, Any]] = {}
        frames: list[ScoredFrame] = []
        for name, (_, pairs) in work.items():
            count = len(videos[name.rpartition("/")[0]]["frames"])
            region = np.array([v.region[0] for v in values[name]]) if pairs else np.zeros(count)
            boundary = np.array([v.boundary[0] for v in values[name]]) if pairs else np.zeros(count)
            rows[name] = {
                "J": statistics.mean(region),
                "F": statistics.mean(boundary),
                "J_frames": region.tolist(),
                "F_frames": boundary.tolist(),
            }
            folder = request.data_root / files.images / name.rpartition("/")[0]
            frames += scored_frames(name, rules, pairs, values[name], folder)
        j, f = (statistics.mean([row[key] for row in rows.values()]) for key in ("J", "F"))
        tables = {"global": {"J&F": (j + f) / 2, "J": j, "F": f}, "per_expression": rows}
        return Scores(self.name, dict(request.options), tables, _KEYS, frames)

    def _pairs(
        self,
        request: Request,
        files: ExpressionFiles,
        masks: dict[str, Any],
        name: str,
        ids: list[Any],
        frames: list[str],
    ) -> list[FramePair]:
        """Return the frames of an expression; an empty list if the video has no results at all."""
        video = name.rpartition("/")[0]
        if not (request.results / video).is_dir():
            return []
        try:
            tracks = [masks[str(k)] for k in ids]
        except KeyError as error:
            raise ValueError(f"{request.data_root / files.masks}: no mask {error}, which {name} refers to") from None
        size = next((mask["size"] for track in tracks for mask in track if mask is not None), None)
        if size is None:
            raise ValueError(f"{request.data_root / files.masks}: {name} has no mask in any frame")
        blank = {"size": size, "counts": [size[0] * size[1]]}
        pairs = []
        for t, frame in enumerate(frames):
            present = tuple(track[t] for track in tracks if track[t] is not None)
            where = f"{request.data_root / files.masks}: {name}, frame {frame}"
            truth = Encoded(present or (_compressed(blank),), where)
            pairs.append(FramePair(frame, truth, request.results / name / f"{frame}.png"))
        require_files(pair.prediction for pair in pairs)
        return pairs


def _compressed(encoding: dict[str, Any]) -> dict[str, Any]:
    from pycocotools import mask as coco

    return dict(coco.frPyObjects(encoding, *encoding["size"]))


class RefYouTubeVos(Referring):
    """Ref-YouTube-VOS, with ground truth in ``reference/expressions.json`` and ``reference/mask_dict.json``."""

    options = {"split": Option("val", ("val",), "the only split with ground truth")}
    files = {"val": ExpressionFiles("reference/expressions.json", "reference/mask_dict.json", "valid/JPEGImages")}


class MeViS(Referring):
    """MeViS, with ground truth in ``<split>/meta_expressions.json`` and ``<split>/mask_dict.json``."""

    options = {"split": Option("valid_u", ("valid_u", "train"), "a folder with mask_dict.json")}
    files = {
        name: ExpressionFiles(f"{name}/meta_expressions.json", f"{name}/mask_dict.json", f"{name}/JPEGImages")
        for name in ("valid_u", "train")
    }


for _scorer in (RefYouTubeVos("refytvos"), MeViS("mevis")):
    SCORERS.register(_scorer.name)(_scorer)
