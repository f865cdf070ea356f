"""The scenes by kind. Positions are fractions of the frame's height, from its center; times run from 0 to 1."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from synthesis.arrangement import Swap, spot_at
from synthesis.motion import Shake, wander
from synthesis.output import Clip

from .pictures import DemoPictures
from .stage import AWAY, Keys, Place, Shot, colored, film, layer, line

Scene = Callable[[DemoPictures, np.random.Generator], Clip]


def cups(pictures: DemoPictures, rng: np.random.Generator) -> Clip:
    """Five identical cups on a table under a moving camera; two pairs trade places."""
    spots = np.array([(x, 0.05 * (-1) ** k) for k, x in enumerate((-0.64, -0.32, 0, 0.32, 0.64))])
    swaps = [Swap(0.35, 0.55, 0, 1, bulge=0.5, lift=0.0), Swap(0.65, 0.9, 2, 4, bulge=0.4, lift=0.0)]
    cup = pictures.cut_out("cup")
    layers = [layer(cup, 0.34, _at(k, spots, swaps)) for k in range(5)]
    return film([Shot(0, pictures.table, layers, wander(rng, np.zeros(4), (0.05, 0.04, 0.06, 0.03), 3))], 60, rng)


def coins(pictures: DemoPictures, rng: np.random.Generator) -> Clip:
    """Four identical coins that slide over one another."""
    coin, ends = pictures.cut_out("silver coin"), ((-0.7, -0.25), (-0.65, 0.25), (0.7, -0.3), (0.6, 0.3))
    layers = []
    for k, (x, y) in enumerate(ends):
        begin = 0.1 * k
        layers.append(layer(coin, 0.3, Keys((begin, x, y), (begin + 0.6, -x, -y)), turn=line((0, 0), (1.5 - k, 0))))
    return film([Shot(0, pictures.table, layers)], 60, rng)


def portraits(pictures: DemoPictures, rng: np.random.Generator) -> Clip:
    """Three identical portraits that cover each other in passing."""
    cat, spots = pictures.cut_out("cat"), np.array([(-0.5, 0), (0, 0), (0.5, 0)])
    swaps = [Swap(0.1, 0.4, 0, 1, bulge=0.1, lift=0.0), Swap(0.5, 0.9, 1, 2, bulge=-0.1, lift=0.0)]
    layers = [layer(cat, 0.45, _at(k, spots, swaps), gain=1 - 0.05 * k) for k in range(3)]
    return film([Shot(0, pictures.meadow(70), layers, wander(rng, np.zeros(4), 0.03, 2))], 60, rng)


def planets(pictures: DemoPictures, rng: np.random.Generator) -> Clip:
    """Six identical balls on two counter-rotating rings; three of the balls are background."""
    planet = pictures.ball()
    layers = []
    for k in range(6):
        sign, radius, start = (-1) ** k, 0.28 + 0.08 * (k % 2), k * np.pi / 3
        layers.append(layer(planet, 0.2, _around(radius, start, sign * 1.6 * np.pi), labeled=k % 2 == 0))
    return film([Shot(0, pictures.wall, layers)], 60, rng)


def leaving(pictures: DemoPictures, rng: np.random.Generator) -> Clip:
    """A ball leaves on the right and comes back on the left; a portrait leaves below and comes back at the side."""
    ball = Keys((0, 0.2, -0.1), (0.15, 0.4, -0.1), (0.3, 1.4, 0), (0.55, -1.4, 0.2), (0.75, -0.3, 0.1), (1, 0, 0))
    cat = Keys((0, -0.4, 0.1), (0.25, -0.3, 0.1), (0.4, -0.3, 1.1), (0.65, 1.5, 0.1), (0.85, 0.5, 0), (1, 0.4, 0))
    layers = [layer(pictures.ball(), 0.34, ball), layer(pictures.cut_out("cat"), 0.4, cat)]
    return film([Shot(0, pictures.meadow(20), layers, wander(rng, np.zeros(4), 0.03, 3))], 70, rng)


def pillar(pictures: DemoPictures, rng: np.random.Generator) -> Clip:
    """Two objects go behind a pillar and stay there for a while."""
    coin = Keys((0, -0.6, 0.2), (0.25, 0, 0.15), (0.55, 0, 0.15), (0.8, 0.6, 0.2))
    helmet = Keys((0.05, 0.55, -0.2), (0.4, 0, -0.15), (0.7, 0, -0.15), (0.95, -0.6, -0.2))
    layers = [layer(pictures.cut_out("gold coin"), 0.25, coin, turn=line((0, 0), (3, 0)))]
    layers += [layer(pictures.cut_out("helmet"), 0.22, helmet)]
    layers += [layer(pictures.pillar(), 1.6, line((0, 0)), labeled=False)]
    return film([Shot(0, pictures.meadow(45), layers, wander(rng, np.zeros(4), 0.02, 2))], 70, rng)


def twins(pictures: DemoPictures, rng: np.random.Generator) -> Clip:
    """Two identical shuttles: one leaves and comes back on the other side of the one that stays."""
    goes = Keys((0, -0.35, 0), (0.2, -0.35, 0), (0.35, -0.4, -1.1), (0.6, 0.45, -1.1), (0.75, 0.45, 0.05))
    shuttle = pictures.cut_out("shuttle")
    layers = [layer(shuttle, 0.45, goes), layer(shuttle, 0.45, line((0.05, 0.1), (0.1, 0), (0, 0.05)))]
    return film([Shot(0, pictures.meadow(5), layers)], 70, rng)


def two_shots(pictures: DemoPictures, rng: np.random.Generator) -> Clip:
    """A shot, a cut to a different place with different things, and a cut back."""
    cup, astronaut = pictures.cut_out("cup"), pictures.cut_out("astronaut")
    here = [layer(astronaut, 0.7, line((0.4, 0.18), (0.25, 0.18))), layer(cup, 0.35, line((-0.5, 0.2), (-0.2, 0.25)))]
    away = [layer(image, 0.3, line(AWAY)) for image in (astronaut, cup)]
    others = ((pictures.ball(), 0.5), (pictures.cut_out("silver coin"), -0.3))
    away += [layer(image, 0.3, line((x, 0), (-x, 0.1)), labeled=False) for image, x in others]
    shots = [Shot(0, pictures.wall, here), Shot(0.33, pictures.meadow(60), away), Shot(0.62, pictures.wall, here)]
    return film(shots, 70, rng)


def close_up(pictures: DemoPictures, rng: np.random.Generator) -> Clip:
    """A cut to a close-up of the same two objects, and back."""
    cup, helmet = pictures.cut_out("cup"), pictures.cut_out("helmet")
    wide = [layer(helmet, 0.2, line((0.4, 0), (0.1, 0.05))), layer(cup, 0.32, line((-0.4, 0.05), (-0.1, 0.1)))]
    near = [layer(helmet, 0.5, line((0.55, -0.1), (0.2, 0))), layer(cup, 0.7, line((-0.5, 0.1), (-0.2, 0.1)))]
    zoomed = line((0.1, 0, 0.5, 0.1))
    shots = [Shot(0, pictures.table, wide), Shot(0.3, pictures.table, near, zoomed), Shot(0.65, pictures.table, wide)]
    return film(shots, 70, rng)


def four_shots(pictures: DemoPictures, rng: np.random.Generator) -> Clip:
    """Two alternating places: one object is in both, the other only in the first."""
    rocket, cat = pictures.cut_out("rocket"), pictures.cut_out("cat")
    first = [layer(rocket, 0.5, line((-0.5, 0), (-0.1, 0.1))), layer(cat, 0.4, line((0.3, 0.1), (0.4, -0.1)))]
    second = [layer(rocket, 0.4, line((0.5, 0.1), (0.1, -0.1)), mirrored=True), layer(cat, 0.4, line(AWAY))]
    second += [layer(pictures.ball(), 0.3, line((-0.4, -0.1), (0, 0.1)), labeled=False)]
    places = ((pictures.meadow(35), first), (pictures.wall, second))
    return film([Shot(k / 4, *places[k % 2]) for k in range(4)], 70, rng)


def wandering(pictures: DemoPictures, rng: np.random.Generator) -> Clip:
    """A thousand frames: three objects and a look-alike of one of them wander; one leaves twice."""
    ways = [_wander(rng, home) for home in ((-0.45, -0.1), (0.05, 0.15), (0.45, -0.15), (0.2, -0.25))]
    leaves = Keys((0.25, 0, 0), (0.27, 0, 1.3), (0.33, 0, 1.3), (0.36, 0, 0), (0.7, 0, 0), (0.72, 0, -1.3))
    returns = Keys((0.78, 0, 0), (0.81, 0, 1.3))
    kinds = (("astronaut", 0.5, True), ("cat", 0.32, True), ("gold coin", 0.2, True), ("gold coin", 0.2, False))
    layers = []
    for k, (name, height, labeled) in enumerate(kinds):

        def place(time: float, k: int = k) -> np.ndarray:
            return ways[k](time) + (leaves(time) + returns(time) if k == 1 else 0)

        turn = wander(rng, np.zeros(2), np.array((0.25, 0.15)), turns=20)
        layers.append(layer(pictures.cut_out(name), height, place, turn=turn, labeled=labeled))
    camera = wander(rng, np.zeros(4), np.array((0.02, 0.015, 0.02, 0.01)), turns=30)
    return film([Shot(0, pictures.meadow(50), layers, camera)], 1000, rng)


def ropes(pictures: DemoPictures, rng: np.random.Generator) -> Clip:
    """Two waving ropes that cross."""
    layers = []
    for k, (tilt, color) in enumerate(((0.5, (225, 190, 60)), (-0.6, (200, 60, 50)))):
        alpha = np.zeros((300, 300), np.uint8)
        curve = [(150 + 60 * np.sin(6 * t + k), 10 + 280 * t) for t in np.linspace(0, 1, 60)]
        cv2.polylines(alpha, [np.array(curve).round().astype(np.int32)], False, 255, 8, cv2.LINE_AA)
        x = 0.25 * (-1) ** k
        turn = line((tilt, 0), (-tilt, 0))
        image = colored(alpha, color)
        layers.append(layer(image, 0.9, line((x, 0), (-x, 0)), turn=turn, bend=(0.08, rng)))
    return film([Shot(0, pictures.meadow(15), layers)], 40, rng)


def hoops(pictures: DemoPictures, rng: np.random.Generator) -> Clip:
    """Two hoops of the same color that turn and pass through each other."""
    alpha = np.zeros((200, 200), np.uint8)
    cv2.ellipse(alpha, (100, 100), (90, 60), 0, 0, 360, 255, 9, cv2.LINE_AA)
    image = colored(alpha, (70, 160, 120))
    layers = [
        layer(image, 0.5, line((x, 0), (-x, 0.05)), turn=line((0, 0), (2.0 * x, 0.1), (5.0 * x, 0)))
        for x in (-0.4, 0.4)
    ]
    return film([Shot(0, pictures.wall, layers)], 40, rng)


def tripods(pictures: DemoPictures, rng: np.random.Generator) -> Clip:
    """A tripod in front of a moving background, and a stick that swings in front of the tripod."""
    stick = np.zeros((240, 240), np.uint8)
    cv2.line(stick, (12, 120), (228, 120), 255, 7, cv2.LINE_AA)
    layers = [layer(pictures.cut_out("tripod"), 0.8, line((-0.2, 0.05), (0.2, 0.0)))]
    layers += [layer(colored(stick, (90, 50, 140)), 0.8, line((0.3, 0), (-0.1, 0)), turn=line((0.3, 0), (2.5, 0)))]
    return film([Shot(0, pictures.meadow(30), layers, wander(rng, np.zeros(4), 0.06, 3))], 40, rng)


def bounce(pictures: DemoPictures, rng: np.random.Generator) -> Clip:
    """A blurred ball that moves by more than its size from frame to frame, and a slow one."""

    def thrown(time: float) -> np.ndarray:
        x, y = 5.2 * time % 2.8, 7.0 * time % 1
        return np.array((0.7 - abs(x - 1.4), 0.32 - 2.4 * y * (1 - y)))

    layers = [layer(pictures.ball(), 0.26, line((-0.45, 0.1), (-0.3, 0.2)))]
    layers += [layer(pictures.cut_out("silver coin"), 0.16, thrown)]
    return film([Shot(0, pictures.meadow(10), layers)], 40, rng, shutter=0.5)


def shaking(pictures: DemoPictures, rng: np.random.Generator) -> Clip:
    """Two objects under a camera that shakes and zooms."""
    layers = [layer(pictures.cut_out("cup"), 0.35, line((0.35, 0.15), (0.1, 0.15)))]
    layers += [layer(pictures.cut_out("rocket"), 0.45, line((-0.4, 0.1), (-0.1, -0.1)))]
    zoom = line((0, 0, 0, 0), (0, 0, 0.5, 0.2), (0, 0, -0.2, -0.2), (0, 0, 0.3, 0))
    return film([Shot(0, pictures.wall, layers, zoom, Shake(rng, 2, 0.12, 40))], 40, rng, shutter=0.4)


def spinning(pictures: DemoPictures, rng: np.random.Generator) -> Clip:
    """A shuttle that spins fast across the frame, and its slow twin."""
    shuttle = pictures.cut_out("shuttle")
    fast = layer(shuttle, 0.35, line((-0.7, -0.2), (0.7, 0.2), (-0.6, 0.2), (0.6, -0.2)), turn=line((0, 0), (22, 0)))
    slow = layer(shuttle, 0.35, line((0.1, 0.2), (0.0, 0.1)))
    return film([Shot(0, pictures.table, [slow, fast])], 40, rng, shutter=0.5)


KINDS: dict[str, dict[str, Scene]] = {
    "lookalikes": {"cups": cups, "coins": coins, "portraits": portraits, "planets": planets},
    "absence": {"leaving": leaving, "pillar": pillar, "twins": twins},
    "cuts": {"two-shots": two_shots, "close-up": close_up, "four-shots": four_shots},
    "long": {"wandering": wandering},
    "thin": {"ropes": ropes, "hoops": hoops, "tripods": tripods},
    "fast": {"bounce": bounce, "shaking": shaking, "spinning": spinning},
}


def _at(place: int, spots: np.ndarray, swaps: list[Swap]) -> Place:
    return lambda time: spot_at(time, place, spots, swaps)[0]


def _around(radius: float, start: float, turn: float) -> Place:
    return lambda time: radius * np.array((np.cos(start + turn * time), np.sin(start + turn * time)))


def _wander(rng: np.random.Generator, home: tuple[float, float]) -> Place:
    """Return a walk about a place that stays within the frame."""
    return line(*(np.array(home) + rng.uniform(-1, 1, (25, 2)) * (0.35, 0.2)))
