"""Tracks of the objects in a video: accuracy over time, returns after absences, and id switches."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voskit.dataloaders.datasets import Dataset, Video
from voskit.evaluators.metrics.folder import rules_for
from voskit.evaluators.metrics.frames.jobs import Progress, run_frames
from voskit.evaluators.metrics.frames.measure import FramePair, Rules, frame_radius, read_pair, require_files
from voskit.evaluators.metrics.measures.bit_planes import bounding_box, pack_ids
from voskit.evaluators.metrics.measures.jaccard_boundary import boundary_of_planes, divide

LEAST_ABSENCE = 5
"""Minimum number of annotated frames without an object that make an absence; shorter gaps are occlusions."""
_LEAST_OVERLAP = 0.25  # minimum J at which an id counts as being on an object

Flags = NDArray[np.bool_]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class FrameOverlaps:
    """Common pixels of true (rows) and predicted objects (columns), N + 1 each, 0 is background; and N values of F."""

    pixels: NDArray[np.int64]
    boundary: Values


def measure_overlaps(rules: Rules, pairs: Sequence[FramePair]) -> list[FrameOverlaps]:
    """Measure frames. Ids of no true object count as background."""
    assert rules.objects is not None
    count = len(rules.objects) + 1
    rows = np.zeros(2**16, np.int64)
    rows[list(rules.objects)] = np.arange(1, count)
    out = []
    for pair in pairs:
        predicted, true = read_pair(rules, pair)
        pixels = np.bincount((rows[true] * count + rows[predicted]).ravel(), minlength=count**2)
        box = bounding_box(((predicted | true) != 0).view(np.uint8))
        planes = pack_ids(predicted[box], rules.objects), pack_ids(true[box], rules.objects)
        boundary = boundary_of_planes(*planes, frame_radius(true.shape))[: count - 1]
        out.append(FrameOverlaps(pixels.reshape(count, count), boundary))
    return out


@dataclass(frozen=True)
class Tracks:
    """Measurements of a video, for each frame from its first true mask to its last.

    Attributes:
        pixels: T x (N + 1) x (N + 1), see :class:`FrameOverlaps`.
        boundary: F, T x N.
    """

    pixels: NDArray[np.int64]
    boundary: Values

    @property
    def overlaps(self) -> Values:
        """J of each true object with each predicted one, T x N x N; 1 for equal ids if both are empty."""
        true, predicted = self.pixels.sum(2)[:, 1:, None], self.pixels.sum(1)[:, None, 1:]
        both = self.pixels[:, 1:, 1:].astype(float)
        overlaps = divide(both, true + predicted - both, empty=0.0)
        absent = (true + predicted.transpose(0, 2, 1) == 0)[..., 0]
        frames, objects = np.nonzero(absent)
        overlaps[frames, objects, objects] = 1.0
        return overlaps

    @property
    def present(self) -> Flags:
        """Flags of the true objects in view, T x N."""
        return self.pixels.sum(2)[:, 1:] > 0

    @property
    def counted(self) -> Flags:
        """Flags of the frames that count for each object, T x N: all after its first but the video's last (DAVIS)."""
        after_first = np.cumsum(np.cumsum(self.present, axis=0) > 0, axis=0) > 1
        if len(after_first) > 2:
            after_first[-1] = False
        return after_first

    def absences(self, k: int) -> Iterator[slice]:
        """Yield the frames of each absence of the k-th object after its first appearance."""
        gone = np.concatenate(([False], ~self.present[:, k] & (np.cumsum(self.present[:, k]) > 0), [False]))
        edges = np.flatnonzero(gone[1:] != gone[:-1])
        for begin, end in zip(edges[::2], edges[1::2], strict=True):
            if end - begin >= LEAST_ABSENCE:
                yield slice(int(begin), int(end))

    def returns(self, k: int) -> Iterator[slice]:
        """Yield the frames from each return of the k-th object to its next absence or the end of the video."""
        absences = [*self.absences(k), slice(len(self.present), None)]
        for absence, following in pairwise(absences):
            if absence.stop < following.start:
                yield slice(absence.stop, following.start)

    def switches(self) -> list[int]:
        """Return, for each predicted id, how often it changes from one true object to another.

        An id is on the object with which it has the highest J, if that is at least 0.25.
        """
        overlaps = self.overlaps * self.present[:, :, None]
        on, sure = overlaps.argmax(1), overlaps.max(1) >= _LEAST_OVERLAP
        return [int(np.count_nonzero(np.diff(on[sure[:, k], k]))) for k in range(on.shape[1])]

    @property
    def exchanged(self) -> tuple[int, int]:
        """Number of object pixels with another object's id, and of all object pixels, in the counted frames."""
        counted = self.pixels[:, 1:] * self.counted[:, :, None]
        own = np.einsum("tkk->", counted[:, :, 1:])
        return int(counted[:, :, 1:].sum() - own), int(counted.sum())


def measure_tracks(
    dataset: Dataset, results: Path, *, num_workers: int = 1, progress: Progress | None = None
) -> dict[str, Tracks]:
    """Measure the results for a dataset's videos that have ground truth.

    Args:
        dataset: an opened dataset.
        results: folder with a folder of masks for each video.
        num_workers: number of processes.
        progress: called after each unit of work.

    Returns:
        the tracks by video, without videos whose given masks show no object.

    Raises:
        FileNotFoundError: a mask is missing.
        ValueError: a mask can't be read, or its size differs from that of the true mask.
    """
    work: Mapping[str, tuple[Rules, list[FramePair]]] = {
        video.name: (rules, _pairs(video, results / video.name))
        for video in dataset
        if video.truth_frames and (rules := _rules(video)).objects
    }
    done = run_frames(measure_overlaps, work, num_workers=num_workers, progress=progress)
    return {
        name: Tracks(np.stack([f.pixels for f in frames]), np.stack([f.boundary for f in frames]))
        for name, frames in done.items()
    }


def _rules(video: Video) -> Rules:
    """Return the rules for reading a video's masks; its objects are those in the given masks."""
    assert video.ground_truth is not None
    names = [path.stem for path in video.truth_frames.values()]
    rules = rules_for(video.ground_truth, names, video.config.binary, video.config.ignore_id)
    return dataclasses.replace(rules, objects=video.object_ids)


def _pairs(video: Video, results: Path) -> list[FramePair]:
    pairs = [FramePair(name, path, results / f"{name}.png") for name, path in video.truth_frames.items()]
    require_files(pair.prediction for pair in pairs)
    return pairs
