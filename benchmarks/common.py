"""Harness of the benchmark programs: synthetic video, interleaved timing, flags, tables and result files."""

from __future__ import annotations

import json
import multiprocessing
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np
import torch

if TYPE_CHECKING:
    from voskit.dataloaders.datasets import Video
    from voskit.evaluators import VideoSegmenter

TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def moving_frames(count: int, height: int, width: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Yield frames of drifting smooth noise, H x W x 3 uint8."""
    import cv2

    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (height // 16 + 8, width // 16 + 8, 3), dtype=np.uint8)
    canvas = cv2.resize(coarse, (width + 64, height + 64), interpolation=cv2.INTER_CUBIC)
    for t in range(count):
        y, x = (abs(t * speed % 128 - 64) for speed in (2, 3))
        yield np.ascontiguousarray(canvas[y : y + height, x : x + width])


def grid_mask(objects: int, height: int, width: int) -> np.ndarray:
    """Return a mask of rectangles in a grid, with background between them, H x W uint16."""
    columns = int(np.ceil(np.sqrt(objects * width / height)))
    rows = int(np.ceil(objects / columns))
    y, x = np.arange(height) * rows // height, np.arange(width) * columns // width
    mask = (y[:, None] * columns + x + 1).astype(np.uint16)
    mask[mask > objects] = 0
    inside_y = (np.arange(height) * rows % height) > 0.2 * height
    inside_x = (np.arange(width) * columns % width) > 0.2 * width
    return np.where(inside_y[:, None] & inside_x, mask, 0).astype(np.uint16)


def height_and_width(size: str) -> tuple[int, int]:
    """Parse a size such as ``"480x854"``."""
    height, width = map(int, size.split("x"))
    return height, width


def median_seconds(calls: Sequence[Callable[[], object]], runs: int, warm_up: int = 1) -> list[float]:
    """Return the median seconds of each call; the calls take turns, so that a busy machine slows all of them."""
    times: list[list[float]] = [[] for _ in calls]
    for run in range(warm_up + runs):
        for own, call in zip(times, calls, strict=True):
            begin = time.perf_counter()
            call()
            if torch.cuda.is_initialized():
                torch.cuda.synchronize()
            if run >= warm_up:
                own.append(time.perf_counter() - begin)
    return [statistics.median(own) for own in times]


def run_in_new_process(measure: Callable[..., dict[str, float]], *args: Any) -> dict[str, float]:
    """Return ``measure(*args)``, run in a new process, so that its peak memory isn't that of other runs."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, *args).result()


@dataclass(frozen=True, kw_only=True)
class VideoArgs:
    """Flags of programs that segment the videos of a dataset."""

    dataset: str = "davis2017"
    split: str | None = None
    data_root: Path
    videos: tuple[str, ...] = ()
    """Names of videos. Default: all of the split."""
    model: str = "deaott"
    ckpt_path: Path | None = None
    """Default: the published weights, or for deaott the bundled ones."""
    short_edge: int | None = None
    """Short edge of the network's input. Default: the model's."""
    device: str = "cpu"
    threads: int = 1
    output: Path | None = None

    def open_videos(self) -> list[Video]:
        """Return the chosen videos, all of which have true masks.

        Raises:
            ValueError: ``videos`` has an unknown name, or a video has no true masks.
        """
        from voskit.dataloaders.datasets import open_dataset

        dataset = open_dataset(self.dataset, self.data_root, split=self.split)
        if unknown := set(self.videos) - {video.name for video in dataset}:
            raise ValueError(f"--videos: {', '.join(sorted(unknown))} not in {self.data_root}")
        chosen = [video for video in dataset if not self.videos or video.name in self.videos]
        if missing := [video.name for video in chosen if not video.truth_frames]:
            raise ValueError(f"video {missing[0]} has no true masks")
        return chosen

    def build_segmenter(self) -> VideoSegmenter:
        """Load the weights and build the segmenter."""
        from voskit.evaluators import VideoSegmenter
        from voskit.networks import build_model

        weights: dict[str, Any] = {"checkpoint": self.ckpt_path} if self.ckpt_path is not None else {"pretrained": True}
        return VideoSegmenter(build_model(self.model, device=self.device, **weights), short_edge=self.short_edge)


def true_mask(video: Video, name: str) -> np.ndarray:
    """Read the true ids of a frame, H x W uint16."""
    from voskit.dataloaders.masks.files import read_mask

    return read_mask(video.truth_frames[name]).astype(np.uint16)


def region(predicted: np.ndarray, true: np.ndarray) -> float:
    """Return J (intersection over union) of two masks; 1 if both are empty."""
    either = np.count_nonzero(predicted | true)
    return np.count_nonzero(predicted & true) / either if either else 1.0


class Table:
    """Table of measurements, printed row by row as Markdown.

    Args:
        **columns: format of each column by its key in the rows, e.g. ``".2f"``; empty: text. Other keys of a row are
            kept in ``rows`` but not printed.
    """

    def __init__(self, **columns: str) -> None:
        self.columns = columns
        self.rows: list[dict[str, Any]] = []
        self._print(columns)
        self._print(["---:" if spec else "---" for spec in columns.values()])

    def add(self, row: Mapping[str, Any]) -> None:
        """Print a row and keep it; missing values are left blank."""
        self.rows.append(dict(row))
        values = [(row.get(name), spec) for name, spec in self.columns.items()]
        self._print(["" if x is None else format(x, spec) if spec else str(x) for x, spec in values])

    @staticmethod
    def _print(cells: Iterable[str]) -> None:
        print(f"| {' | '.join(cells)} |", flush=True)


def save(name: str, args: Any, **figures: Any) -> None:
    """Write environment, flags and figures to ``args.output`` as JSON.

    Args:
        name: without ``args.output``, the file is ``benchmarks/results/<name>.json``.
        args: the program's flags, a dataclass.
        **figures: values of JSON types.
    """
    environment = {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
    }
    if torch.cuda.is_available():
        environment["gpu"] = torch.cuda.get_device_name()
    path = args.output or ROOT / "benchmarks" / "results" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    settings = {key: str(value) for key, value in vars(args).items()}
    path.write_text(json.dumps({**environment, "settings": settings, **figures}, indent=2) + "\n", encoding="utf-8")
    print(f"saved {path}")
