"""Time of scoring: 6 sequences of 60 frames, 480 x 854, 3 objects, with 1 and 2 processes.

    python benchmarks/scoring.py [--output benchmarks/results/scoring.json]

``plain`` is a straightforward boundary measure, run on the same frames: for each object, OpenCV dilates the whole frame
with a disc. Both must give the same scores. Ratios depend less on the load of the machine than times do.
"""

from __future__ import annotations

from common import ROOT, save  # isort: skip  (makes the project importable)

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tyro
from PIL import Image

from voskit.dataloaders.masks.files import davis_palette
from voskit.evaluators.metrics import score
from voskit.evaluators.metrics.frames.jobs import run_jobs

SEQUENCES, FRAMES, HEIGHT, WIDTH, OBJECTS = 6, 60, 480, 854, 3
REFERENCE = {"official DAVIS tool": 16.4, "fastest public scorer": 9.6, "fastest public scorer, 2 processes": 5.6}


@dataclass(frozen=True)
class Args:
    """Time of scoring."""

    output: Path | None = None
    """JSON file. Default: benchmarks/results/scoring.json."""
    repeats: int = 3
    """Number of runs, of which the best counts; the plain measure runs once."""


def make_data(root: Path) -> None:
    """Write a DAVIS folder of moving, deforming blobs, and results with slightly wrong outlines."""
    names = [f"blobs-{number}" for number in range(SEQUENCES)]
    (root / "ImageSets" / "2017").mkdir(parents=True)
    (root / "ImageSets" / "2017" / "val.txt").write_text("\n".join(names) + "\n")
    for number, name in enumerate(names):
        rng = np.random.default_rng(number)
        shapes = [_Blob(rng) for _ in range(OBJECTS)]
        for folder, wobble in (("Annotations/480p", 0.0), ("results", 0.06)):
            (root / folder / name).mkdir(parents=True)
            for frame in range(FRAMES):
                mask = np.zeros((HEIGHT, WIDTH), np.uint8)
                for object_id, blob in enumerate(shapes, start=1):
                    cv2.fillPoly(mask, [blob.outline(frame, wobble)], object_id)
                image = Image.fromarray(mask)
                image.putpalette(davis_palette())
                image.save(root / folder / name / f"{frame:05d}.png")


class _Blob:
    """A closed curve on a straight path, whose radius is a sum of a few waves."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._center = rng.uniform([150, 120], [WIDTH - 150, HEIGHT - 120])
        self._speed = rng.uniform(-2, 2, 2)
        self._radius = rng.uniform(60, 130)
        self._waves = [
            (k, rng.uniform(0.02, 0.2 / k), rng.uniform(0, 6.3), rng.uniform(-0.1, 0.1)) for k in range(2, 9)
        ]

    def outline(self, frame: int, wobble: float) -> np.ndarray:
        """Return the points of the curve, 400 x 2 int32; ``wobble`` adds an error, as a fraction of the radius."""
        angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
        waves = [size * np.sin(k * angle + phase + turn * frame) for k, size, phase, turn in self._waves]
        radius = 1 + np.sum(waves, axis=0) + wobble * np.sin(5 * angle + 0.3 * frame)
        points = self._center + self._speed * frame
        circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return np.round(points + (self._radius * radius)[:, None] * circle).astype(np.int32)


def plain_sequence(truth: str, prediction: str) -> list[list[float]]:
    """Return (J + F) / 2 of each object in each scored frame, straight from the definitions."""
    radius = int(np.ceil(0.008 * np.hypot(HEIGHT, WIDTH)))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = (x * x + y * y <= radius * radius).astype(np.uint8)
    values = []
    for path in sorted(Path(truth).iterdir())[1:-1]:
        true = np.asarray(Image.open(path))
        predicted = np.asarray(Image.open(Path(prediction) / path.name))
        values.append([_plain(predicted == k, true == k, disc) for k in range(1, OBJECTS + 1)])
    return values


def _plain(predicted: np.ndarray, true: np.ndarray, disc: np.ndarray) -> float:
    either = int(np.count_nonzero(predicted | true))
    region = int(np.count_nonzero(predicted & true)) / either if either else 1.0
    p, t = _plain_boundary(predicted), _plain_boundary(true)
    precision = np.count_nonzero(p & cv2.dilate(t, disc)) / max(1, int(p.sum()))
    recall = np.count_nonzero(t & cv2.dilate(p, disc)) / max(1, int(t.sum()))
    return float(region + 2 * precision * recall / max(1e-12, precision + recall)) / 2


def _plain_boundary(mask: np.ndarray) -> np.ndarray:
    right, below, diagonal = (np.zeros_like(mask) for _ in range(3))
    right[:, :-1], below[:-1], diagonal[:-1, :-1] = mask[:, 1:], mask[1:], mask[1:, 1:]
    edges = (mask ^ right) | (mask ^ below) | (mask ^ diagonal)
    edges[-1], edges[:, -1] = mask[-1] ^ right[-1], mask[:, -1] ^ below[:, -1]
    edges[-1, -1] = False
    return edges.astype(np.uint8)


def timed(call: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Return the shortest wall time of a call, and its result."""
    best, result = float("inf"), None
    for _ in range(repeats):
        start = time.perf_counter()
        result = call()
        best = min(best, time.perf_counter() - start)
    return best, result


def measure(root: Path, repeats: int) -> tuple[dict[str, dict[str, float]], float]:
    """Return the seconds by scorer and number of processes, and the largest difference in J&F of a sequence."""
    folders = sorted((root / "results").iterdir())
    jobs = [(str(root / "Annotations" / "480p" / folder.name), str(folder)) for folder in folders]
    command = [sys.executable, str(ROOT / "tools" / "score.py"), "--dataset", "davis2017", "--data_root", str(root)]
    command += ["--results", str(root / "results"), "--output", str(root / "out" / "scores.json")]
    times: dict[str, dict[str, float]] = {"ours": {}, "tools/score.py": {}, "plain": {}}
    for n in (1, 2):
        ours = partial(score, "davis2017", root, root / "results", num_workers=n)
        line = partial(subprocess.run, [*command, "--num_workers", str(n)], check=True, capture_output=True)
        times["ours"][str(n)], scores = timed(ours, repeats)
        times["tools/score.py"][str(n)], _ = timed(line, 1)
        times["plain"][str(n)], plain = timed(partial(run_jobs, plain_sequence, jobs, num_workers=n), 1)
    theirs = [float(np.mean(values)) for values in plain]
    means = [scores.tables["per_sequence"][folder.name]["J&F-Mean"] for folder in folders]
    return times, float(np.abs(np.array(theirs) - np.array(means)).max())


def main(args: Args) -> None:
    """Measure, print and save."""
    with tempfile.TemporaryDirectory() as folder:
        make_data(Path(folder))
        times, difference = measure(Path(folder), args.repeats)
    assert difference < 1e-9, f"the two measures differ by {difference}"
    print(f"{SEQUENCES} sequences x {FRAMES} frames, {HEIGHT}x{WIDTH}, {OBJECTS} objects: seconds (times plain)")
    for name, row in times.items():
        cells = [f"{n} process(es) {t:6.2f} ({times['plain'][n] / t:4.1f}x)" for n, t in row.items()]
        print(f"{name:16}  {'   '.join(cells)}")
    load = os.getloadavg() if hasattr(os, "getloadavg") else None
    figures = {
        "seconds": times,
        "speed-up over plain": {n: times["plain"][n] / times["ours"][n] for n in times["plain"]},
        "largest difference of J&F": difference,
        "published, on other but similar cores": REFERENCE,
        "load": load,
        "versions": {"numpy": np.__version__, "opencv": cv2.__version__},
    }
    save("scoring", args, **figures)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
