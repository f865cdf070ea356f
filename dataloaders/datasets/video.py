"""Video of a dataset: its frames, its given masks, and the frames to write masks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from voskit.configs.datasets import DatasetConfig
from voskit.dataloaders.datasets.mask_readers import MaskReader, PngMaskReader
from voskit.dataloaders.datasets.meta import VideoMeta
from voskit.dataloaders.images import shown_size
from voskit.dataloaders.masks.mask_set import narrow
from voskit.dataloaders.video.frames import open_frames
from voskit.dataloaders.video.image_files import ImageFrames
from voskit.dataloaders.video.source import FrameSource

ANNOTATORS = 4
"""Number of annotators in Ref-DAVIS17. Expression ``4 k + a`` describes object k + 1, by annotator a."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Video:
    """Video of a dataset. Frame names come from folder listings and JSON files; no image is decoded.

    Attributes:
        name: name of the video and of its results.
        config: description of the dataset.
        files: paths of the frames by name, in order. Empty for a video file, and if frames are missing but not needed.
        video_file: the video file; None if the frames are in ``files``.
        listed: names of the frames, if they are known although ``files`` is empty.
        mask_files: available masks to give, by frame name, in order (BURST: always the JSON file); ``given`` selects
            those that are used.
        new_ids: objects to take from a given mask, by frame name; frames without an entry: all objects.
        masks: reader of ``mask_files``, and of true masks in the same folder; see ``true_masks``.
        scored: frames that the meta file lists or that are annotated; None: all frames.
        submitted_only: frames in the submission; None: those of ``wanted``.
        ground_truth: folder of the true masks (BURST: JSON file); None if there is none.
        truth_frames: files of the true masks by frame name, in order.
        meta: its entry in the meta file.
    """

    name: str
    config: DatasetConfig
    files: Mapping[str, Path] = field(default_factory=dict)
    video_file: Path | None = None
    listed: tuple[str, ...] = ()
    mask_files: Mapping[str, Path] = field(default_factory=dict)
    new_ids: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    masks: MaskReader
    scored: tuple[str, ...] | None = None
    submitted_only: tuple[str, ...] | None = None
    ground_truth: Path | None = None
    truth_frames: Mapping[str, Path] = field(default_factory=dict)
    meta: VideoMeta | None = None

    @cached_property
    def true_masks(self) -> MaskReader:
        """Reader of ``truth_frames``, which may differ in form from given masks in another folder."""
        if not self.truth_is_apart or not isinstance(self.masks, PngMaskReader):
            return self.masks
        return self.masks.for_masks(tuple(self.truth_frames.values()))

    @property
    def truth_is_apart(self) -> bool:
        """True if the true masks and the given masks are in different folders."""
        folders = {path.parent for path in self.mask_files.values()}
        return not any(path.parent in folders for path in self.truth_frames.values())

    @cached_property
    def frame_names(self) -> tuple[str, ...]:
        """Names of all frames that the network sees, in order. To count them, a video file may have to be read."""
        if self.video_file is None:
            return tuple(self.files) or self.listed
        with open_frames(self.video_file) as source:
            count = source.num_frames if source.num_frames is not None else sum(1 for _ in source)
        return tuple(f"{index:05d}" for index in range(count))

    @cached_property
    def given(self) -> Mapping[str, Path]:
        """Files of the given masks by frame name, in order.

        If the description says ``given: first``, masks are read in order, and only the first one that shows an object
        is given. A mask that can't be read counts as showing one, so that reading it again reports the error. If no
        mask shows an object, the first one is given.
        """
        if self.config.given != "first":
            return self.mask_files
        for name, path in self.mask_files.items():
            try:
                if self.masks.read(path, name).any():
                    return {name: path}
            except (ValueError, OSError):  # reported when it is read as the given mask
                return {name: path}
        return dict(list(self.mask_files.items())[:1])

    @property
    def wanted(self) -> tuple[str, ...]:
        """Names of the frames to write masks for, in order."""
        return self.frame_names if self.scored is None else self.scored

    @property
    def submitted(self) -> tuple[str, ...]:
        """Names of the frames in the submission, in order."""
        names = self.wanted if self.submitted_only is None else self.submitted_only
        if self.config.submit_given_frame or not self.given:
            return names
        first = next(iter(self.given))
        return tuple(name for name in names if name != first)

    @property
    def expressions(self) -> Mapping[str, str]:
        """Text prompts by expression id; empty if the dataset has none."""
        return {} if self.meta is None else self.meta.expressions

    @cached_property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of all objects, ascending.

        They come from the meta file, else from the given masks (which are read), else they are 1 to ``max_proposals``.
        If the meta file of Ref-DAVIS17 states none, every four expressions describe one object.

        Raises:
            ValueError: a given mask can't be read.
        """
        if self.config.binary:
            return (1,)
        if self.meta is not None and self.meta.object_ids is not None:
            return self.meta.object_ids
        if self.config.archive == "annotators":
            return tuple(range(1, len(self.expressions) // ANNOTATORS + 1))
        ids: set[int] = set()
        for frame in self.given:
            mask = self.mask(frame)
            assert mask is not None
            ids |= set(np.unique(mask).tolist())
        if not self.given and self.config.max_proposals is not None:
            ids = set(range(1, self.config.max_proposals + 1))
        return tuple(sorted(ids - {0}))

    @cached_property
    def frame_size(self) -> tuple[int, int]:
        """(height, width) of the first frame, from its header; without frames, from the meta file or a mask.

        Raises:
            ValueError: the file can't be read, or the size is unknown.
        """
        if self.video_file is not None:
            with open_frames(self.video_file) as source:
                return source.size
        if self.files:
            return image_size(next(iter(self.files.values())))
        if self.meta is not None and self.meta.size is not None:
            return self.meta.size
        if self.truth_frames:
            return image_size(next(iter(self.truth_frames.values())))
        if self.given:
            return image_size(next(iter(self.given.values())))
        raise ValueError(f"video {self.name}: its frames are missing, and their size isn't stated anywhere else")

    def source(self) -> FrameSource:
        """Open the frames. Raises FileNotFoundError or ValueError as ``open_frames`` does."""
        if self.video_file is not None:
            return open_frames(self.video_file)
        if not self.files:
            raise FileNotFoundError(f"video {self.name}: its frames are missing")
        return ImageFrames(list(self.files.values()), name=self.name)

    def mask(self, frame: str) -> np.ndarray | None:
        """Read the given mask of a frame: H x W uint8 or uint16 ids, 0 = background; None if there is none.

        Raises:
            ValueError: the mask can't be read.
        """
        if frame not in self.given:
            return None
        ids = self.masks.read(self.given[frame], frame)
        if frame in self.new_ids:
            ids = narrow(np.where(np.isin(ids, self.new_ids[frame]), ids, 0))
        return ids


def image_size(path: Path) -> tuple[int, int]:
    """Read (height, width) of an upright image from its header.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file isn't an image.
    """
    try:
        with Image.open(path) as image:
            return shown_size(image)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such image") from None
    except Exception as error:  # a damaged file can make Pillow raise nearly anything
        raise ValueError(f"{path}: can't be read as an image ({' '.join(str(error).split())})") from None
