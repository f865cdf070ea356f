"""Finding the files of a dataset: templates of its description turned into paths."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from voskit.configs.datasets import DatasetConfig, expand
from voskit.dataloaders.images import IMAGE_EXTENSIONS, natural_sorted

VIDEO_EXTENSIONS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")


class DatasetLayout:
    """Where the files of one split lie.

    Args:
        config: the dataset's description.
        data_root: the folder that a user gives.
        split: one of the description's splits.

    Raises:
        FileNotFoundError: no such folder, or nothing of the dataset is in it; the message says what was looked for.
        ValueError: no such split.
    """

    def __init__(self, config: DatasetConfig, data_root: Path, split: str) -> None:
        self.config = config
        self.split = split
        if not data_root.is_dir():
            raise FileNotFoundError(f"{data_root}: no such folder: data_root is where {config.name} lies")
        frames = config.all_frames if split in config.all_frames_splits else config.frames
        self.frames = expand(frames, config, split)
        self.masks = expand(config.masks, config, split)
        self.given_masks = expand(config.given_masks, config, split)
        self.ground_truth = expand(config.ground_truth, config, split, results=True)
        self.lists = expand(config.video_list, config, split)
        self.meta = expand(config.meta, config, split)
        self.root = self._find_root(data_root)
        self._chosen: dict[tuple[str, ...], str | None] = {}
        self._listings: dict[tuple[Path, tuple[str, ...]], dict[str, Path]] = {}

    def _find_root(self, data_root: Path) -> Path:
        config = self.config
        needed = [*self.lists, *self.meta] if config.index_required else []
        anchors = needed or [*self.lists, *self.meta, *map(prefix, [*self.frames, *self.masks, *self.ground_truth])]
        folder = config.split_folder(self.split)
        for root in dict.fromkeys(root.format(split=folder) for root in config.roots):
            # the folder itself ("" as prefix) is no sign of a dataset, but all that some layouts have
            if any(anchor and (data_root / root / anchor).exists() for anchor in anchors):
                return data_root / root
        if not config.index_required and "" in anchors:
            return data_root
        what = needed or [prefix(self.frames[0])]
        holds = Path(self.frames[0]).parts[0]
        also = f" (nor {', '.join(what[1:])})" if what[1:] else ""
        raise FileNotFoundError(
            f"{what[0]} not found under {data_root}{also}: is data_root the folder that holds {holds}?"
        )

    def path(self, templates: Iterable[str], names: Mapping[str, str]) -> Path | None:
        """The path of one video by the first template whose part before the video exists; None where none does."""
        key = tuple(templates)
        if key not in self._chosen:
            self._chosen[key] = next((t for t in key if (self.root / prefix(t)).exists()), None)
        template = self._chosen[key]
        return None if template is None else self.root / template.format(**names)

    def with_extension(self, path: Path, extensions: tuple[str, ...]) -> Path | None:
        """The file that is called like ``path`` and ends in one of ``extensions``, in any case, or None."""
        key = (path.parent, extensions)
        if key not in self._listings:  # once for all videos, which lie in one folder
            self._listings[key] = scan_images(*key).files
        return self._listings[key].get(path.name)

    def file(self, templates: Iterable[str]) -> Path | None:
        """The first of some files that exists, or None."""
        return next((self.root / t for t in templates if (self.root / t).is_file()), None)

    def parent(self, templates: Iterable[str]) -> Path | None:
        """The folder that holds an entry for each video, or None where there is none."""
        return next((self.root / prefix(t) for t in templates if (self.root / prefix(t)).is_dir()), None)


def prefix(template: str) -> str:
    """The part of a template before the first component with a placeholder: ``data/{video}/mask`` gives ``data``."""
    parts = Path(template).parts
    end = next((i for i, part in enumerate(parts) if "{" in part), len(parts))
    return "/".join(parts[:end])


@dataclass(frozen=True)
class ImageFolder:
    """The images of a folder, found without opening any.

    Attributes:
        files: stem to path, naturally sorted by file name.
        twice: stems that several files have.
    """

    files: dict[str, Path]
    twice: tuple[str, ...] = ()


def scan_images(folder: Path, extensions: tuple[str, ...] = IMAGE_EXTENSIONS) -> ImageFolder:
    """List a folder's images (or files of other extensions, which may be in upper case), naturally sorted as
    ``open_frames`` has them; no such folder is an empty one."""
    try:
        with os.scandir(folder) as entries:
            shown = (entry for entry in entries if not entry.name.startswith("."))
            names = natural_sorted(entry.name for entry in shown if not entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return ImageFolder({})
    files: dict[str, Path] = {}
    twice = []
    for name in names:
        stem, extension = os.path.splitext(name)  # noqa: PTH122 - a Path for each of 100 000 names takes a second
        if extension.lower() not in extensions:
            continue
        if stem in files:
            twice.append(stem)
        else:
            files[stem] = folder / name
    return ImageFolder(files, tuple(twice))


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted; hidden ones are left out."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
