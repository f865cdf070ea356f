"""The moving picture of the README: real sequences, segmented with the bundled weights.

    python docs/make_demo_picture.py --data_root path/to/DAVIS

Each sequence starts with its given mask. Every second frame is shown.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from voskit import VideoSegmenter, build_model, read_mask
from voskit.dataloaders.masks.palette import bright_colors
from voskit.evaluators.clips.overlay import draw_overlay

OUTPUT = Path(__file__).parent / "images" / "demo.webp"
SEQUENCES = {"horsejump-high": 40, "dog": 40, "bmx-trees": 40, "blackswan": 24}
"""Sequences of DAVIS 2017 val, and how many of their frames are shown."""
WIDTH, SHOWN_EVERY, MS = 480, 2, 80


def pictures(root: Path) -> Iterator[Image.Image]:
    """Yield the overlays of all sequences, one after the other."""
    segmenter = VideoSegmenter(build_model("deaott", pretrained=True), max_memory_frames=10)
    for place, (sequence, count) in enumerate(SEQUENCES.items()):
        colors = partial(_colors, place)
        mask = read_mask(root / "Annotations" / "480p" / sequence / "00000.png")
        for number in range(count):
            frame = np.asarray(Image.open(root / "JPEGImages" / "480p" / sequence / f"{number:05}.jpg"))
            ids = segmenter.step(frame, mask=mask if number == 0 else None)
            if number % SHOWN_EVERY == 0:
                drawn = draw_overlay(frame, ids, labels=False, colors=colors)
                size = (WIDTH, round(WIDTH * frame.shape[0] / frame.shape[1]))
                yield Image.fromarray(cv2.resize(drawn, size, interpolation=cv2.INTER_AREA))
        segmenter.reset()


def _colors(place: int, ids: np.ndarray) -> np.ndarray:
    """Give each sequence colors of its own."""
    return bright_colors(ids + (4, 2, 0, 6)[place])


def main() -> None:
    """Segment the sequences and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data_root", type=Path, required=True, help="folder of DAVIS")
    first, *others = pictures(parser.parse_args().data_root)
    first.save(OUTPUT, save_all=True, append_images=others, duration=MS, loop=0, quality=70, method=6)


if __name__ == "__main__":
    main()
