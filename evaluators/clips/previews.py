"""Previews of a clip's results: an overlay video and a contact sheet."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from voskit.dataloaders.files import atomic_write
from voskit.dataloaders.masks.palette import bright_colors, id_colors
from voskit.dataloaders.video.source import Frame, FrameSource, Playback
from voskit.evaluators.clips.background import BackgroundWriter
from voskit.evaluators.clips.contact_sheet import ContactSheet
from voskit.evaluators.clips.overlay import draw_overlay
from voskit.evaluators.clips.video.writer import DEFAULT_FPS, MAX_FPS, MIN_FPS, VideoWriter

logger = logging.getLogger(__name__)

PREVIEWS = ("overlay.mp4", "overlay.incomplete.mp4", "contact_sheet.png")
PALETTES = {"bright": bright_colors, "davis": id_colors}
"""Colors of the objects in overlays."""
_REDRAW = 3.0  # minimum seconds between two contact sheets


@dataclass(frozen=True, kw_only=True)
class PreviewOptions:
    """Options of a clip's previews.

    Attributes:
        video: write ``overlay.mp4``, too.
        fps: rate of the video; None: frames keep their times, or follow each other at 25 frames per second.
        num_frames: number of frames of the clip, if known.
        playback: pixel aspect ratio and audio of the source.
        whole: the clip isn't cut, so its audio may be longer than the video.
        palette: colors of the objects: ``bright`` or ``davis``.
        colors: RGB, each 0 to 255, of the ids whose color isn't that of the palette.
    """

    video: bool = True
    fps: float | None = None
    num_frames: int | None = None
    playback: Playback = field(default_factory=Playback)
    whole: bool = True
    palette: str = "bright"
    colors: Mapping[int, tuple[int, int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.palette not in PALETTES:
            raise ValueError(f"palette must be {' or '.join(PALETTES)}, not {self.palette}")

    def colors_of(self, ids_N: np.ndarray) -> np.ndarray:
        """Return the colors of N object ids, (N, 3) uint8 RGB."""
        colors_N3 = PALETTES[self.palette](ids_N).copy()
        for i, object_id in enumerate(ids_N.tolist()):
            if object_id in self.colors:
                colors_N3[i] = self.colors[object_id]
        return colors_N3

    @classmethod
    def of(cls, source: FrameSource, *, fps: float | None = None, **options: Any) -> PreviewOptions:
        """Return the options for a source, without audio if ``fps`` isn't the source's rate."""
        playback = source.playback if fps is None else replace(source.playback, audio=None, time_base=None)
        return cls(fps=fps, playback=playback, **options)


class ClipPreviews:
    """A writer of ``overlay.mp4`` and ``contact_sheet.png`` of a clip, in the background.

    Until it is closed, ``overlay.incomplete.mp4`` has the frames so far, and the sheet is redrawn every few seconds. A
    video or sheet that can't be written is left out with a warning, since the masks matter more.

    Args:
        folder: folder of the results.
        options: how the video is played.
    """

    def __init__(self, folder: Path, options: PreviewOptions) -> None:
        self.folder = folder
        self._options = options
        self._video: VideoWriter | None = None
        if options.video:
            with self._left_out_on_error():
                rate = min(max(options.fps or DEFAULT_FPS, MIN_FPS), MAX_FPS)
                if rate != (options.fps or rate):
                    logger.warning("overlay.mp4 can't have %g frames/s: using %g", options.fps, rate)
                self._video = VideoWriter(folder / "overlay.mp4", rate, playback=options.playback, growing=True)
        self._drawing = BackgroundWriter(workers=1, max_pending=4)
        self._sheet = ContactSheet(options.num_frames)
        self._drawn = self._sheet_failed = False
        self._next_sheet = 0.0

    def write(self, frame: Frame, ids_HW: np.ndarray) -> None:
        """Queue a frame; an error of an earlier frame is raised here."""
        self._drawing.submit(self._draw, frame, ids_HW)

    def close(self) -> None:
        """Wait until both files are on the disk."""
        self._drawing.close()
        if self._video is not None:
            with self._left_out_on_error():
                self._video.close(rest_of_audio=self._options.whole)
        self._save_sheet()

    def abort(self) -> None:
        """Save the frames so far, the video as ``overlay.incomplete.mp4``; log what can't be saved."""
        try:
            self._drawing.close()
        except (OSError, ValueError) as error:
            logger.error("%s", error)
        if self._video is not None and self._video.num_frames == 0:
            self._video.abort()
        elif self._video is not None:
            self._video.path = self.folder / "overlay.incomplete.mp4"
            with self._left_out_on_error():
                self._video.close()
        if self._drawn:
            self._save_sheet()

    def _draw(self, frame: Frame, ids_HW: np.ndarray) -> None:
        picture = draw_overlay(frame.image, ids_HW, colors=self._options.colors_of)
        self._drawn = True
        if self._video is not None:
            timed = (frame.time, frame.duration) if self._options.fps is None else (None, None)
            with self._left_out_on_error():
                self._video.write(picture, *timed)
        count = self._options.num_frames
        if (count is None or frame.index < count) and self._sheet.wants(frame.index):
            self._sheet.add(frame.index, picture, frame.name)
            if time.monotonic() >= self._next_sheet:
                self._save_sheet()
                self._next_sheet = time.monotonic() + _REDRAW

    @contextmanager
    def _left_out_on_error(self) -> Iterator[None]:
        """Drop the video with one warning if the body can't write it."""
        try:
            yield
        except (OSError, ValueError, RuntimeError, MemoryError) as error:
            logger.warning("there will be no overlay video: %s", error)
            if self._video is not None:
                self._video.abort()
                self._video = None

    def _save_sheet(self) -> None:
        """Write the contact sheet. Log only the first failure, and try again with the next sheet."""
        try:
            with atomic_write(self.folder / "contact_sheet.png") as temporary:
                Image.fromarray(self._sheet.image()).save(temporary, format="PNG", compress_level=2)
        except (OSError, ValueError) as error:
            if not self._sheet_failed:
                logger.warning("the contact sheet can't be written: %s", error)
            self._sheet_failed = True
