"""Probabilities as 8-bit maps in files, so that runs of one video can be merged afterwards.

``<folder>/<video>.npz`` holds a map [objects + 1, H, W] uint8 under each frame's name, the background first, and under
``ids`` the objects in that order. Objects that come later only have rows from there on.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

if TYPE_CHECKING:
    from typing_extensions import Self

IDS = "ids"


def score_map(probabilities_KHW: Tensor) -> np.ndarray:
    """Probabilities times 255, truncated -> uint8 of the same shape."""
    return (probabilities_KHW.float() * 255).byte().cpu().numpy()


def merge_score_maps(maps_KHW: Sequence[np.ndarray]) -> np.ndarray:
    """The row with the largest sum over several maps of a frame, at each pixel; the first of equal ones -> [H, W].

    Raises:
        ValueError: no map, or maps of different shapes.
    """
    shapes = {m.shape for m in maps_KHW}
    if len(shapes) != 1:
        raise ValueError(f"maps of one frame have one shape, got {sorted(shapes)}")
    return np.sum([m.astype(np.uint32) for m in maps_KHW], axis=0).argmax(0)


class ScoreMaps:
    """Writes the maps of one video while it is segmented, each as it comes: all of them may take gigabytes.

    A context manager: the file is there after ``finish``. When the body ends without that, nothing is left.

    Args:
        path: the file; its folder is made when missing.

    Raises:
        OSError: it can't be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._temporary = path.with_name(f".{path.stem}.tmp.npz")

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._temporary.open("wb")
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED)
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError, ValueError):  # of a full disk, which was told already
            self._zip.close()
        with suppress(OSError):
            self._file.close()
        self._temporary.unlink(missing_ok=True)

    def add(self, frame: str, probabilities_KHW: Tensor) -> None:
        """Write the map of a frame."""
        self._write(frame, score_map(probabilities_KHW))

    def finish(self, ids: Sequence[int]) -> None:
        """Write the objects' ids, and give the file its name."""
        self._write(IDS, np.asarray(ids, np.uint16))
        self._zip.close()
        self._file.close()
        self._temporary.replace(self.path)

    def _write(self, name: str, array: np.ndarray) -> None:
        """As ``np.savez_compressed`` has it."""
        with self._zip.open(f"{name}.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array(member, array, allow_pickle=False)


def merged_frames(paths: Sequence[Path]) -> Iterator[tuple[str, np.ndarray]]:
    """Merge the files of several runs of one video -> each frame's name and its ids, [H, W] uint16.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file is no such file, or runs differ in frames, objects or size.
    """
    files = []
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no score maps; run tools/eval.py with --save_scores")
        file = np.load(path, allow_pickle=False)
        if IDS not in file.files:
            raise ValueError(f"{path} holds no score maps")
        files.append(file)
    first = files[0]
    for path, file in zip(paths, files, strict=True):
        if set(file.files) != set(first.files) or not np.array_equal(file[IDS], first[IDS]):
            raise ValueError(f"{path} and {paths[0]} are of other frames or objects")
    table = np.concatenate([np.zeros(1, np.uint16), first[IDS]])
    for name in first.files:
        if name != IDS:
            try:
                yield name, table[merge_score_maps([file[name] for file in files])]
            except ValueError as error:
                raise ValueError(f"{paths[0].stem}, frame {name}: {error}") from None
