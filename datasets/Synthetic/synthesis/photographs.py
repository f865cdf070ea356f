"""Photographs as backgrounds, textures and sources of cut-outs."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

_LEAST_CUT_OUT = 3000  # pixels


class Photographs:
    """The photographs below a folder.

    Args:
        folder: searched for ``*.jpg`` files, including subfolders. A photograph ``JPEGImages/<set>/<name>.jpg`` may
            have the ids of its objects in ``Annotations/<set>/<name>.png``, for cut-outs.

    Raises:
        FileNotFoundError: the folder has no photograph.
    """

    def __init__(self, folder: Path) -> None:
        walked = os.walk(folder, followlinks=True)  # rglob doesn't follow links
        self.paths = sorted(Path(place, name) for place, _, names in walked for name in names if name.endswith(".jpg"))
        if not self.paths:
            raise FileNotFoundError(f"{folder}: no *.jpg in this folder or its subfolders")

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Return a random photograph, H x W x 3 uint8 RGB, flipped half of the time."""
        image = _read(self.paths[int(rng.integers(len(self.paths)))])
        return np.ascontiguousarray(image[:, ::-1]) if rng.random() < 0.5 else image

    def texture(self, rng: np.random.Generator, side: int) -> np.ndarray:
        """Return a square part of a random photograph, side x side x 3."""
        image = self.draw(rng)
        edge = int(min(image.shape[:2]) * rng.uniform(0.3, 1))
        top, left = (int(rng.integers(whole - edge + 1)) for whole in image.shape[:2])
        return cv2.resize(image[top : top + edge, left : left + edge], (side, side), interpolation=cv2.INTER_AREA)

    def cut_out(self, rng: np.random.Generator, tries: int = 20) -> np.ndarray | None:
        """Return a random annotated object, H x W x 4 uint8 RGBA; None if no try finds one that is large enough."""
        for _ in range(tries):
            path = self.paths[int(rng.integers(len(self.paths)))]
            mask_path = Path(str(path).replace("/JPEGImages/", "/Annotations/")).with_suffix(".png")
            if not mask_path.is_file():
                continue
            ids = np.array(Image.open(mask_path))
            counts = np.bincount(ids.ravel(), minlength=2)
            counts[0] = 0
            counts[255:] = 0
            large = np.flatnonzero(counts >= _LEAST_CUT_OUT)
            if len(large):
                return cut(_read(path), ids == rng.choice(large))
        return None


def _read(path: Path) -> np.ndarray:
    return np.array(Image.open(path).convert("RGB"))


def cut(image: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Cut the pixels ``inside`` out of an image; return RGBA of their bounding box."""
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    alpha = cv2.GaussianBlur(inside[box].astype(np.float32) * 255, (0, 0), 0.7)
    return np.dstack((image[box], alpha.astype(np.uint8)))


def pattern(rng: np.random.Generator, side: int) -> np.ndarray:
    """Return a plain, striped, checked or dotted texture in random colors, side x side x 3 uint8."""
    first, second = rng.integers(20, 236, (2, 3))
    y, x = np.mgrid[:side, :side] / side
    cycles = float(rng.integers(2, 9))
    kind = rng.choice(("plain", "plain", "stripes", "checks", "dots"))
    angle = rng.choice((0, np.pi / 2, np.pi / 4))
    if kind == "stripes":
        where = np.sin(2 * np.pi * cycles * (np.cos(angle) * x + np.sin(angle) * y)) > 0
    elif kind == "checks":
        where = (np.floor(x * 2 * cycles) + np.floor(y * 2 * cycles)) % 2 > 0
    elif kind == "dots":
        where = (x * cycles % 1 - 0.5) ** 2 + (y * cycles % 1 - 0.5) ** 2 < 0.08
    else:
        where = np.zeros((side, side), bool)
    image = np.where(where[..., None], second, first).astype(np.float32)
    grain = cv2.resize(rng.normal(0, 8, (side // 4, side // 4)).astype(np.float32), (side, side))
    return np.clip(image + grain[..., None], 0, 255).astype(np.uint8)
