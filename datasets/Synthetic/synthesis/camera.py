"""Moving perspective camera, and projection of planes."""

from __future__ import annotations

import cv2
import numpy as np
import pybullet

from .motion import Shake, wander


class View:
    """A camera at one moment.

    Args:
        eye, target: [3] position of the camera, and point that it looks at.
        fov: vertical angle of view in degrees.
        size: (height, width) of its image.
        roll: rotation about the optical axis in radians.
    """

    def __init__(
        self, eye: np.ndarray, target: np.ndarray, fov: float, size: tuple[int, int], roll: float = 0.0
    ) -> None:
        height, width = size
        forward = (target - eye) / np.linalg.norm(target - eye)
        right = np.cross(forward, (0, 0, 1))
        right /= np.linalg.norm(right)
        up = np.cos(roll) * np.cross(right, forward) + np.sin(roll) * right
        self.size = size
        self.view = pybullet.computeViewMatrix(eye.tolist(), target.tolist(), up.tolist())
        self.projection = pybullet.computeProjectionMatrixFOV(fov, width / height, 0.05, 20.0)
        matrices = [np.array(m).reshape(4, 4).T for m in (self.projection, self.view)]
        self.matrix = matrices[0] @ matrices[1]

    def plane(self, origin: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return the homography from coordinates (a, b) of ``origin + a u + b v`` to pixels."""
        height, width = self.size
        corners = np.stack((np.append(u, 0), np.append(v, 0), np.append(origin, 1)), axis=1)
        to_pixels = np.array(((width / 2, 0, width / 2 - 0.5), (0, -height / 2, height / 2 - 0.5), (0, 0, 1)))
        return to_pixels @ (self.matrix @ corners)[[0, 1, 3]]


def in_front(homography: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the plane's coordinates at each pixel, H x W x 2, and a mask of pixels where it is before the camera."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    a, b, c = (row[0] * x + row[1] * y + row[2] for row in np.linalg.inv(homography))
    visible = c > 1e-6
    safe = np.where(visible, c, 1)
    return np.stack((a / safe, b / safe), axis=2), visible


def sample(texture: np.ndarray, coordinates: np.ndarray) -> np.ndarray:
    """Sample a texture at coordinates from 0 to 1, mirrored beyond; return H x W x C float32."""
    height, width = texture.shape[:2]
    places = 1 - np.abs(1 - coordinates % 2)  # a triangle wave
    x, y = places[..., 0] * (width - 1), places[..., 1] * (height - 1)
    return cv2.remap(texture, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR).astype(np.float32)


class Camera:
    """A camera that moves smoothly around a scene at the origin, and shakes.

    Args:
        rng: source of random numbers.
        frames: length of the clip.
        size: (height, width) of the image.
        center: [3] center of the scene.
        radius: radius of the scene in meters.
        calm: factor that scales all motion.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        frames: int,
        size: tuple[int, int],
        center: np.ndarray,
        radius: float,
        calm: float,
    ) -> None:
        self.size = size
        self.fov = rng.uniform(35, 60)
        shown = radius * np.exp(rng.uniform(np.log(0.8), np.log(1.8 if rng.random() < 0.85 else 4)))
        distance = max(0.2, shown / np.tan(np.radians(self.fov) / 2))
        start = np.array((rng.uniform(-0.5, 0.5), np.radians(rng.uniform(8, 50)), distance))
        change = calm * np.array((0.12, 0.05, 0.08 * distance))
        self.orbit = wander(rng, start, change, turns=int(rng.integers(1, 4)))
        target = center + shown * rng.uniform(-0.2, 0.2, 3)
        self.target = wander(rng, target, calm * 0.08 * shown, turns=int(rng.integers(1, 4)))
        self.shake = Shake(rng, 3, calm * shown * rng.choice((0.0, 0.006, 0.025)), frames)
        self.roll = rng.uniform(-0.06, 0.06)

    def at(self, time: float) -> View:
        """Return the view at a time from 0 to 1."""
        azimuth, elevation, distance = self.orbit(time)
        elevation = np.clip(elevation, 0.08, 1.2)
        target = self.target(time) + self.shake(time)
        direction = (np.sin(azimuth) * np.cos(elevation), -np.cos(azimuth) * np.cos(elevation), np.sin(elevation))
        return View(target + distance * np.array(direction), target, self.fov, self.size, self.roll)
