"""Scores of trivial baselines beside those of a network, on the same frames.

    python benchmarks/baselines.py --dataset davis2017 --split val --data_root D --ckpt_path F --output_path O

- ``copy``: the first mask in every frame.
- ``flow``: the mask of the previous frame, warped by dense optical flow (OpenCV's DIS, medium preset).
- ``untrained``: the network with random weights.
- ``trained``: the network with its checkpoint.

Writes masks to O/<method>/Annotations, prints a table, and saves the scores of each sequence as JSON.
"""

from __future__ import annotations

from common import Table, save  # isort: skip  (makes the project importable)

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import tyro

from voskit.dataloaders.datasets import Dataset, open_dataset
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.benchmarks.propagation import PropagationEvaluation
from voskit.evaluators.benchmarks.work_queue import WorkQueue
from voskit.evaluators.metrics.report import headline, table_rows
from voskit.networks import build_model


@dataclass(frozen=True, kw_only=True)
class Args:
    """Score baselines and a network on the same frames."""

    dataset: str = "davis2017"
    split: str = "val"
    data_root: Path
    model: str = "deaott"
    ckpt_path: Path | None = None
    """Default: leave the trained network out."""
    methods: tuple[str, ...] = ("copy", "flow", "untrained", "trained")
    output_path: Path = Path("results/baselines")
    output: Path | None = None
    """JSON file. Default: benchmarks/results/baselines.json."""


class CopyMask:
    """Segmenter that repeats the mask of the first frame."""

    depth = None
    device = torch.device("cpu")

    def __init__(self) -> None:
        self.ids = np.zeros((0, 0), np.uint16)

    def check(self, frame: np.ndarray, mask: np.ndarray | None = None) -> None:
        """Accept everything; see ``VideoSegmenter.check``."""

    def step(self, frame: np.ndarray, mask: np.ndarray | None = None, **_: Any) -> np.ndarray:
        """Return the ids of a frame; see ``VideoSegmenter.step``."""
        if mask is not None:
            same = self.ids.shape == mask.shape
            self.ids = np.where(mask != 0, mask, self.ids if same else 0).astype(np.uint16)
        return self.ids if self.ids.size else np.zeros(frame.shape[:2], np.uint16)

    def reset(self) -> None:
        """Forget the video."""
        self.ids = np.zeros((0, 0), np.uint16)

    @property
    def object_ids(self) -> list[int]:
        """Ids of the mask."""
        return np.unique(self.ids[self.ids > 0]).tolist()


class WarpMask(CopyMask):
    """Segmenter that warps the mask by the optical flow between consecutive frames."""

    def __init__(self) -> None:
        super().__init__()
        self.flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self.before: np.ndarray | None = None

    def step(self, frame: np.ndarray, mask: np.ndarray | None = None, **_: Any) -> np.ndarray:
        """Give each pixel the id of the place in the previous frame that the flow points at."""
        gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        if self.before is not None and self.ids.size:
            moved = self.flow.calc(gray, self.before, None)
            rows, columns = np.indices(gray.shape, np.float32)
            self.ids = cv2.remap(self.ids, columns + moved[..., 0], rows + moved[..., 1], cv2.INTER_NEAREST)
        self.before = gray
        return super().step(frame, mask)

    def reset(self) -> None:
        """Forget the video."""
        super().reset()
        self.before = None


def run(method: str, dataset: Dataset, segmenter: Any, output: Path) -> dict[str, Any]:
    """Segment and score a dataset, and return the scores."""
    evaluation = PropagationEvaluation(dataset, output, {"method": method})
    evaluation.run(segmenter, WorkQueue())
    scores = evaluation.finish(method)
    if scores is None:
        raise ValueError(f"{dataset.name}: there is no ground truth to score against")
    name, value = headline(scores)
    rows = dict(table_rows(scores.tables["global"]))
    sequences = dict(table_rows(scores.tables.get("per_sequence", {})))
    print(f"{method:10s} {name} {value:.4f}")
    return {"headline": value, "global": rows, "per_sequence": sequences}


def main(args: Args) -> None:
    """Run all methods."""
    dataset = open_dataset(args.dataset, args.data_root, split=args.split)
    torch.manual_seed(0)
    makers: dict[str, Callable[[], Any]] = {
        "copy": CopyMask,
        "flow": WarpMask,
        "untrained": lambda: VideoSegmenter(build_model(args.model)),
        "trained": lambda: VideoSegmenter(build_model(args.model, checkpoint=args.ckpt_path)),
    }
    methods = [m for m in args.methods if m != "trained" or args.ckpt_path is not None]
    figures = {m: run(m, dataset, makers[m](), args.output_path / m) for m in methods}
    table = Table(sequence="", **dict.fromkeys(methods, ".3f"))
    for name in figures[methods[0]]["per_sequence"]:
        table.add({"sequence": name, **{m: headline_of(figures[m]["per_sequence"][name]) for m in methods}})
    save("baselines", args, methods=figures)


def headline_of(row: dict[str, Any]) -> float:
    """Return J&F of a sequence, computed from J and F if the table lacks it."""
    if "J&F-Mean" in row:
        return row["J&F-Mean"]
    return (row["J-Mean"] + row["F-Mean"]) / 2


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
