"""Datasets, opened by name or from a JSON description."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from voskit.configs.datasets import DatasetConfig, expand, get_dataset_config
from voskit.dataloaders.datasets.index import read_index
from voskit.dataloaders.datasets.layout import DatasetLayout, scan_images
from voskit.dataloaders.datasets.problem import Report, raise_problem
from voskit.dataloaders.datasets.video import Video, image_size
from voskit.dataloaders.datasets.video_builder import build_video
from voskit.dataloaders.files import load_json


@dataclass(frozen=True, eq=False)
class Dataset:
    """Videos of one split of a dataset.

    Attributes:
        config: description of the dataset.
        split: name of the split.
        root: folder that the paths in the description are relative to.
        videos: the videos, in the order of the list.
        meta_path: the meta file; None if there is none.
        listed: names of all videos of the split; videos with problems may be missing from ``videos``.
    """

    config: DatasetConfig
    split: str
    root: Path
    videos: tuple[Video, ...]
    meta_path: Path | None = None
    listed: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the dataset."""
        return self.config.name

    def __len__(self) -> int:
        return len(self.videos)

    def __iter__(self) -> Iterator[Video]:
        return iter(self.videos)

    def video(self, name: str) -> Video:
        """Return the video with this name.

        Raises:
            ValueError: there is no such video.
        """
        if name not in self._by_name:
            raise ValueError(f"{self.name} {self.split} has no video {name!r}")
        return self._by_name[name]

    @property
    def has_ground_truth(self) -> bool:
        """True if all videos have true masks."""
        return bool(self.videos) and all(video.ground_truth is not None for video in self.videos)

    def result_size(self, video: Video) -> tuple[int, int] | None:
        """Return (height, width) of a video's results if it differs from that of the frames, else None.

        Raises:
            FileNotFoundError: there are no frames of that size.
        """
        if not (self.config.full_resolution and self.config.results_at):
            return None
        templates = expand(self.config.frames, self.config, self.split, results=True)
        for folder in (self.root / t.format(video=video.name) for t in templates):
            if folder.is_dir():
                return image_size(next(iter(scan_images(folder).files.values())))
        raise FileNotFoundError(
            f"video {video.name}: no frames at {self.config.results_at}, the resolution of the results"
        )

    @cached_property
    def _by_name(self) -> dict[str, Video]:
        return {video.name: video for video in self.videos}

    @cached_property
    def object_names(self) -> Mapping[str, Mapping[int, str]]:
        """Names of objects by video and id (VISOR); empty if the dataset has no such file.

        Raises:
            FileNotFoundError: the file is missing.
            ValueError: the file can't be read.
        """
        if not self.config.object_names:
            return {}
        folder = self.config.split_folder(self.split)
        paths = [self.root / template.format(split=folder) for template in self.config.object_names]
        path = next((p for p in paths if p.is_file()), paths[0])
        try:
            return {v: {int(i): str(n) for i, n in names.items()} for v, names in load_json(path).items()}
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: expected {{video: {{id: name}}}} ({error})") from None


def open_dataset(
    source: str | os.PathLike[str] | DatasetConfig,
    data_root: str | os.PathLike[str] | None = None,
    *,
    split: str | None = None,
    require_frames: bool = True,
    report: Report = raise_problem,
    **options: Any,
) -> Dataset:
    """Open a dataset: find its files and read its lists. No image is decoded.

    Describe your own dataset in a JSON file: an object with any fields of
    :class:`voskit.configs.datasets.DatasetConfig`. They override those of the dataset in the field ``base``, by
    default ``custom``::

        {"name": "my_dances", "frames": "clips/{video}", "masks": "masks/{video}", "ground_truth": "truth/{video}"}

    Each video is a folder of images or a video file. Masks are PNGs named like their frames (``00000``, ``00001``, ...
    in a video file), or one ``<video>.png`` for the first frame. A single string stands for a list of one.

    Args:
        source: a name from ``voskit.configs.datasets.list_datasets()``, the path of a JSON file ending in ``.json``,
            or a description.
        data_root: folder of the dataset; None: the folder of the JSON file.
        split: one of the splits in the description; None: the first one.
        require_frames: frames must be present. Otherwise the names of missing frames come from lists and masks, which
            is enough for scoring and packing.
        report: function called with each :class:`Problem`; the default raises it. If it returns, videos with problems
            are left out or incomplete.
        options: fields of the description to override, such as ``full_resolution=True``.

    Returns:
        The videos of one split. Iterate over it; each :class:`~voskit.dataloaders.datasets.Video` gives its frames
        (``video.source()``: H x W x 3 uint8 RGB) and given masks (``video.mask(name)``: H x W uint8 or uint16).

    Raises:
        FileNotFoundError: a file or folder is missing; the message names it.
        ValueError: unknown dataset, split or option, or files that contradict each other.
    """
    config, data_root = find_dataset_config(source, data_root)
    config = config.override(**options)
    if data_root is None:
        raise ValueError(f"dataset {config.name}: data_root is missing: set it to the folder of the dataset")
    split = config.splits[0] if split is None else split
    layout = DatasetLayout(config, Path(data_root), split)
    videos = []
    entries = read_index(layout, require_frames=require_frames, report=report)
    for entry in entries:
        video = build_video(layout, entry, require_frames=require_frames, report_any=report)
        if video is not None:
            videos.append(video)
    return Dataset(config, split, layout.root, tuple(videos), layout.file(layout.meta), tuple(e.name for e in entries))


def find_dataset_config(
    source: str | os.PathLike[str] | DatasetConfig, data_root: str | os.PathLike[str] | None = None
) -> tuple[DatasetConfig, str | os.PathLike[str] | None]:
    """Return the description of a dataset and its folder, see :func:`open_dataset` for arguments and errors."""
    if isinstance(source, DatasetConfig):
        return source, data_root
    if str(source).lower().endswith(".json"):
        return read_dataset_config(source), Path(source).parent if data_root is None else data_root
    return get_dataset_config(str(source)), data_root


def read_dataset_config(path: str | os.PathLike[str]) -> DatasetConfig:
    """Read the description of a dataset from a JSON file, see :func:`open_dataset`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file isn't a JSON object, or has an unknown base or field, or a value of the wrong type.
    """
    path = Path(path)
    data = load_json(path)
    if not isinstance(data, dict):
        raise ValueError(f"{path}: the description of a dataset must be a JSON object, not {json.dumps(data)[:40]}")
    base = data.pop("base", "custom")
    try:
        config = get_dataset_config(base)
        tuples = {name for name, value in config.to_dict().items() if isinstance(value, tuple)}
        fields = {k: (v,) if k in tuples and isinstance(v, str) else v for k, v in data.items()}
        return config.override(**{"name": path.stem, **fields})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
