"""Cut-outs and backgrounds from the pictures in ``datasets/Demo``."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from synthesis.photographs import cut

OBJECTS = {
    "astronaut": (28, 29, 30, 31),
    "cat": (16, 17, 18),
    "cup": (40, 41, 42, 43),
    "gold coin": (48,),
    "helmet": (32,),
    "planet": (3,),
    "rocket": (5,),
    "shuttle": (24, 25),
    "silver coin": (49,),
    "tripod": (9, 10),
}
"""Ids of ``datasets/Demo/masks/cabinet/00000.png`` that make up each object."""


class DemoPictures:
    """Pictures of the two demo scenes.

    Args:
        folder: ``datasets/Demo``.

    Raises:
        FileNotFoundError: a picture is missing.
        ValueError: the clip can't be decoded.
    """

    def __init__(self, folder: Path) -> None:
        self._clip = folder / "images" / "bunny.mp4"
        frame, mask = folder / "images" / "cabinet" / "00000.jpg", folder / "masks" / "cabinet" / "00000.png"
        for path in (self._clip, frame, mask):
            if not path.is_file():
                raise FileNotFoundError(f"{path}: this image is missing, and the Probe set is generated from it")
        self._cabinet = np.array(Image.open(frame).convert("RGB"))
        self._ids = np.array(Image.open(mask))

    def cut_out(self, name: str) -> np.ndarray:
        """Return one of ``OBJECTS``, [1, H, W, 4] uint8 RGBA."""
        return cut(self._cabinet, np.isin(self._ids, OBJECTS[name]))[None]

    def ball(self) -> np.ndarray:
        """Return the largest visible disc of the planet, whose edge is hidden in the demo, [1, H, W, 4] uint8 RGBA."""
        depth = cv2.distanceTransform(np.isin(self._ids, OBJECTS["planet"]).astype(np.uint8), cv2.DIST_L2, 5)
        _, radius, _, center = cv2.minMaxLoc(depth)
        disc = cv2.circle(np.zeros_like(self._ids), center, int(radius) - 1, 1, -1)
        return cut(self._cabinet, disc > 0)[None]

    def pillar(self) -> np.ndarray:
        """Return an upright board of bricks, [1, H, W, 4] uint8 RGBA."""
        bricks = self.wall[:, :90]
        return np.dstack((bricks, np.full(bricks.shape[:2], 255, np.uint8)))[None]

    @cached_property
    def wall(self) -> np.ndarray:
        """Brick texture, H x W x 3 uint8."""
        return _tiled(self._cabinet[2:40, 2:640], rows=9)

    @cached_property
    def table(self) -> np.ndarray:
        """Wood texture, H x W x 3 uint8."""
        return _tiled(self._cabinet[444:490, 680:990], rows=6)

    def meadow(self, number: int) -> np.ndarray:
        """Return a frame of the bunny clip, H x W x 3 uint8."""
        clip = cv2.VideoCapture(str(self._clip))
        try:
            for _ in range(number + 1):
                read, frame = clip.read()
                if not read:
                    raise ValueError(f"{self._clip}: frame {number} can't be decoded")
        finally:
            clip.release()
        return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def _tiled(image: np.ndarray, rows: int) -> np.ndarray:
    """Repeat a strip, mirrored each time, so that it has no seams."""
    return np.vstack([image[::-1] if row % 2 else image for row in range(rows)])
