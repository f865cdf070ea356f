"""Backward pass: propagate each object from its first mask to the frames before, ahead of the forward pass."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from voskit.dataloaders.masks.files import read_written_mask
from voskit.dataloaders.video.prefetch import prefetch
from voskit.dataloaders.video.source import Frame, FrameSource
from voskit.evaluators.clips.mask_writer import MaskWriter
from voskit.evaluators.fusion import Direction, fused_probabilities, look_ahead
from voskit.evaluators.progress import progress_bar
from voskit.evaluators.segmenter import VideoSegmenter


@dataclass(frozen=True)
class BackwardMasks:
    """Masks of the backward pass for frames 0 to ``last``, stored in a folder."""

    folder: Path
    last: int
    complete: bool
    given: Sequence[int] = ()
    """Numbers of the frames with given masks, descending, if probabilities of the other frames were kept."""

    def look_ahead(self, segmenter: VideoSegmenter, frame: Frame, ids: np.ndarray) -> None:
        """Put the next given mask into the memory of the forward pass, which has just reached a given mask.

        See :func:`voskit.evaluators.fusion.look_ahead`.
        """
        later = [number for number in self.given if number > frame.index]
        if later and segmenter.cuts is None:
            look_ahead(segmenter, frame.image, ids, _kept(self.folder, later[-1]), complete=self.complete)

    def fused(self, frame: Frame, forward: Direction) -> tuple[list[int], Tensor] | None:
        """Return the objects of a frame between two given masks and their fused probabilities; None for other frames.

        Args:
            frame: the frame.
            forward: the probabilities of the forward pass, see :func:`~voskit.evaluators.fusion.fused_probabilities`.
        """
        after = [number for number in self.given if number >= frame.index]
        before = [number for number in self.given if number <= frame.index]
        if not after or not before or after[-1] == frame.index:
            return None
        near = (after[-1] - frame.index) / (after[-1] - before[0])
        backward = Direction.load(self.folder / f"{frame.name}.npz", forward.probabilities.device)
        return fused_probabilities(forward, backward, (near, 1 - near))

    def overlay_on(
        self, frame: Frame, ids_HW: np.ndarray, started: Collection[int], mask_HW: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the ids of the forward pass, [H, W], with the objects over them that first appear in later frames.

        These objects override predictions, since the forward pass doesn't know them yet, but never the user's mask.

        Args:
            frame: the frame.
            ids_HW: its ids in the forward pass.
            started: ids that the forward pass knows.
            mask_HW: the user's mask of the frame, if any.
        """
        if frame.index > self.last or (mask_HW is not None and self.complete):
            return ids_HW
        backward = read_written_mask(self.folder / f"{frame.name}.png")
        later = (backward > 0) & ~np.isin(backward, list(started))
        if mask_HW is not None:
            later &= mask_HW == 0
        return np.where(later, backward, ids_HW)


@contextmanager
def backward_pass(
    segmenter: VideoSegmenter,
    source: FrameSource,
    masks: Callable[[Frame], np.ndarray | None],
    last: int,
    scratch: Path,
    *,
    complete: bool = False,
    progress: bool = False,
    fuse: Sequence[int] = (),
) -> Iterator[BackwardMasks]:
    """Propagate backwards from frame ``last`` to frame 0, and keep the masks in a folder for the ``with`` block.

    Args:
        segmenter: reset before and after.
        source: frames, readable backwards.
        masks: returns the user's mask of a frame, [H, W] ids, or None.
        last: number of the last frame with a mask.
        scratch: a folder that doesn't exist yet; removed at the end.
        complete: masks show all objects, see ``VideoSegmenter.step``.
        progress: show a bar.
        fuse: numbers of the frames with masks, to also keep probabilities for ``BackwardMasks.fused``; empty: don't.
            Both masks around a frame are then in the memory, unless the segmenter has cuts, which count its steps.

    Raises:
        ValueError: a frame or mask is damaged, or the source can't be read backwards.
        OSError: masks can't be written.
    """
    segmenter.reset()
    try:
        bar = progress_bar(total=last + 1, desc=f"{source.name} backwards", unit="frame", shown=progress)
        with bar, MaskWriter(scratch) as writer:
            given = [number for number in fuse if _keep(scratch, number, source, masks)]
            with closing(prefetch(source.between(last, 0))) as frames:
                for frame in frames:
                    mask = masks(frame)
                    if fuse and mask is None:
                        ids, probabilities = segmenter.step(frame.image, return_probs=True)
                        Direction.of(segmenter, probabilities).save(scratch / f"{frame.name}.npz")
                    else:
                        ids = segmenter.step(frame.image, mask, complete=complete)
                    earlier = [number for number in given if number < frame.index]
                    if frame.index in given and earlier and segmenter.cuts is None:
                        look_ahead(segmenter, frame.image, ids, _kept(scratch, earlier[-1]), complete=complete)
                    writer.write(frame.name, ids)
                    bar.update()
        segmenter.reset()
        yield BackwardMasks(scratch, last, complete, tuple(given[::-1]))
    finally:
        segmenter.reset()
        shutil.rmtree(scratch, ignore_errors=True)


def _keep(folder: Path, number: int, source: FrameSource, masks: Callable[[Frame], np.ndarray | None]) -> bool:
    """Store a frame's image and mask for ``_kept``; return False if there is no such frame, mask or object."""
    frame = next(source.between(number, number), None)
    mask = None if frame is None else masks(frame)
    if frame is None or mask is None or not mask.any():
        return False
    np.savez(folder / f"given {number}.npz", image=frame.image, mask=mask)
    return True


def _kept(folder: Path, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Load the image and mask that ``_keep`` stored."""
    with np.load(folder / f"given {number}.npz") as stored:
        return stored["image"], stored["mask"]
