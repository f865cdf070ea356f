"""Files of generated clips: JPEG frames, palette masks, and the JSON file that describes the dataset."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image


@dataclass
class Clip:
    """A generated clip.

    Attributes:
        frames: H x W x 3 uint8 RGB.
        masks: object ids of each frame, H x W uint8, 0 for the background.
        quality: quality of the JPEG files.
    """

    frames: list[np.ndarray]
    masks: list[np.ndarray]
    quality: int


def palette() -> list[int]:
    """Return the 256 colors of mask files: the color map of PASCAL VOC."""
    colors = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= ((np.arange(256) >> (3 * bit + channel) & 1) << (7 - bit)).astype(np.uint8)
    return colors.ravel().tolist()


def write_clip(output: Path, name: str, clip: Clip) -> None:
    """Write a clip to ``JPEGImages/<name>`` and ``Annotations/<name>``; the folder of masks exists only if complete."""
    frames, masks = output / "JPEGImages" / name, output / "Annotations" / name
    partial = output / "Annotations" / f".{name}"
    for folder in (frames, partial):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    colors = palette()
    for number, (frame, mask) in enumerate(zip(clip.frames, clip.masks, strict=True)):
        Image.fromarray(frame).save(frames / f"{number:05d}.jpg", quality=clip.quality)
        image = Image.fromarray(mask)
        image.putpalette(colors)
        image.save(partial / f"{number:05d}.png")
    partial.rename(masks)


def write_description(output: Path, name: str) -> Path:
    """Write the JSON file that opens the dataset for training and evaluation."""
    output.mkdir(parents=True, exist_ok=True)
    fields = {
        "name": name,
        "frames": "JPEGImages/{video}",
        "masks": "Annotations/{video}",
        "ground_truth": "Annotations/{video}",
        "given": "first",
    }
    path = output / f"{name}.json"
    path.write_text(json.dumps(fields, indent=4) + "\n", encoding="utf-8")
    return path


def write_clips(
    output: Path, name: str, numbers: range, seed: int, draw: Callable[[np.random.Generator], Clip]
) -> None:
    """Draw and write missing clips. Each depends only on the seed and its number.

    Args:
        output: folder of the dataset.
        name: name of the dataset, and prefix of each clip's name.
        numbers: numbers of the clips.
        seed: random seed of the dataset.
        draw: draws a clip with a random generator.
    """
    cv2.setNumThreads(1)
    write_description(output, name)
    for number in numbers:
        clip_name = f"{name}_{seed:03d}_{number:05d}"
        if (output / "Annotations" / clip_name).is_dir():
            continue
        write_clip(output, clip_name, draw(np.random.default_rng((seed, number))))
        print(f"{clip_name} ({number - numbers.start + 1} of {len(numbers)})", flush=True)
