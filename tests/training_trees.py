"""Small datasets for training, and checks of their clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from voskit.configs.stages import StageConfig, get_stage_config
from voskit.dataloaders.masks.files import write_mask
from voskit.dataloaders.training import TrainClip, VideoClips, folder_records
from voskit.dataloaders.transforms import IMAGENET_MEAN, IMAGENET_STD

CROP = 65
COLOURS = ((40, 40, 40), (250, 10, 10), (10, 10, 250), (10, 250, 10))


def scene(ids: tuple[int, ...], shift: int = 0, size: tuple[int, int] = (80, 100)) -> tuple[np.ndarray, np.ndarray]:
    """Write an image and a mask with a block for each id, each block in its own color."""
    mask = np.zeros(size, np.uint8)
    image = np.full((*size, 3), COLOURS[0], np.uint8)
    for place, object_id in enumerate(ids):
        block = np.s_[15:65, 8 + 30 * place + shift : 32 + 30 * place + shift]
        mask[block], image[block] = object_id, COLOURS[1 + place]
    return image, mask


def save(image: np.ndarray, mask: np.ndarray, image_path: Path, mask_path: Path) -> None:
    for path in (image_path, mask_path):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(image_path)
    write_mask(mask_path, mask)


def static_tree(root: Path, ids: tuple[int, ...] = (3, 7)) -> Path:
    for folder in ("A", "B"):
        for name in ("one", "two"):
            save(*scene(ids), root / f"JPEGImages/{folder}/{name}.png", root / f"Annotations/{folder}/{name}.png")
    return root


def video_tree(root: Path, count: int = 8, empty: tuple[int, ...] = ()) -> Path:
    for name in ("bear", "dog"):
        for frame in range(count):
            image, mask = scene(() if frame in empty else (2, 5), shift=frame)
            frame_path = root / f"JPEGImages/480p/{name}/{frame:05d}.png"
            save(image, mask, frame_path, root / f"Annotations/480p/{name}/{frame:05d}.png")
    (root / "ImageSets/2017").mkdir(parents=True)
    (root / "ImageSets/2017/train.txt").write_text("bear\ndog\n")
    return root


def stage(**changes: Any) -> StageConfig:
    return get_stage_config("pre", **{"short_edge": 70, "merge_probability": 0.0, **changes})


def skip_stage(**changes: Any) -> StageConfig:
    return get_stage_config("s3", **{"batch_size": 2, "total_steps": 40, "clip_length": 4, "fine_tuning": 8, **changes})


def videos(root: Path, **changes: Any) -> VideoClips:
    records = folder_records(root / "JPEGImages/480p", root / "Annotations/480p")
    return VideoClips(records, stage(**changes), gap=2, crop=CROP)


def pixels(clip: TrainClip) -> np.ndarray:
    """Return the frames as [T, S, S, 3] RGB from 0 to 255."""
    return (clip.frames.permute(0, 2, 3, 1).numpy() * IMAGENET_STD + IMAGENET_MEAN) * 255


def check(clip: TrainClip, crop: int = CROP, max_objects: int = 10) -> None:
    length = len(clip.frames)
    assert clip.frames.shape == (length, 3, crop, crop)
    assert clip.frames.dtype == torch.float32
    assert clip.labels.shape == (length, crop, crop)
    assert clip.labels.dtype == torch.uint8
    assert -0.5 <= pixels(clip).min() <= pixels(clip).max() <= 255.5
    ids = [i for i in clip.labels[0].unique().tolist() if i not in (0, 255)]
    assert ids == list(range(1, clip.num_objects + 1))
    assert 1 <= clip.num_objects <= max_objects
    assert set(clip.labels.unique().tolist()) <= {0, 255, *ids}
    assert clip.name


def same(one: TrainClip, other: TrainClip) -> bool:
    return torch.equal(one.frames, other.frames) and torch.equal(one.labels, other.labels)
