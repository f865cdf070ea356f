"""Which videos a split has, and what its list and meta file say of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voskit.dataloaders.datasets.layout import VIDEO_EXTENSIONS, Layout, prefix, scan_images, subfolders
from voskit.dataloaders.datasets.lists import read_video_list
from voskit.dataloaders.datasets.meta import VideoMeta, read_meta
from voskit.dataloaders.datasets.problem import Problem, Report


@dataclass(frozen=True)
class Entry:
    """A video of the index.

    Attributes:
        name: the video.
        source: file or folder that lists it.
        meta: what the meta file says of it.
        files: (frame, mask) paths below the root, where the list holds pairs of files.
    """

    name: str
    source: Path
    meta: VideoMeta | None = None
    files: tuple[tuple[str, str | None], ...] = ()

    @property
    def names(self) -> dict[str, str]:
        """What the placeholders of path templates stand for."""
        return {"video": self.name, **({} if self.meta is None else self.meta.names)}


def read_index(layout: Layout, *, require_frames: bool, report: Report) -> list[Entry]:
    """The videos of a split, in the order of the list, else of the meta file, else by name.

    Raises:
        FileNotFoundError: there is nothing that tells which videos the split has.
        ValueError: the meta file can't be read.
    """
    config = layout.config
    meta_path = layout.file(layout.meta)
    meta = {} if meta_path is None else read_meta(meta_path, config.meta_format, report)
    list_path = layout.file(layout.lists)
    if list_path is not None:
        videos = read_video_list(list_path, report)
        if meta_path is not None:
            for name in videos.names:
                if name not in meta:
                    report(Problem(list_path, f"{name} is listed, but {meta_path} doesn't describe it"))
        return [Entry(n, list_path, meta.get(n), tuple(videos.files.get(n, ()))) for n in videos.names]
    if meta_path is not None:
        excluded = _excluded(layout, meta_path, report)
        return [Entry(name, meta_path, entry) for name, entry in meta.items() if name not in excluded]
    if layout.lists and config.index_required:
        raise FileNotFoundError(f"{layout.root / layout.lists[0]}: no such list of videos")
    folder = layout.parent(layout.frames)
    if folder is None and not require_frames:
        folder = layout.parent([*layout.given_masks, *layout.masks, *layout.ground_truth])
    if folder is None:
        raise FileNotFoundError(
            f"{layout.root / prefix(layout.frames[0])}: no such folder of videos: "
            f"is data_root the folder that holds {Path(layout.frames[0]).parts[0]}?"
        )
    found = scan_images(folder, VIDEO_EXTENSIONS)
    names = [*subfolders(folder), *found.files, *found.twice]
    if not names:
        raise FileNotFoundError(f"{folder}: no folder of frames and no video file is in it")
    for name in {n for n in names if names.count(n) > 1}:
        report(Problem(folder, f"{name} is there several times, as a folder or with several endings"))
    return [Entry(name, folder) for name in sorted(set(names))]


def _excluded(layout: Layout, meta_path: Path, report: Report) -> set[str]:
    names: set[str] = set()
    for template in layout.config.excluded_meta:
        path = layout.root / template
        if path.is_file() and path != meta_path:
            names |= set(read_meta(path, layout.config.meta_format, report))
    return names
