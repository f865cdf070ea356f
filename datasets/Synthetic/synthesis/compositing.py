"""Clips of cut-outs: figures, alone and in groups of look-alikes, that move and deform over a photograph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np

from .arrangement import draw_spots, draw_swaps, spot_at
from .figures import Figures, Sprite, photographed, thin_shape
from .film import Film
from .motion import Path, Shake, wander
from .output import Clip
from .photographs import Photographs

_SIZES = ((480, 640), (480, 720), (480, 854), (640, 480))
_HEIGHTS = (0.1, 0.65)  # of a cut-out, as a fraction of the frame's shorter side
_RATE = 25  # frames per second
_EXPOSURES = 5  # a blurred frame is the mean of this many moments
_MOST_OBJECTS = 12


@dataclass
class Layer:
    """A cut-out and its motion. Lengths are fractions of the frame's shorter side, measured from the frame's center.

    Attributes:
        sprite: the cut-out.
        height: height of the sprite.
        place: position at a time from 0 to 1.
        turn: angle in radians and logarithm of the scale at a time.
        mirrored: True to flip the sprite horizontally.
        speed, phase: frames of the animation per frame of the clip, and the first frame of the animation.
        gain: [3] factor for the colors.
        labeled: False for a layer that moves but counts as background.
    """

    sprite: Sprite
    height: float
    place: Callable[[float], np.ndarray]
    turn: Path
    mirrored: bool
    speed: float
    phase: float
    gain: np.ndarray
    labeled: bool = True


@dataclass
class World:
    """The layers of a clip, from far to near, over a photograph under a moving camera.

    Attributes:
        size: height and width of the frames.
        frames: length of the clip.
        background: H x W x 3 uint8 RGB, mirrored beyond its edges.
        camera: shift right and down, logarithm of the zoom, and angle in radians at a time.
        shake: offset added to the shift.
        layers: labeled ones have the ids 1, 2, ... in this order.
        shadow: opacity of drop shadows.
        offset: their shift right and down.
    """

    size: tuple[int, int]
    frames: int
    background: np.ndarray
    camera: Callable[[float], np.ndarray]
    shake: Callable[[float], np.ndarray]
    layers: list[Layer]
    shadow: float = 0.0
    offset: np.ndarray = field(default_factory=lambda: np.zeros(2))

    def draw(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Return image (H x W x 3 float32) and ids (H x W uint8) at a time from 0 to 1."""
        height, width = self.size
        view = self._view(time)
        h, w = self.background.shape[:2]
        cover = 1.25 * max(width / w, height / h)
        home = np.array(((cover, 0, -cover * w / 2), (0, cover, -cover * h / 2), (0, 0, 1)))
        scale = min(self.size)
        behind = view @ np.diag((1 / scale, 1 / scale, 1)) @ home
        image = cv2.warpAffine(
            self.background, behind[:2], (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        ).astype(np.float32)
        ids = np.zeros(self.size, np.uint8)
        number = 0
        for layer in self.layers:
            number += layer.labeled
            self._lay(layer, view, time, image, ids, number if layer.labeled else 0)
        return image, ids

    def _view(self, time: float) -> np.ndarray:
        """Return the transform from fractions of the shorter side to pixels."""
        x, y, zoom, angle = self.camera(time)
        x, y = np.array((x, y)) + self.shake(time)
        scale = min(self.size) * np.exp(zoom)
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        center = (np.array(self.size[::-1]) - 1) / 2
        return np.array(
            ((cos, -sin, center[0] + scale * x), (sin, cos, center[1] + scale * y), (0, 0, 1)),
        )

    def _lay(
        self, layer: Layer, view: np.ndarray, time: float, image: np.ndarray, ids: np.ndarray, number: int
    ) -> None:
        """Draw a layer's shadow and the layer."""
        rgba = layer.sprite.at(time * self.frames / _RATE, layer.phase + layer.speed * time * self.frames)
        h, w = layer.sprite.size
        unit = layer.height / h
        mirror = -unit if layer.mirrored else unit
        home = np.array(((mirror, 0, -mirror * (w - 1) / 2), (0, unit, -unit * (h - 1) / 2), (0, 0, 1)))
        angle, grown = layer.turn(time)
        cos, sin = np.exp(grown) * np.cos(angle), np.exp(grown) * np.sin(angle)
        x, y = layer.place(time)
        own = view @ np.array(((cos, -sin, x), (sin, cos, y), (0, 0, 1))) @ home
        if self.shadow:
            shift = np.array(((1, 0, self.offset[0]), (0, 1, self.offset[1]), (0, 0, 1)))
            dark = np.zeros_like(rgba)
            dark[..., 3] = cv2.GaussianBlur(rgba[..., 3], (0, 0), 0.03 * h) * self.shadow
            moved = view @ shift @ np.linalg.inv(view) @ own
            _blend(dark, moved, image)
        box, alpha = _blend(rgba * np.append(layer.gain, 1).astype(np.float32), own, image)
        ids[box][alpha > 0.5] = number


def _blend(rgba: np.ndarray, view: np.ndarray, image: np.ndarray) -> tuple[tuple[slice, slice], np.ndarray]:
    """Draw a sprite into an image; return the rows and columns that it covers, and its alpha there."""
    h, w = rgba.shape[:2]
    corners = view[:2] @ np.array(((0, w, 0, w), (0, 0, h, h), (1, 1, 1, 1)))
    low, high = np.floor(corners.min(1)).astype(int) - 1, np.ceil(corners.max(1)).astype(int) + 2
    (left, top), (right, bottom) = (np.clip(edge, 0, image.shape[1::-1]).tolist() for edge in (low, high))
    box = (slice(top, bottom), slice(left, right))
    if top >= bottom or left >= right:
        return box, np.zeros((bottom - top, right - left), np.float32)
    scale = float(np.sqrt(abs(np.linalg.det(view[:2, :2]))))
    if scale < 0.5:  # linear interpolation would skip pixels
        small = (max(1, round(w * scale)), max(1, round(h * scale)))
        rgba = cv2.resize(_weighted(rgba), small, interpolation=cv2.INTER_AREA)
        x, y = w / small[0], h / small[1]
        view = view @ np.array(((x, 0, x / 2 - 0.5), (0, y, y / 2 - 0.5), (0, 0, 1)))
    else:
        rgba = _weighted(rgba)
    moved = view.copy()
    moved[:2, 2] -= (left, top)
    drawn = cv2.warpAffine(rgba, moved[:2], (right - left, bottom - top), flags=cv2.INTER_LINEAR)
    alpha = drawn[..., 3] / 255
    image[box] = drawn[..., :3] + (1 - alpha[..., None]) * image[box]
    return box, alpha


def _weighted(rgba: np.ndarray) -> np.ndarray:
    """Multiply colors by alpha."""
    return np.dstack((rgba[..., :3] * (rgba[..., 3:] / 255), rgba[..., 3]))


def draw_world(
    photographs: Photographs, figures: Figures, rng: np.random.Generator, size: tuple[int, int], frames: int
) -> World:
    """Draw background, camera, light and layers."""
    background = photographs.draw(rng)
    if rng.random() < 0.4:
        background = cv2.GaussianBlur(background, (0, 0), rng.uniform(0.5, 3))
    calm = rng.choice((0.0, 0.5, 1.0, 2.5), p=(0.25, 0.3, 0.3, 0.15))
    camera = wander(rng, np.zeros(4), calm * np.array((0.08, 0.05, 0.05, 0.03)), turns=int(rng.integers(1, 4)))
    shake = Shake(rng, 2, calm * rng.choice((0.0, 0.004, 0.015)), frames)
    shadow = rng.uniform(0.2, 0.5) if rng.random() < 0.5 else 0.0
    offset = rng.normal(0, 0.02, 2)
    layers = draw_layers(photographs, figures, rng, frames)
    return World(size, frames, background, camera, shake, layers, shadow, offset)


def draw_layers(photographs: Photographs, figures: Figures, rng: np.random.Generator, frames: int) -> list[Layer]:
    """Draw groups of look-alikes and single cut-outs."""
    groups = [[1], [1] * int(rng.integers(2, 4)), [1] * int(rng.integers(4, 9)), [int(rng.integers(2, 7))]]
    groups += [[int(rng.integers(2, 6)), 1, 1], [int(rng.integers(2, 6)), int(rng.integers(2, 6))]]
    counts = groups[int(rng.choice(len(groups), p=(0.08, 0.12, 0.12, 0.33, 0.17, 0.18)))]
    layers: list[Layer] = []
    for count in counts:
        layers += draw_group(photographs, figures, rng, frames, min(count, _MOST_OBJECTS - len(layers)))
    rng.shuffle(layers)  # type: ignore[arg-type]
    if len(layers) > 1 and rng.random() < 0.2:
        layers[int(rng.integers(len(layers)))].labeled = False
    if rng.random() < 0.2:  # an unlabeled object passes in front of all
        front = draw_group(photographs, figures, rng, frames, 1)[0]
        start = np.array((rng.choice((-0.9, 0.9)), rng.uniform(-0.3, 0.3)))
        front.place, front.labeled = Path(np.array((start, start * (-1, 1)))), False
        layers.append(front)
    return layers


def draw_group(
    photographs: Photographs, figures: Figures, rng: np.random.Generator, frames: int, count: int
) -> list[Layer]:
    """Draw ``count`` cut-outs that look alike, side by side if there are several."""
    images, amplitude = _images(photographs, figures, rng, count)
    height = float(np.exp(rng.uniform(*np.log(_HEIGHTS))) / count**0.25)
    speed, phase = rng.uniform(0.4, 2), rng.uniform(0, 72)
    together, mirrored = rng.random() < 0.5, rng.random() < 0.5
    gain = rng.uniform(0.7, 1.1) * rng.uniform(0.9, 1.1, 3)
    home = rng.uniform(-0.45, 0.45, 2) / (1 + 0.5 * (count > 1))
    fast = rng.choice((0.03, 0.1, 0.3), p=(0.4, 0.4, 0.2))
    way = _way(rng, home, fast)
    aspect = images[0].shape[2] / images[0].shape[1]
    spots = draw_spots(rng, count, height * max(0.4, min(aspect, 1.5)) * rng.uniform(0.7, 1.3))
    swaps = draw_swaps(rng, count, frames) if rng.random() < 0.6 else []
    turns = wander(rng, np.array((rng.normal(0, 0.2), 0)), np.array((0.15, 0.08)), turns=2)
    layers = []
    for place in range(count):
        sprite = Sprite(images[place], amplitude, rng)
        own = wander(rng, np.zeros(2), 0.15 * height, turns=int(rng.integers(1, 4)))

        def at(time: float, place: int = place, own: Path = own) -> np.ndarray:
            spot, lift = spot_at(time, place, spots, swaps)
            return way(time) + own(time) + spot - (0, lift)

        angle, size = rng.normal(0, 0.1), rng.normal(0, 0.08)
        turn = Path(turns.points + np.array((angle, size)))
        if rng.random() < 0.2:
            turn = wander(rng, np.zeros(2), np.array((1.0, 0.1)), turns=2)
        own_phase = phase if together else rng.uniform(0, 72)
        flipped = mirrored if rng.random() < 0.7 else not mirrored
        layers.append(Layer(sprite, height, at, turn, flipped, speed, own_phase, gain * rng.uniform(0.95, 1.05)))
    return layers


def _images(
    photographs: Photographs, figures: Figures, rng: np.random.Generator, count: int
) -> tuple[list[np.ndarray], float]:
    """Draw the images of a group and the amplitude of their deformation."""
    kind = rng.choice(("figure", "photograph", "thin"), p=(0.55, 0.35, 0.1))
    if kind == "photograph" and (image := photographed(photographs, rng)) is not None:
        return [image] * count, float(rng.choice((0.0, rng.uniform(0.02, 0.08))))
    if kind == "thin":
        return [thin_shape(photographs, rng)] * count, float(rng.uniform(0, 0.12))
    return figures.draw(rng, count), float(rng.choice((0.0, rng.uniform(0.0, 0.05))))


def _way(rng: np.random.Generator, home: np.ndarray, fast: float) -> Path:
    """Draw the path of a group; some leave the frame and come back elsewhere."""
    if rng.random() < 0.15:
        away = np.array((rng.choice((-1.4, 1.4)), home[1]))
        return Path(np.array((home, home, away, away, rng.uniform(-0.4, 0.4, 2))))
    return wander(rng, home, fast, turns=int(rng.integers(1, 5)))


def composite_clip(
    photographs: Photographs, figures: Figures, rng: np.random.Generator, frames: tuple[int, int]
) -> Clip:
    """Draw and compose one clip of ``frames[0]`` to ``frames[1]`` frames."""
    length = int(rng.integers(frames[0], frames[1] + 1))
    size = _SIZES[int(rng.integers(len(_SIZES)))]
    world = draw_world(photographs, figures, rng, size, length)
    film = Film(rng, length)
    shutter = rng.uniform(0.3, 1.0) if rng.random() < 0.4 else 0.0
    out = Clip([], [], film.quality)
    for number in range(length):
        image, ids = world.draw(number / length)
        if shutter:
            offsets = np.linspace(-0.5, 0.5, _EXPOSURES) * shutter
            others = [world.draw((number + x) / length)[0] for x in offsets if x]
            image = sum(others, image) / _EXPOSURES
        out.frames.append(film.record(image, number))
        out.masks.append(ids)
    return out
