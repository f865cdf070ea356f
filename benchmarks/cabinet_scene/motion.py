"""Motion of layers between key poses, and of the camera."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np


@dataclass(frozen=True)
class Pose:
    """Position and orientation of a layer. ``x``, ``y``: the layer's anchor in pixels of the first frame."""

    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0
    turn: float = 0.0
    """Rotation in the image plane in degrees, clockwise."""
    yaw: float = 0.0
    """Rotation about the vertical axis in degrees, seen in perspective."""
    lean: float = 0.0
    """Horizontal shear in pixels per pixel of height."""
    flat: float = 1.0
    """Vertical squash after the rotation, for objects that lie on a table."""

    def matrix(self, anchor: tuple[float, float]) -> np.ndarray:
        """Return the 3 x 3 homography from pixels of a sprite, held at ``anchor``, to pixels of the first frame."""
        turn, yaw = np.deg2rad(self.turn), np.deg2rad(self.yaw)
        to_anchor = np.array([[1, 0, -anchor[0]], [0, 1, -anchor[1]], [0, 0, 1]], dtype=np.float64)
        rotate = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
        tilt = np.array([[np.cos(yaw), 0, 0], [0, 1, 0], [np.sin(yaw) * 1e-3, 0, 1]])
        shape = np.array([[self.scale, self.scale * self.lean, 0], [0, self.scale * self.flat, 0], [0, 0, 1]])
        place = np.array([[1, 0, self.x], [0, 1, self.y], [0, 0, 1]])
        return place @ shape @ tilt @ rotate @ to_anchor


@dataclass(frozen=True)
class Track:
    """Key poses at times from 0 to 1, joined by a smooth curve (cubic Hermite, slopes from the neighbors)."""

    times: tuple[float, ...]
    poses: tuple[Pose, ...]

    def at(self, time: float) -> Pose:
        """Return the pose at ``time``, extrapolated linearly beyond the first and last key."""
        values = np.array([astuple(pose) for pose in self.poses])
        if len(values) == 1:
            return self.poses[0]
        times = np.asarray(self.times)
        slopes = np.gradient(values, times, axis=0)
        i = int(np.clip(np.searchsorted(times, time, side="right") - 1, 0, len(times) - 2))
        step = times[i + 1] - times[i]
        s = (time - times[i]) / step
        if s < 0:
            return Pose(*(values[0] + slopes[0] * (time - times[0])))
        if s > 1:
            return Pose(*(values[-1] + slopes[-1] * (time - times[-1])))
        h = (2 * s**3 - 3 * s**2 + 1, step * (s**3 - 2 * s**2 + s), -2 * s**3 + 3 * s**2, step * (s**3 - s**2))
        return Pose(*(h[0] * values[i] + h[1] * slopes[i] + h[2] * values[i + 1] + h[3] * slopes[i + 1]))


def track(*poses: Pose, times: tuple[float, ...] | None = None) -> Track:
    """Return a track through ``poses`` at ``times``. Default: evenly spaced."""
    return Track(times or tuple(np.linspace(0, 1, len(poses))), poses)


def camera(time: float, depth: float, size: tuple[int, int]) -> np.ndarray:
    """Return the homography of a slow handheld pan, push-in and roll; ``depth`` is 0 for the sky, 1 for the table."""
    height, width = size
    ease = time * time * (3 - 2 * time)
    pan_x = -46 * ease + 2.2 * np.sin(9 * time) + 1.1 * np.sin(23 * time)
    pan_y = 6 * np.sin(2.6 * time) - 17 * ease + 0.8 * np.sin(19 * time)
    zoom, roll = 1 + 0.075 * ease * depth, np.deg2rad(1.1 * np.sin(3.4 * time))
    c, s = zoom * np.cos(roll), zoom * np.sin(roll)
    cx, cy = width / 2, height / 2
    x, y = cx + pan_x * depth, cy + pan_y * depth
    return np.array([[c, -s, x - c * cx + s * cy], [s, c, y - s * cx - c * cy], [0, 0, 1]])
