"""From a person's video and masks to results in a folder: masks, an overlay video and a contact sheet."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from tqdm import tqdm

from dataloaders.frame_masks import FrameMasks
from dataloaders.frame_source import Frame, FrameSource
from dataloaders.palette import id_colors
from dataloaders.prefetch import prefetch
from evaluators.overlay import ContactSheet, draw_overlay
from evaluators.resources import memory_in_use
from evaluators.segmenter import VideoSegmenter
from evaluators.writers import BackgroundWriter, MaskWriter, VideoWriter, replace_text

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

REPORT = "report.json"


@dataclasses.dataclass
class ClipReport:
    """What was done for a clip. It stands in ``report.json`` beside the results; ``complete`` is written last."""

    name: str
    frames: int = 0
    objects: int = 0
    seconds: float = 0.0
    depths: dict[int, int] = dataclasses.field(default_factory=dict)
    """Frames at each depth of the network, where that can be chosen."""
    peak_memory: int | None = None
    """Most bytes in use after a frame, see :func:`~evaluators.resources.memory_in_use`."""
    complete: bool = False

    @property
    def fps(self) -> float:
        """Frames a second, reading and writing included."""
        return self.frames / self.seconds if self.seconds else 0.0

    def save(self, folder: Path) -> None:
        """Write ``report.json``."""
        values = {**dataclasses.asdict(self), "fps": round(self.fps, 3)}
        replace_text(folder / REPORT, json.dumps(values, indent=2) + "\n")


class ClipWriter:
    """Results of one clip, written behind the caller.

    ``masks/<frame>.png`` (palette PNGs; 16-bit above 255 ids), ``overlay.mp4`` and ``contact_sheet.png``. Results of an
    earlier run in the same folder are replaced, all of them. When a clip breaks off, what was done stays: the masks,
    and the video as ``overlay.incomplete.mp4``.

    Raises:
        ValueError: the folder holds masks, but not of an earlier run.
    """

    def __init__(self, folder: Path, fps: float, num_frames: int | None = None) -> None:
        self.folder = folder
        self.num_frames = num_frames
        _clear(folder)
        self._stack = ExitStack()
        palette = np.concatenate([np.zeros((1, 3), np.uint8), id_colors(range(1, 256))])
        self.masks = MaskWriter(folder / "masks", palette=palette.tobytes())
        self._video = VideoWriter(folder / "overlay.mp4", fps)
        self._drawing = BackgroundWriter(workers=1, max_pending=4)
        self._sheet = ContactSheet(num_frames)

    def write(self, frame: Frame, ids_HW: np.ndarray) -> None:
        """Queue a frame's results; an error of an earlier one is raised here."""
        self.masks.write(frame.name, ids_HW)
        self._drawing.submit(self._draw, frame, ids_HW)

    def close(self) -> None:
        """Wait until everything is on the disk."""
        try:
            self._drawing.close()
            self.masks.close()
            self._video.close()
            self._save_sheet()
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Save what was done so far, under names that say that it isn't all."""
        for part in (self._drawing, self.masks):
            try:
                part.close()
            except (OSError, ValueError) as error:
                logger.error("%s", error)
        if self._video.num_frames == 0:
            self._video.abort()
            return
        try:
            self._video.path = self.folder / "overlay.incomplete.mp4"
            self._video.close()
            self._save_sheet()
        except (OSError, ValueError) as error:
            logger.error("the overlay video is lost: %s", error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        if error is None:
            self.close()
        else:
            self.abort()

    def _draw(self, frame: Frame, ids_HW: np.ndarray) -> None:
        picture = draw_overlay(frame.image, ids_HW)
        self._video.write(picture)
        if (self.num_frames is None or frame.index < self.num_frames) and self._sheet.wants(frame.index):
            self._sheet.add(frame.index, picture)

    def _save_sheet(self) -> None:
        temporary = self.folder / f".contact_sheet.{os.getpid()}.tmp.png"
        Image.fromarray(self._sheet.image()).save(temporary)
        temporary.replace(self.folder / "contact_sheet.png")


def _clear(folder: Path) -> None:
    """Remove the results of an earlier run, and nothing else."""
    old = sorted((folder / "masks").glob("*.png"))
    if old and not (folder / REPORT).exists():
        raise ValueError(f"{folder / 'masks'} holds {len(old)} PNGs that are no results of ours: give another folder")
    for path in (*old, *(folder / n for n in (REPORT, "overlay.mp4", "overlay.incomplete.mp4", "contact_sheet.png"))):
        path.unlink(missing_ok=True)


def segment_clip(
    segmenter: VideoSegmenter,
    source: FrameSource,
    masks: FrameMasks,
    folder: Path,
    *,
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
        fps: rate of the overlay video; None: the source's, or 25.
        max_frames: stop after so many frames.
        progress: show a bar with frames a second and memory.

    Raises:
        ValueError: a frame or mask is damaged or doesn't fit, or no mask was given at all; results of the frames before
            it are kept.
        OSError: results can't be written.
    """
    device = next(segmenter.model.parameters()).device
    report = ClipReport(source.name)
    segmenter.reset()
    total = source.num_frames if max_frames is None else min(max_frames, source.num_frames or max_frames)
    writer = ClipWriter(folder, fps or source.fps or 25.0, total)
    report.save(folder)
    start = time.perf_counter()
    frames = prefetch(source)
    try:
        with writer, tqdm(total=total, desc=source.name, unit="frame", disable=not progress) as bar:
            for frame in frames:
                if max_frames is not None and frame.index >= max_frames:
                    break
                depth = segmenter.depth
                ids = segmenter.step(frame.image, masks(frame))
                writer.write(frame, ids)
                report.frames += 1
                report.objects = max(report.objects, len(segmenter.object_ids))
                shown = [f"{report.objects} objects"]
                if depth is not None:
                    report.depths[depth] = report.depths.get(depth, 0) + 1
                    shown.append(f"depth {depth}")
                memory = memory_in_use(device)
                if memory is not None:
                    report.peak_memory = max(memory, report.peak_memory or 0)
                    shown.append(f"{memory / 2**30:.2f} GiB")
                bar.set_postfix_str(", ".join(shown), refresh=False)
                bar.update()
            if not report.objects:
                raise ValueError(f"{masks.path}: no frame of {source.name} was given a mask with an object in it")
            if max_frames is None:
                masks.check_all_used()
        report.complete = True
    finally:
        frames.close()  # type: ignore[attr-defined]
        report.seconds = round(time.perf_counter() - start, 3)
        report.save(folder)
        segmenter.reset()
    return report
