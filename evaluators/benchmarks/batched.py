"""Videos segmented side by side, each by a generator that gives out frames and takes in what was made of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from voskit.dataloaders.datasets import Video
from voskit.evaluators.benchmarks.timing import Stopwatch
from voskit.evaluators.segmenter import VideoSegmenter


class FrameRequest(NamedTuple):
    """A frame that is to be segmented; see ``VideoSegmenter.step``."""

    frame: np.ndarray
    mask: np.ndarray | None
    output_size: tuple[int, int] | None
    return_probs: bool


class Result(NamedTuple):
    """What was made of it."""

    ids: np.ndarray
    probabilities: Tensor | None
    seconds: float
    memory: int | None
    """Bytes; see ``Stopwatch.memory``."""


@dataclasses.dataclass(eq=False)
class RunningVideo:
    """A video that is being segmented."""

    segmenter: VideoSegmenter
    video: Video
    work: Generator[FrameRequest, Result, None]
    wanted: FrameRequest = dataclasses.field(init=False)
    """What comes next; it is there once the work has begun."""
    frames: int = 0
    """Frames that were segmented."""


def next_results(running: Sequence[RunningVideo], stopwatch: Stopwatch) -> list[Result]:
    """Segment the frame that each video wants, probabilities for all or none; they share the seconds that it takes."""
    segmenters = [one.segmenter for one in running]
    frames, masks, sizes, probabilities = zip(*(one.wanted for one in running), strict=True)
    options: dict[str, Any] = {"return_probs": probabilities[0]}
    with stopwatch.running():
        if len(running) == 1:
            values = [segmenters[0].step(frames[0], masks[0], output_size=sizes[0], **options)]
        else:
            values = VideoSegmenter.step_together(segmenters, frames, masks, output_sizes=sizes, **options)
    seconds, memory = stopwatch.seconds / len(running), stopwatch.memory()
    pairs = values if probabilities[0] else [(ids, None) for ids in values]
    return [Result(ids, probs, seconds, memory) for ids, probs in pairs]
