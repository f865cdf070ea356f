"""The photographs of the scene: files of the scikit-image wheel, each under terms that let it be shared."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import skimage


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One source photograph and the terms under which it was published."""

    file: str
    author: str
    licence: str


PICTURES: dict[str, Picture] = {
    "astronaut": Picture(file="astronaut.png", author="NASA", licence="public domain"),
    "brick": Picture(file="brick.png", author="CC0Textures (Bricks25)", licence="CC0 1.0"),
    "camera": Picture(file="camera.png", author="Lav Varshney", licence="CC0 1.0"),
    "chelsea": Picture(file="chelsea.png", author="Stefan van der Walt", licence="CC0 1.0"),
    "coffee": Picture(file="coffee.png", author="Rachel Michetti, Pikolo Espresso Bar", licence="CC0 1.0"),
    "coins": Picture(file="coins.png", author="Brooklyn Museum", licence="no known copyright restrictions"),
    "grass": Picture(file="grass.png", author="linolafett", licence="CC0 1.0"),
    "gravel": Picture(file="gravel.png", author="CC0Textures (Gravel04)", licence="CC0 1.0"),
    "hubble": Picture(file="hubble_deep_field.jpg", author="NASA, ESA", licence="public domain"),
    "tissue": Picture(file="ihc.png", author="CMMI", licence="no known copyright restrictions"),
    "retina": Picture(file="retina.jpg", author="Mikael Häggström", licence="CC0 1.0"),
    "rocket": Picture(file="rocket.jpg", author="SpaceX", licence="public domain"),
    "text": Picture(file="text.png", author="Wikipedia contributors", licence="public domain"),
}


@cache
def load_picture(name: str) -> np.ndarray:
    """The photograph ``name`` as HxWx3 float32 RGB in 0..1 (grey ones get three equal channels). Read only."""
    path = Path(skimage.__file__).parent / "data" / PICTURES[name].file
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise FileNotFoundError(f"{path} is missing or no image: install scikit-image from its wheel")
    rgb = np.ascontiguousarray(bgr[..., ::-1]).astype(np.float32) / 255.0
    rgb.setflags(write=False)
    return rgb


def shrunk(rgb: np.ndarray, scale: float) -> np.ndarray:
    """The picture at ``scale`` times its size; below 1 every target pixel averages what it covers."""
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.clip(cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=interpolation), 0, 1)


def tinted(rgb: np.ndarray, stops: list[tuple[float, tuple[int, int, int]]]) -> np.ndarray:
    """Colour a grey photograph: its grey levels are mapped through colour ``stops`` (level 0..1, 8-bit RGB)."""
    levels = [level for level, _ in stops]
    grey = rgb.mean(axis=2)
    channels = [np.interp(grey, levels, [color[c] / 255 for _, color in stops]) for c in range(3)]
    return np.stack(channels, axis=2).astype(np.float32)
