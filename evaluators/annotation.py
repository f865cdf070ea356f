"""Annotating a clip: a person gives masks of some frames, a network propagates them, the person corrects, and so on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from dataloaders.frame_source import Frame, FrameSource
from dataloaders.masks import read_mask, write_mask
from dataloaders.prefetch import prefetch
from evaluators.clip import REPORT
from evaluators.clip_pictures import PICTURES, ClipPictures, overlay_palette
from evaluators.segmenter import VideoSegmenter
from evaluators.writers import BackgroundWriter, make_folder


class Annotation:
    """The masks of one clip, while a person and a network work on them.

    ``folder/given/<frame>.png`` are the masks that the person gave, ``folder/masks/<frame>.png`` those of all frames as
    they are now. All of them are files at any time, so that nothing is lost and a later session goes on from there; so
    it does from results of the demo.

    Args:
        segmenter: propagates; it is reset before and after.
        source: the clip; one that can be read more than once. A video is read through here.
        folder: of the results.

    Raises:
        ValueError: the clip is damaged or can be read only once.
        OSError: the folder can't be made.
    """

    def __init__(self, segmenter: VideoSegmenter, source: FrameSource, folder: Path) -> None:
        source.between(0, 0)  # raises where it can be read but once
        self.segmenter = segmenter
        self.source = source
        self.folder = folder
        self._names = [source.name_of(number) for number in range(source.count())]
        self._palette = overlay_palette()
        for part in ("given", "masks"):
            make_folder(folder / part)
        self._given = {number for number in range(len(self)) if self._path("given", number).exists()}

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._names)

    @property
    def given(self) -> list[int]:
        """Numbers of the frames whose masks the person gave, ascending."""
        return sorted(self._given)

    def image(self, number: int) -> np.ndarray:
        """A frame, H x W x 3 uint8 RGB. Raises ValueError where there is none or it is damaged."""
        return next(self.source.between(number, number)).image

    def mask(self, number: int) -> np.ndarray | None:
        """A frame's mask as it is now, H x W uint8 or uint16 ids; None: it has none yet.

        Raises:
            ValueError: its file is damaged or of another size than the frames.
        """
        path = self._path("masks", number)
        return read_mask(path, size=self.source.size) if path.exists() else None

    def give(self, number: int, ids_HW: np.ndarray) -> None:
        """Take a mask that the person made: H x W integers; it says where all objects are, 0 is the background.

        Raises:
            ValueError: its size isn't the frames', or it isn't of ids up to 65535; nothing is changed then.
            OSError: it can't be written.
        """
        if ids_HW.shape != self.source.size:
            raise ValueError(f"the mask is {ids_HW.shape}, the frames are {self.source.size} (height, width)")
        for part in ("masks", "given"):
            write_mask(self._path(part, number), ids_HW, palette=self._palette)
            self._begin_to_change()
        self._given.add(number)

    def forget(self, number: int) -> None:
        """Remove a frame's mask, given or not."""
        self._begin_to_change()
        self._given.discard(number)
        for part in ("given", "masks"):
            self._path(part, number).unlink(missing_ok=True)

    def propagate(self, first: int, last: int) -> Iterator[tuple[Frame, np.ndarray]]:
        """Propagate the mask of frame ``first`` to those after it up to ``last``; backwards where that comes before.

        Given masks on the way stay as they are, and the network takes them in. Every mask is written, also where the
        caller stops.

        Yields:
            each frame that was done, beginning with the one after ``first``, and its ids, H x W.

        Raises:
            ValueError: ``first`` has no mask, or one without an object.
            OSError: a mask can't be written.
        """
        start = self.mask(first)
        if start is None or not start.any():
            raise ValueError(f"frame {first} has no mask with an object that could be propagated: give one")
        self._begin_to_change()
        step = self.segmenter.step
        self.segmenter.reset()
        frames = prefetch(self.source.between(first, last))
        try:
            with closing(BackgroundWriter()) as writer:  # masks that wait are written, also where the caller stops
                for frame in frames:
                    number = frame.index
                    if number == first or number in self._given:
                        ids = start if number == first else self._given_mask(number)
                        step(frame.image, ids, complete=True)
                    else:
                        ids = step(frame.image)
                        writer.submit(write_mask, self._path("masks", number), ids, palette=self._palette)
                    if number != first:
                        yield frame, ids
        finally:
            frames.close()  # type: ignore[attr-defined]
            self.segmenter.reset()

    def delete_object(self, object_id: int) -> int:
        """Remove an object from all masks, given ones, too. Gives the number of frames that had it."""
        self._begin_to_change()
        changed = 0
        for number in range(len(self)):
            mask = self.mask(number)
            if mask is None or object_id not in mask:
                continue
            mask[mask == object_id] = 0
            for part in ("given", "masks") if number in self._given else ("masks",):
                write_mask(self._path(part, number), mask, palette=self._palette)
            changed += 1
        return changed

    def make_pictures(self, fps: float | None = None) -> Iterator[int]:
        """Write ``overlay.mp4`` and ``contact_sheet.png``; gives the number of each frame that was done."""
        pictures = ClipPictures(self.folder, fps or self.source.fps or 25.0, len(self))
        try:
            for frame in prefetch(self.source):
                mask = self.mask(frame.index)
                pictures.write(frame, np.zeros(self.source.size, np.uint8) if mask is None else mask)
                yield frame.index
            pictures.close()
        except BaseException:
            pictures.abort()
            raise

    def _given_mask(self, number: int) -> np.ndarray:
        return read_mask(self._path("given", number), size=self.source.size)

    def _path(self, part: str, number: int) -> Path:
        return self.folder / part / f"{self._names[number]}.png"

    def _begin_to_change(self) -> None:
        """Remove what was made of other masks; without its report the demo takes the folder for a person's work."""
        for name in (REPORT, *PICTURES):
            (self.folder / name).unlink(missing_ok=True)
