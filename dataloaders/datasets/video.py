"""One video of a dataset: its frames, the masks that a method is given, and the frames that are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from voskit.configs.datasets import DatasetConfig
from voskit.dataloaders.datasets.mask_readers import MaskReader
from voskit.dataloaders.datasets.meta import VideoMeta
from voskit.dataloaders.images import shown_size
from voskit.dataloaders.video.frames import open_frames
from voskit.dataloaders.video.image_files import ImageFrames
from voskit.dataloaders.video.source import FrameSource

ANNOTATORS = 4
"""Of Ref-DAVIS17, who each have described every object; expression ``4 k + a`` is annotator a's of object k + 1."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Video:
    """A video. Nothing was decoded to make it: names come from listings and JSON files.

    Attributes:
        name: what its folder of results is called.
        config: description of the dataset.
        files: frames in order, name to path. Empty for a video file, and where frames were not needed and are absent.
        video_file: the video file in place of files.
        listed: names of the frames where ``files`` is empty though they are known.
        given: files of the masks that a method is given, by frame name, in order (BURST: the JSON file each time).
        new_ids: objects that a given mask is about, where its file shows others too; absent frames: all.
        masks: reads the files of ``given``.
        scored: frames that the meta file lists or that are annotated; None: the dataset asks for all.
        submitted_only: frames that a submission is cut to; None: those that are wanted.
        ground_truth: folder of the true masks (BURST: JSON file); None where it isn't there.
        truth_frames: files of the true masks in the folder, by frame name, in order.
        meta: what the dataset's meta file says of this video.
    """

    name: str
    config: DatasetConfig
    files: Mapping[str, Path] = field(default_factory=dict)
    video_file: Path | None = None
    listed: tuple[str, ...] = ()
    given: Mapping[str, Path] = field(default_factory=dict)
    new_ids: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    masks: MaskReader
    scored: tuple[str, ...] | None = None
    submitted_only: tuple[str, ...] | None = None
    ground_truth: Path | None = None
    truth_frames: Mapping[str, Path] = field(default_factory=dict)
    meta: VideoMeta | None = None

    @cached_property
    def frame_names(self) -> tuple[str, ...]:
        """Names of all frames that a method sees, in order. A video file that doesn't state its length is read once."""
        if self.video_file is None:
            return tuple(self.files) or self.listed
        with open_frames(self.video_file) as source:
            count = source.num_frames if source.num_frames is not None else sum(1 for _ in source)
        return tuple(f"{index:05d}" for index in range(count))

    @property
    def wanted(self) -> tuple[str, ...]:
        """Names of the frames whose masks are written, in order."""
        return self.frame_names if self.scored is None else self.scored

    @property
    def submitted(self) -> tuple[str, ...]:
        """Names of the frames that the server gets, in order."""
        names = self.wanted if self.submitted_only is None else self.submitted_only
        if self.config.submit_given_frame or not self.given:
            return names
        first = next(iter(self.given))
        return tuple(name for name in names if name != first)

    @property
    def expressions(self) -> Mapping[str, str]:
        """Phrases by expression id; empty where the dataset has none."""
        return {} if self.meta is None else self.meta.expressions

    @cached_property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of all objects, rising: from the meta file, else from the given masks (which are read), else 1 to
        ``max_proposals``. Without a word in the meta file, four expressions of Ref-DAVIS17 are an object.

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
        """(height, width) of the first frame, from its header; without frames from the meta file or a mask.

        Raises:
            ValueError: the file can't be read, or nothing tells the size.
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
        raise ValueError(f"video {self.name}: its frames are not there, and nothing else tells their size")

    def source(self) -> FrameSource:
        """Open the frames. Raises ValueError or FileNotFoundError as
        ``voskit.dataloaders.video.frames.open_frames`` does."""
        if self.video_file is not None:
            return open_frames(self.video_file)
        if not self.files:
            raise FileNotFoundError(f"video {self.name}: its frames are not there")
        return ImageFrames(list(self.files.values()), name=self.name)

    def mask(self, frame: str) -> np.ndarray | None:
        """The mask that a method is given at this frame: H x W uint8 or uint16 ids, 0 elsewhere; None: none is given.

        Raises:
            ValueError: it can't be read.
        """
        if frame not in self.given:
            return None
        ids = self.masks.read(self.given[frame], frame)
        if frame in self.new_ids:
            ids = np.where(np.isin(ids, self.new_ids[frame]), ids, 0).astype(ids.dtype)
        return ids


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) of an image as it is shown, from its header. Raises ValueError for what is no image."""
    try:
        with Image.open(path) as image:
            return shown_size(image)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such image") from None
    except Exception as error:  # Pillow's readers raise nearly anything when a file is damaged
        raise ValueError(f"{path}: not an image that can be read ({' '.join(str(error).split())})") from None
