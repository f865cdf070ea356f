"""What a network's scores are worth: the same frames by methods that know nothing.

    python benchmarks/baselines.py --dataset davis2017 --split val --data_root D --ckpt_path F --output_path O

- ``copy``: the first mask, in every frame.
- ``flow``: the mask of the frame before, warped by dense optical flow (OpenCV's DIS, medium preset).
- ``untrained``: the network with random weights.
- ``trained``: the network with its checkpoint.

Masks lie in O/<method>/Annotations, a table is printed, and scores of each sequence are in the results file.
"""

from __future__ import annotations

from common import save  # isort: skip  (makes the project importable)

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
from voskit.evaluators.benchmarks.propagation import Evaluation
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
    """Without it the trained network is left out."""
    methods: tuple[str, ...] = ("copy", "flow", "untrained", "trained")
    output_path: Path = Path("results/baselines")
    results: Path | None = None
    """The JSON file. Default: benchmarks/results/baselines.json."""


class CopyMask:
    """The mask that was given stays."""

    depth = None
    model = torch.nn.Linear(1, 1)  # its device is where the evaluation thinks that it runs

    def __init__(self) -> None:
        self.ids = np.zeros((0, 0), np.uint16)

    def check(self, frame: np.ndarray, mask: np.ndarray | None = None) -> None:
        """Like ``VideoSegmenter.check``: here, anything goes."""

    def step(self, frame: np.ndarray, mask: np.ndarray | None = None, **_: Any) -> np.ndarray:
        """Like ``VideoSegmenter.step``."""
        if mask is not None:
            same = self.ids.shape == mask.shape
            self.ids = np.where(mask != 0, mask, self.ids if same else 0).astype(np.uint16)
        return self.ids if self.ids.size else np.zeros(frame.shape[:2], np.uint16)

    def reset(self) -> None:
        """Forget the video."""
        self.ids = np.zeros((0, 0), np.uint16)

    @property
    def object_ids(self) -> list[int]:
        """Ids that were given."""
        return np.unique(self.ids[self.ids > 0]).tolist()


class WarpMask(CopyMask):
    """The mask moves with the optical flow between neighbouring frames."""

    def __init__(self) -> None:
        super().__init__()
        self.flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self.before: np.ndarray | None = None

    def step(self, frame: np.ndarray, mask: np.ndarray | None = None, **_: Any) -> np.ndarray:
        """Each pixel takes the id of the place that the flow to the frame before points at."""
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        if self.before is not None and self.ids.size:
            moved = self.flow.calc(grey, self.before, None)
            rows, columns = np.indices(grey.shape, np.float32)
            self.ids = cv2.remap(self.ids, columns + moved[..., 0], rows + moved[..., 1], cv2.INTER_NEAREST)
        self.before = grey
        return super().step(frame, mask)

    def reset(self) -> None:
        """Forget the video."""
        super().reset()
        self.before = None


def run(method: str, dataset: Dataset, segmenter: Any, output: Path) -> dict[str, Any]:
    """Segment and score -> the figures."""
    evaluation = Evaluation(dataset, output, {"method": method})
    evaluation.run(segmenter, WorkQueue())
    scores = evaluation.finish(method)
    if scores is None:
        raise ValueError("the dataset's ground truth is not there")
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
    print("\n" + "".join(f"{c:>12s}" for c in ("sequence", *methods)))
    for name in figures[methods[0]]["per_sequence"]:
        values = [headline_of(figures[m]["per_sequence"][name]) for m in methods]
        print(f"{name[:12]:>12s}" + "".join(f"{v:12.3f}" for v in values))
    save(
        "baselines",
        {"dataset": args.dataset, "split": args.split, "model": args.model, "methods": figures},
        args.results,
    )


def headline_of(row: dict[str, Any]) -> float:
    """J&F of a sequence, from its J and F where it isn't there itself."""
    if "J&F-Mean" in row:
        return row["J&F-Mean"]
    return (row["J-Mean"] + row["F-Mean"]) / 2


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
