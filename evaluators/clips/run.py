"""From a person's video and masks or sentences to results in a folder: masks, an overlay video and a contact sheet."""

from __future__ import annotations

import dataclasses
import itertools
import json
import logging
import shutil
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from voskit.dataloaders.files import atomic_write_text, exclusive_lock, make_folder
from voskit.dataloaders.masks.frame_masks import FrameMasks
from voskit.dataloaders.video.prefetch import prefetch
from voskit.dataloaders.video.source import Frame, FrameSource
from voskit.evaluators.clips.backward import backward_pass
from voskit.evaluators.clips.key_frames import KeyFrame, propagate
from voskit.evaluators.clips.mask_writer import MaskWriter
from voskit.evaluators.clips.previews import PICTURES, ClipPictures, overlay_palette
from voskit.evaluators.referring import ReferringSegmenter, windows
from voskit.evaluators.segmenter import VideoSegmenter
from voskit.networks.memory_usage import memory_in_use

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

Results = Generator[tuple[Frame, np.ndarray], None, None]

REPORT = "report.json"
_SCRATCH = ".backwards"


@dataclasses.dataclass
class Sentence:
    """A sentence, and how sure the network was."""

    text: str
    scores: list[float] = dataclasses.field(default_factory=list)
    """Probability of the candidate that was taken, for each window of frames."""
    key_frame: str | None = None
    """The frame from which its object was propagated, where it was."""


@dataclasses.dataclass
class ClipReport:
    """What was done for a clip. It stands in ``report.json`` beside the results; ``complete`` is written last."""

    name: str
    frames: int = 0
    objects: int = 0
    seconds: float = 0.0
    depths: dict[int, int] = dataclasses.field(default_factory=dict)
    """Frames at each depth of the network, where that can be chosen."""
    sentences: list[Sentence] = dataclasses.field(default_factory=list)
    """What the objects were told by, where that were sentences: id 1 is the first one's object."""
    peak_memory: int | None = None
    """Most bytes in use after a frame, see :func:`~voskit.networks.memory_usage.memory_in_use`."""
    complete: bool = False

    @property
    def fps(self) -> float:
        """Frames a second, reading and writing included."""
        return self.frames / self.seconds if self.seconds else 0.0

    def save(self, folder: Path) -> None:
        """Write ``report.json``."""
        values = {**dataclasses.asdict(self), "fps": round(self.fps, 3)}
        atomic_write_text(folder / REPORT, json.dumps(values, indent=2) + "\n")


class ClipWriter:
    """Results of one clip, written behind the caller.

    ``masks/<frame>.png`` (palette PNGs; 16-bit above 255 ids), ``overlay.mp4``, ``contact_sheet.png`` and the report.
    Results of an earlier run in the same folder are replaced, all of them, once there is a first result. When a clip
    breaks off, what was done stays: the masks, and the video as ``overlay.incomplete.mp4``. Within ``with`` no other
    program writes there.

    Raises:
        ValueError: the folder holds masks, but not of an earlier run; or (from ``with`` on) another run writes there.
        OSError: the folder can't be made or written.
    """

    def __init__(self, folder: Path, report: ClipReport, fps: float, num_frames: int | None = None) -> None:
        make_folder(folder)
        _check_ours(folder)
        self._lock = exclusive_lock(folder)
        self.folder = folder
        self.report = report
        self._fps = fps
        self._num_frames = num_frames
        self._parts: tuple[MaskWriter, ClipPictures] | None = None

    def write(self, frame: Frame, ids_HW: np.ndarray) -> None:
        """Queue a frame's results; an error of an earlier one is raised here."""
        if self._parts is None:
            _clear(self.folder)
            self.report.save(self.folder)
            masks = MaskWriter(self.folder / "masks", palette=overlay_palette())
            self._parts = masks, ClipPictures(self.folder, self._fps, self._num_frames)
        masks, pictures = self._parts
        masks.write(frame.name, ids_HW)
        pictures.write(frame, ids_HW)

    def close(self) -> None:
        """Wait until everything is on the disk."""
        try:
            for part in self._parts or ():
                part.close()
            self.report.complete = True
        except BaseException:
            self.abort()
            raise
        self._save_report()

    def abort(self) -> None:
        """Save what was done so far, under names that say that it isn't all."""
        if self._parts is None:
            return
        masks, pictures = self._parts
        try:
            masks.close()
        except (OSError, ValueError) as error:
            logger.error("%s", error)
        pictures.abort()
        self._save_report()

    def _save_report(self) -> None:
        if self._parts is not None:
            self.report.save(self.folder)

    def __enter__(self) -> Self:
        self._lock.__enter__()
        shutil.rmtree(self.folder / _SCRATCH, ignore_errors=True)  # of a run that was killed
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        try:
            if error is None:
                self.close()
            else:
                self.abort()
        finally:
            self._lock.__exit__(None, None, None)


def _check_ours(folder: Path) -> None:
    """Raise a ValueError unless a folder's masks are results of an earlier run, or there are none."""
    old = sum(1 for _ in (folder / "masks").glob("*.png"))
    if old and not (folder / REPORT).exists():
        raise ValueError(f"{folder / 'masks'} holds {old} PNGs that are no results of ours: give another folder")


def _clear(folder: Path) -> None:
    """Remove the results of an earlier run, and nothing else; also what one that was killed had begun."""
    begun = (path for name in PICTURES for path in folder.glob(f".{name}.*.tmp*"))
    for path in (*(folder / "masks").glob("*.png"), *begun, *(folder / name for name in (REPORT, *PICTURES))):
        path.unlink(missing_ok=True)


def segment_clip(
    segmenter: VideoSegmenter,
    source: FrameSource,
    masks: FrameMasks,
    folder: Path,
    *,
    complete_masks: bool = False,
    backwards: bool = False,
    fps: float | None = None,
    max_frames: int | None = None,
    progress: bool = True,
) -> ClipReport:
    """Segment a clip and write its results, frame by frame: neither frames nor masks are held.

    Args:
        segmenter: is reset before and after.
        source: the frames.
        masks: gives the masks of the frames that have one.
        folder: where results go, see :class:`ClipWriter`.
        complete_masks: masks say where all objects are, see ``VideoSegmenter.step``.
        backwards: objects are propagated to the frames before their masks, too, see ``backward_pass``.
        fps: rate of the overlay video; None: the source's, or 25.
        max_frames: stop after so many frames.
        progress: show a bar with frames a second and memory.

    Raises:
        ValueError: a frame or mask is damaged or doesn't fit, or no mask was given at all; results of the frames before
            it are kept. Or the masks lie where results go, which would replace them; or the source can't be read
            backwards.
        OSError: results can't be written.
    """
    if masks.path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{masks.path} lies in {folder}, whose files the results replace: give another output folder")
    masks.check_names(source)
    if backwards:
        source.between(0, 0)  # raises where it can be read but once
    report = ClipReport(source.name)

    def results(frames: Iterable[Frame]) -> Results:
        last = masks.last(source, max_frames) if backwards else 0
        if backwards and not last:
            logger.warning("%s: no frame but the first has a mask, so nothing goes backwards", masks.path)
        scratch = folder / _SCRATCH
        with backward_pass(
            segmenter, source, masks, last, scratch, complete=complete_masks, progress=progress
        ) as earlier:
            for frame in frames:
                depth = segmenter.depth
                given = masks(frame)
                ids = segmenter.step(frame.image, given, complete=complete_masks)
                ids = earlier.overlay_on(frame, ids, segmenter.object_ids, given)
                report.objects = max(report.objects, len(segmenter.object_ids))
                if depth is not None:
                    report.depths[depth] = report.depths.get(depth, 0) + 1
                yield frame, ids
        if not report.objects:
            raise ValueError(f"{masks.path}: no frame of {source.name} was given a mask with an object in it")
        if max_frames is None:
            masks.check_all_used()

    def shown() -> list[str]:
        return [f"{report.objects} objects", *([] if segmenter.depth is None else [f"depth {segmenter.depth}"])]

    _write_clip(results, shown, segmenter, source, report, folder, fps, max_frames, progress)
    return report


def refer_clip(
    segmenter: ReferringSegmenter,
    source: FrameSource,
    sentences: Sequence[str],
    folder: Path,
    *,
    propagator: VideoSegmenter | None = None,
    fps: float | None = None,
    max_frames: int | None = None,
    progress: bool = True,
) -> ClipReport:
    """Segment what sentences tell in a clip and write it, a window of frames at a time; see ``segment_clip``.

    The first sentence's object has id 1, and so on. With ``propagator`` it is looked for in all windows, and propagated
    from the frame in which its sentence has the highest score; see :mod:`voskit.evaluators.clips.key_frames`.

    Raises:
        ValueError: a frame is damaged or a sentence can't be used; results of the windows before it are kept.
        OSError: results can't be written.
    """
    if propagator is not None:
        source.between(0, 0)  # raises where it can be read but once
    report = ClipReport(source.name, objects=len(sentences), sentences=[Sentence(text) for text in sentences])

    def found_in(frames: Iterable[Frame]) -> Iterator[tuple[Frame, np.ndarray, list[float]]]:
        """Ids of each frame, and the sentences' scores there."""
        for window in windows(frames, segmenter.config.window):
            found = segmenter.refer([frame.image for frame in window], sentences)
            for sentence, one in zip(report.sentences, found, strict=True):
                sentence.scores.append(round(float(one.scores[one.candidate]), 4))
            for i, frame in enumerate(window):
                ids = segmenter.ids([one.probabilities(i, source.size) for one in found])
                yield frame, ids, [float(one.frame_scores[i]) for one in found]

    def results(frames: Iterable[Frame]) -> Results:
        if propagator is None:
            yield from ((frame, ids) for frame, ids, _ in found_in(frames))
            return
        keys = [KeyFrame() for _ in sentences]
        names: list[str] = []
        for frame, ids, scores in found_in(frames):
            names.append(frame.name)
            for number, (key, score) in enumerate(zip(keys, scores, strict=True), 1):
                key.see(score, frame.index, ids == number)
        for sentence, key in zip(report.sentences, keys, strict=True):
            sentence.key_frame = names[key.index] if key.mask is not None else None
        logger.info("propagating from key frames: %s", ", ".join(str(s.key_frame) for s in report.sentences))
        whole = propagate(propagator, source, keys, folder / _SCRATCH)
        yield from itertools.islice(whole, len(names))

    def shown() -> list[str]:
        return [f"{len(sentences)} sentences"]

    _write_clip(results, shown, segmenter, source, report, folder, fps, max_frames, progress)
    return report


def _write_clip(
    results: Callable[[Iterable[Frame]], Results],
    shown: Callable[[], list[str]],
    segmenter: VideoSegmenter | ReferringSegmenter,
    source: FrameSource,
    report: ClipReport,
    folder: Path,
    fps: float | None,
    max_frames: int | None,
    progress: bool,
) -> None:
    """Write what ``results`` makes of the frames; ``shown`` is what the bar says besides speed and memory."""
    device = next(segmenter.model.parameters()).device
    if max_frames is not None and max_frames < 1:
        raise ValueError(f"max_frames is at least 1, not {max_frames}")
    total = source.num_frames if max_frames is None else min(max_frames, source.num_frames or max_frames)
    writer = ClipWriter(folder, report, fps or source.fps or 25.0, total)
    start = time.perf_counter()
    frames = prefetch(source)
    wanted = frames if max_frames is None else itertools.takewhile(lambda frame: frame.index < max_frames, frames)
    try:
        bar = tqdm(total=total, desc=source.name, unit="frame", disable=not progress)
        with writer, bar, closing(results(wanted)) as found:
            for frame, ids in found:
                writer.write(frame, ids)
                report.frames += 1
                report.seconds = round(time.perf_counter() - start, 3)
                memory = memory_in_use(device)
                report.peak_memory = max(memory or 0, report.peak_memory or 0) or None
                text = [] if memory is None else [f"{memory / 2**30:.2f} GiB"]
                bar.set_postfix_str(", ".join([*shown(), *text]), refresh=False)
                bar.update()
    finally:
        frames.close()  # type: ignore[attr-defined]
