"""Annotation of a clip: the user gives masks of some frames, a network propagates them, the user corrects them."""

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

from voskit.dataloaders.files import atomic_write_text, exclusive_lock, load_json, make_folder
from voskit.dataloaders.masks.files import read_mask, write_mask
from voskit.dataloaders.video.prefetch import prefetch
from voskit.dataloaders.video.source import Frame, FrameSource
from voskit.evaluators.clips.background import BackgroundWriter
from voskit.evaluators.clips.previews import PREVIEWS, ClipPreviews, PreviewOptions, overlay_palette
from voskit.evaluators.clips.report import REPORT
from voskit.evaluators.segmenter import VideoSegmenter

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

SOURCE = "source.json"


class Annotation:
    """The masks of one clip during an annotation. Close it, or use it in a ``with`` block.

    ``folder/given/<frame>.png`` are the user's masks, ``folder/masks/<frame>.png`` the present masks of all frames.
    They are always on the disk, so nothing is lost, and a later session resumes from them, as it does from results of
    ``voskit demo``. ``folder/source.json`` identifies the clip. Masks may be given and removed during a propagation,
    also by another thread.

    Args:
        segmenter: propagates; reset before and after.
        source: the clip, which must be readable more than once. A video is read once from start to end.
        folder: folder of the results.

    Raises:
        ValueError: the clip is damaged or can be read only once, the folder has masks of another clip, or another
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
            self._changing = threading.RLock()  # held while masks change, so that files and sets of numbers agree
            self._waiting: set[int] = (
                set()
            )  # propagated masks still to be written, unless the frame's mask is given or removed first
            self._running = False
            self._identity = self._identify()
            self._check_source()
            self._locks = locks.pop_all()

    def close(self) -> None:
        """Release the folder for other programs. May be called twice."""
        self._locks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._names)

    @property
    def given(self) -> list[int]:
        """Numbers of the frames with masks of the user, ascending."""
        return sorted(self._given)

    def image(self, number: int) -> np.ndarray:
        """Return a frame, H x W x 3 uint8 RGB.

        Raises:
            ValueError: there is no such frame, or it is damaged.
        """
        return next(self.source.between(number, number)).image

    def mask(self, number: int) -> np.ndarray | None:
        """Return a frame's present mask, H x W uint8 or uint16 ids; None: it has none yet.

        Raises:
            ValueError: its file is damaged or has another size than the frames.
        """
        path = self._path("masks", number)
        return read_mask(path, size=self.source.size) if path.exists() else None

    def give(self, number: int, ids_HW: np.ndarray) -> None:
        """Set a frame's mask, H x W integers. It shows all objects, so 0 is the background.

        Raises:
            ValueError: a size other than the frames', or ids above 65535; nothing is changed then.
            OSError: the mask can't be written.
        """
        if ids_HW.shape != self.source.size:
            raise ValueError(f"the mask has shape {ids_HW.shape}, the frames have {self.source.size} (height, width)")
        with self._changing:
            for part in ("masks", "given"):
                write_mask(self._path(part, number), ids_HW, palette=self._palette)
                self._start_changes()
            self._given.add(number)
            self._waiting.discard(number)

    def forget(self, number: int) -> None:
        """Remove a frame's mask, given or propagated."""
        with self._changing:
            self._start_changes()
            self._given.discard(number)
            self._waiting.discard(number)
            for part in ("given", "masks"):
                self._path(part, number).unlink(missing_ok=True)

    def propagate(self, first: int, last: int) -> Iterator[tuple[Frame, np.ndarray]]:
        """Propagate the mask of frame ``first`` to frame ``last``, backwards if ``last`` is the smaller number.

        Given masks on the way stay, and the network uses them. All masks so far are written if the caller stops.

        Yields:
            each frame after ``first`` and its ids, H x W.

        Raises:
            ValueError: ``first`` has no mask or an empty one, or a propagation is running.
            OSError: a mask can't be written.
        """
        start = self.mask(first)
        if start is None or not start.any():
            raise ValueError(f"frame {first} has no mask with an object to propagate: give one first")
        frames = prefetch(self.source.between(first, last))
        with self._changing:
            self._check_idle()
            self._running = True
        try:
            self._start_changes()
            self.segmenter.reset()
            with closing(BackgroundWriter()) as writer:  # writes waiting masks, also if the caller stops
                for frame in frames:
                    ids = self._step(frame, start if frame.index == first else None, writer)
                    if frame.index != first:
                        yield frame, ids
        finally:
            frames.close()  # type: ignore[attr-defined]
            self.segmenter.reset()
            self._running = False

    def delete_object(self, object_id: int) -> int:
        """Remove an object from all masks, given ones too; return the number of frames that had it.

        Raises:
            ValueError: a propagation is running, which would bring the object back; or a mask's file is damaged.
            OSError: a mask can't be written.
        """
        with self._changing:
            self._check_idle()
            self._start_changes()
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

    def make_previews(self, fps: float | None = None) -> Iterator[int]:
        """Write ``overlay.mp4`` and ``contact_sheet.png``; yield the number of each drawn frame."""
        pictures = ClipPreviews(self.folder, PreviewOptions.of(self.source, fps=fps, num_frames=len(self)))
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
        """Propagate to a frame, or pass its mask to the network if it has one; write and return its ids."""
        with self._changing:
            known = self._given_mask(frame.index) if start is None and frame.index in self._given else start
        if known is not None:
            self.segmenter.step(frame.image, known.astype(np.uint16), complete=True)  # a lone 255 is an id
            return known
        ids = self.segmenter.step(frame.image)
        with self._changing:
            if frame.index not in self._given:  # the user may have given a mask meanwhile
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
        """Return properties that distinguish this clip from others of its name, wherever its file is."""
        height, width = self.source.size
        middle = self.image(len(self) // 2)  # many clips start with black frames
        checksum = hashlib.sha256(middle.tobytes()).hexdigest()[:16]
        return {"frames": len(self), "width": width, "height": height, "middle_frame": checksum}

    def _check_source(self) -> None:
        path = self.folder / SOURCE
        if path.exists():
            try:
                known = load_json(path)
            except ValueError:
                raise ValueError(f"{path} is damaged: remove it if the masks in this folder are of this clip") from None
            if known != self._identity:
                raise ValueError(
                    f"{self.folder} holds masks of a clip other than {self.source.name} ({known}, not "
                    f"{self._identity}): give another output folder, or remove {path} if the masks are of this clip"
                )
        elif any(self._path("masks", number).exists() for number in range(len(self))):
            logger.warning("%s has no source.json: its masks are assumed to be of this clip", self.folder)

    def _start_changes(self) -> None:
        """Remove previews and the report. Without a report ``voskit demo`` doesn't replace the masks."""
        if not (self.folder / SOURCE).exists():  # not earlier: until now the demo may replace its results
            atomic_write_text(self.folder / SOURCE, json.dumps(self._identity) + "\n")
        for name in (REPORT, *PREVIEWS):
            (self.folder / name).unlink(missing_ok=True)
