"""Mask writer: the masks of a video as PNGs, written in the background."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from voskit.dataloaders.files import exclusive_lock, make_folder
from voskit.dataloaders.masks.files import write_mask
from voskit.evaluators.clips.background import BackgroundWriter

if TYPE_CHECKING:
    from typing_extensions import Self

    from voskit.dataloaders.datasets.json_masks import VideoMasks


class MaskWriter:
    """A writer of a video's masks to ``<folder>/<name>.png``, in the background.

    Each file is complete or absent, and replaces that of an earlier run. Errors, order and use as a context manager are
    those of :class:`~voskit.evaluators.clips.background.BackgroundWriter`.

    Args:
        folder: made if missing.
        palette: 768 bytes of RGB for ids 0 to 255. None: the DAVIS palette.
        grayscale: write grayscale PNGs instead of palette PNGs.
        workers, max_pending: those of ``BackgroundWriter``.

    Raises:
        OSError: the folder can't be made or written, or a file has the folder's name.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        palette: bytes | None = None,
        grayscale: bool = False,
        workers: int = 2,
        max_pending: int = 8,
    ) -> None:
        self.folder = Path(folder)
        self._kind = {"palette": palette, "grayscale": grayscale}
        self._names: dict[str, None] = {}
        make_folder(self.folder)
        self._background = BackgroundWriter(workers, max_pending)

    @property
    def names(self) -> list[str]:
        """Names of the masks so far, in order; after ``close`` all of them are on the disk."""
        return list(self._names)

    def write(self, name: str, mask: NDArray[np.integer]) -> None:
        """Queue one mask, which must not be changed afterwards.

        Args:
            name: the frame's name without folder and suffix, such as ``"00012"``.
            mask: H x W integers, 0 = background.

        Raises:
            ValueError: the name was used before, or is not a plain file name.
            OSError: an earlier mask could not be written.
        """
        if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
            raise ValueError(f"{name!r} can't be the name of a mask in {self.folder}: give a plain file name")
        if name in self._names:
            raise ValueError(f"mask {name!r} was already written to {self.folder}")
        self._background.submit(write_mask, self.folder / f"{name}.png", mask, **self._kind)
        self._names[name] = None

    def flush(self) -> None:
        """Wait until all masks so far are on the disk. Raise the first error of a write, if any."""
        self._background.flush()

    def close(self) -> None:
        """Wait until all masks are on the disk. Raise the first error of a write, if any."""
        self._background.close()

    def cancel(self) -> None:
        """Drop waiting masks, and wait for those that are being written."""
        self._background.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._background.__exit__(kind, error, traceback)


def write_mask_folders(videos: Iterable[VideoMasks], folder: Path) -> tuple[int, list[str]]:
    """Write the masks of each video to ``<folder>/<video>``, which exists only when it is complete.

    Returns:
        Number of videos that were written, and names of those that had a folder already, which were skipped.

    Raises:
        ValueError: a damaged mask, a name that is no valid file name, or another program that writes to the folder.
        OSError: a mask can't be written, or a file has the name of a video.
    """
    partial = folder / ".partial"
    count = 0
    existing: list[str] = []
    make_folder(folder)
    with exclusive_lock(folder):
        for video in videos:
            target = folder / video.name
            if target.is_dir():
                existing.append(video.name)
                continue
            if target.exists():
                raise NotADirectoryError(errno.ENOTDIR, "A file is in the way of this folder", str(target))
            shutil.rmtree(partial, ignore_errors=True)
            with MaskWriter(partial) as writer:
                for frame, ids in video.masks:
                    writer.write(frame, ids)
            partial.rename(target)
            count += 1
    return count, existing
