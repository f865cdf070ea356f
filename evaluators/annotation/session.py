"""Annotation session of a clip: the user gives masks, a network propagates them, the user corrects them."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voskit.dataloaders.files import atomic_write, atomic_write_text, exclusive_lock, make_folder
from voskit.dataloaders.masks.files import read_written_mask, write_mask
from voskit.dataloaders.masks.palette import id_palette
from voskit.dataloaders.video.prefetch import prefetch
from voskit.dataloaders.video.source import Frame, FrameSource
from voskit.evaluators.annotation.propagation import propagated
from voskit.evaluators.annotation.storage import PRIVATE
from voskit.evaluators.annotation.storage.identity import SOURCE, check_identity, identify
from voskit.evaluators.annotation.storage.journal import Entry, Journal
from voskit.evaluators.annotation.storage.mask_files import ids_in, mend_given
from voskit.evaluators.annotation.storage.mask_index import MaskIndex, MaskRecord
from voskit.evaluators.annotation.storage.objects import AnnotatedObject, ObjectTable, check_id
from voskit.evaluators.clips.background import BackgroundWriter
from voskit.evaluators.clips.report import REPORT, ClipReport

if TYPE_CHECKING:
    from typing_extensions import Self

    from voskit.evaluators.segmenter import VideoSegmenter

logger = logging.getLogger(__name__)

_OBJECTS = f"{PRIVATE}/objects.json"


class StaleRevisionError(ValueError):
    """A change is based on an outdated version of a frame's mask."""


class BusyError(ValueError):
    """A change that a running propagation would undo."""


class Annotation:
    """The masks of one clip during an annotation. Close it, or use it in a ``with`` block.

    ``folder/given/<frame>.png`` are the user's masks, ``folder/masks/<frame>.png`` the current masks of all frames.
    They are always saved, so nothing is lost, and a later session resumes from them, as it can from results of ``voskit
    demo``. ``folder/source.json`` identifies the clip. ``folder/.annotation`` stores what each change replaced, so
    every change can be undone, even in a later session. Masks may be given and removed during a propagation, also by
    another thread.

    Args:
        segmenter: propagates masks; reset before and after. Or a function that returns it, called on the first
            propagation.
        source: the clip, which must be readable more than once. A video is read once from start to end.
        folder: folder of the results.

    Attributes:
        listener: called with the numbers of changed frames after each change, in the thread of the change; empty if
            only objects' names, colors or flags changed.

    Raises:
        ValueError: the clip is damaged or can be read only once, the folder has masks of another clip, or another
            program is writing there.
        OSError: the folder can't be created.
    """

    def __init__(
        self,
        segmenter: VideoSegmenter | Callable[[], VideoSegmenter],
        source: FrameSource,
        folder: str | os.PathLike[str],
    ) -> None:
        folder = Path(folder)
        source.check_rereadable()
        self._segmenter = segmenter
        self.source = source
        self.folder = folder
        self.listener: Callable[[list[int]], None] | None = None
        self._names = [source.name_of(number) for number in range(source.count())]
        self._numbers = {name: number for number, name in enumerate(self._names)}
        self._palette = id_palette()
        make_folder(folder)
        with ExitStack() as locks:
            locks.enter_context(exclusive_lock(folder))
            for part in ("given", "masks", PRIVATE):
                make_folder(folder / part)
            self._changing = threading.RLock()  # held while masks change, so that files and index agree
            # propagated masks to be written, unless the frame's mask is given or removed first
            self._waiting: set[int] = set()
            self._running = False
            self._propagation: tuple[Entry, str] | None = None  # entry of the journal that propagated masks go to
            self._identity = identify(source, len(self))
            check_identity(folder, source, self._identity, self._names)
            self._journal = Journal(folder, folder / PRIVATE / "journal")
            mend_given(folder)
            paths = [self._path("masks", number) for number in range(len(self))]
            self._index = MaskIndex(folder / PRIVATE / "masks.jsonl", paths, self._given_on_disk())
            report = ClipReport.load(folder)
            self._table = ObjectTable(folder / _OBJECTS, report.names if report is not None else None)
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

    # state -----------------------------------------------------------------------------------------------------------

    @property
    def segmenter(self) -> VideoSegmenter:
        """The segmenter that propagates masks, built on first use."""
        if callable(self._segmenter):
            self._segmenter = self._segmenter()
        return self._segmenter

    @property
    def given(self) -> list[int]:
        """Numbers of the frames with given masks, ascending."""
        return self._index.given

    @property
    def masked(self) -> list[tuple[int, int]]:
        """Frames with a given or propagated mask, as ranges of numbers with both ends included."""
        with self._changing:
            return list(self._index.ranges)

    @property
    def revisions(self) -> dict[int, int]:
        """Revision of each frame that has a mask, see :meth:`revision`."""
        with self._changing:
            return self._index.revisions

    @property
    def objects(self) -> dict[int, AnnotatedObject]:
        """Objects by id: those in any mask, and those that were added or named."""
        with self._changing:
            return {i: self._table[i] for i in sorted({*self._index.frames_with, *self._table})}

    @property
    def object_names(self) -> dict[int, str]:
        """Names by object id, for objects that have one."""
        return self._table.names()

    @property
    def given_counts(self) -> Mapping[int, int]:
        """Number of given frames that show each object, by its id."""
        with self._changing:
            return dict(self._index.given_with)

    @property
    def last_change(self) -> Entry | None:
        """The change that :meth:`undo` reverts; None: there is none."""
        return self._journal.last

    @property
    def undo_text(self) -> str | None:
        """Description of the change that :meth:`undo` reverts; None: there is none."""
        return self._journal.undo_text

    @property
    def redo_text(self) -> str | None:
        """Description of the change that :meth:`redo` restores; None: there is none."""
        return self._journal.redo_text

    def revision(self, number: int) -> int:
        """Return the revision of a frame's mask, which changes with the mask; 0: it has no mask.

        An undo restores the former revision along with the former mask.
        """
        return self._index.revision(number)

    def is_given(self, number: int) -> bool:
        """Return True if the user gave the frame's mask."""
        return self._index.is_given(number)

    def confidence(self, number: int) -> Mapping[int, float]:
        """Return the network's confidence in each object of a propagated frame, 0 to 1, by id; empty if unknown."""
        record = self._index.record(number)
        return {} if record is None else record.confidence

    def confidences(self) -> dict[int, Mapping[int, float]]:
        """Return :meth:`confidence` of all propagated frames, by frame."""
        with self._changing:
            return self._index.confidences()

    def image(self, number: int) -> np.ndarray:
        """Return a frame, H x W x 3 uint8 RGB.

        Raises:
            ValueError: there is no such frame, or it is damaged.
        """
        frame = next(self.source.between(number, number), None)
        if frame is None:
            raise ValueError(f"{self.source.name}: frame {number} is damaged")
        return frame.image

    def mask(self, number: int) -> np.ndarray | None:
        """Return a frame's current mask, H x W uint8 or uint16 ids; None: it has none yet.

        Raises:
            ValueError: its file is damaged or differs in size from the frames.
        """
        path = self._path("masks", number)
        return read_written_mask(path, self.source.size) if path.exists() else None

    def read_objects(self) -> Iterator[int]:
        """Read the objects of masks that this program didn't write; yield the number of each frame read.

        Unreadable masks are skipped. Until this has run, :attr:`objects` lacks the objects of those masks.
        """
        for number in self._index.unknown():
            with suppress(ValueError, OSError), self._changing:
                if (mask := self.mask(number)) is not None:
                    self._index.learn(number, ids_in(mask))
            yield number

    # changes ---------------------------------------------------------------------------------------------------------

    def give(
        self, number: int, ids_HW: np.ndarray, *, revision: int | None = None, action: str = "change of a mask"
    ) -> None:
        """Set a frame's mask, H x W integers. It shows all objects, so 0 is the background.

        Args:
            number: the frame.
            ids_HW: its ids.
            revision: the :meth:`revision` that the mask is based on; None: any.
            action: description for :attr:`undo_text`.

        Raises:
            StaleRevisionError: the frame has a different revision; nothing is changed.
            ValueError: the size differs from the frames', or ids are above 65535; nothing is changed.
            OSError: the mask can't be written.
        """
        with self._changing:
            self._check_size(ids_HW)
            self.check_frame(number)
            self._check_revision(number, revision)
            with self._change(f"{action}, frame {number}") as entry:
                self._journal.keep(entry, *self._files(number))
                self._write_given(number, ids_HW)
        self._tell([number])

    def give_many(self, masks: Iterable[tuple[int, np.ndarray]], action: str) -> list[int]:
        """Set the masks of several frames as one change; return their numbers. Errors as for :meth:`give`."""
        changed: list[int] = []
        with self._changing, self._change(action) as entry:
            for number, ids_HW in masks:
                self.check_frame(number)
                self._check_size(ids_HW)
                self._journal.keep(entry, *self._files(number))
                self._write_given(number, ids_HW)
                changed.append(number)
        self._tell(changed)
        return changed

    def forget(self, number: int, *, revision: int | None = None) -> None:
        """Remove a frame's mask, given or propagated. ``revision`` as for :meth:`give`."""
        with self._changing:
            self.check_frame(number)
            self._check_revision(number, revision)
            self._waiting.discard(number)
            if not self.revision(number):
                return
            with self._change(f"removal of a mask, frame {number}") as entry:
                self._journal.keep(entry, *self._files(number))
                self._remove(number)
        self._tell([number])

    def delete_object(self, object_id: int) -> int:
        """Remove an object from all masks, including given ones; return the number of frames that had it.

        Masks that become empty are removed, since an empty given mask would mean that the frame shows no object.

        Raises:
            ValueError: a propagation is running, which would bring the object back, or a mask's file is damaged.
            OSError: a mask can't be written.
        """
        return self._replace_object(object_id, 0, f"deletion of object {object_id}")

    def merge_objects(self, object_id: int, into: int) -> int:
        """Give an object's pixels in all masks to another object; return the number of frames that had it.

        Raises:
            ValueError, OSError: as for :meth:`delete_object`, or both objects are the same.
        """
        check_id(into)
        if object_id == into:
            raise ValueError(f"object {object_id} can't be merged into itself")
        return self._replace_object(object_id, into, f"merging of object {object_id} into {into}")

    def add_object(self, name: str = "") -> int:
        """Add an object that no mask shows yet; return its id, the smallest unused one."""
        with self._changing:
            object_id = self._table.unused(self._index.frames_with)
            with self._change(f"new object {object_id}") as entry:
                self._journal.keep(entry, _OBJECTS)
                self._table.change(object_id, name=name)
        self._tell([])
        return object_id

    def change_object(self, object_id: int, /, **values: Any) -> None:
        """Set an object's ``name``, ``color``, ``visible`` or ``locked``; the latter two can't be undone.

        Raises:
            ValueError: the id or a value is invalid; nothing is changed.
            OSError: it can't be saved.
        """
        check_id(object_id)
        with self._changing:
            if values.keys() & {"name", "color"}:
                with self._change(f"name or color of object {object_id}") as entry:
                    self._journal.keep(entry, _OBJECTS)
                    self._table.change(object_id, **values)
            else:
                self._table.change(object_id, **values)
        self._tell([])

    def undo(self) -> tuple[str, list[int]] | None:
        """Undo the last change; return its description and the frames whose masks it changed. None: there is none.

        Raises:
            ValueError: the last change is a running propagation.
            OSError: a file can't be replaced; call it again when there is disk space.
        """
        with self._changing:
            if self._propagation is not None and self._journal.last is self._propagation[0]:
                self._check_idle()
            self._start_changes()
            done = self._journal.undo()
            return None if done is None else self._reload(done.text, done.paths())

    def redo(self) -> tuple[str, list[int]] | None:
        """Redo the change that was undone last; see :meth:`undo`."""
        with self._changing:
            self._start_changes()
            done = self._journal.redo()
            return None if done is None else self._reload(done.text, done.paths())

    def propagate(
        self,
        first: int,
        last: int,
        *,
        objects: Collection[int] | None = None,
        fuse: bool = False,
        wanted: Callable[[], bool] = lambda: True,
    ) -> Iterator[tuple[Frame, np.ndarray]]:
        """Propagate the mask of frame ``first`` to frame ``last``, backwards if ``last`` is the smaller number.

        Given masks on the way are kept, and the network uses them. If the caller stops early, all masks so far are
        written. Damaged frames are skipped.

        Args:
            first: the frame to start from.
            last: the last frame.
            objects: change only these objects in the masks; None: all objects that aren't locked.
            fuse: fuse both directions between two given masks, which takes twice the time; see
                ``voskit.evaluators.fusion``. Confidences are those of the forward direction.
            wanted: called before each frame of the first of two directions, which yields nothing; False stops.

        Yields:
            each frame after ``first`` and its ids, H x W.

        Raises:
            ValueError: ``first`` has no mask with an object to propagate, or a propagation is running.
            OSError: a mask can't be written.
        """
        chosen = self._chosen(first, self.check_start(first, objects), objects)
        with self._changing:
            self._check_idle()
            self._running = True
        try:
            self._start_changes()
            self._propagation = None
            with closing(BackgroundWriter()) as writer:  # writes queued masks, even if the caller stops early

                def put(number: int, ids_HW: np.ndarray, sure: dict[int, float]) -> np.ndarray:
                    ids = self._expect(number, ids_HW, chosen)
                    kept = {i: one for i, one in sure.items() if chosen is None or i in chosen}
                    writer.submit(self._write_propagated, number, ids, kept, f"propagation {first}-{last}")
                    return ids

                with closing(propagated(self, (first, last), put, fuse, wanted)) as frames:
                    yield from frames
        finally:
            if not callable(self._segmenter):
                self._segmenter.reset()
            self._propagation = None
            self._running = False

    def check_start(self, first: int, objects: Collection[int] | None = None) -> np.ndarray:
        """Return the mask that a propagation starts from; raises ValueError as :meth:`propagate` does."""
        start = self.mask(first)
        if start is None or not start.any():
            raise ValueError(f"frame {first} has no mask with an object to propagate: give one first")
        self._chosen(first, start, objects)
        return start

    def make_previews(self, fps: float | None = None) -> Iterator[int]:
        """Write ``overlay.mp4`` and ``contact_sheet.png``; yield the number of each drawn frame."""
        from voskit.evaluators.clips.previews import ClipPreviews, PreviewOptions  # imports torch

        options = PreviewOptions.of(self.source, fps=fps, num_frames=len(self), colors=self._table.colors())
        pictures = ClipPreviews(self.folder, options)
        try:
            for frame in prefetch(self.source):
                mask = self.mask(frame.index)
                pictures.write(frame, np.zeros(self.source.size, np.uint8) if mask is None else mask)
                yield frame.index
            pictures.close()
        except BaseException:
            pictures.abort()
            raise

    # propagation -----------------------------------------------------------------------------------------------------

    def _chosen(self, first: int, start_HW: np.ndarray, objects: Collection[int] | None) -> set[int] | None:
        """Return the objects that a propagation may change; None: all."""
        locked = self._table.locked()
        if objects is None and not locked:
            return None
        shown = set(ids_in(start_HW))
        chosen = (shown if objects is None else set(objects)) - locked
        if not chosen & shown:
            why = "all its objects are locked" if objects is None or set(objects) & locked else "not the chosen objects"
            raise ValueError(f"frame {first} has no mask with an object to propagate: {why}")
        return chosen

    def given_mask(self, number: int) -> np.ndarray | None:
        """Return the given mask of a frame, H x W ids; None: the user gave none."""
        with self._changing:
            return read_written_mask(self._path("given", number), self.source.size) if self.is_given(number) else None

    def _expect(self, number: int, ids_HW: np.ndarray, chosen: set[int] | None) -> np.ndarray:
        """Queue a propagated mask for writing; return it merged with the objects that don't change."""
        with self._changing:
            ids = ids_HW if chosen is None else self._beside_others(number, ids_HW, chosen)
            if not self.is_given(number):  # the user may have given a mask in the meantime
                self._waiting.add(number)
        return ids

    def _beside_others(self, number: int, ids_HW: np.ndarray, chosen: set[int]) -> np.ndarray:
        """Return a frame's current mask with new pixels of the chosen objects; other objects don't change."""
        new = np.where(np.isin(ids_HW, list(chosen)), ids_HW, 0)
        present = self.mask(number)
        if present is None:
            return new
        others = np.where(np.isin(present, list(chosen)), 0, present)
        return np.where(others > 0, others, new)

    def _write_propagated(self, number: int, ids_HW: np.ndarray, sure: dict[int, float], text: str) -> None:
        with self._changing:
            if number not in self._waiting:
                return
            path = self._path("masks", number)
            entry = self._propagation_entry(text)
            self._journal.keep(entry, *self._files(number))
            write_mask(path, ids_HW, palette=self._palette)
            self._index.set(
                number, self._index.stamp(path), given=False, record=MaskRecord(tuple(ids_in(ids_HW)), sure)
            )
            self._waiting.discard(number)
        self._tell([number])

    def _propagation_entry(self, text: str) -> Entry:
        """Return the entry of the running propagation; each change by the user in the meantime starts a new one."""
        if self._propagation is None or self._journal.last is not self._propagation[0]:
            self._propagation = (self._journal.begin(text), text)
        return self._propagation[0]

    def _check_idle(self) -> None:
        if self._running:
            raise BusyError("a propagation is running: stop it first")

    # files -----------------------------------------------------------------------------------------------------------

    def _replace_object(self, object_id: int, by: int, text: str) -> int:
        check_id(object_id)
        for _ in self.read_objects():
            pass
        changed: list[int] = []
        with self._changing:
            self._check_idle()
            with self._change(text) as entry:
                for number in range(len(self)) if object_id in self._index.frames_with else ():
                    record = self._index.record(number)
                    mask = self.mask(number) if record is None or object_id in record.ids else None
                    if mask is None or object_id not in mask:
                        continue
                    self._journal.keep(entry, *self._files(number))
                    self._replace_in(number, mask, object_id, by)
                    changed.append(number)
                self._journal.keep(entry, _OBJECTS)
                self._table.remove(object_id)
        self._tell(changed)
        return len(changed)

    def _replace_in(self, number: int, mask_HW: np.ndarray, object_id: int, by: int) -> None:
        mask = mask_HW.astype(np.uint16)
        mask[mask == object_id] = by
        if not mask.any():
            self._remove(number)
        elif self.is_given(number):
            self._write_given(number, mask)
        else:
            path = self._path("masks", number)
            sure = {i: c for i, c in self.confidence(number).items() if i != object_id}
            write_mask(path, mask, palette=self._palette)
            self._index.set(number, self._index.stamp(path), given=False, record=MaskRecord(tuple(ids_in(mask)), sure))

    def _write_given(self, number: int, ids_HW: np.ndarray) -> None:
        given, mask = (self._path(part, number) for part in ("given", "masks"))
        write_mask(mask, ids_HW, palette=self._palette)
        with atomic_write(given, "mask") as temporary:
            temporary.write_bytes(mask.read_bytes())
        revision = self._index.stamp(mask, given)
        self._index.set(number, revision, given=True, record=MaskRecord(tuple(ids_in(ids_HW))))
        self._waiting.discard(number)

    def _remove(self, number: int) -> None:
        self._waiting.discard(number)
        for part in ("given", "masks"):
            self._path(part, number).unlink(missing_ok=True)
        self._index.set(number, 0, given=False)

    @contextmanager
    def _change(self, text: str) -> Iterator[Entry]:
        """Start a journal entry for the changes in a ``with`` block, which are reverted if the block fails."""
        self._start_changes()
        entry = self._journal.begin(text)
        try:
            yield entry
        except BaseException:
            paths = entry.paths()
            try:
                self._journal.revert(entry)
            finally:
                self._reload(entry.text, paths)
            raise
        if not entry.paths():
            self._journal.drop(entry)

    def _reload(self, text: str, changed: Collection[str]) -> tuple[str, list[int]]:
        """Reload files that an undo has replaced; return the description and the frames of the change."""
        paths = [Path(path) for path in changed]
        frames = sorted({self._numbers[path.stem] for path in paths if path.parent.name in ("given", "masks")})
        for number in frames:
            self._waiting.discard(number)
            self._index.refresh(number, given=self._path("given", number).exists())
        if any(path.name == Path(_OBJECTS).name for path in paths):
            self._table.reload()
        self._tell(frames)
        return text, frames

    def _tell(self, frames: list[int]) -> None:
        if self.listener is not None:
            with self._changing:  # so that listeners see changes in order
                self.listener(frames)

    def _files(self, number: int) -> tuple[str, str]:
        return f"masks/{self._names[number]}.png", f"given/{self._names[number]}.png"

    def _path(self, part: str, number: int) -> Path:
        return self.folder / part / f"{self._names[number]}.png"

    def _given_on_disk(self) -> list[int]:
        stems = {path.stem for path in (self.folder / "given").iterdir() if path.suffix == ".png"}
        return [number for number, name in enumerate(self._names) if name in stems]

    def check_frame(self, number: int) -> None:
        """Raise ValueError if the frame doesn't exist."""
        if not 0 <= number < len(self):
            raise ValueError(f"{self.source.name}: there is no frame {number}, the last one is {len(self) - 1}")

    def _check_size(self, ids_HW: np.ndarray) -> None:
        if ids_HW.shape != self.source.size:
            raise ValueError(f"the mask has shape {ids_HW.shape}, the frames have {self.source.size} (height, width)")

    def _check_revision(self, number: int, revision: int | None) -> None:
        if revision is not None and revision != self.revision(number):
            raise StaleRevisionError(f"the mask of frame {number} has changed in the meantime: nothing was overwritten")

    def _start_changes(self) -> None:
        """Remove previews and the report. Without a report ``voskit demo`` doesn't replace the masks."""
        if not (self.folder / SOURCE).exists():  # not earlier: until the first change the demo may replace its results
            atomic_write_text(self.folder / SOURCE, json.dumps(self._identity) + "\n")
        if (self.folder / REPORT).exists():
            self._table.keep_names()
        for name in (REPORT, "overlay.mp4", "overlay.incomplete.mp4", "contact_sheet.png"):
            (self.folder / name).unlink(missing_ok=True)
