"""Accuracy of prompters: mean IoU from true boxes, and from one to five simulated clicks.

    python benchmarks/prompts.py --data_root ../shared/data/vos_eval_open ../shared/data/vos_train_open
    python benchmarks/prompts.py --prompter sam2:weights=/models/sam2.1-hiera-tiny --data_root datasets/DAVIS

Folders have the layout of DAVIS 2017. All objects in the first frame of each sequence are segmented. The first click is
on the object's pixel farthest from its outline; each later one is chosen in the same way in the largest wrong region.
With ``mask``, each click corrects the previous mask; with ``points``, all clicks so far give a new mask. Seconds are
processor time per call.
"""

from __future__ import annotations

from common import Table, save  # isort: skip  (makes the project importable)

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro
from PIL import Image
from tqdm import tqdm

from voskit.dataloaders.masks.files import read_mask
from voskit.evaluators.prompts.base import Point, Prompter, build_prompter

CLICKS = 5


@dataclass(frozen=True)
class Args:
    """Accuracy of prompters."""

    data_root: tuple[Path, ...]
    """Folders with JPEGImages/480p and Annotations/480p."""
    prompter: tuple[str, ...] = ("grabcut",)
    max_objects: int | None = None
    """Use only this many objects, evenly spaced."""
    min_pixels: int = 400
    """Leave out objects with fewer pixels."""
    output: Path | None = None


def objects(roots: Sequence[Path], min_pixels: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield each object of each sequence's first frame: the frame, [H, W, 3], and the mask, [H, W] bool."""
    for root in roots:
        for folder in sorted((root / "Annotations" / "480p").iterdir()):
            first = min(folder.glob("*.png"))
            ids = read_mask(first)
            image = Image.open(root / "JPEGImages" / "480p" / folder.name / f"{first.stem}.jpg")
            for object_id in np.unique(ids[(ids != 0) & (ids != 255)]):
                if (ids == object_id).sum() >= min_pixels:
                    yield np.array(image.convert("RGB")), ids == object_id


def next_click(true: np.ndarray, found: np.ndarray) -> Point | None:
    """Return a click in the middle of the largest wrong region; None if there is none."""
    best, click = 0.0, None
    for error, positive in ((true & ~found, True), (found & ~true, False)):
        depth = cv2.distanceTransform(np.pad(error.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
        if depth.max() > best:
            y, x = np.unravel_index(int(depth.argmax()), depth.shape)
            best, click = float(depth.max()), Point(float(x), float(y), positive)
    return click


def iou(true: np.ndarray, found: np.ndarray) -> float:
    """Return the intersection over union of two masks."""
    return float((true & found).sum() / (true | found).sum())


def from_box(prompter: Prompter, image: np.ndarray, true: np.ndarray) -> float:
    """Return the IoU from the true box."""
    x, y, width, height = cv2.boundingRect(true.astype(np.uint8))
    return iou(true, prompter.segment(image, box=(x, y, x + width, y + height)))


def from_clicks(prompter: Prompter, image: np.ndarray, true: np.ndarray, *, correct: bool) -> list[float]:
    """Return the IoU after each click; with ``correct``, each click corrects the previous mask."""
    found, points, values = np.zeros_like(true), [], []
    for number in range(CLICKS):
        if (click := next_click(true, found)) is not None:
            points.append(click)
            found = prompter.segment(image, points=points, mask=found if correct and number else None)
        values.append(iou(true, found))
    return values


def main(args: Args) -> None:
    """Measure all prompters."""
    cases = list(objects(args.data_root, args.min_pixels))
    if args.max_objects is not None:
        cases = cases[:: max(1, len(cases) // args.max_objects)][: args.max_objects]
    columns = {f"clicks_{n + 1}": ".3f" for n in range(CLICKS)}
    table = Table(prompter="", prompt="", objects="d", box=".3f", **columns, median_s=".3f", longest_s=".3f")
    for name in args.prompter:
        prompter = build_prompter(name)
        for prompt in ("box", "points", "mask"):
            values, seconds = [], []
            for image, true in tqdm(cases, desc=f"{name} {prompt}", leave=False):
                begin = time.process_time()
                if prompt == "box":
                    values.append([from_box(prompter, image, true)])
                else:
                    values.append(from_clicks(prompter, image, true, correct=prompt == "mask"))
                seconds.append((time.process_time() - begin) / len(values[-1]))
            means = np.mean(values, axis=0)
            row = {"box": means[0]} if prompt == "box" else dict(zip(columns, means, strict=True))
            times = {"median_s": float(np.median(seconds)), "longest_s": max(seconds)}
            table.add({"prompter": name, "prompt": prompt, "objects": len(cases), **row, **times})
    save(
        "prompts",
        args,
        rows=[{k: float(v) if isinstance(v, np.floating) else v for k, v in r.items()} for r in table.rows],
    )


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
