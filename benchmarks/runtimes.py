"""Seconds per frame of exported graphs compared with PyTorch, and the agreement of their masks.

    python benchmarks/runtimes.py --how pytorch onnx-fp32 onnx-fp16 onnx-int8 --size 480x864 --objects 3
    python benchmarks/runtimes.py --frames_path JPEGImages/480p/libby --mask FIRST.png --truth Annotations/480p/libby

The runtimes take turns frame by frame, so that a busy machine slows all of them. Graphs missing from ``--folder`` are
exported there. ``agreement`` is the share of pixels with the same id as in the first runtime; ``J`` is the mean over
the objects and the frames for which ``--truth`` has masks.
"""

from __future__ import annotations

from common import Table, grid_mask, height_and_width, moving_frames, save  # isort: skip  (makes the project importable)

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from voskit.dataloaders.masks.files import read_mask
from voskit.dataloaders.video.frames import open_frames
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.onnx.export import export_onnx
from voskit.evaluators.onnx.precision import convert_to_fp16, quantize
from voskit.networks import build_model
from voskit.runtime import OnnxSegmenter

WAYS = (
    *("pytorch", "pytorch-bf16", "pytorch-compiled"),
    *("onnx-fp32", "onnx-fp16", "onnx-int8", "openvino-f32", "openvino-bf16"),
)


@dataclass(frozen=True)
class Args:
    """Seconds per frame of exported graphs compared with PyTorch."""

    model: str = "deaott"
    how: tuple[str, ...] = ("pytorch", "onnx-fp32", "onnx-fp16", "onnx-int8")
    """pytorch, pytorch-bf16, pytorch-compiled, onnx-fp32, onnx-fp16, onnx-int8, openvino-f32, openvino-bf16."""
    size: str = "480x864"
    """Height and width of the export, and of the synthetic video."""
    objects: int = 3
    memory_frames: int = 8
    long_term_gap: int | None = None
    """Interval between frames in the long-term memory. Default: the model's."""
    frames: int = 8
    """Maximum number of frames to segment after the warm-up."""
    warm_up: int = 2
    frames_path: Path | None = None
    """A folder of images or a video. Default: synthetic frames."""
    mask: Path | None = None
    """Mask of the first frame. Default: rectangles."""
    truth: Path | None = None
    """Folder with a mask of each frame, for J."""
    ckpt_path: Path | None = None
    """Checkpoint of the model. Default: the published weights."""
    random: bool = False
    """Use random weights."""
    folder: Path | None = None
    """Folder for the exports. Default: a temporary one."""
    threads: int = 2
    output: Path | None = None


def build_segmenter(args: Args, way: str, folder: Path, clip: list[np.ndarray], mask: np.ndarray) -> Any:
    if way not in WAYS:
        raise SystemExit(f"unknown --how {way!r}: choose from {', '.join(WAYS)}")
    torch.manual_seed(0)
    model = build_model(
        args.model, checkpoint=args.ckpt_path, pretrained=args.ckpt_path is None and not args.random, device="cpu"
    )
    memory: dict[str, Any] = {"long_term_gap": args.long_term_gap, "max_memory_frames": args.memory_frames}
    if way.startswith("pytorch"):
        amp = "bf16" if way.endswith("bf16") else None
        return VideoSegmenter(model, compile=way.endswith("compiled"), amp=amp, **memory)
    backend, _, precision = way.partition("-")
    options: dict[str, Any] = {"threads": args.threads, "long_term_gap": args.long_term_gap}
    if backend == "openvino":
        options |= {"backend": "openvino", "precision": precision}
        way = "onnx-fp32"  # the same files
    target = folder / f"{args.model}-{args.size}-{way}"
    if not (target / "manifest.json").exists():
        numbers = {"objects": max(10, len(np.unique(mask)) - 1), "memory_frames": args.memory_frames}
        export_onnx(model, target, name=args.model, size=height_and_width(args.size), **numbers)
        if way == "onnx-fp16":
            convert_to_fp16(target)
        if way == "onnx-int8":
            quantize(target, clip[:: max(1, len(clip) // 10)][:10], mask)
    return OnnxSegmenter(target, **options)


def jaccard(ids: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean J of the objects of a true mask."""
    of_objects = []
    for i in np.unique(truth[truth > 0]):
        union = ((ids == i) | (truth == i)).sum()
        of_objects.append(((ids == i) & (truth == i)).sum() / union)
    return float(np.mean(of_objects)) if of_objects else float("nan")


def measure(args: Args, folder: Path) -> list[dict[str, Any]]:
    count = 1 + args.warm_up + args.frames
    if args.frames_path is None:
        names, clip = [], list(moving_frames(count, *height_and_width(args.size)))
    else:
        with open_frames(str(args.frames_path)) as source:
            pairs = [(frame.name, frame.image) for frame, _ in zip(source, range(count), strict=False)]
        names, clip = [name for name, _ in pairs], [image for _, image in pairs]
    mask = grid_mask(args.objects, *clip[0].shape[:2]) if args.mask is None else read_mask(args.mask)
    segmenters = {way: build_segmenter(args, way, folder, clip, mask) for way in args.how}
    times: dict[str, list[float]] = {way: [] for way in args.how}
    equal: dict[str, list[float]] = {way: [] for way in args.how}
    scores: dict[str, list[float]] = {way: [] for way in args.how}
    for t, frame in enumerate(clip):
        reference = None
        truth = args.truth / f"{names[t]}.png" if args.truth is not None and t else None
        for way, segmenter in segmenters.items():
            begin = time.perf_counter()
            ids = segmenter.step(frame, mask=mask if t == 0 else None)
            times[way].append(time.perf_counter() - begin)
            reference = ids if reference is None else reference
            equal[way].append(float((ids == reference).mean()))
            if truth is not None and truth.is_file():
                scores[way].append(jaccard(ids, read_mask(truth)))
    seconds = {way: statistics.median(own[1 + args.warm_up :]) for way, own in times.items()}
    first = seconds[args.how[0]]
    return [
        {
            "how": way,
            "seconds": round(seconds[way], 4),
            "ratio": round(first / seconds[way], 2),
            "agreement": round(statistics.mean(equal[way]), 5),
            "J": round(float(np.nanmean(scores[way])), 4) if scores[way] else None,
            "frames": len(clip),
        }
        for way in args.how
    ]


def main(args: Args) -> None:
    """Measure all runtimes."""
    torch.set_num_threads(args.threads)
    table = Table(how="", seconds=".3f", ratio=".2f", agreement=".5f", J=".4f")
    with tempfile.TemporaryDirectory() as temporary:
        for row in measure(args, args.folder or Path(temporary)):
            table.add(row)
    save("runtimes", args, rows=table.rows)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
