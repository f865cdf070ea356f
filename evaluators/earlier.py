"""Frames before an object's first mask: it is propagated backwards into them before the clip is run forwards."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from dataloaders.frame_source import Frame, FrameSource
from dataloaders.masks import read_mask
from dataloaders.prefetch import prefetch
from evaluators.segmenter import VideoSegmenter
from evaluators.writers import MaskWriter

if TYPE_CHECKING:
    from typing_extensions import Self


class EarlierMasks:
    """What propagating backwards gives, held as masks in a folder; use it in a ``with`` block, which removes them.

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

    def __init__(
        self,
        segmenter: VideoSegmenter,
        source: FrameSource,
        given: Callable[[Frame], np.ndarray | None],
        last: int,
        scratch: Path,
        *,
        complete: bool = False,
        progress: bool = False,
    ) -> None:
        self._scratch = scratch
        self._last = last
        self._complete = complete
        segmenter.reset()
        frames = prefetch(source.between(last, 0))
        bar = tqdm(total=last + 1, desc=f"{source.name} backwards", unit="frame", disable=not progress)
        try:
            with MaskWriter(scratch) as writer, bar:
                for frame in frames:
                    writer.write(frame.name, segmenter.step(frame.image, given(frame), complete=complete))
                    bar.update()
        except BaseException:
            self._remove()
            raise
        finally:
            frames.close()  # type: ignore[attr-defined]
            segmenter.reset()

    def lay_over(
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
        if frame.index > self._last or (given_HW is not None and self._complete):
            return ids_HW
        earlier = read_mask(self._scratch / f"{frame.name}.png")
        shown = (earlier > 0) & ~np.isin(earlier, list(begun))
        if given_HW is not None:
            shown &= given_HW == 0
        return np.where(shown, earlier, ids_HW)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._remove()

    def _remove(self) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)
