"""What sentences tell, propagated from the frame in which each is surest: a model of sentences, then one of masks."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from voskit.dataloaders.video.prefetch import prefetch
from voskit.dataloaders.video.source import Frame, FrameSource
from voskit.evaluators.clips.backward import backward_pass
from voskit.evaluators.segmenter import VideoSegmenter

logger = logging.getLogger(__name__)


@dataclasses.dataclass
class KeyFrame:
    """The frame in which a sentence has its highest score."""

    score: float = -1.0
    index: int = -1
    mask: np.ndarray | None = None
    """H x W bool; None: the object isn't seen there."""

    def see(self, score: float, index: int, mask_HW: np.ndarray) -> None:
        """Take in a frame; it counts if its score is higher than those before."""
        if score > self.score:
            self.score, self.index, self.mask = score, index, mask_HW if mask_HW.any() else None


def propagate(
    propagator: VideoSegmenter, source: FrameSource, keys: Sequence[KeyFrame], scratch: Path
) -> Iterator[tuple[Frame, np.ndarray]]:
    """Every frame and its ids, H x W: those of the first key frame's object are 1, and so on.

    Objects are propagated backwards from their key frames, which are held as masks in a folder, then forwards.
    A sentence whose object isn't seen in its key frame has no pixels.

    Args:
        propagator: is reset before and after.
        source: gives frames in either direction.
        keys: one for each sentence.
        scratch: a folder that isn't there; it is removed at the end.

    Raises:
        ValueError: a frame is damaged, or the source can't be read backwards.
    """
    last = max((key.index for key in keys if key.mask is not None), default=0)

    def given(frame: Frame) -> np.ndarray | None:
        return _given(keys, frame.index)

    with backward_pass(propagator, source, given, last, scratch) as earlier:
        for frame in prefetch(source):
            ids = propagator.step(frame.image, given(frame))
            yield frame, earlier.overlay_on(frame, ids, propagator.object_ids, given(frame)).astype(np.uint8)


def _given(keys: Sequence[KeyFrame], index: int) -> np.ndarray | None:
    """Ids of the objects whose key frame this is; None: there are none."""
    ids: np.ndarray | None = None
    for number, key in enumerate(keys, 1):
        if key.index == index and key.mask is not None:
            ids = np.zeros(key.mask.shape, np.uint8) if ids is None else ids
            ids[key.mask & (ids == 0)] = number
    return ids
