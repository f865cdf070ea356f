"""Augmentation: random views, colors and blur. A view is an affine map from the stored image to the training frame."""

from __future__ import annotations

import math

import cv2
import numpy as np

from voskit.dataloaders.transforms import IMAGENET_MEAN

FILL = tuple(float(round(255 * value)) for value in IMAGENET_MEAN)  # color outside the image
_LUMA = np.array((0.299, 0.587, 0.114))
_TO_YIQ = np.array((_LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)))
_LEAST_BILINEAR = 0.5  # below this scale, bilinear interpolation skips pixels


def crop_view(
    size: tuple[int, int], *, short_edge: float, crop: int, flip: bool, rng: np.random.Generator
) -> np.ndarray:
    """Draw a random crop of an image.

    An image that is smaller than the crop is placed at a random position inside it.

    Args:
        size: (height, width) of the stored image.
        short_edge: short edge of the scaled image in pixels.
        crop: side of the training frame in pixels.
        flip: mirror the image.
        rng: random numbers.

    Returns:
        3 x 3 map of (x, y, 1).
    """
    height, width = size
    scale = short_edge / min(height, width)
    left, top = (rng.uniform(min(0, room), max(0, room)) for room in (width * scale - crop, height * scale - crop))
    view = np.array(((scale, 0, scale / 2 - 0.5 - left), (0, scale, scale / 2 - 0.5 - top), (0, 0, 1)))
    return np.array(((-1, 0, crop - 1), (0, 1, 0), (0, 0, 1))) @ view if flip else view


def random_affine(
    crop: int,
    rng: np.random.Generator,
    *,
    degrees: float = 20,
    scale: float = 0.15,
    shear: float = 10,
    shift: float = 0.1,
    amount: float = 1,
) -> np.ndarray:
    """Draw a random map of a training frame onto itself: rotation, scale, shear and translation about its center.

    Args:
        crop: side of the frame in pixels.
        rng: random numbers.
        degrees: maximum rotation.
        scale: maximum change of scale; 0.15 gives factors from 0.85 to 1.15.
        shear: maximum angle of shear along x, in degrees.
        shift: maximum translation, as a fraction of the side.
        amount: factor by which all these limits are multiplied.

    Returns:
        3 x 3 map of (x, y, 1).
    """
    degrees, scale, shear, shift = (amount * most for most in (degrees, scale, shear, shift))
    angle, slant = math.radians(rng.uniform(-degrees, degrees)), math.tan(math.radians(rng.uniform(-shear, shear)))
    factor, center = 1 + rng.uniform(-scale, scale), (crop - 1) / 2
    turn = np.array(((math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle))))
    linear = factor * turn @ np.array(((1, slant), (0, 1)))
    move = rng.uniform(-shift, shift, size=2) * crop + center - linear @ (center, center)
    return np.vstack((np.column_stack((linear, move)), (0, 0, 1)))


def warp_image(image_HW3: np.ndarray, view: np.ndarray, crop: int) -> np.ndarray:
    """Warp an image to crop x crop x 3 uint8 by bilinear interpolation, with ImageNet's mean color outside.

    Strong reductions average over areas.
    """
    scale = math.sqrt(abs(np.linalg.det(view[:2, :2])))
    if scale < _LEAST_BILINEAR:
        height, width = image_HW3.shape[:2]
        small = max(1, round(width * scale)), max(1, round(height * scale))
        image_HW3 = cv2.resize(image_HW3, small, interpolation=cv2.INTER_AREA)
        x, y = width / small[0], height / small[1]
        view = view @ np.array(((x, 0, x / 2 - 0.5), (0, y, y / 2 - 0.5), (0, 0, 1)))
    return cv2.warpAffine(image_HW3, view[:2], (crop, crop), flags=cv2.INTER_LINEAR, borderValue=FILL)


def warp_mask(mask_HW: np.ndarray, view: np.ndarray, crop: int) -> np.ndarray:
    """Warp a uint16 mask to crop x crop by nearest-neighbor interpolation, with background outside."""
    return cv2.warpAffine(mask_HW, view[:2], (crop, crop), flags=cv2.INTER_NEAREST, borderValue=0)


def recolor(
    image_HW3: np.ndarray, *, brightness: float = 1, contrast: float = 1, saturation: float = 1, hue: float = 0
) -> np.ndarray:
    """Change the colors of a uint8 RGB image by one affine map.

    Args:
        image_HW3: uint8 RGB.
        brightness: factor for all values.
        contrast: factor for differences from the mean luma of the image.
        saturation: factor for differences from the luma of each pixel; 0 gives grayscale.
        hue: rotation of the chroma plane, in full turns.

    Returns:
        The changed image, H x W x 3 uint8.
    """
    turn, angle = np.eye(3), 2 * math.pi * hue
    turn[1:, 1:] = saturation * np.array(((math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle))))
    matrix = brightness * contrast * np.linalg.inv(_TO_YIQ) @ turn @ _TO_YIQ
    offset = brightness * (1 - contrast) * float(_LUMA @ cv2.mean(image_HW3)[:3])
    return cv2.transform(image_HW3, np.column_stack((matrix, (offset,) * 3)))


def draw_color(rng: np.random.Generator, amount: float, hue: float) -> dict[str, float]:
    """Draw arguments of ``recolor``: factors within 1 +- ``amount``, and a hue within +- ``hue``."""
    factors = 1 + rng.uniform(-amount, amount, size=3)
    names = ("brightness", "contrast", "saturation")
    return {**dict(zip(names, factors.tolist(), strict=True)), "hue": float(rng.uniform(-hue, hue))}


def blur(image_HW3: np.ndarray, sigma: float) -> np.ndarray:
    """Blur an image with a Gaussian with a standard deviation of ``sigma`` pixels."""
    return cv2.GaussianBlur(image_HW3, (0, 0), sigma)
