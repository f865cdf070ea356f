"""What the benchmark programs share: a synthetic video, resident memory, and a results file."""

from __future__ import annotations

import json
import multiprocessing
import platform
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np
import torch


def moving_frames(count: int, height: int, width: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Frames of smooth noise that drifts, H x W x 3 uint8."""
    import cv2

    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (height // 16 + 8, width // 16 + 8, 3), dtype=np.uint8)
    canvas = cv2.resize(coarse, (width + 64, height + 64), interpolation=cv2.INTER_CUBIC)
    for t in range(count):
        y, x = (abs(t * speed % 128 - 64) for speed in (2, 3))
        yield np.ascontiguousarray(canvas[y : y + height, x : x + width])


def grid_mask(objects: int, height: int, width: int) -> np.ndarray:
    """A mask of rectangles in a grid, with background between them, H x W uint16."""
    columns = int(np.ceil(np.sqrt(objects * width / height)))
    rows = int(np.ceil(objects / columns))
    y, x = np.arange(height) * rows // height, np.arange(width) * columns // width
    mask = (y[:, None] * columns + x + 1).astype(np.uint16)
    mask[mask > objects] = 0
    inside_y = (np.arange(height) * rows % height) > 0.2 * height
    inside_x = (np.arange(width) * columns % width) > 0.2 * width
    return np.where(inside_y[:, None] & inside_x, mask, 0).astype(np.uint16)


def in_own_process(measure: Callable[..., dict[str, float]], *args: Any) -> dict[str, float]:
    """What ``measure(*args)`` returns in a new process, whose peak memory is its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, *args).result()


def environment() -> dict[str, Any]:
    """What the figures depend on."""
    figures = {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
    }
    if torch.cuda.is_available():
        figures["gpu"] = torch.cuda.get_device_name()
    return figures


def save(name: str, figures: dict[str, Any], path: Path | None = None) -> None:
    """Write figures and environment as JSON, to ``benchmarks/results/<name>.json`` where no path is given."""
    path = path or ROOT / "benchmarks" / "results" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**environment(), **figures}, indent=2) + "\n")
    print(f"saved {path}")
