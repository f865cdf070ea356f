"""Speed and memory of an evaluation."""

from __future__ import annotations

import dataclasses
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from voskit.dataloaders.files import atomic_write_text, load_json
from voskit.networks.memory_usage import memory_in_use


@dataclasses.dataclass
class VideoTiming:
    """Timing of one video. Frames with a given mask don't count as predicted."""

    video: str
    frames: int = 0
    predicted_frames: int = 0
    model_seconds: float = 0.0
    """Seconds from a decoded frame to its mask, summed over the predicted frames."""
    seconds: float = 0.0
    """Seconds of the whole video: reading, network and writing."""
    began: float = 0.0
    """Start time in seconds since 1970."""
    objects: int = 0
    frame_size: tuple[int, int] = (0, 0)
    peak_memory: int | None = None
    """Bytes: peak allocation on the accelerator, or largest resident memory after a frame."""
    memory_bytes: int | None = None
    """Largest size of the long-term memory, in bytes."""

    def save(self, path: Path) -> None:
        """Write the timing to a JSON file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(path, json.dumps(dataclasses.asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> VideoTiming:
        """Read a file that ``save`` wrote."""
        values = load_json(path)
        return cls(**{**values, "frame_size": tuple(values["frame_size"])})


class Stopwatch:
    """Stopwatch for the network, with CUDA events on CUDA and the clock elsewhere."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds = 0.0
        """Last measurement, in seconds."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measure the duration of the ``with`` block."""
        if self.device.type == "cuda":
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            stream = torch.cuda.current_stream(self.device)
            begin.record(stream)
            yield
            end.record(stream)
            end.synchronize()
            self.seconds = begin.elapsed_time(end) / 1000
        else:
            start = time.perf_counter()
            yield
            self.seconds = time.perf_counter() - start

    def reset_peak_memory(self) -> None:
        """Start a new measurement of peak memory."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def memory(self) -> int | None:
        """Return bytes in use: on CUDA, the peak since ``reset_peak_memory``; elsewhere, the current use."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return memory_in_use(self.device)


def _seconds_of_any(spans: Sequence[tuple[float, float]]) -> float:
    """Return the length of the union of time spans, since videos may run at the same time or days apart."""
    total, reached = 0.0, 0.0
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def summarize(videos: Sequence[VideoTiming], environment: dict[str, Any]) -> dict[str, Any]:
    """Return the content of ``timing.json``: frame rates over all frames and as means over videos, and each video."""
    predicted = sum(v.predicted_frames for v in videos)
    model = sum(v.model_seconds for v in videos)
    total = _seconds_of_any([(v.began, v.began + v.seconds) for v in videos])
    rates = [v.predicted_frames / v.model_seconds for v in videos if v.model_seconds]
    peaks = [v.peak_memory for v in videos if v.peak_memory is not None]
    return {
        **environment,
        "frames": sum(v.frames for v in videos),
        "model_fps": predicted / model if model else None,
        "model_fps_mean_over_videos": statistics.fmean(rates) if rates else None,
        "end_to_end_fps": sum(v.frames for v in videos) / total if total else None,
        "peak_memory_bytes": max(peaks, default=None),
        "videos": [dataclasses.asdict(v) for v in videos],
    }
