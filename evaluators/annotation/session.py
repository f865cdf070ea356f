"""Annotating a clip: a person gives masks of some frames, a network propagates them, the person corrects, and so on."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voskit.dataloaders.files import atomic_write_text, exclusive_lock, make_folder
from voskit.dataloaders.masks.files import read_mask, write_mask
from voskit.dataloaders.video.prefetch import prefetch
from voskit.dataloaders.video.source import Frame, FrameSource
from voskit.evaluators.clips.background import BackgroundWriter
from voskit.evaluators.clips.previews import PREVIEWS, ClipPreviews, overlay_palette
from voskit.evaluators.clips.report import REPORT
from voskit.evaluators.segmenter import VideoSegmenter

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

SOURCE = "source.json"


class Annotation:
    """The masks of one clip, while a person and a network work on them. Close it, or use it in a ``with`` block.

    ``folder/given/<frame>.png`` are the masks that the person gave, ``folder/masks/<frame>.png`` those of all frames as
    they are now. All of them are files at any time, so that nothing is lost and a later session goes on from there; so
    it does from results of the demo. ``folder/source.json`` tells of which clip the masks are. Masks may be given and
    removed during a propagation, also by another thread.

    Args:
        segmenter: propagates; it is reset before and after.
        source: the clip; one that can be read more than once. A video is read through here.
        folder: of the results.

    Raises:
        ValueError: the clip is damaged or can be read only once, the folder's masks are of another one, or another
            program is writing there.
        OSError: the folder can't be made.
    """

    def __init__(self, segmenter: VideoSegmenter, source: FrameSource, folder: Path) -> None:
        source.check_rereadable()
        self.segmenter = segmenter
        self.source = source
        self.folder = folder
        self._names = [source.name_of(number) for number in range(source.count())]
        self._palette = overlay_palette()
        make_folder(folder)
        with ExitStack() as locks:
            locks.enter_context(exclusive_lock(folder))
            for part in ("given", "masks"):
                make_folder(folder / part)
            self._given = {number for number in range(len(self)) if self._path("given", number).exists()}
            self._changing = threading.RLock()  # held while masks change: files and the sets of numbers go together
            self._waiting: set[int] = set()  # propagated masks that will be written; giving or forgetting takes one out
            self._running = False
            self._identity = self._identify()
            self._check_source()
            self._locks = locks.pop_all()

    def close(self) -> None:
        """Let other programs write to the folder. May be called twice."""
        self._locks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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
        with self._changing:
            for part in ("masks", "given"):
                write_mask(self._path(part, number), ids_HW, palette=self._palette)
                self._begin_to_change()
            self._given.add(number)
            self._waiting.discard(number)

    def forget(self, number: int) -> None:
        """Remove a frame's mask, given or not."""
        with self._changing:
            self._begin_to_change()
            self._given.discard(number)
            self._waiting.discard(number)
            for part in ("given", "masks"):
                self._path(part, number).unlink(missing_ok=True)

    def propagate(self, first: int, last: int) -> Iterator[tuple[Frame, np.ndarray]]:
        """Propagate the mask of frame ``first`` to those after it up to ``last``; backwards where that comes before.

        Given masks on the way stay as they are, and the network takes them in. Every mask is written, also where the
        caller stops.

        Yields:
            each frame that was done, beginning with the one after ``first``, and its ids, H x W.

        Raises:
            ValueError: ``first`` has no mask, or one without an object; or another propagation is open.
            OSError: a mask can't be written.
        """
        start = self.mask(first)
        if start is None or not start.any():
            raise ValueError(f"frame {first} has no mask with an object that could be propagated: give one")
        frames = prefetch(self.source.between(first, last))
        with self._changing:
            self._check_idle()
            self._running = True
        try:
            self._begin_to_change()
            self.segmenter.reset()
            with closing(BackgroundWriter()) as writer:  # masks that wait are written, also where the caller stops
                for frame in frames:
                    ids = self._step(frame, start if frame.index == first else None, writer)
                    if frame.index != first:
                        yield frame, ids
        finally:
            frames.close()  # type: ignore[attr-defined]
            self.segmenter.reset()
            self._running = False

    def delete_object(self, object_id: int) -> int:
        """Remove an object from all masks, given ones, too. Gives the number of frames that had it.

        Raises:
            ValueError: a propagation is open, which would bring the object back; or a mask's file is damaged.
            OSError: a mask can't be written.
        """
        with self._changing:
            self._check_idle()
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
        pictures = ClipPreviews(self.folder, fps or self.source.fps or 25.0, len(self))
        try:
            for frame in prefetch(self.source):
                mask = self.mask(frame.index)
                pictures.write(frame, np.zeros(self.source.size, np.uint8) if mask is None else mask)
                yield frame.index
            pictures.close()
        except BaseException:
            pictures.abort()
            raise

    def _step(self, frame: Frame, start: np.ndarray | None, writer: BackgroundWriter) -> np.ndarray:
        """Propagate to a frame, or from it where its mask is known, and write what the network says."""
        with self._changing:
            known = self._given_mask(frame.index) if start is None and frame.index in self._given else start
        if known is not None:
            self.segmenter.step(frame.image, known, complete=True)
            return known
        ids = self.segmenter.step(frame.image)
        with self._changing:
            if frame.index not in self._given:  # it may have been given meanwhile
                self._waiting.add(frame.index)
        writer.submit(self._write_propagated, frame.index, ids)
        return ids

    def _write_propagated(self, number: int, ids_HW: np.ndarray) -> None:
        with self._changing:
            if number in self._waiting:
                write_mask(self._path("masks", number), ids_HW, palette=self._palette)
                self._waiting.discard(number)

    def _check_idle(self) -> None:
        if self._running:
            raise ValueError("a propagation is running: stop it first")

    def _given_mask(self, number: int) -> np.ndarray:
        return read_mask(self._path("given", number), size=self.source.size)

    def _path(self, part: str, number: int) -> Path:
        return self.folder / part / f"{self._names[number]}.png"

    def _identify(self) -> dict[str, int | str]:
        """What tells this clip from others of its name, wherever its file lies."""
        height, width = self.source.size
        middle = self.image(len(self) // 2)  # many clips begin with the same black
        checksum = hashlib.sha256(middle.tobytes()).hexdigest()[:16]
        return {"frames": len(self), "width": width, "height": height, "middle_frame": checksum}

    def _check_source(self) -> None:
        path = self.folder / SOURCE
        if path.exists():
            try:
                known = json.loads(path.read_text())
            except ValueError:
                raise ValueError(f"{path} is damaged: remove it if the masks beside it are of this clip") from None
            if known != self._identity:
                raise ValueError(
                    f"{self.folder} holds masks of another clip than {self.source.name} is now ({known}, not "
                    f"{self._identity}): give another output folder, or remove {path} if the masks are of this clip"
                )
        elif any(self._path("masks", number).exists() for number in range(len(self))):
            logger.warning("%s doesn't say of which clip its masks are: they are taken for this one's", self.folder)

    def _begin_to_change(self) -> None:
        """Remove what was made of other masks; without its report the demo takes the folder for a person's work."""
        if not (self.folder / SOURCE).exists():  # only now: the demo may have replaced its results till here
            atomic_write_text(self.folder / SOURCE, json.dumps(self._identity) + "\n")
        for name in (REPORT, *PREVIEWS):
            (self.folder / name).unlink(missing_ok=True)
