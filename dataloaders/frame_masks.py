"""Where the masks that a person gives for a video come from: one for the first frame, or a folder by frame names."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from dataloaders.frame_source import Frame
from dataloaders.images import list_images
from dataloaders.masks import read_mask


class FrameMasks:
    """Masks of a video's frames, read as the frames come.

    Args:
        path: the mask of the first frame, as :func:`~dataloaders.masks.read_mask` takes it; or, with ``by_name``, a
            folder of masks that are called like the frames they belong to.
        by_name: which of both.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: a folder by names without any mask.
    """

    def __init__(self, path: str | os.PathLike[str], *, by_name: bool = False) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise FileNotFoundError(f"{self.path}: no such mask")
        self._waiting = {p.stem: p for p in list_images(self.path, (".png",))} if by_name else None
        if by_name and not self._waiting:
            raise ValueError(f"{self.path}: no masks (*.png) in this folder")

    def __call__(self, frame: Frame) -> np.ndarray | None:
        """The mask of this frame, H x W uint8 or uint16, or None where none is given.

        Raises:
            ValueError: the mask can't be read or has another size than the frame, or the only one is empty.
        """
        size = frame.image.shape[:2]
        if self._waiting is None:
            path = self.path if frame.index == 0 else None
        else:
            path = self._waiting.pop(frame.name, None)
        if path is None:
            return None
        mask = read_mask(path, size=size)
        if self._waiting is None and not mask.any():
            raise ValueError(f"{path}: there is no object in the mask of the first frame, all of it is background")
        return mask

    def check_all_used(self) -> None:
        """Raise a ValueError if masks were left over, which then are called like no frame."""
        if self._waiting:
            names = sorted(p.name for p in self._waiting.values())
            raise ValueError(f"{self.path}: no frame is called like {len(names)} of the masks, such as {names[0]}")


def masks_for(path: str | os.PathLike[str], first_frame: str) -> FrameMasks:
    """Masks as a person gives them: a folder with a PNG called like the first frame has a mask for some of the frames,
    anything else is the mask of the first frame."""
    path = Path(path)
    return FrameMasks(path, by_name=path.is_dir() and (path / f"{first_frame}.png").exists())
