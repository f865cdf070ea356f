"""Rendered scenes: objects of a physics simulation over photographs, with shadows, motion blur and exact ids."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pybullet

from .actions import SUBSTEPS, Action, Body, draw_action, simulate
from .camera import Camera, View, in_front, sample
from .film import Film
from .models import ModelLibrary
from .output import Clip
from .photographs import Photographs, pattern

_SIZES = ((480, 640), (480, 720), (480, 854), (640, 480))
_FINER = 2  # rendered pixels per pixel and axis
_SHADOW_SIDE, _SHADOW_EXTENT = 384, 3.0  # size of the floor's shadow map in pixels and meters
_EXPOSURES = 5  # a blurred frame is the mean of this many moments


class Backdrop:
    """Background of a scene: a distant photograph, or a floor and a wall covered with photographs."""

    def __init__(self, photographs: Photographs, rng: np.random.Generator, size: tuple[int, int], in_air: bool) -> None:
        self.room = not in_air and rng.random() < 0.5
        self.wall = _softened(_filling(photographs.draw(rng), size), rng)
        if rng.random() < 0.15:
            self.wall = pattern(rng, 256)
        self.floor = photographs.texture(rng, 512) if rng.random() < 0.7 else pattern(rng, 512)
        self.depth = rng.uniform(0.5, 1.5)
        self.floor_scale, self.wall_scale = rng.uniform(0.8, 2.0), rng.uniform(1.2, 2.5)

    def draw(self, view: View, first: View) -> np.ndarray:
        """Return the background in a view, H x W x 3 float32; ``first`` is the camera at the beginning."""
        if not self.room:
            return self._photograph(view, first)
        floor, on_floor = in_front(view.plane(np.zeros(3), np.eye(3)[0], np.eye(3)[1]), view.size)
        wall, _ = in_front(view.plane(np.array((0, self.depth, 0)), np.eye(3)[0], np.eye(3)[2]), view.size)
        on_floor &= floor[..., 1] < self.depth
        below = sample(self.floor, floor / self.floor_scale + 0.5)
        aspect = np.array((1, self.wall.shape[1] / self.wall.shape[0]), np.float32)
        behind = sample(self.wall, wall * (1, -1) / self.wall_scale * aspect + (0.5, 1.0))
        edge = cv2.GaussianBlur(on_floor.astype(np.float32), (0, 0), 1.0)[..., None]
        return edge * below + (1 - edge) * behind

    def _photograph(self, view: View, first: View) -> np.ndarray:
        """Draw a plane far behind the scene that is somewhat larger than the first view."""
        inverse = np.linalg.inv(first.matrix)
        corners = np.array(((-1, 1), (1, 1), (-1, -1))) * 1.1
        far = np.stack([_unprojected(inverse, x, y, 0.995) for x, y in corners])
        homography = view.plane(far[0], far[1] - far[0], far[2] - far[0])
        coordinates, _ = in_front(homography, view.size)
        return sample(self.wall, coordinates)


def _unprojected(inverse: np.ndarray, x: float, y: float, depth: float) -> np.ndarray:
    point = inverse @ (x, y, depth, 1)
    return point[:3] / point[3]


def _filling(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Crop an image to the aspect ratio of a frame."""
    height, width = image.shape[:2]
    scale = min(height / size[0], width / size[1])
    h, w = round(size[0] * scale), round(size[1] * scale)
    top, left = (height - h) // 2, (width - w) // 2
    return image[top : top + h, left : left + w]


def _softened(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put a photograph out of focus, half of the time."""
    return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 3)) if rng.random() < 0.5 else image


class Stage:
    """The bodies of a scene in pybullet, with lighting and rendering."""

    def __init__(self, action: Action, rng: np.random.Generator) -> None:
        self.action = action
        pybullet.resetSimulation()
        shapes = _Shapes()
        self.ids = [shapes.create(body) for body in action.bodies]
        labeled = [number for number, body in zip(self.ids, action.bodies, strict=True) if body.labeled]
        self.object_of = np.zeros(max(self.ids) + 2, np.uint8)
        self.object_of[labeled] = np.arange(1, len(labeled) + 1)
        angle, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 2.5)
        self.sun = np.array((np.cos(angle), np.sin(angle), height))
        self.ambient, self.diffuse, self.specular = rng.uniform((0.4, 0.3, 0.0), (0.7, 0.7, 0.4))
        self.shade, self.softness = rng.uniform(0.2, 0.7), rng.uniform(1.0, 6.0)

    def place(self, poses: np.ndarray) -> None:
        """Move all bodies to poses [bodies, 7]."""
        for number, pose in zip(self.ids, poses, strict=True):
            pybullet.resetBasePositionAndOrientation(number, pose[:3], pose[3:])

    def picture(self, view: View) -> tuple[np.ndarray, np.ndarray]:
        """Return the image and pybullet's body numbers (-1: none), both at a higher resolution than the view."""
        height, width = view.size[0] * _FINER, view.size[1] * _FINER
        _, _, color, _, bodies = pybullet.getCameraImage(
            width,
            height,
            view.view,
            view.projection,
            lightDirection=self.sun.tolist(),
            lightAmbientCoeff=self.ambient,
            lightDiffuseCoeff=self.diffuse,
            lightSpecularCoeff=self.specular,
            shadow=0,
            renderer=pybullet.ER_TINY_RENDERER,
        )
        return np.reshape(color, (height, width, 4))[..., :3], np.reshape(bodies, (height, width))

    def shadows(self, view: View) -> np.ndarray:
        """Return the fraction of light that reaches the floor in a view, H x W x 1 from 0 to 1."""
        side = _SHADOW_SIDE
        distance = 12.0
        fov = 2 * np.degrees(np.arctan(_SHADOW_EXTENT / 2 / distance))
        direction = self.sun / np.linalg.norm(self.sun)
        light = View(direction * distance, np.zeros(3), float(fov), (side, side))
        bodies = pybullet.getCameraImage(
            side, side, light.view, light.projection, shadow=0, renderer=pybullet.ER_TINY_RENDERER
        )[4]
        dark: np.ndarray = (np.reshape(bodies, (side, side)) > 0).astype(np.float32)
        dark = cv2.GaussianBlur(dark, (0, 0), self.softness)
        x, y = np.eye(3)[:2]
        to_view = view.plane(np.zeros(3), x, y) @ np.linalg.inv(light.plane(np.zeros(3), x, y))
        height, width = view.size
        return 1 - self.shade * cv2.warpPerspective(dark, to_view, (width, height))[..., None]


class _Shapes:
    """Shapes and textures that pybullet has loaded; identical objects share them."""

    def __init__(self) -> None:
        self.shapes: dict[tuple[Path, float], tuple[int, int]] = {}
        self.textures: dict[Path, int] = {}

    def create(self, body: Body) -> int:
        """Add a body to the simulation, and return its number."""
        key = (body.model.shape, body.size)
        if key not in self.shapes:
            mesh = {"fileName": str(body.model.shape), "meshScale": [body.size] * 3}
            visual = pybullet.createVisualShape(pybullet.GEOM_MESH, **mesh)
            self.shapes[key] = visual, pybullet.createCollisionShape(pybullet.GEOM_MESH, **mesh)
        if body.model.texture not in self.textures:
            self.textures[body.model.texture] = pybullet.loadTexture(str(body.model.texture))
        visual, hull = self.shapes[key]
        mass = 0 if body.path is not None else body.mass
        number = pybullet.createMultiBody(mass, hull, visual, body.position.tolist(), body.orientation.tolist())
        pybullet.resetBaseVelocity(number, body.velocity.tolist(), body.spin.tolist())
        pybullet.changeDynamics(number, -1, restitution=0.4, lateralFriction=0.5, rollingFriction=0.002)
        texture = self.textures[body.model.texture]
        pybullet.changeVisualShape(number, -1, textureUniqueId=texture, rgbaColor=(1, 1, 1, 1))
        return number


def shrunk(picture: np.ndarray, bodies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shrink the picture to the frame's size, weighted by coverage; return it and the coverage, H x W x 3 and 1."""
    covered = (bodies >= 0).astype(np.float32)[..., None]
    size = (picture.shape[1] // _FINER, picture.shape[0] // _FINER)
    weighted = cv2.resize(picture.astype(np.float32) * covered, size, interpolation=cv2.INTER_AREA)
    return weighted, cv2.resize(covered, size, interpolation=cv2.INTER_AREA)[..., None]


def majority(ids: np.ndarray, count: int) -> np.ndarray:
    """Return the id (0 to ``count``) that covers most of each pixel of a finer map."""
    size = (ids.shape[1] // _FINER, ids.shape[0] // _FINER)
    best, out = np.full(size[::-1], 0.5, np.float32), np.zeros(size[::-1], np.uint8)
    for number in range(1, count + 1):
        share = cv2.resize((ids == number).astype(np.float32), size, interpolation=cv2.INTER_AREA)
        more = share >= best
        out[more], best[more] = number, share[more]
    return out


def _extent(action: Action, poses: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the center of the objects at the start, and the radius that holds most of them most of the time."""
    labeled = [place for place, body in enumerate(action.bodies) if body.labeled]
    center = poses[0, labeled, :3].mean(0)
    distances = np.linalg.norm(poses[:, labeled, :3] - center, axis=2)
    return center, float(np.quantile(distances, 0.7) + max(action.bodies[place].size for place in labeled) / 2)


def render_clip(
    library: ModelLibrary, photographs: Photographs, rng: np.random.Generator, frames: tuple[int, int]
) -> Clip:
    """Draw and render one clip of ``frames[0]`` to ``frames[1]`` frames."""
    length = int(rng.integers(frames[0], frames[1] + 1))
    action = draw_action(library, rng, length)
    stage = Stage(action, rng)
    poses = simulate(action, stage.ids, length)
    size = _SIZES[int(rng.integers(len(_SIZES)))]
    calm = float(rng.choice((0.0, 0.5, 1.0, 2.0), p=(0.2, 0.3, 0.3, 0.2)))
    camera = Camera(rng, length, size, *_extent(action, poses), calm=calm)
    backdrop = Backdrop(photographs, rng, size, action.in_air)
    film = Film(rng, length)
    shutter = rng.uniform(0.3, 1.0) if rng.random() < 0.35 else 0.0
    has_shadow = not action.in_air and rng.random() < 0.85
    first = camera.at(0)
    count = int(stage.object_of.max())
    out = Clip([], [], film.quality)
    for number in range(length):
        middle = number * SUBSTEPS + SUBSTEPS // 2
        offsets = np.linspace(-0.5, 0.5, _EXPOSURES) * shutter * SUBSTEPS if shutter else np.zeros(1)
        mean = np.zeros((*size, 3), np.float32)
        for moment in np.clip(np.round(middle + offsets).astype(int), 0, len(poses) - 1).tolist():
            view = camera.at(moment / len(poses))
            stage.place(poses[moment])
            picture, bodies = stage.picture(view)
            drawn, covered = shrunk(picture, bodies)
            behind = backdrop.draw(view, first)
            if has_shadow:
                behind *= stage.shadows(view)
            mean += (drawn + (1 - covered) * behind) / len(offsets)
        if shutter:
            stage.place(poses[middle])
            bodies = stage.picture(camera.at(middle / len(poses)))[1]
        out.frames.append(film.record(mean, number))
        out.masks.append(majority(stage.object_of[bodies], count))
    library.forget()
    return out
