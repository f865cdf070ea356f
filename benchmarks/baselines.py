"""Scores of trivial baselines and of a network's checkpoints, on the same frames.

    python benchmarks/baselines.py --data_root D --ckpt_path F G --output_path O --cabinet

- ``copy``: the first mask in every frame.
- ``dis``, ``farneback``: the mask of the previous frame, warped by dense optical flow (OpenCV's DIS, medium preset, or
  Farneback's).
- ``untrained``: the network with random weights.
- each checkpoint, under its file name without the suffix.

Writes masks to O/<method>/Annotations, prints a table, and saves the scores of each sequence as JSON. ``--cabinet``
adds a table for the bundled scene ``cabinet``, whose first mask divides the frame into 49 objects.
"""

from __future__ import annotations

from common import Table, save  # isort: skip  (makes the project importable)

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
import tyro

from voskit.dataloaders.datasets import Dataset, open_dataset
from voskit.dataloaders.masks.files import read_mask
from voskit.dataloaders.video.frames import open_frames
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.benchmarks.propagation import PropagationEvaluation
from voskit.evaluators.clips.sources import BUNDLED_SCENES
from voskit.evaluators.metrics.report import headline, table_rows
from voskit.evaluators.parallel.work_queue import WorkQueue
from voskit.networks import build_model


@dataclass(frozen=True, kw_only=True)
class Args:
    """Score baselines and a network on the same frames."""

    dataset: str = "davis2017"
    split: str = "val"
    data_root: Path
    model: str = "deaott"
    ckpt_path: tuple[Path, ...] = ()
    """Checkpoints of the model. Default: none, only the baselines."""
    methods: tuple[Literal["copy", "dis", "farneback", "untrained"], ...] = ("copy", "dis", "farneback", "untrained")
    """Baselines."""
    cabinet: bool = False
    """Also score the bundled scene with 49 objects."""
    cabinet_long_edge: int = 1040
    """Largest long edge of the network's input for that scene, whose frames are 624 x 1104."""
    output_path: Path = Path("results/baselines")
    output: Path | None = None
    """JSON file. Default: benchmarks/results/baselines.json."""


class CopyMask:
    """Segmenter that repeats the mask of the first frame."""

    depth = None
    memory_bytes = 0
    device = torch.device("cpu")

    def __init__(self) -> None:
        self.ids = np.zeros((0, 0), np.uint16)

    def check(self, frame: np.ndarray, mask: np.ndarray | None = None) -> None:
        """Accept any frame and mask; see ``VideoSegmenter.check``."""

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
    """Segmenter that warps the mask by the optical flow between consecutive frames.

    Args:
        flow: takes two gray frames, H x W uint8, and returns the displacements from the first one, H x W x 2 float32.
    """

    def __init__(self, flow: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
        super().__init__()
        self.flow = flow
        self.before: np.ndarray | None = None

    def step(self, frame: np.ndarray, mask: np.ndarray | None = None, **_: Any) -> np.ndarray:
        """Give each pixel the id at the position in the previous frame to which the flow points."""
        gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        if self.before is not None and self.ids.size:
            moved = self.flow(gray, self.before)
            rows, columns = np.indices(gray.shape, np.float32)
            self.ids = cv2.remap(self.ids, columns + moved[..., 0], rows + moved[..., 1], cv2.INTER_NEAREST)
        self.before = gray
        return super().step(frame, mask)

    def reset(self) -> None:
        """Forget the video."""
        super().reset()
        self.before = None


def dis_flow() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return OpenCV's DIS (dense inverse search) flow."""
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return lambda first, second: flow.calc(first, second, None)


def farneback_flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return Farneback's flow from the first frame to the second, with the parameters of OpenCV's example."""
    return cv2.calcOpticalFlowFarneback(first, second, None, 0.5, 3, 15, 3, 5, 1.2, 0)


def segmenter_builders(args: Args, **options: object) -> dict[str, Callable[[], Any]]:
    """Return a function for each method that builds its segmenter.

    Args:
        args: the flags.
        **options: options of ``VideoSegmenter`` for the networks.
    """
    known: dict[str, Callable[[], Any]] = {
        "copy": CopyMask,
        "dis": lambda: WarpMask(dis_flow()),
        "farneback": lambda: WarpMask(farneback_flow),
        "untrained": lambda: VideoSegmenter(build_model(args.model), **options),
    }
    found = {name: known[name] for name in args.methods}
    for path in args.ckpt_path:
        if path.stem in found:
            raise ValueError(f"--ckpt_path {path}: another method is named {path.stem}: rename the file")
        found[path.stem] = lambda path=path: VideoSegmenter(build_model(args.model, checkpoint=path), **options)
    if not found:
        raise ValueError("name at least one method (--methods) or checkpoint (--ckpt_path)")
    return found


def run(method: str, dataset: Dataset, segmenter: Any, output: Path) -> dict[str, Any]:
    """Segment and score a dataset, and return the scores."""
    evaluation = PropagationEvaluation(dataset, output, {"method": method})
    evaluation.run(segmenter, WorkQueue())
    scores = evaluation.finish(method)
    if scores is None:
        raise ValueError(f"{dataset.name}: no ground truth to score against")
    name, value = headline(scores)
    rows = dict(table_rows(scores.tables["global"]))
    sequences = dict(table_rows(scores.tables.get("per_sequence", {})))
    print(f"{method:10s} {name} {value:.4f}")
    return {"headline": value, "global": rows, "per_sequence": sequences}


def run_cabinet(segmenter: Any) -> dict[str, Any]:
    """Segment the scene ``cabinet``, and return the IoU of its objects in the frames that show them."""
    first = read_mask(BUNDLED_SCENES / "masks" / "cabinet" / "00000.png")
    ious: dict[int, list[float]] = {object_id: [] for object_id in np.unique(first[first > 0]).tolist()}
    equal = pixels = 0
    with open_frames(BUNDLED_SCENES / "images" / "cabinet") as source:
        for number, frame in enumerate(source):
            ids = segmenter.step(frame.image, mask=first if number == 0 else None)
            if number == 0:
                continue
            truth = read_mask(BUNDLED_SCENES / "groundtruth" / "cabinet" / f"{frame.name}.png")
            equal, pixels = equal + int((ids == truth).sum()), pixels + truth.size
            for object_id, values in ious.items():
                own, true = ids == object_id, truth == object_id
                if true.any():
                    values.append(float((own & true).sum() / (own | true).sum()))
    means = {object_id: float(np.mean(values)) for object_id, values in ious.items()}
    return {
        "mean_iou": float(np.mean(list(means.values()))),
        "found": sum(value > 0.5 for value in means.values()),
        "pixels": equal / pixels,
        "objects": means,
    }


def main(args: Args) -> None:
    """Run all methods."""
    dataset = open_dataset(args.dataset, args.data_root, split=args.split)
    torch.manual_seed(0)
    figures = {
        name: run(name, dataset, make(), args.output_path / name) for name, make in segmenter_builders(args).items()
    }
    print_sequences(figures)
    scenes: dict[str, Any] = {}
    if args.cabinet:
        table = Table(method="", mean_iou=".3f", found="d", pixels=".3f")
        options = {"background": False, "max_long_edge": args.cabinet_long_edge, "max_memory_frames": 10}
        for name, make in segmenter_builders(args, **options).items():
            scenes[name] = run_cabinet(make())
            table.add({"method": name, **scenes[name]})
    save("baselines", args, methods=figures, cabinet=scenes)


def print_sequences(figures: dict[str, dict[str, Any]]) -> None:
    """Print J&F of each sequence by each method."""
    table = Table(sequence="", **dict.fromkeys(figures, ".3f"))
    for name in next(iter(figures.values()))["per_sequence"]:
        table.add({"sequence": name, **{m: j_and_f(rows["per_sequence"][name]) for m, rows in figures.items()}})
    table.add({"sequence": "all objects", **{m: rows["headline"] for m, rows in figures.items()}})


def j_and_f(row: dict[str, Any]) -> float:
    """Return J&F of a sequence, computed from J and F if the table doesn't contain it."""
    if "J&F-Mean" in row:
        return row["J&F-Mean"]
    return (row["J-Mean"] + row["F-Mean"]) / 2


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
