"""Speed and memory of an evaluation, as the field reports them."""

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

from voskit.dataloaders.files import atomic_write_text
from voskit.networks.memory_usage import memory_in_use


@dataclasses.dataclass
class VideoTiming:
    """One video. The first frame, whose mask is given, is not counted among the predicted ones."""

    video: str
    frames: int = 0
    predicted_frames: int = 0
    model_seconds: float = 0.0
    """Of the predicted frames: from a decoded frame to its mask."""
    seconds: float = 0.0
    """Of all frames: reading, network and writing."""
    began: float = 0.0
    """When it was begun, in seconds since 1970."""
    objects: int = 0
    frame_size: tuple[int, int] = (0, 0)
    peak_memory: int | None = None
    """Bytes: most allocated on the accelerator, or most resident memory seen after a frame."""

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(path, json.dumps(dataclasses.asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> VideoTiming:
        """Read what ``save`` wrote."""
        values = json.loads(path.read_text())
        return cls(**{**values, "frame_size": tuple(values["frame_size"])})


class Stopwatch:
    """Seconds that the network takes: CUDA events where there is CUDA, else the clock."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds = 0.0
        """Of what was measured last."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measure the body."""
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

    def forget_memory(self) -> None:
        """Let the peak of memory begin anew."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def memory(self) -> int | None:
        """Bytes: the peak since ``forget_memory`` on CUDA, what is in use elsewhere."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return memory_in_use(self.device)


def _seconds_of_any(spans: Sequence[tuple[float, float]]) -> float:
    """Seconds in which at least one of some spans of time ran: videos may have run side by side, or days apart."""
    total, reached = 0.0, 0.0
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def summarise(videos: Sequence[VideoTiming], environment: dict[str, Any]) -> dict[str, Any]:
    """What ``timing.json`` holds: frames a second over all frames and as a mean over videos, and each video."""
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
