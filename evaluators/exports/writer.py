"""Background writer of one clip's exports in several formats."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from voskit.evaluators.clips.background import BackgroundWriter
from voskit.evaluators.exports.base import EXPORTS, Export, ExportClip, remove_output
from voskit.evaluators.exports.frames import ExportFrame

logger = logging.getLogger(__name__)

FOLDER = "exports"
"""Name of the folder for exports in the folder of results."""
_MAX_PENDING = 4  # maximum number of queued frames, with their mattes


class ExportWriter:
    """Writer of several export formats. If a format fails, that is logged as an error, and the others are written.

    Args:
        folder: output folder, in which each format writes its own file or folder.
        formats: new instances, see :func:`~voskit.evaluators.exports.base.build_exports`.
        clip: the clip.

    Raises:
        ValueError, OSError: a format can't be written to this folder.
    """

    def __init__(self, folder: Path, formats: Sequence[Export], clip: ExportClip) -> None:
        for export in formats:
            export.start(clip, folder)
        self._formats = list(formats)
        self._failed: list[str] = []
        self._writing = BackgroundWriter(workers=1, max_pending=_MAX_PENDING)

    def write(self, frame: ExportFrame) -> None:
        """Queue a frame, whose arrays must not be changed afterwards."""
        self._writing.submit(self._write, frame)

    def close(self) -> None:
        """Complete all formats.

        Raises:
            ValueError: some of them failed; the others are complete.
        """
        self._writing.close()
        for export in list(self._formats):
            self._guarded(export, export.close)
        if self._failed:
            raise ValueError(f"some exports failed, all other results are complete: {', '.join(self._failed)}")

    def abort(self) -> None:
        """Complete all formats with the frames so far; the names of files say that they are incomplete."""
        with suppress(OSError, ValueError):  # the run's own error, which the caller raises
            self._writing.close()
        for export in list(self._formats):
            self._guarded(export, partial(export.close, complete=False))

    def _write(self, frame: ExportFrame) -> None:
        for export in list(self._formats):
            self._guarded(export, partial(export.write, frame))

    def _guarded(self, export: Export, action: Callable[[], None]) -> None:
        try:
            action()
        except (OSError, ValueError, RuntimeError, MemoryError) as error:
            logger.error("%s can't be written: %s", export.path, error)
            self._failed.append(export.path.name)
            self._formats.remove(export)
            remove_output(export.path, keep=True)


def remove_exports(folder: Path) -> None:
    """Remove the outputs of all formats from a folder, but no other files."""
    if not folder.is_dir():
        return
    for name in EXPORTS:
        remove_output(folder / EXPORTS.get(name).output)
    with suppress(OSError):  # it contains other files
        folder.rmdir()
