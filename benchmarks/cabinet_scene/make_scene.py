"""Compose the bundled demo clip: photographs in motion, an id for every pixel, and the ground truth of each frame.

    python benchmarks/cabinet_scene/make_scene.py --output datasets/Demo

Writes ``images/cabinet/*.jpg``, ``masks/cabinet/00000.png`` and ``groundtruth/cabinet/*.png`` to ``--output``.
The photographs come with scikit-image; nothing is downloaded. Every run gives the same files.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cabinet_scene.arrangement import scene
from cabinet_scene.render import Renderer
from cabinet_scene.surfaces import FRAME_SIZE

DEMO = Path(__file__).resolve().parents[2] / "datasets" / "Demo"
SCENE = "cabinet"
FRAMES = 40
SEED = 7
JPEG_QUALITY = 88


def palette() -> list[int]:
    """Return the 256 colors of the masks: those of PASCAL VOC and DAVIS below id 22, then (i, i, i)."""
    colors = []
    for i in range(256):
        if i >= 22:
            colors += [i, i, i]
            continue
        channels = [0, 0, 0]
        for bit in range(8):
            for c in range(3):
                channels[c] |= (i >> (3 * bit + c) & 1) << (7 - bit)
        colors += channels
    return colors


def write_mask(path: Path, ids: np.ndarray) -> None:
    """Write ids as a palette PNG."""
    image = Image.fromarray(ids)
    image.putpalette(palette())
    image.save(path, optimize=True)


def write_scene(output: Path, frames: int = FRAMES) -> list[str]:
    """Render the scene into ``output`` and return the names of its objects, in the order of their ids."""
    folders = {kind: output / kind / SCENE for kind in ("images", "masks", "groundtruth")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    layers = scene()
    renderer = Renderer(layers, FRAME_SIZE, frames, SEED)
    for index in range(frames):
        picture, ids = renderer.frame(index)
        path = folders["images"] / f"{index:05d}.jpg"
        Image.fromarray(picture).save(path, quality=JPEG_QUALITY, optimize=True, subsampling="4:2:0")
        write_mask(folders["groundtruth"] / f"{index:05d}.png", ids)
        if index == 0:
            write_mask(folders["masks"] / f"{index:05d}.png", ids)
    return [layer.name for layer in layers]


def main() -> None:
    """Parse the command line, write the scene and print the table of its objects."""
    parser = argparse.ArgumentParser(description="Compose the bundled demo clip.")
    parser.add_argument("--output", type=Path, default=DEMO, help="folder of the scene")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    for number, name in enumerate(write_scene(args.output), start=1):
        print(f"| {number} | {name} |")


if __name__ == "__main__":
    main()
