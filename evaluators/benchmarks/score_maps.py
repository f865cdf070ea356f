"""Score maps: probabilities in 8-bit files, for merging several runs on one video.

``<folder>/<video>.npz`` contains a map [objects + 1, H, W] uint8 for each frame, under the frame's name, background
first. The entry ``ids`` lists the object ids in the same order. An object has rows from its first frame on.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from voskit.dataloaders.files import atomic_write

if TYPE_CHECKING:
    from typing_extensions import Self

IDS = "ids"


def score_map(probabilities_KHW: Tensor) -> np.ndarray:
    """Convert probabilities to uint8 of the same shape: times 255, truncated."""
    return (probabilities_KHW.float() * 255).byte().cpu().numpy()


def merge_score_maps(maps_KHW: Sequence[np.ndarray]) -> np.ndarray:
    """Merge several maps of one frame.

    Returns:
        [H, W] index of the row with the largest sum at each pixel, the first of equal ones.

    Raises:
        ValueError: there are no maps, or maps with different shapes.
    """
    shapes = {m.shape for m in maps_KHW}
    if len(shapes) != 1:
        raise ValueError(f"the maps of a frame must have the same shape, got {sorted(shapes)}")
    return np.sum([m.astype(np.uint32) for m in maps_KHW], axis=0).argmax(0)


class ScoreMaps:
    """Writer of a video's score maps, a context manager. Maps are written one by one: together they may take gigabytes.

    The file appears at the end of the ``with`` block, after :meth:`finish`; after an error, nothing is left behind.

    Args:
        path: the file; its folder is created if needed.

    Raises:
        OSError: the file can't be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_write(self.path, "the file of score maps"))
            self._zip = zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED)
            self._file = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(OSError, ValueError):  # a full disk, which has already raised an error
            self._zip.close()
        self._file.__exit__(kind, error, traceback)

    def add(self, frame: str, probabilities_KHW: Tensor) -> None:
        """Write the map of a frame."""
        self._write(frame, score_map(probabilities_KHW))

    def finish(self, ids: Sequence[int]) -> None:
        """Write the object ids and complete the file."""
        self._write(IDS, np.asarray(ids, np.uint16))
        self._zip.close()

    def _write(self, name: str, array: np.ndarray) -> None:
        """Write one array in the format of ``np.savez_compressed``."""
        with self._zip.open(f"{name}.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array(member, array, allow_pickle=False)


def merged_frames(paths: Sequence[Path]) -> Iterator[tuple[str, np.ndarray]]:
    """Merge the files of several runs of one video.

    Yields:
        Each frame's name and its object ids, [H, W] uint16.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file contains no score maps, or the runs differ in frames, objects or size.
    """
    files: list[Any] = []
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file of score maps: run voskit eval with --save_scores")
        with _naming_damaged(path):
            file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile) or IDS not in file.files:
            raise ValueError(f"{path} contains no score maps")
        files.append(file)
    first, (ids, *others) = files[0], [_read(path, file, IDS) for path, file in zip(paths, files, strict=True)]
    for path, file, own in zip(paths[1:], files[1:], others, strict=True):
        if set(file.files) != set(first.files) or not np.array_equal(own, ids):
            raise ValueError(f"{path} and {paths[0]} differ in frames or objects")
    table = np.concatenate([np.zeros(1, np.uint16), ids])
    for name in first.files:
        if name != IDS:
            maps = [_read(path, file, name) for path, file in zip(paths, files, strict=True)]
            try:
                yield name, table[merge_score_maps(maps)]
            except ValueError as error:
                raise ValueError(f"{paths[0].stem}, frame {name}: {error}") from None


def _read(path: Path, file: Any, name: str) -> np.ndarray:
    with _naming_damaged(path):
        return np.asarray(file[name])


@contextmanager
def _naming_damaged(path: Path) -> Iterator[None]:
    """Replace errors caused by a damaged file with a ValueError that names it."""
    try:
        yield
    except (ValueError, zipfile.BadZipFile, zlib.error, EOFError):
        raise ValueError(f"{path} is damaged: remove it and run voskit eval with --save_scores again") from None
