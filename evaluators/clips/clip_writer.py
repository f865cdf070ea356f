"""Clip writer: masks, overlay video, contact sheet, report and exports of one clip."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np

from voskit.dataloaders.files import exclusive_lock, make_folder
from voskit.dataloaders.masks.files import read_written_mask
from voskit.dataloaders.masks.palette import id_palette
from voskit.dataloaders.video.source import Frame, FrameSource
from voskit.evaluators.clips.mask_writer import MaskWriter
from voskit.evaluators.clips.previews import PREVIEWS, ClipPreviews, PreviewOptions
from voskit.evaluators.clips.report import CHECKPOINT, REPORT, ClipReport, ResumeError
from voskit.evaluators.exports.base import Export, ExportClip
from voskit.evaluators.exports.frames import ExportFrame, SoftMattes
from voskit.evaluators.exports.writer import FOLDER as EXPORT_FOLDER
from voskit.evaluators.exports.writer import ExportWriter, remove_exports

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

SCRATCH = ".backwards"
"""Subfolder of the results for masks that are needed only until the clip is done."""


def check_frames_stay(folder: Path, source: FrameSource) -> None:
    """Raise ValueError if results in a folder would replace the frames of a source, or lie among them."""
    path, results = source.whole.path, folder.resolve()
    places = (results, *(results / name for name in ("masks", EXPORT_FOLDER, *PREVIEWS)))
    if path is not None and path.resolve() in places:
        raise ValueError(f"{path}: the results would go there too, to {folder}: give another output folder")


class ClipWriter:
    """A writer of one clip's results, in the background; use it in a ``with`` block.

    It writes ``masks/<frame>.png`` (palette PNGs; 16-bit above 255 ids), ``overlay.mp4``, ``contact_sheet.png``,
    ``report.json`` and ``exports/``. The first result replaces all results of an earlier run in the same folder. If the
    run is interrupted, its results so far stay: the masks, the video as ``overlay.incomplete.mp4``, and exports under
    similar names. Within ``with`` no other program writes to the folder.

    Args:
        folder: the folder.
        report: saved when the clip is done.
        previews: options of overlay video and contact sheet.
        exports: export formats, see :func:`~voskit.evaluators.exports.base.build_exports`.
        source: the frames, for the exports.

    Raises:
        ValueError: the folder has masks that no earlier run wrote; or, on entering ``with``, another program writes
            there.
        OSError: the folder can't be made or written.
    """

    def __init__(
        self,
        folder: Path,
        report: ClipReport,
        previews: PreviewOptions,
        exports: Sequence[Export] = (),
        source: FrameSource | None = None,
    ) -> None:
        make_folder(folder)
        _check_masks_are_results(folder)
        self.folder = folder
        self.report = report
        self._options = previews
        self._formats = exports
        self._source = source
        self._kept: list[str] = []
        self._lock = ExitStack()
        self._writers: tuple[MaskWriter, ClipPreviews] | None = None
        self._exports: ExportWriter | None = None

    def write(self, frame: Frame, ids_HW: np.ndarray, mattes: SoftMattes | None = None) -> None:
        """Queue a frame's results; an error of an earlier frame is raised here."""
        masks, previews = self._opened()
        masks.write(frame.name, ids_HW)
        previews.write(frame, ids_HW)
        self._export(frame, ids_HW, mattes)

    def _export(self, frame: Frame, ids_HW: np.ndarray, mattes: SoftMattes | None = None) -> None:
        if self._exports is not None and self._source is not None:
            file, measures = self._source.file_of(frame), self.report.measures(frame.name)
            self._exports.write(ExportFrame(frame, ids_HW, file, mattes, measures))

    def keep(self, names: Sequence[str]) -> None:
        """Keep the masks of these frames, which an earlier run wrote. Call it before the first result.

        Raises:
            ResumeError: one of them is missing.
        """
        for name in names:
            if not (path := self.folder / "masks" / f"{name}.png").is_file():
                raise ResumeError(f"{path} is missing", "run without --resume")
        self._kept = list(names)

    def redraw(self, frame: Frame) -> None:
        """Draw the previews of a frame whose mask was kept, and export it."""
        ids = read_written_mask(self.folder / "masks" / f"{frame.name}.png")
        self._opened()[1].write(frame, ids)
        self._export(frame, ids)

    def flush(self) -> None:
        """Wait until all masks so far are on the disk."""
        if self._writers is not None:
            self._writers[0].flush()

    def _opened(self) -> tuple[MaskWriter, ClipPreviews]:
        if self._writers is None:
            remove_results(self.folder, self._kept)
            self.report.save(self.folder)
            masks = MaskWriter(self.folder / "masks", palette=id_palette())
            self._writers = masks, ClipPreviews(self.folder, self._options)
            if self._formats and self._source is not None:
                options = self._options
                clip = ExportClip.of(self._source, names=self.report.names, fps=options.fps, whole=options.whole)
                self._exports = ExportWriter(self.folder / EXPORT_FOLDER, self._formats, clip)
        return self._writers

    def close(self) -> None:
        """Wait until everything is on the disk.

        Raises:
            ValueError, OSError: a result can't be written, or exports failed; all other results are complete then.
        """
        try:
            for writer in self._writers or ():
                writer.close()
            self.report.complete = True
        except BaseException:
            self.abort()
            raise
        self._save_report()
        if self._exports is not None:
            self._exports.close()

    def abort(self) -> None:
        """Save the results so far; the video's name says that it is incomplete."""
        if self._writers is None:
            return
        masks, previews = self._writers
        try:
            masks.close()
        except (OSError, ValueError) as error:
            logger.error("%s", error)
        previews.abort()
        if self._exports is not None:
            self._exports.abort()
        self._save_report()

    def _save_report(self) -> None:
        if self._writers is not None:
            self.report.save(self.folder)

    def __enter__(self) -> Self:
        self._lock.enter_context(exclusive_lock(self.folder))
        shutil.rmtree(self.folder / SCRATCH, ignore_errors=True)  # of a killed run
        for path in (self.folder / "masks").glob(".*.png.*.tmp"):
            path.unlink(missing_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        with self._lock:
            if error is None:
                self.close()
            else:
                self.abort()


def _check_masks_are_results(folder: Path) -> None:
    """Raise a ValueError if a folder has masks but no report of an earlier run."""
    count = sum(1 for _ in (folder / "masks").glob("*.png"))
    if count and not (folder / REPORT).exists():
        raise ValueError(
            f"{folder / 'masks'} contains {count} PNGs that no earlier run wrote, such as masks of voskit "
            "annotate: give another output folder"
        )


def is_result(path: PurePath) -> bool:
    """Return True for a file that a run writes; ``path`` is relative to the folder of its results."""
    if path.parts[:1] == (EXPORT_FOLDER,) or str(path) in (REPORT, *PREVIEWS):
        return True
    return path.parts[:-1] == ("masks",) and path.suffix == ".png"


def remove_results(folder: Path, kept: Sequence[str] = ()) -> None:
    """Remove the results of an earlier run, even a killed one, except for the masks of kept frames."""
    names = {f"{name}.png" for name in kept}
    masks = (path for path in (folder / "masks").glob("*.png") if path.name not in names)
    unfinished = (path for name in (*PREVIEWS, CHECKPOINT) for path in folder.glob(f".{name.lstrip('.')}.*.tmp*"))
    others = (folder / name for name in (REPORT, *PREVIEWS, *(() if kept else (CHECKPOINT,))))
    for path in (*masks, *unfinished, *others):
        path.unlink(missing_ok=True)
    remove_exports(folder / EXPORT_FOLDER)
