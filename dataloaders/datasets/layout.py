"""Dataset layout: files found by the path templates of a dataset's description."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from voskit.configs.datasets import DatasetConfig, expand
from voskit.dataloaders.files import in_existing_form
from voskit.dataloaders.images import IMAGE_EXTENSIONS
from voskit.dataloaders.natural_order import natural_sorted

_SYSTEM_FOLDERS = ("__MACOSX", "@eaDir", "lost+found", "System Volume Information", "$RECYCLE.BIN")
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")


class DatasetLayout:
    """Paths of the files of one split.

    Args:
        config: description of the dataset.
        data_root: folder given by the user.
        split: one of the splits in the description.

    Raises:
        FileNotFoundError: no such folder, or the dataset isn't in it; the message says what was expected.
        ValueError: no such split.
    """

    def __init__(self, config: DatasetConfig, data_root: Path, split: str) -> None:
        self.config = config
        self.split = split
        if not data_root.is_dir():
            raise FileNotFoundError(f"{data_root}: no such folder: data_root must be the folder of {config.name}")
        frames = config.all_frames if split in config.all_frames_splits else config.frames
        self.frames = expand(frames, config, split)
        self.masks = expand(config.masks, config, split)
        self.given_masks = expand(config.given_masks, config, split)
        self.ground_truth = expand(config.ground_truth, config, split, results=True)
        self.lists = expand(config.video_list, config, split)
        self.meta = expand(config.meta, config, split)
        self.root = self._find_root(data_root)
        self._chosen: dict[tuple[str, ...], list[str]] = {}
        self._listings: dict[tuple[Path, tuple[str, ...]], dict[str, Path]] = {}

    def _find_root(self, data_root: Path) -> Path:
        config = self.config
        needed = [*self.lists, *self.meta] if config.index_required else []
        anchors = needed or [*self.lists, *self.meta, *map(prefix, [*self.frames, *self.masks, *self.ground_truth])]
        folder = config.split_folder(self.split)
        roots = [data_root / root for root in dict.fromkeys(root.format(split=folder) for root in config.roots)]
        # the folder alone (prefix "") proves nothing; it is the last resort below
        found = [root for root in roots if any(anchor and (root / anchor).exists() for anchor in anchors)]
        if found:  # several packages have the same lists: prefer one that also has frames
            return next((root for root in found if any((root / prefix(t)).is_dir() for t in self.frames)), found[0])
        if not config.index_required and "" in anchors:
            return data_root
        what = needed or [prefix(self.frames[0])]
        holds = Path(self.frames[0]).parts[0]
        also = f" (nor {', '.join(what[1:])})" if what[1:] else ""
        packed = _packed(data_root)
        raise FileNotFoundError(
            f"{what[0]} not found in {data_root}{also}: is data_root the folder that contains {holds}?{packed}"
        )

    def path(self, templates: Iterable[str], names: Mapping[str, str]) -> Path | None:
        """Return the first existing path of a video.

        If there is none, return the path from the first template whose folder of videos exists, or None.
        """
        key = tuple(templates)
        if key not in self._chosen:
            self._chosen[key] = [t for t in key if (self.root / prefix(t)).exists()]
        places = [template.format(**names) for template in self._chosen[key]]
        if not places:
            return None
        place = next((place for place in places if (self.root / place).exists()), places[0])
        return in_existing_form(self.root, place)

    def with_extension(self, path: Path, extensions: tuple[str, ...]) -> Path | None:
        """Return the file with the name of ``path`` and one of ``extensions``, in lower or upper case, or None."""
        key = (path.parent, extensions)
        if key not in self._listings:  # listed once for all videos of the folder
            self._listings[key] = scan_images(*key).files
        return self._listings[key].get(path.name)

    def file(self, templates: Iterable[str]) -> Path | None:
        """Return the first existing file, or None."""
        return next((self.root / t for t in templates if (self.root / t).is_file()), None)

    def parent(self, templates: Iterable[str]) -> Path | None:
        """Return the first existing folder of videos, or None."""
        return next((self.root / prefix(t) for t in templates if (self.root / prefix(t)).is_dir()), None)


def _packed(folder: Path) -> str:
    """Return advice to unpack the archives in a folder; empty if there are none."""
    archives = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in _ARCHIVES)
    return f" It contains {archives[0]}{', ...' * (len(archives) > 1)}: unpack it there" if archives else ""


def prefix(template: str) -> str:
    """Return the part of a template before its first component with a placeholder: ``a`` for ``a/{video}/b``."""
    parts = Path(template).parts
    end = next((i for i, part in enumerate(parts) if "{" in part), len(parts))
    return "/".join(parts[:end])


@dataclass(frozen=True)
class ImageFolder:
    """Images in a folder, listed without opening them.

    Attributes:
        files: paths by stem, naturally sorted by file name.
        twice: stems shared by several files.
    """

    files: dict[str, Path]
    twice: tuple[str, ...] = ()


def scan_images(folder: Path, extensions: tuple[str, ...] = IMAGE_EXTENSIONS) -> ImageFolder:
    """List the images in a folder, naturally sorted as in ``open_frames``. A missing folder counts as empty.

    Args:
        folder: the folder.
        extensions: file extensions in lower case; upper case also matches.
    """
    try:
        with os.scandir(folder) as entries:
            shown = (entry for entry in entries if not entry.name.startswith("."))
            files_only = (entry.name for entry in shown if not entry.is_dir(follow_symlinks=False))
            names = natural_sorted((name for name in files_only if name.lower().endswith(extensions)), folder)
    except (FileNotFoundError, NotADirectoryError):
        return ImageFolder({})
    files: dict[str, Path] = {}
    twice = []
    for name in names:
        stem = os.path.splitext(name)[0]  # noqa: PTH122 - 100,000 Path objects take a second
        if stem in files:
            twice.append(stem)
        else:
            files[stem] = folder / name
    return ImageFolder(files, tuple(twice))


def not_png(folder: Path) -> str:
    """Return what is wrong with masks of another format in a folder, or in an image of its name; empty: nothing."""
    other = next(iter(scan_images(folder).files.values()), None) or scan_images(folder.parent).files.get(folder.name)
    return "" if other is None else f": masks must be PNG files, unlike {other.name}: convert them"


def subfolders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted, without hidden folders and those of operating systems."""
    with os.scandir(folder) as entries:
        names = (entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
        return sorted(name for name in names if name not in _SYSTEM_FOLDERS)
