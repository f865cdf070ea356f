"""Peak memory and time a frame against the number of objects, each number in a process of its own.

    python benchmarks/many_objects.py --frames_path JPEGImages/480p/SEQUENCE --objects 10 44 --height 1080 --width 1920

The first mask is an over-segmentation of the first frame (SLIC). A plain loop over engines of ten objects, each with an
encoder pass of its own, is measured beside it.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import tyro
from skimage.segmentation import slic

from common import moving_frames, save
from dataloaders.frames import open_frames
from evaluators import VideoSegmenter
from networks import build_model


@dataclass(frozen=True)
class Args:
    """Peak memory and time a frame against the number of objects."""

    model: str = "aott"
    frames_path: Path | None = None
    """A folder of images or a video; None: synthetic frames."""
    objects: tuple[int, ...] = (10, 44)
    height: int = 1080
    width: int = 1920
    frames: int = 8
    threads: int = 2
    output: Path | None = None
    single: str | None = None
    """Inner use: measure one case, ``groups`` or ``loop``, in this process."""


def frames_of(args: Args) -> list[np.ndarray]:
    if args.frames_path is None:
        return list(moving_frames(args.frames, args.height, args.width))
    out = []
    with open_frames(str(args.frames_path)) as source:
        for frame in source:
            out.append(cv2.resize(frame.image, (args.width, args.height), interpolation=cv2.INTER_CUBIC))
            if len(out) == args.frames:
                break
    return out


def over_segmentation(image: np.ndarray, objects: int) -> np.ndarray:
    """About as many regions as asked for, of which just so many are kept, H x W uint16."""
    small = cv2.resize(image, (320, 180), interpolation=cv2.INTER_AREA)
    regions = slic(small, n_segments=int(objects * 1.6), compactness=20, start_label=1)
    largest = np.argsort(-np.bincount(regions.ravel())[1:])[:objects] + 1
    table = np.zeros(regions.max() + 1, np.uint16)
    table[largest] = np.arange(1, len(largest) + 1)
    return cv2.resize(table[regions], image.shape[1::-1], interpolation=cv2.INTER_NEAREST)


def measure(args: Args, objects: int, kind: str) -> dict[str, float]:
    """Median seconds a frame and peak resident memory of this process."""
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    frames = frames_of(args)
    mask = over_segmentation(frames[0], objects)
    model = build_model(args.model, device="cpu")
    if kind == "groups":
        segmenters, masks = [VideoSegmenter(model)], [mask]
    else:
        starts = range(0, objects, 10)
        segmenters = [VideoSegmenter(model) for _ in starts]
        masks = [np.where((mask > s) & (mask <= s + 10), mask, 0) for s in starts]
    times = []
    for t, frame in enumerate(frames):
        begin = time.perf_counter()
        for segmenter, own in zip(segmenters, masks, strict=True):
            segmenter.step(frame, mask=own if t == 0 else None)
        times.append(time.perf_counter() - begin)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {"objects": int(mask.max()), "seconds": statistics.median(times[2:]), "peak_MiB": peak}


def main() -> None:
    args = tyro.cli(Args)
    if args.single:
        print(json.dumps(measure(args, args.objects[0], args.single)))
        return
    rows = []
    print(f"{args.model}, {args.height}x{args.width}, {args.frames} frames, {args.threads} threads")
    print(f"{'objects':>8} {'how':>8} {'s a frame':>10} {'peak MiB':>10}")
    for objects in args.objects:
        for kind in ("groups", "loop"):
            command = [sys.executable, __file__, "--single", kind, "--objects", str(objects), "--model", args.model]
            command += ["--height", str(args.height), "--width", str(args.width), "--frames", str(args.frames)]
            command += ["--threads", str(args.threads)]
            command += ["--frames-path", str(args.frames_path)] if args.frames_path else []
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            row = {"how": kind, **json.loads(done.stdout.strip().splitlines()[-1])}
            rows.append(row)
            print(f"{row['objects']:8d} {kind:>8} {row['seconds']:10.2f} {row['peak_MiB']:10.0f}", flush=True)
    save("many_objects", {"settings": {k: str(v) for k, v in vars(args).items()}, "rows": rows}, args.output)


if __name__ == "__main__":
    main()
