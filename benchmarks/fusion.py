"""Gain of fusing both directions between given masks, compared with forward propagation alone.

    python benchmarks/fusion.py --data_root DAVIS --ckpt_path F

The masks of the first and the last frame are given. Four ways to segment the frames between them:

- ``forward``: from the first mask
- ``forward, both masks``: from the first mask, with both masks in memory
- ``fused``: in both directions, each with only its own mask in memory
- ``fused, both masks``: in both directions, with both masks in memory (see ``voskit.evaluators.fusion``)

Prints the mean J of each video.
"""

from __future__ import annotations

from common import Table, VideoArgs, region, save, true_mask  # isort: skip  (makes the project importable)

import statistics
from dataclasses import dataclass, replace

import numpy as np
import torch
import tyro
from tqdm import tqdm

from voskit.dataloaders.datasets import Video
from voskit.dataloaders.video.source import Frame
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.fusion import Direction, fused_ids

WAYS = ("forward", "forward, both masks", "fused", "fused, both masks")


@dataclass(frozen=True, kw_only=True)
class Args(VideoArgs):
    """Gain of fusing both directions between given masks."""

    span: int | None = None
    """Number of frames from one given mask to the other. Default: the whole video."""


def predict(segmenter: VideoSegmenter, frames: list[Frame], masks: list[np.ndarray], both: bool) -> list[Direction]:
    """Propagate from the first frame's mask; return the predictions for the frames between the first and the last."""
    segmenter.reset()
    if both:
        segmenter.step(frames[-1].image, masks[1], complete=True)
    segmenter.step(frames[0].image, masks[0], complete=True)
    found = []
    for frame in frames[1:-1]:
        _, probabilities = segmenter.step(frame.image, return_probs=True)
        found.append(Direction.of(segmenter, (probabilities * 255).round().byte()))  # a quarter of the memory
    return found


def whole(direction: Direction) -> Direction:
    """Convert the probabilities of a direction from bytes to floats, 0 to 1."""
    return replace(direction, probabilities=direction.probabilities.float() / 255)


def mean_j(ids: np.ndarray, truth: np.ndarray, objects: list[int]) -> float:
    """Return the mean J of the objects; 1 for an object that is neither predicted nor present."""
    return statistics.fmean(region(ids == i, truth == i) for i in objects)


def score_video(segmenter: VideoSegmenter, video: Video, span: int | None) -> dict[str, float]:
    """Return the mean J of each way.

    Raises:
        ValueError: there is no frame between the given masks, or the first mask shows no object.
    """
    with video.source() as source:
        frames = list(source)[: None if span is None else span + 1]
    truth = [true_mask(video, frame.name) for frame in frames]
    masks, count = [truth[0], truth[-1]], len(frames)
    objects = [i for i in np.unique(truth[0]).tolist() if i]
    if count < 3 or not objects:
        raise ValueError(
            f"video {video.name}: {count} frames with {len(objects)} objects in the first: nothing to fuse"
        )
    sums = dict.fromkeys(WAYS, 0.0)
    for both, suffix in ((False, ""), (True, ", both masks")):
        passes = predict(segmenter, frames, masks, both), predict(segmenter, frames[::-1], masks[::-1], both)[::-1]
        for t in range(1, count - 1):
            near = 1 - t / (count - 1)
            forward, backward = (whole(own[t - 1]) for own in passes)
            alone = fused_ids(forward, forward, (1.0, 0.0))
            sums[f"forward{suffix}"] += mean_j(alone, truth[t], objects)
            fused = fused_ids(forward, backward, (near, 1 - near))
            sums[f"fused{suffix}"] += mean_j(fused, truth[t], objects)
    return {way: total / (count - 2) for way, total in sums.items()}


def main(args: Args) -> None:
    """Measure all videos."""
    torch.set_num_threads(args.threads)
    videos, segmenter = args.open_videos(), args.build_segmenter()
    table = Table(video="", **dict.fromkeys(WAYS, ".3f"))
    for video in tqdm(videos, unit="video"):
        table.add({"video": video.name, **score_video(segmenter, video, args.span)})
    means = {way: statistics.fmean(row[way] for row in table.rows) for way in WAYS}
    table.add({"video": "mean", **means})
    save("fusion", args, rows=table.rows)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
