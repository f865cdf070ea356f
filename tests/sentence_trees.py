"""Miniatures of A2D-Sentences and JHMDB-Sentences."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from pycocotools import mask as coco

from dataset_trees import image, text, write_json

SIZE = (48, 64)


def truth(ids: list[str]) -> dict:
    """Return COCO JSON with the mask of a block for each image."""
    mask = np.zeros(SIZE, np.uint8)
    mask[10:30, 20:50] = 1
    encoded = coco.encode(np.asfortranarray(mask))
    segmentation = {"size": list(SIZE), "counts": encoded["counts"].decode()}
    shared = {"category_id": 1, "iscrowd": 0, "area": int(mask.sum()), "bbox": [20, 10, 30, 20]}
    return {
        "categories": [{"id": 1, "name": "dummy"}],
        "images": [{"id": i, "height": SIZE[0], "width": SIZE[1]} for i in ids],
        "annotations": [{"id": n, "image_id": i, "segmentation": segmentation, **shared} for n, i in enumerate(ids, 1)],
    }


def write_video(path: Path, count: int) -> None:
    """Write frames of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], "yuv420p"
        for _ in range(count):
            values = rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(values, format="rgb24")))
        container.mux(stream.encode(None))


def a2d(root: Path) -> Path:
    ids = ["v_-ab_c_f_0_i_0", "v_-ab_c_f_0_i_1", "v_-ab_c_f_7_i_0", "v_dog_f_3_i_2"]
    write_json(root / "a2d_sentences_test_annotations_in_coco_format.json", truth(ids))
    lines = ["video_id,instance_id,query", '-ab_c,0,"a Man,  running"', "-ab_c,1,the dog", "dog,2,the ball rolling"]
    text(root / "text_annotations/a2d_annotation.txt", "\n".join(lines) + "\n")
    for video, count in (("-ab_c", 8), ("dog", 5)):
        write_video(root / f"Release/clips320H/{video}.mp4", count)
    return root


def jhmdb(root: Path) -> Path:
    write_json(root / "jhmdb_sentences_gt_annotations_in_coco_format.json", truth(["v_run_f_1", "v_run_f_3"]))
    text(root / "jhmdb_annotation.txt", "video_id,query\nrun,a man running\n")
    for number in range(1, 4):
        image(root / f"Rename_Images/run/{number:05d}.png", SIZE)
    return root
