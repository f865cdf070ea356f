"""Bidirectional fusion: frames between two given masks from forward and backward propagation."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from voskit.dataloaders.video.prefetch import prefetch
from voskit.dataloaders.video.source import Frame, FrameSource
from voskit.evaluators.segmenter import VideoSegmenter
from voskit.networks.engines.quality import ObjectQuality

_LEAST = 1e-3  # confidence of an object that one direction has lost, so that the other one decides


def fuse(forward_KHW: Tensor, backward_KHW: Tensor, weights: tuple[Sequence[float], Sequence[float]]) -> Tensor:
    """Return the weighted mean of two directions' probabilities, [K + 1, H, W].

    Args:
        forward_KHW, backward_KHW: probabilities [K + 1, H, W] float32 of the same objects in the same order; row 0 is
            the background.
        weights: for each direction the weights of the K objects, positive; only their ratios matter. The background has
            the mean weights.

    Raises:
        ValueError: the shapes or the numbers of weights don't match.
    """
    objects = len(forward_KHW) - 1
    if forward_KHW.shape != backward_KHW.shape or any(len(own) != objects for own in weights):
        raise ValueError(
            f"probabilities {tuple(forward_KHW.shape)} and {tuple(backward_KHW.shape)} with {len(weights[0])} and "
            f"{len(weights[1])} weights: both directions need the same objects and a weight for each"
        )
    pair = torch.tensor(weights, dtype=torch.float32, device=forward_KHW.device)
    share = pair[0] / pair.sum(0)
    share = torch.cat([share.mean()[None], share])[:, None, None]
    fused = backward_KHW.lerp(forward_KHW, share)
    return fused / fused.sum(0, keepdim=True).clamp(min=1e-6)


def direction_weights(
    object_ids: Sequence[int],
    nearness: tuple[float, float],
    qualities: tuple[Mapping[int, ObjectQuality], Mapping[int, ObjectQuality]],
) -> tuple[list[float], list[float]]:
    """Return the weights of ``fuse``: nearness to the given mask of a direction, times its confidence in an object.

    Args:
        object_ids: the objects in the order of the probabilities.
        nearness: for each direction, the fraction of the way from the other given mask, 0 to 1; their sum is 1.
        qualities: for each direction the quality of its objects in the frame.
    """

    def own(near: float, quality: Mapping[int, ObjectQuality]) -> list[float]:
        found = [quality[i].confidence if quality[i].present else 0.0 for i in object_ids]
        return [max(near, 1e-6) * max(confidence, _LEAST) for confidence in found]

    return own(nearness[0], qualities[0]), own(nearness[1], qualities[1])


@dataclass(frozen=True)
class Direction:
    """Probabilities of one direction in a frame."""

    ids: list[int]
    """Object ids, in the order of the rows."""
    probabilities: Tensor
    """[K + 1, H, W] float32, the background first."""
    quality: dict[int, ObjectQuality]

    @classmethod
    def of(cls, segmenter: VideoSegmenter, probabilities: Tensor) -> Direction:
        """Return the probabilities of the last frame of a segmenter."""
        return cls(segmenter.object_ids, probabilities, segmenter.quality)

    def save(self, path: Path) -> None:
        """Write a file; probabilities are rounded to 1/255."""
        rounded = (self.probabilities * 255).round().byte().cpu().numpy()
        sure = [[q.area, q.confidence, q.margin, q.present] for q in (self.quality[i] for i in self.ids)]
        arrays = {"probabilities": rounded, "ids": np.array(self.ids), "quality": np.array(sure, np.float64)}
        level = 1  # numpy's default level takes 5 times as long
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as file:
            for name, array in arrays.items():
                with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array)

    @classmethod
    def load(cls, path: Path, device: torch.device) -> Direction:
        """Read a file that ``save`` wrote."""
        with np.load(path) as stored:
            ids = stored["ids"].tolist()
            rows = stored["quality"].reshape(-1, 4).tolist()
            quality = {i: ObjectQuality(int(a), c, m, bool(p)) for i, (a, c, m, p) in zip(ids, rows, strict=True)}
            return cls(ids, torch.from_numpy(stored["probabilities"]).to(device).float() / 255, quality)

    def ordered(self, object_ids: Sequence[int]) -> Tensor:
        """Return the probabilities with the rows of these objects; absent ones are 0."""
        rows = {object_id: row for row, object_id in enumerate(self.ids, 1)}
        nothing = torch.zeros_like(self.probabilities[0])
        objects = [self.probabilities[rows[i]] if i in rows else nothing for i in object_ids]
        return torch.stack([self.probabilities[0], *objects])


def fused_ids(forward: Direction, backward: Direction, nearness: tuple[float, float]) -> np.ndarray:
    """Return the ids of a frame from both directions, H x W uint8, or uint16 if an id is above 255."""
    return ids_of(*fused_probabilities(forward, backward, nearness))


def ids_of(object_ids: Sequence[int], probabilities_KHW: Tensor) -> np.ndarray:
    """Return the likeliest id of each pixel, H x W uint8, or uint16 if an id is above 255."""
    best = probabilities_KHW.max(0).indices.cpu().numpy()
    return np.array([0, *object_ids], np.uint8 if max(object_ids, default=0) < 256 else np.uint16)[best]


def fused_probabilities(
    forward: Direction, backward: Direction, nearness: tuple[float, float]
) -> tuple[list[int], Tensor]:
    """Return the objects of both directions, and their fused probabilities [K + 1, H, W] in this order.

    Args:
        forward, backward: both directions in one frame.
        nearness: see ``direction_weights``.
    """
    ids = [*forward.ids, *(i for i in backward.ids if i not in forward.ids)]
    absent = ObjectQuality(0, 0.0, 0.0, False)
    qualities = tuple({i: d.quality.get(i, absent) for i in ids} for d in (forward, backward))
    weights = direction_weights(ids, nearness, (qualities[0], qualities[1]))
    return ids, fuse(forward.ordered(ids), backward.ordered(ids), weights)


def look_ahead(
    segmenter: VideoSegmenter,
    frame: np.ndarray,
    ids: np.ndarray,
    ahead: tuple[np.ndarray, np.ndarray],
    *,
    complete: bool,
) -> bool:
    """Put the next given mask into the memory of a segmenter that has just reached a given mask.

    The frame that it has reached is then the latest one again. Does nothing if the next mask doesn't show the same
    objects: an object that it lacks would look like background in it.

    Args:
        segmenter: its last frame had a given mask.
        frame: that frame, H x W x 3 uint8 RGB.
        ids: its ids, given and predicted ones; objects that the segmenter doesn't know are left out.
        ahead: image and ids of the next frame with a given mask.
        complete: masks show all objects of their frames.

    Returns:
        True if the memory now has the mask.
    """
    image, mask = ahead
    if not complete and set(np.unique(mask[mask > 0]).tolist()) != set(segmenter.object_ids):
        return False
    own = np.where(np.isin(ids, segmenter.object_ids), ids, 0).astype(np.uint16)
    segmenter.step(image, mask.astype(np.uint16), complete=True)
    segmenter.step(frame, own, complete=True)
    return True


def propagate_between(
    segmenter: VideoSegmenter,
    source: FrameSource,
    masks: tuple[np.ndarray, np.ndarray],
    bounds: tuple[int, int],
    scratch: Path,
    wanted: Callable[[], bool] = lambda: True,
) -> Iterator[tuple[Frame, np.ndarray]]:
    """Yield the frames between two given masks with their ids, from both directions.

    Both masks are in the memory of both directions. The backward pass comes first; its probabilities are kept in files.

    Args:
        segmenter: reset before and after.
        source: the frames, readable backwards.
        masks: the masks of both ends, H x W ids; they show all objects.
        bounds: numbers of the first and the last frame, whose masks are given.
        scratch: a folder that doesn't exist yet; removed at the end.
        wanted: called before each frame of the backward pass; False stops.

    Raises:
        ValueError: a frame is damaged, or the source can't be read backwards.
        OSError: files can't be written.
    """
    first, last = bounds
    scratch.mkdir(parents=True)
    try:
        for frame, backward in _directed(segmenter, source, masks[::-1], (last, first)):
            if not wanted():
                return
            backward.save(scratch / f"{frame.index}.npz")
        for frame, forward in _directed(segmenter, source, masks, bounds):
            backward = Direction.load(scratch / f"{frame.index}.npz", segmenter.device)
            near = (last - frame.index) / (last - first)
            yield frame, fused_ids(forward, backward, (near, 1 - near))
    finally:
        segmenter.reset()
        shutil.rmtree(scratch, ignore_errors=True)


def _directed(
    segmenter: VideoSegmenter, source: FrameSource, masks: Sequence[np.ndarray], bounds: tuple[int, int]
) -> Iterator[tuple[Frame, Direction]]:
    """Propagate from the first of two given masks towards the second one; yield the frames between them."""
    start, end = bounds
    segmenter.reset()
    far = next(source.between(end, end))
    segmenter.step(far.image, masks[1].astype(np.uint16), complete=True)
    with closing(prefetch(source.between(start, end))) as frames:  # type: ignore[type-var]
        for frame in frames:
            if frame.index == end:
                return
            given = masks[0].astype(np.uint16) if frame.index == start else None
            _, probabilities = segmenter.step(frame.image, given, complete=True, return_probs=True)
            if given is None:
                yield frame, Direction.of(segmenter, probabilities)
