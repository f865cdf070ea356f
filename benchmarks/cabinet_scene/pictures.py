"""Photographs of the scene: redistributable files from the scikit-image wheel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import skimage


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A photograph and its license."""

    file: str
    author: str
    license: str


PICTURES: dict[str, Picture] = {
    "astronaut": Picture(file="astronaut.png", author="NASA", license="public domain"),
    "brick": Picture(file="brick.png", author="CC0Textures (Bricks25)", license="CC0 1.0"),
    "camera": Picture(file="camera.png", author="Lav Varshney", license="CC0 1.0"),
    "chelsea": Picture(file="chelsea.png", author="Stefan van der Walt", license="CC0 1.0"),
    "coffee": Picture(file="coffee.png", author="Rachel Michetti, Pikolo Espresso Bar", license="CC0 1.0"),
    "coins": Picture(file="coins.png", author="Brooklyn Museum", license="no known copyright restrictions"),
    "grass": Picture(file="grass.png", author="linolafett", license="CC0 1.0"),
    "gravel": Picture(file="gravel.png", author="CC0Textures (Gravel04)", license="CC0 1.0"),
    "hubble": Picture(file="hubble_deep_field.jpg", author="NASA, ESA", license="public domain"),
    "tissue": Picture(file="ihc.png", author="CMMI", license="no known copyright restrictions"),
    "retina": Picture(file="retina.jpg", author="Mikael Häggström", license="CC0 1.0"),
    "rocket": Picture(file="rocket.jpg", author="SpaceX", license="public domain"),
    "text": Picture(file="text.png", author="Wikipedia contributors", license="public domain"),
}


@cache
def load_picture(name: str) -> np.ndarray:
    """Return a photograph as H x W x 3 float32 RGB in [0, 1], read-only; gray ones have three equal channels."""
    path = Path(skimage.__file__).parent / "data" / PICTURES[name].file
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise FileNotFoundError(f"{path} is missing or not an image: install scikit-image from its wheel")
    rgb = np.ascontiguousarray(bgr[..., ::-1]).astype(np.float32) / 255.0
    rgb.setflags(write=False)
    return rgb


def shrunk(rgb: np.ndarray, scale: float) -> np.ndarray:
    """Scale a picture; when shrinking, each pixel is the mean of the area that it covers."""
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.clip(cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=interpolation), 0, 1)


def tinted(rgb: np.ndarray, stops: list[tuple[float, tuple[int, int, int]]]) -> np.ndarray:
    """Color a gray photograph by interpolating between ``stops`` (level in [0, 1], 8-bit RGB)."""
    levels = [level for level, _ in stops]
    gray = rgb.mean(axis=2)
    channels = [np.interp(gray, levels, [color[c] / 255 for _, color in stops]) for c in range(3)]
    return np.stack(channels, axis=2).astype(np.float32)
