"""Renderer of layers: camera, compositing, motion blur, exposure and sensor noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .motion import Track, camera
from .shapes import Sprite


@dataclass(frozen=True, kw_only=True)
class Layer:
    """An object of the scene. ``depth`` is 0 for the far sky, 1 for the table, and larger for nearer objects."""

    name: str
    sprite: Sprite
    track: Track
    anchor: tuple[float, float]
    depth: float
    shadow: tuple[float, float, float, float] | None = None
    """Shadow on the layers behind: offset x, offset y and softness in pixels, and strength from 0 to 1."""


SHUTTER = 0.36
SAMPLES = 5


class Renderer:
    """Renderer of ``layers``, from far to near, into frames of ``size`` (rows, columns). Ids follow that order."""

    def __init__(self, layers: Sequence[Layer], size: tuple[int, int], frames: int, seed: int) -> None:
        self.layers, self.size, self.frames, self.seed = layers, size, frames, seed
        self.shadows = [_shadow(layer) for layer in layers]

    def frame(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a frame, H x W x 3 uint8 RGB, and its ids, H x W uint8, in the middle of the exposure."""
        offsets = np.linspace(-0.5, 0.5, SAMPLES) * SHUTTER
        ids = np.zeros(self.size, np.uint8)
        light = np.zeros((*self.size, 3), np.float32)
        for offset in offsets:
            light += self._composite((index + offset) / (self.frames - 1), ids if offset == 0 else None) / SAMPLES
        return self._developed(light, index), ids

    def _composite(self, time: float, ids: np.ndarray | None) -> np.ndarray:
        """Return the sharp picture at ``time``, and write its ids to ``ids``."""
        picture = np.zeros((*self.size, 3), np.float32)
        for number, (layer, shadow) in enumerate(zip(self.layers, self.shadows, strict=True), start=1):
            matrix = camera(time, layer.depth, self.size) @ layer.track.at(time).matrix(layer.anchor)
            if layer.shadow is not None and shadow is not None:
                moved = np.array([[1, 0, layer.shadow[0]], [0, 1, layer.shadow[1]], [0, 0, 1]]) @ matrix
                box = _bounds(shadow.shape, moved, self.size)
                if box is not None:
                    picture[box] *= 1 - layer.shadow[3] * _warped(shadow, moved, box)[..., None]
            box = _bounds(layer.sprite.alpha.shape, matrix, self.size)
            if box is None:
                continue
            alpha = _warped(layer.sprite.alpha, matrix, box)
            color = _warped(layer.sprite.rgb, matrix, box, border=cv2.BORDER_REPLICATE)
            picture[box] += (color - picture[box]) * alpha[..., None]
            if ids is not None:
                ids[box][alpha > 0.5] = number
        return picture

    def _developed(self, light: np.ndarray, index: int) -> np.ndarray:
        """Apply varying exposure, vignetting, blur and noise."""
        time = index / (self.frames - 1)
        y, x = np.mgrid[-1 : 1 : self.size[0] * 1j, -1 : 1 : self.size[1] * 1j]
        rim = 1 - 0.16 * (0.5 * y**2 + 0.5 * x**2) ** 1.5
        exposure = 1.04 + 0.05 * np.sin(5.2 * time) - 0.05 * time
        soft = cv2.GaussianBlur(light, (0, 0), 0.5)
        noise = np.random.default_rng((self.seed, index)).normal(0, 1, light.shape[:2])
        noisy = soft * (rim * exposure)[..., None] + (noise * 0.006)[..., None]
        return np.clip(noisy * 255 + 0.5, 0, 255).astype(np.uint8)


def _shadow(layer: Layer) -> np.ndarray | None:
    """The blurred outline of a layer that casts a shadow."""
    return None if layer.shadow is None else cv2.GaussianBlur(layer.sprite.alpha, (0, 0), layer.shadow[2])


def _bounds(shape: tuple[int, ...], matrix: np.ndarray, size: tuple[int, int]) -> tuple[slice, slice] | None:
    """Rows and columns of a frame that a sprite can touch; None if it lies outside."""
    h, w = shape[:2]
    corners = np.array([[0, 0, 1], [w, 0, 1], [w, h, 1], [0, h, 1]], dtype=np.float64) @ matrix.T
    x, y = corners[:, 0] / corners[:, 2], corners[:, 1] / corners[:, 2]
    left, right = max(int(np.floor(x.min())), 0), min(int(np.ceil(x.max())) + 1, size[1])
    top, bottom = max(int(np.floor(y.min())), 0), min(int(np.ceil(y.max())) + 1, size[0])
    return (slice(top, bottom), slice(left, right)) if left < right and top < bottom else None


def _warped(
    image: np.ndarray, matrix: np.ndarray, box: tuple[slice, slice], border: int = cv2.BORDER_CONSTANT
) -> np.ndarray:
    """The part of the warped ``image`` that falls into the rows and columns ``box`` of a frame."""
    rows, columns = box
    shift = np.array([[1, 0, -columns.start], [0, 1, -rows.start], [0, 0, 1]], dtype=np.float64)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    return cv2.warpPerspective(image, shift @ matrix, size, flags=cv2.INTER_LINEAR, borderMode=border)
