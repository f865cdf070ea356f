"""Key frames of text prompts: propagate each object from the frame with its prompt's highest score."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence
from contextlib import closing, nullcontext
from pathlib import Path

import numpy as np

from voskit.dataloaders.video.prefetch import prefetch
from voskit.dataloaders.video.source import Frame, FrameSource
from voskit.evaluators.clips.backward import backward_pass
from voskit.evaluators.segmenter import VideoSegmenter


@dataclasses.dataclass
class KeyFrame:
    """The frame in which a text prompt has its highest score."""

    score: float = -1.0
    index: int = -1
    mask: np.ndarray | None = None
    """[H, W] bool; None: the object is not visible there."""

    def update(self, score: float, index: int, mask_HW: np.ndarray) -> None:
        """Take frame ``index`` as the key frame if its score is higher than those before."""
        if score > self.score:
            self.score, self.index, self.mask = score, index, mask_HW if mask_HW.any() else None


def propagate(
    propagator: VideoSegmenter, source: FrameSource, keys: Sequence[KeyFrame], scratch: Path
) -> Generator[tuple[Frame, np.ndarray], None, None]:
    """Yield every frame and its ids, [H, W] uint8: 1 for the object of the first key frame, and so on.

    Objects are propagated from their key frames, first backwards, then forwards. A prompt whose object is not visible
    in its key frame has no pixels.

    Args:
        propagator: reset before and after.
        source: frames, readable in either direction.
        keys: one for each prompt.
        scratch: a folder that doesn't exist yet, for masks of the backward pass; removed at the end.

    Raises:
        ValueError: a frame is damaged, or the source can't be read backwards.
    """

    def masks(frame: Frame) -> np.ndarray | None:
        return _key_frame_mask(keys, frame.index)

    last = max((key.index for key in keys if key.mask is not None), default=0)
    propagator.reset()
    try:
        with (
            backward_pass(propagator, source, masks, last, scratch) if last else nullcontext() as backward_masks,
            closing(prefetch(source)) as frames,
        ):
            for frame in frames:
                mask = masks(frame)
                ids = propagator.step(frame.image, mask)
                if backward_masks is not None:
                    ids = backward_masks.overlay_on(frame, ids, propagator.object_ids, mask)
                yield frame, ids.astype(np.uint8)
    finally:
        propagator.reset()


def _key_frame_mask(keys: Sequence[KeyFrame], index: int) -> np.ndarray | None:
    """Return the ids of the objects whose key frame this is; None: there are none."""
    ids: np.ndarray | None = None
    for number, key in enumerate(keys, 1):
        if key.index == index and key.mask is not None:
            ids = np.zeros(key.mask.shape, np.uint8) if ids is None else ids
            ids[key.mask & (ids == 0)] = number
    return ids
