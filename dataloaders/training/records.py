"""Annotated training videos: pairs of image and mask files, and their readers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np

from voskit.dataloaders.datasets import Dataset, Video
from voskit.dataloaders.datasets.layout import not_png, scan_images, subfolders
from voskit.dataloaders.datasets.mask_readers import MaskReader, PngMaskReader
from voskit.dataloaders.images import image_to_rgb, load_image
from voskit.dataloaders.training.clip import VOID, object_ids

_MASK_EXTENSIONS = (".png",)
PALETTE_MASKS = PngMaskReader(ignore_id=255)


class FolderFiles(Sequence[Path]):
    """Files in one folder, stored as an array of names.

    Paths take a hundred times the memory: with millions of frames, gigabytes in each ``DataLoader`` worker.
    """

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self.folder = folder
        self._names = np.array([os.fsencode(name) for name in names])

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, place: int) -> Path: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Path, ...]: ...
    def __getitem__(self, place: int | slice) -> Path | tuple[Path, ...]:
        if isinstance(place, slice):
            return tuple(self.folder / os.fsdecode(name) for name in self._names[place])
        return self.folder / os.fsdecode(self._names[place])


@dataclass(frozen=True)
class VideoRecord:
    """Annotated frames of one video, in order.

    Attributes:
        name: name of the video.
        frames: image files.
        masks: mask file of each frame.
        reader: reader of the masks.
    """

    name: str
    frames: Sequence[Path]
    masks: Sequence[Path]
    reader: MaskReader = PALETTE_MASKS

    def __post_init__(self) -> None:
        if not self.frames or len(self.frames) != len(self.masks):
            raise ValueError(
                f"video {self.name}: {len(self.frames)} frames, but {len(self.masks)} masks: give each frame a mask"
            )

    def labels(self, number: int) -> np.ndarray:
        """Read the mask of frame ``number``, H x W uint16 ids and ``VOID``.

        If a mask has only void pixels, they are the object if the first mask is also like that. Otherwise the objects
        have left the frame.

        Raises:
            ValueError: a mask can't be read.
        """
        ids = _read_with_void(self.masks[number], self.reader)
        if _is_void_alone(ids) and not len(object_ids(_read_with_void(self.masks[0], self.reader))):
            return (ids == VOID).astype(np.uint16)
        return ids


def folder_records(frames: Path, masks: Path, names: Iterable[str] | None = None) -> list[VideoRecord]:
    """Find the annotated frames of videos stored as folders of images, with folders of masks of the same names.

    Args:
        frames: folder that contains a folder of images for each video.
        masks: folder that contains a folder of masks for each video. Frames without a mask are skipped.
        names: names of the videos; None: all.

    Raises:
        FileNotFoundError: a folder is missing.
        ValueError: a video has no frame with a mask.
    """
    for folder in (frames, masks):
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder of videos")
    names = subfolders(frames) if names is None else names
    records = []
    for name in names:
        files = scan_images(masks / name, _MASK_EXTENSIONS).files
        if not files and (wrong := not_png(masks / name)):
            raise ValueError(f"{masks / name}: video {name} has no mask{wrong}")
        records.append(_pair(name, scan_images(frames / name).files, files))
    return records


def video_records(dataset: Dataset) -> list[VideoRecord]:
    """Find the annotated frames of an open dataset: those with true masks, or with any mask if there are no true ones.

    Raises:
        ValueError: the frames are a video file, the masks aren't images, or a video has no frame with a mask.
    """
    return [_record(video) for video in dataset]


def _record(video: Video) -> VideoRecord:
    if video.video_file is not None:
        raise ValueError(f"{video.video_file}: training needs frames as images: extract this video into images")
    truth = video.ground_truth
    if truth is not None and not truth.is_dir():
        raise ValueError(f"{truth}: training needs masks as images, one for each frame")
    masks = dict(video.mask_files) if truth is None else dict(video.truth_frames)
    return _pair(video.name, dict(video.files), masks, video.masks)


def _pair(
    name: str, frames: dict[str, Path], masks: dict[str, Path], reader: MaskReader = PALETTE_MASKS
) -> VideoRecord:
    both = [stem for stem in frames if stem in masks]
    if not both:
        example = next(iter(frames.values()), None)
        raise ValueError(
            f"video {name}: no mask has the name of a frame ({len(frames)} frames, the first one is {example})"
        )
    files = _compact([masks[s] for s in both])
    own = reader.for_masks(files) if isinstance(reader, PngMaskReader) else reader
    return VideoRecord(name, _compact([frames[s] for s in both]), files, own)


def _compact(paths: list[Path]) -> Sequence[Path]:
    """Return paths in a form that takes less memory, if all are in one folder."""
    folder = paths[0].parent
    in_one = all(path.parent == folder for path in paths)
    return FolderFiles(folder, (path.name for path in paths)) if in_one else tuple(paths)


def read_image(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Read an image, H x W x 3 uint8 RGB.

    Args:
        path: the file.
        size: (height, width) of its mask.

    Raises:
        ValueError: the file is damaged, or the image has another size.
    """
    image = image_to_rgb(load_image(path), path)
    if image.shape[:2] != size:
        found = f"{image.shape[0]}x{image.shape[1]}"
        raise ValueError(f"{path}: the image is {found} (height x width), but its mask is {size[0]}x{size[1]}")
    return image


def read_labels(path: Path, reader: MaskReader = PALETTE_MASKS) -> np.ndarray:
    """Read a single mask, H x W uint16 ids and ``VOID``.

    The reader's ignored value becomes ``VOID`` next to other values, and object 1 if the mask has no other value.

    Raises:
        ValueError: the mask can't be read.
    """
    ids = _read_with_void(path, reader)
    return (ids == VOID).astype(np.uint16) if _is_void_alone(ids) else ids


def _read_with_void(path: Path, reader: MaskReader) -> np.ndarray:
    if isinstance(reader, PngMaskReader):
        return reader.read_with_void(path, VOID)
    return reader.read(path, path.stem).astype(np.uint16)


def _is_void_alone(ids: np.ndarray) -> bool:
    return bool((ids == VOID).any() and not len(object_ids(ids)))
