"""Shots of a scene: layers that move over a background, rendered to frames and exact ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from synthesis.compositing import Layer, World
from synthesis.figures import Sprite
from synthesis.film import Film
from synthesis.motion import Path, ease
from synthesis.output import Clip

SIZE = (240, 432)
AWAY = (3.0, 0.0)
"""A place outside the frame."""
_EXPOSURES = 9  # a blurred frame is the mean of this many moments

Place = Callable[[float], np.ndarray]


class Keys:
    """Motion from place to place that pauses at each place, with a soft start and end.

    Args:
        *keys: (time, x, y), by increasing time. Positions are fractions of the frame's height, from its center.
    """

    def __init__(self, *keys: tuple[float, float, float]) -> None:
        self.times = [time for time, _, _ in keys]
        self.places = np.array([place for _, *place in keys])

    def __call__(self, time: float) -> np.ndarray:
        """Return the place at a time."""
        after = int(np.searchsorted(self.times, time, side="right"))
        if after in (0, len(self.times)):
            return self.places[min(after, len(self.times) - 1)]
        begin, end = self.times[after - 1 : after + 1]
        u = ease((time - begin) / (end - begin))
        return (1 - u) * self.places[after - 1] + u * self.places[after]


def line(*points: tuple[float, ...]) -> Path:
    """Return a smooth curve through points that are evenly spaced in time."""
    return Path(np.array(points, float))


def layer(
    image: np.ndarray,
    height: float,
    place: Place,
    *,
    turn: Place | None = None,
    bend: tuple[float, np.random.Generator] | None = None,
    labeled: bool = True,
    mirrored: bool = False,
    gain: float = 1.0,
) -> Layer:
    """Return a moving cut-out.

    Args:
        image: [1, H, W, 4] uint8 RGBA.
        height: height of the cut-out, as a fraction of the frame's height.
        place: position at a time from 0 to 1.
        turn: angle in radians and logarithm of the scale at a time; None: neither changes.
        bend: largest displacement of a waving deformation, as a fraction of the longer side, and its random generator.
        labeled: False for a layer that moves but counts as background.
        mirrored: flip the cut-out horizontally.
        gain: factor for the colors.
    """
    amplitude, rng = bend or (0.0, np.random.default_rng(0))
    turn = turn or line((0, 0))
    return Layer(Sprite(image, amplitude, rng), height, place, turn, mirrored, 1.0, 0.0, np.full(3, gain), labeled)  # type: ignore[arg-type]


def _still(time: float) -> np.ndarray:
    return np.zeros(4)


def _steady(time: float) -> np.ndarray:
    return np.zeros(2)


@dataclass(frozen=True)
class Shot:
    """One shot of a scene.

    Attributes:
        begin: time from 0 to 1 at which the shot starts.
        background: H x W x 3 uint8.
        layers: from far to near; each shot has the same number of labeled layers, because their order defines the ids.
        camera: shift right and down, logarithm of the zoom, and angle in radians at a time.
        shake: offset added to the shift.
    """

    begin: float
    background: np.ndarray
    layers: Sequence[Layer]
    camera: Place = _still
    shake: Place = _steady


def film(shots: Sequence[Shot], frames: int, rng: np.random.Generator, *, shutter: float = 0.0) -> Clip:
    """Render consecutive shots.

    Args:
        shots: by increasing time; the first begins at 0.
        frames: length of the clip.
        rng: source of randomness for the recording.
        shutter: exposure time as a fraction of the frame's duration; 0: no motion blur.
    """
    worlds = [World(SIZE, frames, s.background, s.camera, s.shake, list(s.layers), shadow=0.3) for s in shots]
    recording = Film(rng, frames)
    recording.gray = False
    clip = Clip([], [], 90)
    for number in range(frames):
        at = max(k for k, shot in enumerate(shots) if number / frames >= shot.begin)
        image, ids = worlds[at].draw(number / frames)
        if shutter:
            moments = np.linspace(-0.5, 0.5, _EXPOSURES) * shutter
            image = sum(worlds[at].draw((number + moment) / frames)[0] for moment in moments) / _EXPOSURES
        clip.frames.append(recording.record(image, number))
        clip.masks.append(ids)
    return clip


def colored(alpha: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """Return a shape of one color, [1, H, W, 4] uint8 RGBA; ``alpha`` is H x W uint8."""
    return np.dstack((np.full((*alpha.shape, 3), color, np.uint8), alpha))[None]
