"""Gain of two directions between given masks: masks at both ends of videos, against forward alone.

    python benchmarks/fusion.py --data_root DAVIS --ckpt_path F

Four ways to segment the frames between the first and the last one: forward from the first mask; forward with both masks
in memory; both directions, each knowing its own mask; both directions with both masks in memory (``--fuse``). Prints
the mean J of each video.
"""

from __future__ import annotations

from common import Table, save  # isort: skip  (makes the project importable)

import statistics
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro

from voskit.dataloaders.datasets import Video, open_dataset
from voskit.dataloaders.masks.files import read_mask
from voskit.dataloaders.video.source import Frame
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.fusion import Direction, fused_ids
from voskit.networks import build_model

WAYS = ("forward", "forward, both masks", "fused", "fused, both masks")


@dataclass(frozen=True)
class Args:
    """Gain of two directions between given masks."""

    data_root: Path
    dataset: str = "davis2017"
    split: str | None = None
    videos: tuple[str, ...] = ()
    """Names of videos. Default: all of the split."""
    span: int | None = None
    """Frames from one given mask to the other. Default: the whole video."""
    model: str = "deaott"
    ckpt_path: Path | None = None
    """Default: the published weights, or for deaott the bundled ones."""
    short_edge: int | None = None
    """Short edge of the network's input. Default: the model's."""
    device: str = "cpu"
    threads: int = 1
    output: Path | None = None


def directed(segmenter: VideoSegmenter, frames: list[Frame], masks: list[np.ndarray], both: bool) -> list[Direction]:
    """Propagate from the first frame and its mask; return the predictions of all frames but the first and the last."""
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
    """Return a direction with probabilities from 0 to 1."""
    return replace(direction, probabilities=direction.probabilities.float() / 255)


def region(ids: np.ndarray, truth: np.ndarray, objects: list[int]) -> float:
    """Return the mean J of the objects; an object that is neither predicted nor there has 1."""
    values = []
    for i in objects:
        own, true = ids == i, truth == i
        either = int((own | true).sum())
        values.append(int((own & true).sum()) / either if either else 1.0)
    return statistics.fmean(values)


def scored(segmenter: VideoSegmenter, video: Video, span: int | None) -> dict[str, float]:
    """Return the mean J of each way."""
    if video.ground_truth is None:
        raise ValueError(f"video {video.name} has no ground truth")
    with video.source() as source:
        frames = list(source)[: None if span is None else span + 1]
    truth = [read_mask(video.ground_truth / f"{frame.name}.png").astype(np.uint16) for frame in frames]
    masks, count = [truth[0], truth[-1]], len(frames)
    objects = [i for i in np.unique(truth[0]).tolist() if i]
    sums = dict.fromkeys(WAYS, 0.0)
    for both, suffix in ((False, ""), (True, ", both masks")):
        passes = directed(segmenter, frames, masks, both), directed(segmenter, frames[::-1], masks[::-1], both)[::-1]
        for t in range(1, count - 1):
            near = 1 - t / (count - 1)
            forward, backward = (whole(own[t - 1]) for own in passes)
            alone = fused_ids(forward, forward, (1.0, 0.0))
            sums[f"forward{suffix}"] += region(alone, truth[t], objects)
            sums[f"fused{suffix}"] += region(fused_ids(forward, backward, (near, 1 - near)), truth[t], objects)
    return {way: total / (count - 2) for way, total in sums.items()}


def main(args: Args) -> None:
    """Measure all videos."""
    torch.set_num_threads(args.threads)
    dataset = open_dataset(args.dataset, args.data_root, split=args.split)
    weights = {"pretrained": True} if args.ckpt_path is None else {"checkpoint": args.ckpt_path}
    segmenter = VideoSegmenter(build_model(args.model, device=args.device, **weights), short_edge=args.short_edge)
    table = Table(video="", **dict.fromkeys(WAYS, ".3f"))
    for video in dataset:
        if not args.videos or video.name in args.videos:
            table.add({"video": video.name, **scored(segmenter, video, args.span)})
    means = {way: statistics.fmean(row[way] for row in table.rows) for way in WAYS}
    table.add({"video": "mean", **means})
    save("fusion", args, rows=table.rows)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
