"""Opening a dataset by name or by the JSON file that describes it."""

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
    """The videos of one split.

    Attributes:
        config: its description.
        split: the split.
        root: the folder in which the layout begins.
        videos: the videos in the order of the list.
        meta_path: the meta file; None where there is none.
        listed: names of all videos of the split; those with problems may not be among ``videos``.
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
        """The video of this name.

        Raises:
            ValueError: there is none.
        """
        if name not in self._by_name:
            raise ValueError(f"{self.name} {self.split} has no video {name!r}")
        return self._by_name[name]

    @property
    def has_ground_truth(self) -> bool:
        """Whether the true masks of all videos are there."""
        return bool(self.videos) and all(video.ground_truth is not None for video in self.videos)

    def result_size(self, video: Video) -> tuple[int, int] | None:
        """(height, width) of a video's results where they are not of the size of its frames, else None.

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
            f"video {video.name}: no frames at {self.config.results_at}, which is the results' size"
        )

    @cached_property
    def _by_name(self) -> dict[str, Video]:
        return {video.name: video for video in self.videos}

    @cached_property
    def object_names(self) -> Mapping[str, Mapping[int, str]]:
        """Names of objects by video and id, where the dataset has such a file (VISOR), else empty.

        Raises:
            FileNotFoundError, ValueError: the file is not there or can't be read.
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
    """Open a dataset: find its files and read its lists, without decoding an image.

    One's own dataset is described by a JSON file: an object with any fields of
    ``voskit.configs.datasets.DatasetConfig``, as
    changes to the dataset that its field ``base`` names (default: ``custom``)::

        {"name": "my_dances", "frames": "clips/{video}", "masks": "masks/{video}", "ground_truth": "truth/{video}"}

    Frames are a folder of images or a video file for each video; masks are PNGs that are called like their frames
    (``00000``, ``00001``, ... in a video file), or one ``<video>.png`` for the first frame. A text where a list is
    expected is a list of one.

    Args:
        source: a registered name, the path of a JSON file (it ends in ``.json``), or a description.
        data_root: the folder that holds the dataset. None: the folder of the JSON file.
        split: one of the description's splits; None: its first one.
        require_frames: the frames must be there. If not, their names come from lists and masks where they are absent,
            which is enough for scoring and packing.
        report: gets each problem; the default raises it. Videos with problems are then left out or incomplete.
        options: fields of the description to change, such as ``full_resolution=True``.

    Raises:
        FileNotFoundError: something is missing; the message names it.
        ValueError: unknown dataset, split or option, or files that contradict each other.
    """
    if isinstance(source, DatasetConfig):
        config = source
    elif str(source).lower().endswith(".json"):
        config = read_dataset_config(source)
        data_root = Path(source).parent if data_root is None else data_root
    else:
        config = get_dataset_config(str(source))
    config = config.override(**options)
    if data_root is None:
        raise ValueError(f"dataset {config.name}: data_root is needed: the folder that holds it")
    split = config.splits[0] if split is None else split
    layout = DatasetLayout(config, Path(data_root), split)
    videos = []
    entries = read_index(layout, require_frames=require_frames, report=report)
    for entry in entries:
        video = build_video(layout, entry, require_frames=require_frames, report_any=report)
        if video is not None:
            videos.append(video)
    return Dataset(config, split, layout.root, tuple(videos), layout.file(layout.meta), tuple(e.name for e in entries))


def read_dataset_config(path: str | os.PathLike[str]) -> DatasetConfig:
    """Read the description of one's own dataset, see ``open_dataset``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no JSON object, an unknown base or field, or a value of the wrong type.
    """
    path = Path(path)
    data = load_json(path)
    if not isinstance(data, dict):
        raise ValueError(f"{path}: the description of a dataset is a JSON object, not {json.dumps(data)[:40]}")
    base = data.pop("base", "custom")
    try:
        config = get_dataset_config(base)
        tuples = {name for name, value in config.to_dict().items() if isinstance(value, tuple)}
        fields = {k: (v,) if k in tuples and isinstance(v, str) else v for k, v in data.items()}
        return config.override(**{"name": path.stem, **fields})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
