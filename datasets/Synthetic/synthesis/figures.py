"""Sprites that change over time: animated figures, cut-outs of photographs, and thin shapes."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from .motion import Path as Curve
from .photographs import Photographs, pattern

_TONE = re.compile(r"-1f3f[b-f]")  # modifiers of skin color
_LONGEST = 320  # pixels of a sprite's longer side


class Sprite:
    """An image with alpha that changes over time: an animation, a deformation, or both.

    Args:
        images: [N, H, W, 4] uint8 RGBA, the frames of an animation, or a single image.
        amplitude: largest displacement by the deformation, as a fraction of the longer side.
        rng: source of the random deformation.
    """

    def __init__(self, images: np.ndarray, amplitude: float, rng: np.random.Generator) -> None:
        self.margin = int(np.ceil(amplitude * max(images.shape[1:3]))) + 2 if amplitude else 1
        pad = (self.margin, self.margin)
        self.images = np.pad(images, ((0, 0), pad, pad, (0, 0)))
        self.amplitude = amplitude * max(images.shape[1:3]) / 2
        self.cycles = rng.normal(0, 0.8, (3, 2, 2))
        self.speeds, self.phases = rng.uniform(0.5, 3, (3, 2)), rng.uniform(0, 2 * np.pi, (3, 2))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        return self.images.shape[1], self.images.shape[2]

    def at(self, seconds: float, number: float) -> np.ndarray:
        """Return the image, float32 RGBA from 0 to 255.

        Args:
            seconds: time of the deformation.
            number: frame of the animation, which repeats after its last frame.
        """
        image = self.images[int(number) % len(self.images)]
        if not self.amplitude:
            return image.astype(np.float32)
        height, width = self.size
        y, x = np.mgrid[:height, :width].astype(np.float32)
        shift = np.zeros((2, height, width), np.float32)
        for cycles, speeds, phases in zip(self.cycles, self.speeds, self.phases, strict=True):
            for axis in range(2):
                turns = cycles[axis, 0] * x / width + cycles[axis, 1] * y / height + speeds[axis] * seconds
                shift[axis] += np.sin(2 * np.pi * turns + phases[axis]) / 1.5
        x, y = x + self.amplitude * shift[0], y + self.amplitude * shift[1]
        return cv2.remap(image, x, y, cv2.INTER_LINEAR).astype(np.float32)


class Figures:
    """Animated figures from the packages ``@lobehub/fluent-emoji-anim-1`` ... ``-4``.

    Args:
        folder: searched for ``*.webp`` files, including subfolders.

    Raises:
        FileNotFoundError: there are none.
    """

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.rglob("*.webp"), key=lambda path: path.name)
        if not self.paths:
            raise FileNotFoundError(f"{folder}: no *.webp in this folder or its subfolders")
        self.kin: dict[str, list[Path]] = defaultdict(list)
        for path in self.paths:
            self.kin[_TONE.sub("", path.stem)].append(path)

    def draw(self, rng: np.random.Generator, count: int) -> list[np.ndarray]:
        """Return ``count`` look-alike animations, [N, H, W, 4] uint8: identical, or people in several skin colors."""
        path = self.paths[int(rng.integers(len(self.paths)))]
        paths = self.kin[_TONE.sub("", path.stem)]
        if len(paths) > 1 and rng.random() < 0.5:
            chosen = [paths[place] for place in rng.permutation(len(paths))[:count]]
        else:
            chosen = [path]
        images = {path: _animation(path) for path in chosen}
        return [images[chosen[place % len(chosen)]] for place in range(count)]


def _animation(path: Path) -> np.ndarray:
    image = Image.open(path)
    frames = []
    for number in range(getattr(image, "n_frames", 1)):
        image.seek(number)
        frames.append(np.array(image.convert("RGBA")))
    stack = np.stack(frames)
    shown = stack[..., 3].max(0) > 0
    rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    return stack[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def photographed(photographs: Photographs, rng: np.random.Generator) -> np.ndarray | None:
    """Return a cut-out of a photograph, [1, H, W, 4] uint8; None if photographs have no ids."""
    image = photographs.cut_out(rng)
    if image is None:
        return None
    scale = min(1.0, _LONGEST / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)[None]


def thin_shape(photographs: Photographs, rng: np.random.Generator) -> np.ndarray:
    """Return a rope, stick or hoop, [1, H, W, 4] uint8."""
    side = 256
    width = int(rng.integers(3, 14))
    alpha = np.zeros((side, side), np.uint8)
    kind = rng.choice(("stick", "rope", "hoop"))
    if kind == "hoop":
        axes = tuple(int(x) for x in rng.integers(50, side // 2 - 10, 2))
        cv2.ellipse(alpha, (side // 2, side // 2), axes, float(rng.uniform(0, 180)), 0, 360, 255, width, cv2.LINE_AA)
    else:
        curve = Curve(rng.uniform(12, side - 12, (2 if kind == "stick" else int(rng.integers(3, 6)), 2)))
        points = np.array([curve(t) for t in np.linspace(0, 1, 60)])
        cv2.polylines(alpha, [points.round().astype(np.int32)], False, 255, width, cv2.LINE_AA)
    texture = photographs.texture(rng, side) if rng.random() < 0.5 else pattern(rng, side)
    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    return np.dstack((texture, alpha))[None, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
