"""Segmenter without a network, and clips for the annotation server's tests."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from moving_clip import H, W, moving_frames
from PIL import Image


class StandInSegmenter:
    """Moves the given mask by one column a frame; objects are less sure from frame to frame."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.reset()

    def reset(self) -> None:
        self.ids: np.ndarray | None = None
        self.age = 0

    def step(self, image: np.ndarray, mask: np.ndarray | None = None, complete: bool = False) -> np.ndarray:
        time.sleep(self.seconds)
        if mask is not None:
            self.ids, self.age = mask, 0
        else:
            assert self.ids is not None
            self.ids, self.age = np.roll(self.ids, 1, axis=1), self.age + 1
        return self.ids

    @property
    def quality(self) -> dict[int, Any]:
        assert self.ids is not None
        return {int(i): SimpleNamespace(confidence=1 / (1 + self.age)) for i in np.unique(self.ids[self.ids > 0])}


def write_clip(folder: Path, count: int = 6) -> Path:
    """Write frames as PNGs; return the folder."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(moving_frames(count)):
        Image.fromarray(frame).save(folder / f"{number:05d}.png")
    return folder


def mask_of(*ids: int) -> np.ndarray:
    """A mask with a square of each id, uint16."""
    mask = np.zeros((H, W), np.uint16)
    for place, object_id in enumerate(ids):
        mask[10:20, 5 + 15 * place : 15 + 15 * place] = object_id
    return mask
