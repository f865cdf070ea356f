"""Previews of a clip's results: an overlay video and a contact sheet."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from PIL import Image

from voskit.dataloaders.files import atomic_write
from voskit.dataloaders.masks.palette import id_colors
from voskit.dataloaders.video.source import Frame
from voskit.evaluators.clips.background import BackgroundWriter
from voskit.evaluators.clips.contact_sheet import ContactSheet
from voskit.evaluators.clips.overlay import draw_overlay
from voskit.evaluators.clips.video_writer import VideoWriter

logger = logging.getLogger(__name__)

PREVIEWS = ("overlay.mp4", "overlay.incomplete.mp4", "contact_sheet.png")


class ClipPreviews:
    """A writer of ``overlay.mp4`` and ``contact_sheet.png`` of a clip, in the background.

    Args:
        folder: folder of the results.
        fps: frame rate of the video.
        num_frames: number of frames of the clip, if known.
    """

    def __init__(self, folder: Path, fps: float, num_frames: int | None = None) -> None:
        self.folder = folder
        self.num_frames = num_frames
        self._video = VideoWriter(folder / "overlay.mp4", fps)
        self._drawing = BackgroundWriter(workers=1, max_pending=4)
        self._sheet = ContactSheet(num_frames)

    def write(self, frame: Frame, ids_HW: np.ndarray) -> None:
        """Queue a frame; an error of an earlier frame is raised here."""
        self._drawing.submit(self._draw, frame, ids_HW)

    def close(self) -> None:
        """Wait until both files are on the disk."""
        self._drawing.close()
        self._video.close()
        self._save_sheet()

    def abort(self) -> None:
        """Save the frames so far, the video as ``overlay.incomplete.mp4``; log what can't be saved."""
        try:
            self._drawing.close()
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

    def _draw(self, frame: Frame, ids_HW: np.ndarray) -> None:
        picture = draw_overlay(frame.image, ids_HW)
        self._video.write(picture)
        if (self.num_frames is None or frame.index < self.num_frames) and self._sheet.wants(frame.index):
            self._sheet.add(frame.index, picture)

    def _save_sheet(self) -> None:
        with atomic_write(self.folder / "contact_sheet.png") as temporary:
            Image.fromarray(self._sheet.image()).save(temporary, format="PNG")


def overlay_palette() -> bytes:
    """Return the colors of overlays as a palette for mask files, so that both show an object in the same color."""
    return np.concatenate([np.zeros((1, 3), np.uint8), id_colors(range(1, 256))]).tobytes()
