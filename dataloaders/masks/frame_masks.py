"""User masks of a video: one mask for the first frame, a folder of masks named like their frames, or JSON."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from PIL import Image

from voskit.dataloaders.files import checksum, load_json
from voskit.dataloaders.images import list_images, load_image, shown_size
from voskit.dataloaders.masks.files import Mask, read_mask_with_names
from voskit.dataloaders.masks.frame_names import FrameNames, is_number, match_masks
from voskit.dataloaders.masks.json_files import AnnotatedImage, JsonMasks
from voskit.dataloaders.masks.labelme import is_labelme
from voskit.dataloaders.masks.mask_set import MaskSet
from voskit.dataloaders.masks.object_folder import MASK_EXTENSIONS
from voskit.dataloaders.masks.sizes import check_aspect, fit_mask
from voskit.dataloaders.video.source import Frame, FrameSource

logger = logging.getLogger(__name__)

Size = tuple[int, int]
T = TypeVar("T")


class _Reader(Protocol):
    def __call__(self, size: Size) -> Mask: ...


class _Entry(NamedTuple):
    """Mask of one frame."""

    label: str
    """Its name in messages."""
    read: _Reader
    size: Size | None = None
    """(height, width), if it is known without reading the mask."""
    file: Path | None = None
    """Its file, if that is an image with a readable header."""


class FrameMasks:
    """Masks of a video, read frame by frame and all interpreted the same way, see ``MaskSet``.

    Use :func:`masks_for` to match masks with the frames of a video by name or number.

    Args:
        path: the mask of the first frame, as :func:`~voskit.dataloaders.masks.files.read_mask` takes it; with
            ``by_name``, a folder of masks named like their frames.
        by_name: treat ``path`` as a folder of masks by frame name.
        files: the mask of each frame, by the frame's name, instead of those in the folder.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: with ``by_name``, the folder has no mask, or two masks of one frame.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, by_name: bool = False, files: Mapping[str, Path] | None = None
    ) -> None:
        self.path = Path(path)
        self.names: dict[int, str] = {}
        """Names of the objects in the masks read so far, by id; objects without a name have no entry."""
        if not self.path.exists():
            raise FileNotFoundError(f"{self.path}: no such mask")
        if by_name and files is None:
            files = _mask_files(self.path)
        self._first: _Entry | None = None
        self._by_name: dict[str, _Entry] = {}
        if files is None:
            self._use_first(lambda size: read_mask_with_names(self.path, size=size))
        elif any(file.suffix.lower() == ".json" for file in files.values()):
            masks = JsonMasks(list(files.values()))
            self.use_json(masks, dict(zip(files, masks.images, strict=True)))
        else:
            own = MaskSet(list(files.values()))
            self._by_name = {name: _entry(file, own) for name, file in files.items()}
        self._unused = set(self._by_name)

    def _use_first(self, read: _Reader) -> None:
        # needed by the check and for the first frame: cached, so that remarks are logged once
        self._first = _Entry(str(self.path), functools.lru_cache(maxsize=1)(read))

    def use_json_first(self, masks: JsonMasks, image: AnnotatedImage) -> None:
        """Take the mask of the first frame from a JSON file."""
        self._use_first(lambda size: Mask(masks.read(image, size), masks.names))

    def use_json(self, masks: JsonMasks, images: Mapping[str, AnnotatedImage]) -> None:
        """Take the masks of a JSON file.

        Args:
            masks: the file.
            images: the image of each frame, by the frame's name.
        """

        def entry(image: AnnotatedImage) -> _Entry:
            label = f"{self.path}: {image.names[0]}"
            return _Entry(label, lambda size: Mask(masks.read(image, size), masks.names), image.size)

        self._first = None
        self._by_name = {name: entry(image) for name, image in images.items()}
        self._unused = set(self._by_name)

    def __call__(self, frame: Frame) -> np.ndarray | None:
        """Return the mask of a frame, H x W uint16, or None if there is none.

        Raises:
            ValueError: the mask can't be read or has another aspect ratio than the frame, or the first frame's only
                mask is empty.
        """
        entry = self._by_name.get(frame.name)
        self._unused.discard(frame.name)
        if entry is None and frame.index == 0:
            entry = self._first
        return None if entry is None else self._read(entry, (frame.image.shape[0], frame.image.shape[1]))

    def check(self, source: FrameSource, before: int | None = None) -> None:
        """Check the names and sizes of the masks, and that one shows an object, before anything is segmented.

        Args:
            source: the frames.
            before: number of frames that are segmented; None: all.

        Raises:
            ValueError: a mask isn't named like a frame, can't be read or has another aspect ratio, or no mask has an
                object. Masks of other frames, such as those outside an excerpt, don't count.
        """
        self.check_names(source)
        by_name = self._by_name
        count = source.num_frames if before is None else min(before, source.num_frames or before)
        if count is not None and (before is not None or source.whole is not source):
            by_name = {name: by_name[name] for name in map(source.name_of, range(count)) if name in by_name}
            if self._first is None and not by_name:
                which = "between start and end" if before is None else f"among the first {count}"
                raise ValueError(f"{self.path}: no frame of {source.name} {which} has a mask")
            if others := len(self._by_name) - len(by_name):
                logger.warning("%s: %d masks aren't used: their frames aren't segmented", self.path, others)
        entries = [self._first] if self._first is not None else list(by_name.values())
        for entry in entries:
            if entry.size is not None:
                check_aspect(entry.label, entry.size, source.size)
            if entry.file is not None:  # a damaged file would fail hours later; decoding takes a millisecond
                load_image(entry.file)
        if not any(self._read(entry, source.size).any() for entry in entries):
            raise ValueError(f"{self.path}: no mask of {source.name} shows an object: all pixels are background")

    def check_names(self, source: FrameSource) -> None:
        """Raise ValueError if a mask isn't named like a frame. Needs the number of frames; if unknown, do nothing."""
        source = source.whole
        if self._by_name and source.num_frames is not None:
            self._refuse(set(self._by_name) - {source.name_of(number) for number in range(source.num_frames)})

    def checksum(self) -> str:
        """Return a checksum of all mask files, to detect changed masks."""
        if not self.path.is_dir():
            return checksum(self.path)
        found = hashlib.sha256()
        for file in sorted(self.path.iterdir()):
            if file.is_file() and file.name[0] != ".":
                found.update(os.fsencode(file.name) + checksum(file).encode())
        return found.hexdigest()[:16]

    @property
    def single(self) -> bool:
        """True if there is one mask, for the first frame; False if masks are named like frames."""
        return self._first is not None

    @property
    def all_used(self) -> bool:
        """True if all masks named like frames were read."""
        return not self._unused

    def check_all_used(self) -> None:
        """Raise ValueError if a mask wasn't used because no frame has its name."""
        self._refuse(self._unused)

    def numbers(self, source: FrameSource, before: int | None = None) -> list[int]:
        """Return the numbers of the frames with masks, among the first ``before`` frames, ascending.

        This counts the frames, which reads a whole video.
        """
        if not self._by_name:
            return [0]
        numbers = range(source.count())[:before]
        return [number for number in numbers if source.name_of(number) in self._by_name]

    def _read(self, entry: _Entry, size: Size) -> np.ndarray:
        ids, names = entry.read(size)
        self.names.update(names)
        if entry is self._first and not ids.any():
            raise ValueError(f"{entry.label}: the mask of the first frame shows no object: all pixels are background")
        return ids.astype(np.uint16)  # in uint8, a lone 255 would be "on" for VideoSegmenter.step

    def _refuse(self, unused: Collection[str]) -> None:
        if self._by_name and unused:
            names = sorted(Path(self._by_name[stem].label).name for stem in unused)
            if len(names) == 1:
                raise ValueError(f"{self.path}: the mask {names[0]} isn't named like a frame: rename or remove it")
            raise ValueError(
                f"{self.path}: {len(names)} masks, such as {names[0]}, aren't named like frames: rename or remove them"
            )


def masks_for(path: str | os.PathLike[str], source: FrameSource, *, scene: bool = False) -> FrameMasks:
    """Open the user's masks for the frames of ``source``: a mask of the first frame, a folder, or JSON.

    If a file in the folder has the name or number of a frame, all files are masks of frames, see
    :func:`~voskit.dataloaders.masks.frame_names.match_masks`. Otherwise they are the objects of the first frame,
    named by their ids (``1.png``, ``2.png``) or by words. The images of a JSON file are matched likewise; if there is
    only one image and no frame has its name, it belongs to the first frame.

    Args:
        path: file or folder.
        source: the frames.
        scene: always treat a folder as masks of frames.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: the folder has no mask, or its numbers are ambiguous: they could be frame names or ids, or they
            have leading zeros, unlike ids, but no frame has such a name.
    """
    path = Path(path)
    if path.suffix.lower() == ".json" and path.is_file():
        return _json_masks(path, source)
    if not path.is_dir():
        masks = FrameMasks(path)
        _warn_if_later(path.name, path.stem, source)
        return masks
    files = _mask_files(path)
    stems = {stem: file.name for stem, file in files.items()}
    matched = match_masks(path, stems, FrameNames.of(source), objects=not scene)
    if matched is None:
        return FrameMasks(path)
    return FrameMasks(path, files=_unique(path, {stem: (frame, files[stem]) for stem, frame in matched.items()}))


def _json_masks(path: Path, source: FrameSource) -> FrameMasks:
    masks = JsonMasks([path], video=source.name)
    frames = FrameNames.of(source)
    out = FrameMasks(path)
    images = [image for image in masks.images if image.regions] or masks.images
    if len(masks.images) == 1:
        image = masks.images[0]
        frame = frames.named(image.stem) or frames.named(Path(path).stem) if image.stem else None
        if frame is None:
            out.use_json_first(masks, image)  # read once, so that remarks are logged once
            return out
        if frame != source.name_of(0):
            logger.warning("%s: its image is %s, so its mask is applied to frame %s", path, image.names[0], frame)
        out.use_json(masks, {frame: image})
        return out
    if not all(image.stem and not image.stem.startswith("image ") for image in images):
        raise ValueError(f"{path}: its {len(images)} images have no file names: name them like the frames")
    here = [image for image in images if Path(image.names[0]).parent.name == source.name]
    stems = {image.stem: image for image in here or images}
    if len(stems) < len(here or images):
        raise ValueError(
            f"{path}: several of its images have the same name: add the folder {source.name}/ to the file_name of "
            "those that are frames of this clip"
        )
    known = {stem: frame for stem in stems if (frame := frames.named(stem)) is not None}
    if not known:
        known = match_masks(path, {s: i.names[0] for s, i in stems.items()}, frames, objects=False) or {}
        known = {stem: frame for stem, frame in known.items() if frames.named(frame) is not None}
    if not known:
        first = images[0].names[0]
        raise ValueError(
            f"{path}: none of its {len(images)} images is named like a frame (the first image is {first}, the "
            f"first frame {source.name_of(0)}): set file_name to the frame's name"
        )
    if len(known) < len(images):
        logger.warning(
            "%s: %d of its %d images aren't frames of this clip and are left out",
            path,
            len(images) - len(known),
            len(images),
        )
    masks.warn_if_untracked(stems[stem] for stem in known)
    out.use_json(masks, _unique(path, {stem: (frame, stems[stem]) for stem, frame in known.items()}))
    return out


def _warn_if_later(name: str, stem: str, source: FrameSource) -> None:
    """Warn if a single mask, which is applied to the first frame, has the name of a later one."""
    frames = FrameNames.of(source)
    stem = re.sub(rf"(?<![0-9]){re.escape(source.name)}(?![0-9])", "", stem)  # IMG_0004.png may belong to IMG_0004.mp4
    runs = [stem] if is_number(stem) else [run for run in re.findall("[0-9]+", stem) if len(run) > 2]  # not mask_1
    frame = frames.named(stem) or (frames.numbered(int(runs[0])) if len(runs) == 1 else None)
    first = source.name_of(0)
    if frame is not None and frame != first:
        logger.warning(
            "%s is applied to the first frame, %s, not to frame %s: to apply it there, give its folder",
            name,
            first,
            frame,
        )


def _entry(file: Path, own: MaskSet) -> _Entry:
    size: Size | None = None
    try:
        with Image.open(file) as image:
            size = shown_size(image)
    except Exception:  # an array, or a damaged file: reported when it is read
        pass
    return _Entry(
        str(file),
        lambda frame_size: Mask(fit_mask(file, own.read(file), frame_size), {}),
        size,
        None if size is None else file,
    )


def _mask_files(folder: Path) -> dict[str, Path]:
    """Return the masks in a folder by stem: labelme JSON if there is any, otherwise images and arrays.

    Raises:
        ValueError: there are no masks, or two with the same stem.
    """
    jsons = sorted(p for p in folder.iterdir() if p.suffix.lower() == ".json" and not p.name.startswith("."))
    jsons = [path for path in jsons if is_labelme(load_json(path))]
    files: dict[str, Path] = {}
    for path in jsons or list_images(folder, MASK_EXTENSIONS):
        if (other := files.setdefault(path.stem, path)) is not path:
            raise ValueError(f"{folder}: {other.name} and {path.name} are masks of the same frame: remove one of them")
    return files


def _unique(path: Path, found: Mapping[str, tuple[str, T]]) -> dict[str, T]:
    """Return masks by frame. Raise ValueError if two belong to the same frame."""
    out: dict[str, T] = {}
    stems: dict[str, str] = {}
    for stem, (frame, mask) in found.items():
        if (other := stems.setdefault(frame, stem)) != stem:
            raise ValueError(f"{path}: {other} and {stem} are both masks of frame {frame}: remove one of them")
        out[frame] = mask
    return out
