"""Harness of the benchmark programs: synthetic video, alternating timing, tables and result files."""

from __future__ import annotations

import json
import multiprocessing
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np
import torch

TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def moving_frames(count: int, height: int, width: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Yield frames of smooth noise that drifts, H x W x 3 uint8."""
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
    """Read a size such as ``"480x854"``."""
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


def in_own_process(measure: Callable[..., dict[str, float]], *args: Any) -> dict[str, float]:
    """Return ``measure(*args)`` of a new process, whose peak memory is its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, *args).result()


class Table:
    """Measurements that are printed row by row as Markdown.

    Args:
        **columns: format of each column by its key in the rows, e.g. ``".2f"``; empty: text. Further keys of a row
            are kept in ``rows`` and not printed.
    """

    def __init__(self, **columns: str) -> None:
        self.columns = columns
        self.rows: list[dict[str, Any]] = []
        self._print(columns)
        self._print(["---:" if spec else "---" for spec in columns.values()])

    def add(self, row: Mapping[str, Any]) -> None:
        """Print a row and keep it; absent values are blank."""
        self.rows.append(dict(row))
        values = [(row.get(name), spec) for name, spec in self.columns.items()]
        self._print(["" if x is None else format(x, spec) if spec else str(x) for x, spec in values])

    @staticmethod
    def _print(cells: Iterable[str]) -> None:
        print(f"| {' | '.join(cells)} |", flush=True)


def save(name: str, args: Any, **figures: Any) -> None:
    """Write the environment, the flags and figures as JSON.

    Args:
        name: the file is ``benchmarks/results/<name>.json`` without ``args.output``.
        args: the program's dataclass of flags.
        **figures: JSON types.
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
