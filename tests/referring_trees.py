"""Miniatures of the train split of Ref-YouTube-VOS and of RefCOCO."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dataset_trees import run_lengths, write_json
from voskit.dataloaders.masks.files import write_mask

SIZE = (60, 90)
GRAY, RED, BLUE = (40, 40, 40), (250, 10, 10), (10, 10, 250)
META = "meta_expressions/train/meta_expressions.json"


def scene(shift: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw a red block, object 1, on the left, and a blue one, object 2, on the right."""
    image, ids = np.full((*SIZE, 3), GRAY, np.uint8), np.zeros(SIZE, np.uint8)
    for object_id, color, left in ((1, RED, 8), (2, BLUE, 55)):
        block = np.s_[15:45, left + shift : left + 25 + shift]
        image[block], ids[block] = color, object_id
    return image, ids


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, quality=95)


def video_tree(root: Path, count: int = 7, shown: range | None = None) -> Path:
    """Write two videos with an expression for each object. The objects are in the frames ``shown`` (None: in all)."""
    frames = [f"{5 * i:05d}" for i in range(count)]
    for video in ("bear", "dog"):
        for number, frame in enumerate(frames):
            image, ids = scene(shift=number % 5)
            save(root / f"train/JPEGImages/{video}/{frame}.jpg", image)
            path = root / f"train/Annotations/{video}/{frame}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_mask(path, ids if shown is None or number in shown else 0 * ids)
    sentences = {"0": ("The  block on the LEFT ", "1"), "1": ("the right block", "2")}
    entry = {"frames": frames, "expressions": {k: {"exp": e, "obj_id": i} for k, (e, i) in sentences.items()}}
    write_json(root / META, {"videos": {"bear": entry, "dog": entry}})
    return root


def coco_entries(count: int = 2) -> dict[str, list[dict[str, Any]]]:
    """Return ``count`` text prompts for the left block, alternately as polygon and as run-length encoding."""
    polygon = [[8, 15, 33, 15, 33, 45, 8, 45]]
    rle = {"size": list(SIZE), "counts": run_lengths(scene()[1] == 1)}
    height, width = SIZE
    image = {"file_name": "COCO_train2014_1.jpg", "height": height, "width": width, "caption": "The left Block"}
    return {
        "images": [{**image, "id": i} for i in range(count)],
        "annotations": [{"image_id": i, "segmentation": rle if i % 2 else polygon} for i in range(count)],
    }


def image_tree(root: Path, names: tuple[str, ...] = ("refcoco",), count: int = 2) -> Path:
    save(root / "train2014/COCO_train2014_1.jpg", scene()[0])
    for name in names:
        write_json(root / f"{name}/instances_{name}_train.json", coco_entries(count))
    return root
