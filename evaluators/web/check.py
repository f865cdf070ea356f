"""Expected outputs of exported graphs, against which the page checks WebGPU's results."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from voskit.dataloaders.files import atomic_write_text
from voskit.runtime.graphs import MANIFEST, Graphs
from voskit.runtime.memory import FrameMemory

SAMPLES = 64
"""Values of each output that are compared."""


def write_check(folder: Path) -> None:
    """Run a synthetic frame through the graphs of a folder and store samples of the outputs in its manifest."""
    graphs = Graphs(folder)
    manifest = graphs.manifest
    (height, width), (rows, columns) = manifest["image_size"], manifest["input_size"]
    pixels = np.arange(3 * height * width).reshape(1, 3, height, width)
    features = graphs.run("encode", {"image": (pixels * 7919 % 1000 / 250 - 2).astype(np.float32)})
    labels = (np.arange(rows * columns).reshape(1, rows, columns) // 64 % 2).astype(np.int32)
    known = graphs.run("refer", {"labels": labels, **features})
    memory = FrameMemory(manifest["memory_frames"], manifest["long_term_gap"], manifest["min_memory_frames"])
    memory.write(known, 0, True)
    long_term = {f"long_{name}" if name != "valid" else name: x for name, x in memory.read().items()}
    short_term = {f"short_{name}": x for name, x in known.items()}
    found = graphs.run("propagate", {**features, **long_term, **short_term})
    manifest["check"] = {name: x.ravel()[:: -(-x.size // SAMPLES)].astype(float).tolist() for name, x in found.items()}
    atomic_write_text(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")
