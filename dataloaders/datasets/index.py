"""Index of a split: its videos, from a list, a meta file or a folder."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from voskit.dataloaders.datasets.layout import DatasetLayout, prefix, scan_images, subfolders
from voskit.dataloaders.datasets.meta import VideoMeta, read_meta
from voskit.dataloaders.datasets.problem import Problem, Report
from voskit.dataloaders.files import read_text
from voskit.dataloaders.video.extensions import VIDEO_EXTENSIONS

logger = logging.getLogger(__name__)

FilePairs = dict[str, list[tuple[str, str | None]]]


@dataclass(frozen=True)
class Entry:
    """One video of the index.

    Attributes:
        name: name of the video.
        source: file or folder that lists the video.
        meta: its entry in the meta file.
        files: (frame, mask) paths relative to the root, if the list has pairs of files.
    """

    name: str
    source: Path
    meta: VideoMeta | None = None
    files: tuple[tuple[str, str | None], ...] = ()

    @property
    def names(self) -> dict[str, str]:
        """Values for the placeholders of path templates."""
        return {"video": self.name, **({} if self.meta is None else self.meta.names)}


def read_index(layout: DatasetLayout, *, require_frames: bool, report: Report) -> list[Entry]:
    """Read the videos of a split, in the order of the list, else of the meta file, else by name.

    Raises:
        FileNotFoundError: no list, meta file or folder of videos is found.
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
        files = _pairs_at_resolution(layout, videos.files)
        return [Entry(n, list_path, meta.get(n), tuple(files.get(n, ()))) for n in videos.names]
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
            f"is data_root the folder that contains {Path(layout.frames[0]).parts[0]}?"
        )
    found = scan_images(folder, VIDEO_EXTENSIONS)
    names = [*subfolders(folder), *found.files, *found.twice]
    if not names:
        raise FileNotFoundError(f"{folder}: no folder of frames and no video file in this folder")
    uses = Counter(names)
    for name in (n for n, count in uses.items() if count > 1):
        report(Problem(folder, f"{name} occurs several times, as a folder or with several extensions"))
    return [Entry(name, folder) for name in sorted(uses)]


def _pairs_at_resolution(layout: DatasetLayout, files: FilePairs) -> FilePairs:
    """Return the file pairs at the resolution in use. For other resolutions, a list only serves for video names."""
    folders = tuple(f"{prefix(template)}/" for template in layout.frames)
    return {name: pairs for name, pairs in files.items() if pairs[0][0].startswith(folders)}


def _excluded(layout: DatasetLayout, meta_path: Path, report: Report) -> set[str]:
    names: set[str] = set()
    for template in layout.config.excluded_meta:
        path = layout.root / template
        if path == meta_path:
            continue
        if path.is_file():
            names |= set(read_meta(path, layout.config.meta_format, report))
        else:
            logger.warning(
                "%s: no such file, so the videos that it lists aren't left out of %s (they are also in %s): results "
                "on the whole split aren't comparable with the benchmark's",
                path,
                layout.split,
                meta_path.relative_to(layout.root),
            )
    return names


@dataclass
class VideoList:
    """Content of a list file.

    Attributes:
        names: videos in the order of the file.
        files: (frame, mask) paths of each video relative to the root, if the file lists pairs of files.
    """

    names: list[str] = field(default_factory=list)
    files: FilePairs = field(default_factory=dict)


def read_video_list(path: Path, report: Report) -> VideoList:
    """Read a list of videos.

    Each line is the name of a video, or the paths of a frame and (except in test sets) its mask. A line without a slash
    is a name, which may contain spaces. Pairs of paths are the format of the DAVIS 2016 package:
    ``/JPEGImages/480p/bear/00000.jpg /Annotations/480p/bear/00000.png``; the name of a video is its frames' folder.
    """
    result = VideoList()
    names: set[str] = set()
    frames: set[Path] = set()
    try:
        text = read_text(path)
    except ValueError as error:
        report(Problem(path, str(error).removeprefix(f"{path}: ")))
        return result
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.replace("\\", "/")  # Windows paths
        words = line.split()
        if not words:
            continue
        name = line.strip().strip("/")
        if "/" not in name and name not in ("", ".", ".."):
            if name in names:
                report(Problem(path, f"line {number}: {name} is listed twice"))
            else:
                names.add(name)
                result.names.append(name)
            continue
        first = Path(words[0].strip("/"))
        if len(first.parts) < 2 or not first.suffix or len(words) > 2 or ".." in first.parts:
            report(Problem(path, f"line {number}: {line.strip()!r} is neither the name of a video nor a pair of files"))
            continue
        video = first.parent.name
        if video not in result.files:
            names.add(video)
            result.names.append(video)
        files = result.files.setdefault(video, [])
        if first in frames:
            report(Problem(path, f"line {number}: {first} is listed twice"))
            continue
        frames.add(first)
        files.append((str(first), words[1].strip("/") if len(words) == 2 else None))
    if not result.names:
        report(Problem(path, "the list is empty"))
    return result
