"""Probabilities as 8-bit maps in files, so that runs of one video can be merged afterwards.

``<folder>/<video>.npz`` holds a map [objects + 1, H, W] uint8 under each frame's name, the background first, and under
``ids`` the objects in that order. Objects that come later only have rows from there on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

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
    """The maps of one video while it is segmented."""

    def __init__(self) -> None:
        self._maps: dict[str, np.ndarray] = {}

    def add(self, frame: str, probabilities_KHW: Tensor) -> None:
        """Take in a frame."""
        self._maps[frame] = score_map(probabilities_KHW)

    def save(self, path: Path, ids: Sequence[int]) -> None:
        """Write the file, under a temporary name that is renamed at the end."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.stem}.tmp.npz")
        np.savez_compressed(temporary, **{IDS: np.asarray(ids, np.uint16)}, **self._maps)  # type: ignore[arg-type]
        temporary.replace(path)


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
