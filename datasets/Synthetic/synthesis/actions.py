"""Scripts of rendered scenes: their objects and how they move.

Lengths are in meters; z points up, the floor is at 0, and the camera looks along y. A script gives the pose of each
body at each of ``SUBSTEPS`` moments of each frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pybullet

from .arrangement import Swap, draw_spots, draw_swaps, spot_at
from .models import Model, ModelLibrary
from .motion import Path, ease, wander

SUBSTEPS = 8
"""Moments of a frame at which poses are known."""
_STEPS = 2  # physics steps between two moments
_RATE = 25  # frames per second


@dataclass
class Body:
    """An object of a scene.

    Attributes:
        model: shape and texture.
        size: largest extent.
        position: [3] at the start.
        orientation: [4] quaternion at the start.
        velocity: [3] at the start.
        spin: [3] angular velocity at the start.
        labeled: False for a body that moves but counts as background.
        mass: 0 for a body that physics doesn't move.
        path: position and quaternion at a time from 0 to 1, for bodies that follow a script.
    """

    model: Model
    size: float
    position: np.ndarray
    orientation: np.ndarray
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(3))
    spin: np.ndarray = field(default_factory=lambda: np.zeros(3))
    labeled: bool = True
    mass: float = 0.2
    path: Callable[[float], tuple[np.ndarray, np.ndarray]] | None = None


@dataclass
class Action:
    """The bodies of a scene.

    Attributes:
        bodies: all bodies, labeled or not.
        physics: True if bodies fall and collide; otherwise, all follow scripts.
        in_air: True if there is no floor.
    """

    bodies: list[Body]
    physics: bool
    in_air: bool = False


def draw_action(library: ModelLibrary, rng: np.random.Generator, frames: int) -> Action:
    """Draw a random script, by weight."""
    scripts = (drop, collide, push, shuffle, fly)
    script = scripts[int(rng.choice(len(scripts), p=(0.15, 0.15, 0.2, 0.3, 0.2)))]
    action = script(library, rng, frames)
    if rng.random() < 0.2 and sum(body.labeled for body in action.bodies) > 1:
        hidden = [body for body in action.bodies if body.labeled]
        hidden[int(rng.integers(len(hidden)))].labeled = False
    return action


def simulate(action: Action, ids: list[int], frames: int) -> np.ndarray:
    """Run a script, and return poses [frames * SUBSTEPS, bodies, 7], position and quaternion.

    Args:
        action: the script.
        ids: pybullet's number of each body.
        frames: length of the clip.
    """
    total = frames * SUBSTEPS
    poses = np.zeros((total, len(ids), 7))
    pybullet.setGravity(0, 0, -9.8 if action.physics else 0)
    pybullet.setTimeStep(1 / (_RATE * SUBSTEPS * _STEPS))
    floor = pybullet.createMultiBody(0, pybullet.createCollisionShape(pybullet.GEOM_PLANE))
    for moment in range(total):
        for place, (body, number) in enumerate(zip(action.bodies, ids, strict=True)):
            if body.path is not None:
                position, orientation = body.path(moment / total)
                before = poses[moment - 1, place, :3] if moment else position
                pybullet.resetBasePositionAndOrientation(number, position, orientation)
                pybullet.resetBaseVelocity(number, ((position - before) * _RATE * SUBSTEPS).tolist())
            position, orientation = pybullet.getBasePositionAndOrientation(number)
            poses[moment, place] = (*position, *orientation)
        if action.physics:
            for _ in range(_STEPS):
                pybullet.stepSimulation()
    pybullet.removeBody(floor)  # so that it isn't rendered
    return poses


def drop(library: ModelLibrary, rng: np.random.Generator, frames: int) -> Action:
    """Draw objects that fall onto the floor one after the other."""
    bodies = []
    for models in _groups(library.draw, rng, int(rng.integers(3, 10))):
        for model in models:
            position = np.array((rng.uniform(-0.35, 0.35), rng.uniform(-0.3, 0.3), rng.uniform(0.1, 0.9)))
            body = Body(model, _size(rng), position, _turned(rng), rng.normal(0, 0.3, 3), rng.normal(0, 3, 3))
            bodies.append(body)
    return Action(bodies, physics=True)


def collide(library: ModelLibrary, rng: np.random.Generator, frames: int) -> Action:
    """Draw objects that slide or fly toward each other."""
    bodies = []
    for models in _groups(library.draw, rng, int(rng.integers(2, 8))):
        size = _size(rng)
        for model in models:
            angle = rng.uniform(0, 2 * np.pi)
            position = np.array((np.cos(angle) * 0.5, np.sin(angle) * 0.4, size * rng.uniform(0.5, 1.5)))
            target = rng.normal(0, 0.1, 3)
            velocity = (target - position) * (1, 1, 0) * rng.uniform(0.8, 3.5) + (0, 0, rng.uniform(0, 1.5))
            bodies.append(Body(model, size, position, _turned(rng), velocity, rng.normal(0, 4, 3)))
    return Action(bodies, physics=True)


def push(library: ModelLibrary, rng: np.random.Generator, frames: int) -> Action:
    """Draw a group of standing objects and an unlabeled arm that moves through it."""
    bodies = []
    spots = draw_spots(rng, int(rng.integers(2, 8)), spacing=rng.uniform(0.16, 0.24))
    groups = _groups(library.upright, rng, len(spots))
    for model, spot in zip((m for models in groups for m in models), spots, strict=True):
        size = rng.uniform(0.1, 0.18)
        bodies.append(_standing(model, size, spot, rng))
    start, end = (np.array((x, rng.uniform(-0.15, 0.15), 0.1)) for x in (-0.7, rng.uniform(-0.1, 0.5)))
    side = rng.choice((-1, 1))
    middle = np.array((rng.uniform(-0.1, 0.1), rng.uniform(-0.2, 0.2), rng.uniform(0.06, 0.14)))
    way = Path(np.array([start, middle, end]) * (side, 1, 1))
    lying = np.array(pybullet.getQuaternionFromEuler((0, side * np.pi / 2, rng.uniform(-0.4, 0.4))))
    arm_size, begin = 0.8, rng.uniform(0, 0.2)

    def move(time: float) -> tuple[np.ndarray, np.ndarray]:
        reach = way(ease((time - begin) / 0.8))
        return reach - (side * arm_size / 2, 0, 0), lying

    position, orientation = move(0)
    arm = Body(library.arm(rng), arm_size, position, orientation, labeled=False, path=move)
    return Action([*bodies, arm], physics=True)


def shuffle(library: ModelLibrary, rng: np.random.Generator, frames: int) -> Action:
    """Draw look-alikes that stand side by side and trade places, some lifted, some passing in front of others."""
    count = int(rng.integers(2, 6))
    spacing = rng.uniform(0.15, 0.3)
    spots = draw_spots(rng, count, spacing)
    draw = library.upright if rng.random() < 0.7 else library.draw
    model = draw(rng)
    size = spacing * rng.uniform(0.55, 0.95)
    swaps = draw_swaps(rng, count, frames)
    bodies = []
    for place in range(count):
        body = _standing(model, size, spots[place], rng)
        body.path = _shuffled(body, place, spots, swaps)
        bodies.append(body)
    for _ in range(int(rng.integers(0, 3))):
        spot = rng.uniform((-0.5, -0.3), (0.5, 0.4))
        body = _standing(library.upright(rng), rng.uniform(0.08, 0.2), spot, rng)
        if min(np.linalg.norm(spots - spot, axis=1)) > spacing:
            body.path = _resting(body)
            bodies.append(body)
    return Action(bodies, physics=False)


def fly(library: ModelLibrary, rng: np.random.Generator, frames: int) -> Action:
    """Draw objects that fly across the view and turn; some are thin, small or fast, some leave and come back."""
    bodies = []
    draw = (library.draw, library.thin, library.ball)[int(rng.choice(3, p=(0.5, 0.3, 0.2)))]
    fast = rng.uniform(0.05, 0.2) * (3 if rng.random() < 0.4 else 1)
    for models in _groups(draw, rng, int(rng.integers(1, 8))):
        size = _size(rng) * (0.4 if rng.random() < 0.3 else 1.0)
        for model in models:
            start = rng.uniform((-0.4, -0.3, 0.05), (0.4, 0.3, 0.6))
            way = wander(rng, start, np.array((fast, fast / 2, fast)), turns=int(rng.integers(2, 5)))
            if rng.random() < 0.25:  # leaves the view at a side, and comes back
                away = np.array((rng.choice((-1.3, 1.3)), start[1], start[2]))
                back = rng.uniform((-0.3, -0.3, 0.0), (0.3, 0.3, 0.6))
                way = Path(np.array((start, start, away, away, back)))
            axis, turns = rng.normal(size=3), rng.normal(0, 0.5) * frames / 12
            body = Body(model, size, start, _turned(rng), mass=0)
            body.path = _turning(way, body.orientation, axis, turns)
            bodies.append(body)
    return Action(bodies, physics=False, in_air=True)


def _groups(draw: Callable[[np.random.Generator], Model], rng: np.random.Generator, count: int) -> list[list[Model]]:
    """Draw ``count`` models; half of the time, some of them are identical."""
    groups: list[list[Model]] = []
    while count:
        size = min(count, int(rng.integers(2, 6))) if rng.random() < 0.5 else 1
        groups.append([draw(rng)] * size)
        count -= size
    return groups


def _size(rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(0.06), np.log(0.3))))


def _turned(rng: np.random.Generator) -> np.ndarray:
    """Return a random rotation as a quaternion."""
    q = rng.normal(size=4)
    return q / np.linalg.norm(q)


def _standing(model: Model, size: float, spot: np.ndarray, rng: np.random.Generator) -> Body:
    """Put an object upright on the floor."""
    turn = np.array(pybullet.getQuaternionFromEuler((0, 0, rng.uniform(0, 2 * np.pi))))
    position = np.array((*spot, size * model.extent[2] / 2 + 0.002))
    return Body(model, size, position, turn)


def _shuffled(
    body: Body, place: int, spots: np.ndarray, swaps: list[Swap]
) -> Callable[[float], tuple[np.ndarray, np.ndarray]]:
    """Return the pose over time of the object that starts at a given place, as objects trade places."""

    def pose(time: float) -> tuple[np.ndarray, np.ndarray]:
        spot, height = spot_at(time, place, spots, swaps)
        return np.array((*spot, body.position[2] + height)), body.orientation

    return pose


def _resting(body: Body) -> Callable[[float], tuple[np.ndarray, np.ndarray]]:
    return lambda time: (body.position, body.orientation)


def _turning(
    way: Path, start: np.ndarray, axis: np.ndarray, turns: float
) -> Callable[[float], tuple[np.ndarray, np.ndarray]]:
    """Return the pose over time on a path while turning about an axis."""

    def pose(time: float) -> tuple[np.ndarray, np.ndarray]:
        turn = pybullet.getQuaternionFromAxisAngle(axis.tolist(), float(2 * np.pi * turns * time))
        both = pybullet.multiplyTransforms((0, 0, 0), turn, (0, 0, 0), start.tolist())[1]
        return way(time), np.array(both)

    return pose
