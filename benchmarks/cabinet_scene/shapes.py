"""Alpha masks (float32, 0 to 1) from curves and photographs, and sprites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

Point = tuple[float, float]
SUPERSAMPLING = 8


@dataclass(frozen=True)
class Sprite:
    """A cut-out: H x W x 3 RGB and H x W alpha, float32 in [0, 1]. Colors extend beyond the edge of the alpha."""

    rgb: np.ndarray
    alpha: np.ndarray


def spline(points: Sequence[Point] | np.ndarray, steps: int = 12) -> np.ndarray:
    """Return points along the closed Catmull-Rom curve through ``points`` (x, y)."""
    p1 = np.asarray(points, dtype=np.float64)[:, None]
    p0, p2, p3 = np.roll(p1, 1, axis=0), np.roll(p1, -1, axis=0), np.roll(p1, -2, axis=0)
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    curve = 2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    return (0.5 * curve).reshape(-1, 2)


def ellipse(cx: float, cy: float, rx: float, ry: float, degrees: float = 0.0) -> np.ndarray:
    """Return points of an ellipse with semi-axes ``rx`` and ``ry``, rotated by ``degrees``."""
    a, turn = np.linspace(0, 2 * np.pi, 128, endpoint=False), np.deg2rad(degrees)
    x, y = rx * np.cos(a), ry * np.sin(a)
    return np.stack([cx + x * np.cos(turn) - y * np.sin(turn), cy + x * np.sin(turn) + y * np.cos(turn)], axis=1)


def arch(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """Return the outline of a window with an elliptic top, whose height is 0.36 of the width."""
    cx, rx = (left + right) / 2, (right - left) / 2
    ry = 0.72 * rx
    a = np.linspace(np.pi, 2 * np.pi, 64)
    curve = np.stack([cx + rx * np.cos(a), top + ry + ry * np.sin(a)], axis=1)
    return np.concatenate([curve, [[right, bottom], [left, bottom]]])


def fill(shape: tuple[int, int], points: Sequence[Point] | np.ndarray) -> np.ndarray:
    """Return the anti-aliased alpha of a polygon in an image of ``shape`` (rows, columns)."""
    fractional_bits = 6
    big = np.zeros((shape[0] * SUPERSAMPLING, shape[1] * SUPERSAMPLING), np.uint8)
    scaled = (np.asarray(points, dtype=np.float64) + 0.5) * SUPERSAMPLING - 0.5
    cv2.fillPoly(big, [np.round(scaled * 2**fractional_bits).astype(np.int32)], 255, shift=fractional_bits)
    return cv2.resize(big, shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def smoothed(alpha: np.ndarray, rounding: float, shrink: float = 0.6, feather: float = 0.8) -> np.ndarray:
    """Round the outline over about ``rounding`` pixels, pull it in by ``shrink`` pixels and make a soft edge."""
    solid = (cv2.GaussianBlur(alpha, (0, 0), rounding) > 0.5).astype(np.uint8)
    inside = cv2.distanceTransform(solid, cv2.DIST_L2, 5)
    outside = cv2.distanceTransform(1 - solid, cv2.DIST_L2, 5)
    signed = cv2.GaussianBlur(inside - outside, (0, 0), 1.0)
    return np.clip(0.5 + (signed - shrink) / (2 * feather), 0, 1).astype(np.float32)


def snapped(rgb: np.ndarray, alpha: np.ndarray, band: int, rounding: float = 1.5) -> np.ndarray:
    """Snap a rough outline to edges of the photograph: GrabCut decides within ``band`` pixels of the outline."""
    rough = (alpha > 0.5).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * band + 1, 2 * band + 1))
    labels = np.where(rough > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[cv2.erode(rough, kernel, borderValue=1) > 0] = cv2.GC_FGD
    labels[cv2.dilate(rough, kernel) == 0] = cv2.GC_BGD
    image = np.ascontiguousarray((rgb[..., ::-1] * 255).round().astype(np.uint8))
    cv2.setRNGSeed(0)
    cv2.grabCut(image, labels, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), 4, cv2.GC_INIT_WITH_MASK)
    mask = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.uint8)
    count, components, stats, _ = cv2.connectedComponentsWithStats(mask)
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])) if count > 1 else 0
    solid = (components == largest).astype(np.float32)
    return smoothed(np.pad(solid, 8, mode="edge"), rounding)[8:-8, 8:-8]


def bled(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Extend the colors inside the outline beyond it, so that no old background shows at a soft edge."""
    solid = (alpha > 0.97).astype(np.float32)
    color, weight = rgb * solid[..., None], solid
    for sigma in (1.0, 3.0, 9.0):
        near = cv2.GaussianBlur(solid, (0, 0), sigma)
        spread = cv2.GaussianBlur(rgb * solid[..., None], (0, 0), sigma) / np.maximum(near, 1e-6)[..., None]
        new = ((weight == 0) & (near > 1e-3)).astype(np.float32)
        color, weight = color + spread * new[..., None], weight + new
    return np.where(weight[..., None] > 0, color, rgb).astype(np.float32)


def padded(sprite: Sprite, margin: int) -> Sprite:
    """Add a transparent border, so that warped edges and shadows fade out."""
    border = ((margin, margin), (margin, margin))
    return Sprite(np.pad(sprite.rgb, (*border, (0, 0)), mode="edge"), np.pad(sprite.alpha, border))
