"""Frames before an object's first mask: it is propagated backwards into them before the clip is run forwards."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from voskit.dataloaders.masks.files import read_mask
from voskit.dataloaders.video.prefetch import prefetch
from voskit.dataloaders.video.source import Frame, FrameSource
from voskit.evaluators.clips.mask_writer import MaskWriter
from voskit.evaluators.segmenter import VideoSegmenter


@dataclass(frozen=True)
class BackwardMasks:
    """What propagating backwards gave: masks of frames 0 to ``last`` in a folder, of none where ``last`` is 0."""

    folder: Path
    last: int
    complete: bool

    def overlay_on(
        self, frame: Frame, ids_HW: np.ndarray, begun: Collection[int], given_HW: np.ndarray | None = None
    ) -> np.ndarray:
        """A frame's ids on the way forwards, with the objects over them that begin later; H x W.

        They win, since the way forwards doesn't know them yet, but not over a mask that was given.

        Args:
            frame: the frame.
            ids_HW: what it has on the way forwards.
            begun: ids that the way forwards knows.
            given_HW: the frame's mask, where it has one.
        """
        if not self.last or frame.index > self.last or (given_HW is not None and self.complete):
            return ids_HW
        earlier = read_mask(self.folder / f"{frame.name}.png")
        shown = (earlier > 0) & ~np.isin(earlier, list(begun))
        if given_HW is not None:
            shown &= given_HW == 0
        return np.where(shown, earlier, ids_HW)


@contextmanager
def backward_pass(
    segmenter: VideoSegmenter,
    source: FrameSource,
    given: Callable[[Frame], np.ndarray | None],
    last: int,
    scratch: Path,
    *,
    complete: bool = False,
    progress: bool = False,
) -> Iterator[BackwardMasks]:
    """Propagate backwards, and hold the masks in a folder until the ``with`` block is left.

    Args:
        segmenter: is reset before and after.
        source: gives frames backwards.
        given: the mask of a frame, H x W ids, or None.
        last: the last frame with a mask, where the way back begins.
        scratch: a folder that isn't there.
        complete: masks say where all objects are, see ``VideoSegmenter.step``.
        progress: show a bar.

    Raises:
        ValueError: a frame or mask is damaged, or the source can't be read backwards.
        OSError: masks can't be written.
    """
    segmenter.reset()
    try:
        if last:
            bar = tqdm(total=last + 1, desc=f"{source.name} backwards", unit="frame", disable=not progress)
            frames = prefetch(source.between(last, 0))
            with bar, MaskWriter(scratch) as writer, closing(frames):  # type: ignore[type-var]
                for frame in frames:
                    writer.write(frame.name, segmenter.step(frame.image, given(frame), complete=complete))
                    bar.update()
            segmenter.reset()
        yield BackwardMasks(scratch, last, complete)
    finally:
        segmenter.reset()
        shutil.rmtree(scratch, ignore_errors=True)
