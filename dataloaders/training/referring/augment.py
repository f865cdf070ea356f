"""Augmentation of clips with text prompts for ReferFormer, and synthetic clips from one image.

Frames are H x W x 3 uint8 RGB, masks H x W bool, as lists over time.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from PIL import Image

from voskit.dataloaders.training.augment import FILL, recolor
from voskit.dataloaders.training.referring.clip import mirrored_caption

SHORT_SIDES = (288, 320, 352, 392, 416, 448, 480, 512)
LONGEST_SIDE = 640
SIDES_BEFORE_CROP = (400, 500, 600)
CROP = (384, 600)

_DEGREES = 20
_SHIFT = 0.1
_PERSPECTIVE = 0.08
_BLUR = 0.25
_BLUR_LENGTHS = (3, 5, 7)
_BRIGHTNESS = 0.2
_HUE = 0.05

Frames = list[np.ndarray]
Masks = list[np.ndarray]


def augment_clip(frames: Frames, masks: Masks, caption: str, rng: np.random.Generator) -> tuple[Frames, Masks, str]:
    """Augment a clip: flip with probability 0.5, distort the colors of each frame, crop with probability 0.5, resize.

    Args:
        frames, masks: the clip, all of one size.
        caption: its text prompt in lower case.
        rng: random numbers.

    Returns:
        Frames and masks at their new size, and the text prompt, adapted to a flip.
    """
    if rng.random() < 0.5:
        frames, masks, caption = flip_clip(frames, masks, caption)
    frames = [distort_colors(frame, rng) for frame in frames]
    if rng.random() < 0.5:
        frames, masks = resize_clip(frames, masks, int(rng.choice(SIDES_BEFORE_CROP)))
        frames, masks = crop_clip(frames, masks, rng)
    frames, masks = resize_clip(frames, masks, int(rng.choice(SHORT_SIDES)), LONGEST_SIDE)
    return frames, masks, caption


def flip_clip(frames: Frames, masks: Masks, caption: str) -> tuple[Frames, Masks, str]:
    """Mirror a clip and its text prompt."""
    flipped = [cv2.flip(frame, 1) for frame in frames]
    return flipped, [np.ascontiguousarray(mask[:, ::-1]) for mask in masks], mirrored_caption(caption)


def distort_colors(frame_HW3: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Distort the colors of a frame.

    Each of these changes has probability 0.5: brightness +-32, contrast times 0.5 to 1.5, saturation times 0.5 to 1.5,
    hue +-18 degrees, a permutation of the channels.
    """
    values: np.ndarray = frame_HW3.astype(np.float32)
    if rng.random() < 0.5:
        values += np.float32(rng.uniform(-32, 32))
    if rng.random() < 0.5:
        values *= np.float32(rng.uniform(0.5, 1.5))
    saturation = rng.uniform(0.5, 1.5) if rng.random() < 0.5 else 1.0
    turn = rng.uniform(-18, 18) if rng.random() < 0.5 else 0.0
    if saturation != 1 or turn:
        # as in the published code, RGB is treated as BGR, which only reverses the (symmetric) rotation of the hue
        hsv = cv2.cvtColor(values, cv2.COLOR_BGR2HSV)
        # OpenCV wraps hues from 360 to 720, but not those below 0
        hsv = cv2.transform(hsv, np.array(((1, 0, 0, turn % 360), (0, saturation, 0, 0), (0, 0, 1, 0))))
        values = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    if rng.random() < 0.5:
        values = cv2.transform(values, np.eye(3)[rng.permutation(3)])
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def resized_size(size: tuple[int, int], short: int, longest: int | None = None) -> tuple[int, int]:
    """Return (height, width) of an image with its short side scaled to ``short``, or less if ``longest`` limits it.

    The short side is rounded, and the long side is computed from it, so it may slightly exceed ``longest``.
    """
    low, high = min(size), max(size)
    if longest is not None and high / low * short > longest:
        short = max(1, round(longest * low / high))
    long = int(short * high / low)
    return (short, long) if size[0] <= size[1] else (long, short)


def resize_clip(frames: Frames, masks: Masks, short: int, longest: int | None = None) -> tuple[Frames, Masks]:
    """Resize a clip to :func:`resized_size`: frames by bilinear, masks by nearest-neighbor interpolation."""
    height, width = resized_size((masks[0].shape[0], masks[0].shape[1]), short, longest)
    if masks[0].shape == (height, width):
        return frames, masks
    # Pillow's bilinear filter averages over all pixels, as for the published test frames; OpenCV's skips some
    images = [Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR) for frame in frames]
    small = [cv2.resize(mask.view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) for mask in masks]
    return [np.asarray(image) for image in images], [mask.view(bool) for mask in small]


def crop_clip(frames: Frames, masks: Masks, rng: np.random.Generator) -> tuple[Frames, Masks]:
    """Crop all frames to the same random window with sides of 384 to 600 pixels, or less if the frames are smaller."""
    rows, columns = (_window(side, rng) for side in masks[0].shape)
    crops = [np.ascontiguousarray(frame[rows, columns]) for frame in frames]
    return crops, [np.ascontiguousarray(mask[rows, columns]) for mask in masks]


def _window(side: int, rng: np.random.Generator) -> slice:
    least, most = (min(side, limit) for limit in CROP)
    length = int(rng.integers(least, most + 1))
    start = int(rng.integers(side - length + 1))
    return slice(start, start + length)


def image_to_clip(
    image_HW3: np.ndarray, mask_HW: np.ndarray, length: int, rng: np.random.Generator
) -> tuple[Frames, Masks]:
    """Make a synthetic clip from one image: move, tilt, perhaps blur and recolor each frame, in random order."""
    frames, masks = [], []
    for _ in range(length):
        frame, mask = image_HW3, mask_HW
        for step in rng.permutation(len(_STEPS)):
            frame, mask = _STEPS[step](frame, mask, rng)
        frames.append(frame)
        masks.append(mask)
    return frames, masks


def _move(frame: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rotate about the center by up to 20 degrees, and shift by up to a tenth of the sides."""
    height, width = mask.shape
    degrees = rng.uniform(-_DEGREES, _DEGREES)
    matrix: np.ndarray = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1)
    matrix[:, 2] += rng.uniform(-_SHIFT, _SHIFT, size=2) * (width, height)
    return _warp(frame, mask, np.vstack((matrix, (0, 0, 1))))


def _tilt(frame: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Change the perspective: move the corners inward by normally distributed distances."""
    height, width = mask.shape
    corners = np.array(((0, 0), (1, 0), (1, 1), (0, 1)), np.float64)
    distances = np.minimum(np.abs(rng.normal(0, _PERSPECTIVE, size=(4, 2))), 3 * _PERSPECTIVE)
    scale = np.array((width - 1, height - 1))
    seen = (corners + distances * (1 - 2 * corners)) * scale
    matrix = cv2.getPerspectiveTransform(seen.astype(np.float32), (corners * scale).astype(np.float32))
    return _warp(frame, mask, matrix)


def _warp(frame: np.ndarray, mask: np.ndarray, matrix_33: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    size = (mask.shape[1], mask.shape[0])
    moved = cv2.warpPerspective(frame, matrix_33, size, flags=cv2.INTER_LINEAR, borderValue=FILL)
    region = cv2.warpPerspective(mask.view(np.uint8), matrix_33, size, flags=cv2.INTER_NEAREST, borderValue=0)
    return moved, region.view(bool)


def _blur(frame: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Blur with probability 0.25, along a line of 3 to 7 pixels in a random direction."""
    if rng.random() >= _BLUR:
        return frame, mask
    length, angle = int(rng.choice(_BLUR_LENGTHS)), rng.uniform(0, math.pi)
    center, reach = length // 2, (length - 1) / 2 * np.array((math.cos(angle), math.sin(angle)))
    kernel = np.zeros((length, length), np.float32)
    for share in np.linspace(-1, 1, 4 * length):
        x, y = np.rint(center + share * reach).astype(int)
        kernel[y, x] += 1
    return cv2.filter2D(frame, -1, kernel / kernel.sum()), mask


def _color(frame: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    brightness, hue = 1 + rng.uniform(-_BRIGHTNESS, _BRIGHTNESS), rng.uniform(-_HUE, _HUE)
    return recolor(frame, brightness=brightness, hue=hue), mask


_STEPS = (_move, _tilt, _blur, _color)
