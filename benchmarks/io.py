"""Frames and masks read and written per second, and the gain from doing so in the background.

python benchmarks/io.py --height 480 --width 854 --frames 60

``blocked`` is a plain loop: decode, pause for ``--compute`` seconds in place of the network, encode and write.
``overlapped`` decodes frames ahead and writes masks in the background, as the tools do.
"""

from __future__ import annotations

from common import grid_mask, moving_frames, save  # isort: skip  (makes the project importable)

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import tyro
from PIL import Image

from voskit.dataloaders.masks.files import read_mask, write_mask
from voskit.dataloaders.video.frames import open_frames
from voskit.dataloaders.video.prefetch import prefetch
from voskit.evaluators.clips.mask_writer import MaskWriter


@dataclass(frozen=True)
class Args:
    """Frames and masks read and written per second."""

    height: int = 480
    width: int = 854
    frames: int = 60
    objects: int = 10
    compute: float = 0.02
    """Seconds to pause per frame in place of the network."""
    output: Path | None = None


def write_inputs(args: Args, root: Path) -> tuple[Path, Path]:
    """Write frames as a folder of JPEGs and as an H.264 video."""
    images, video = root / "frames", root / "video.mp4"
    images.mkdir()
    with av.open(str(video), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = args.height, args.width, "yuv420p"
        for t, frame in enumerate(moving_frames(args.frames, args.height, args.width)):
            Image.fromarray(frame).save(images / f"{t:05d}.jpg", quality=95)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return images, video


def per_second(count: int, work: Callable[[], object]) -> float:
    """Return the items per second of ``work``, which handles ``count`` items."""
    begin = time.perf_counter()
    work()
    return count / (time.perf_counter() - begin)


def read_all(path: Path) -> int:
    """Decode all frames."""
    with open_frames(str(path)) as source:
        return sum(1 for _ in source)


def in_turn(args: Args, images: Path, out: Path, mask: np.ndarray) -> None:
    """Read, pause and write in one thread."""
    with open_frames(str(images)) as source:
        for t, _ in enumerate(source):
            time.sleep(args.compute)
            write_mask(out / f"{t:05d}.png", mask)


def overlapped(args: Args, images: Path, out: Path, mask: np.ndarray) -> None:
    """Read and write in the background."""
    with open_frames(str(images)) as source, MaskWriter(out) as writer:
        for t, _ in enumerate(prefetch(source)):
            time.sleep(args.compute)
            writer.write(f"{t:05d}", mask)


def main(args: Args) -> None:
    """Measure everything."""
    mask = grid_mask(args.objects, args.height, args.width).astype(np.uint8)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        images, video = write_inputs(args, root)
        masks = [root / "masks", root / "in_turn", root / "overlapped"]
        for path in masks:
            path.mkdir()
        names = [masks[0] / f"{t:05d}.png" for t in range(args.frames)]
        count = args.frames
        figures["frames_a_second_of_jpegs"] = per_second(count, lambda: read_all(images))
        figures["frames_a_second_of_h264"] = per_second(count, lambda: read_all(video))
        figures["masks_a_second_written"] = per_second(count, lambda: [write_mask(name, mask) for name in names])
        figures["masks_a_second_read"] = per_second(count, lambda: [read_mask(name) for name in names])
        figures["blocked"] = per_second(count, lambda: in_turn(args, images, masks[1], mask))
        figures["overlapped"] = per_second(count, lambda: overlapped(args, images, masks[2], mask))
    figures["ratio"] = figures["overlapped"] / figures["blocked"]
    print(f"{args.height}x{args.width}, {args.frames} frames; per second:")
    for name, value in figures.items():
        print(f"{name:>26} {value:9.2f}")
    save("io", args, **figures)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
