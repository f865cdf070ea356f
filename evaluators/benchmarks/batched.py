"""Batched evaluation: one generator per video, all advanced together."""

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
    """Frame to segment, with the arguments of ``VideoSegmenter.step``."""

    frame: np.ndarray
    mask: np.ndarray | None
    output_size: tuple[int, int] | None
    return_probs: bool


class FrameResult(NamedTuple):
    """Result of a ``FrameRequest``."""

    ids: np.ndarray
    probabilities: Tensor | None
    seconds: float
    memory: int | None
    """Bytes; see ``Stopwatch.memory``."""


@dataclasses.dataclass(eq=False)
class RunningVideo:
    """Video in progress: its generator yields a request for each frame and receives the result."""

    segmenter: VideoSegmenter
    video: Video
    steps: Generator[FrameRequest, FrameResult, None]
    request: FrameRequest = dataclasses.field(init=False)
    """The next request, once ``advance`` has been called."""
    frames: int = 0
    """Number of frames segmented so far."""

    def advance(self, result: FrameResult | None) -> bool:
        """Pass on the result of the last request (None in the first call). True if there is another request.

        Raises:
            ValueError, OSError: the video can't be read, or results can't be written.
        """
        try:
            self.request = next(self.steps) if result is None else self.steps.send(result)
        except StopIteration:
            return False
        return True


def next_results(running: Sequence[RunningVideo], stopwatch: Stopwatch) -> list[FrameResult]:
    """Segment the frame that each video requests; the videos share the measured seconds equally.

    Requests of several videos must agree in ``return_probs``.
    """
    segmenters = [one.segmenter for one in running]
    frames, masks, sizes, probabilities = zip(*(one.request for one in running), strict=True)
    options: dict[str, Any] = {"return_probs": probabilities[0]}
    with stopwatch.running():
        if len(running) == 1:
            values = [segmenters[0].step(frames[0], masks[0], output_size=sizes[0], **options)]
        else:
            values = VideoSegmenter.step_together(segmenters, frames, masks, output_sizes=sizes, **options)
    seconds, memory = stopwatch.seconds / len(running), stopwatch.memory()
    pairs = values if probabilities[0] else [(ids, None) for ids in values]
    return [FrameResult(ids, probs, seconds, memory) for ids, probs in pairs]
