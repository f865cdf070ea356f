"""Simulated recording: exposure, color cast, focus, noise and compression."""

from __future__ import annotations

import cv2
import numpy as np


class Film:
    """Recording properties of one clip, drawn once and applied to each frame.

    Args:
        rng: source of random numbers.
        frames: length of the clip.
    """

    def __init__(self, rng: np.random.Generator, frames: int) -> None:
        self.rng = rng
        self.gain = rng.uniform(0.75, 1.2) * rng.uniform(0.92, 1.08, 3)
        self.gamma = rng.uniform(0.8, 1.25)
        change = rng.uniform(-0.25, 0.25) if rng.random() < 0.3 else 0.0
        self.exposure = 1 + change * np.linspace(0, 1, frames)
        self.noise = rng.uniform(2, 9) if rng.random() < 0.5 else 0.0
        self.blur = rng.uniform(0.5, 1.6) if rng.random() < 0.3 else 0.0
        self.gray = rng.random() < 0.04
        self.quality = int(rng.choice((95, 85, 70, 50, 30), p=(0.2, 0.3, 0.25, 0.15, 0.1)))

    def record(self, image: np.ndarray, number: int) -> np.ndarray:
        """Record frame ``number`` as uint8; ``image`` is H x W x 3 float32 from 0 to 255."""
        scaled = np.clip(image * (self.gain * self.exposure[number]).astype(np.float32) / 255, 0, 1)
        out = 255 * scaled**self.gamma
        if self.gray:
            out = np.repeat(out.mean(2, keepdims=True), 3, axis=2)
        if self.blur:
            out = cv2.GaussianBlur(out, (0, 0), self.blur)
        if self.noise:
            out = out + self.rng.normal(0, self.noise, out.shape)
        return np.clip(out + 0.5, 0, 255).astype(np.uint8)
