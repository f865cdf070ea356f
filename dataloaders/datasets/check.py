"""Dataset check: find all missing, damaged and mismatched files without decoding more than needed.

Of each image, only the header and the end of the file are read, which reveals truncated copies. Given masks are
decoded, and so are images in formats without an end marker (all except PNG and JPEG). With ``full``, everything is
decoded.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from voskit.configs.datasets import DatasetConfig, expand
from voskit.dataloaders.datasets.dataset import Dataset, open_dataset
from voskit.dataloaders.datasets.index import read_video_list
from voskit.dataloaders.datasets.layout import prefix, scan_images, subfolders
from voskit.dataloaders.datasets.meta import read_meta
from voskit.dataloaders.datasets.problem import Problem, counted
from voskit.dataloaders.datasets.video import Video
from voskit.dataloaders.images import load_image, shown_size
from voskit.dataloaders.video.extensions import VIDEO_EXTENSIONS

_ENDS = {"PNG": (b"IEND\xaeB`\x82", 64), "JPEG": (b"\xff\xd9", 4096)}  # end marker, and bytes that may follow it
_TRUNCATED = "the file is truncated: copy it again"
_MASK_MODES = ("1", "L", "P", "I", "I;16")


@dataclass
class CheckReport:
    """Result of a check.

    Attributes:
        problems: all problems, in the order of the videos.
        videos, frames, masks, objects: how many were checked. Masks are both given and true ones.
    """

    problems: list[Problem] = field(default_factory=list)
    videos: int = 0
    frames: int = 0
    masks: int = 0
    objects: int = 0

    @property
    def summary(self) -> str:
        """One-line summary of the result."""
        found = counted(len(self.problems), "problem") if self.problems else "nothing wrong"
        numbers = [(self.videos, "video"), (self.frames, "frame"), (self.masks, "mask"), (self.objects, "object")]
        return ", ".join(counted(*number) for number in numbers) + f": {found}"


def check_dataset(
    source: str | os.PathLike[str] | DatasetConfig,
    data_root: str | os.PathLike[str] | None = None,
    *,
    split: str | None = None,
    full: bool = False,
    workers: int | None = None,
    progress: Callable[[Iterable[Any], int], Iterable[Any]] | None = None,
    **options: Any,
) -> CheckReport:
    """Check all files of a dataset.

    Args:
        source, data_root, split, options: as for ``open_dataset``.
        full: decode every frame and mask.
        workers: number of threads; None: four per processor, up to 32, as most time is spent waiting for the disk.
        progress: function that wraps the iteration over the videos, such as a progress bar; called with the iterable
            and the number of videos.

    Returns:
        The report. Its ``problems`` are empty if nothing is wrong.

    Raises:
        FileNotFoundError: the dataset isn't found.
        ValueError: unknown dataset, split or option, or a list that can't be read.
    """
    report = CheckReport()
    dataset = open_dataset(source, data_root, split=split, report=report.problems.append, **options)
    report.problems += extra_folders(dataset)
    threads = workers or min(32, 4 * (os.cpu_count() or 1))
    with ThreadPoolExecutor(threads) as pool:
        results: Iterable[tuple[list[Problem], int, int, int]] = pool.map(
            lambda video: _check_video(video, full), dataset.videos
        )
        for problems, frames, masks, objects in results if progress is None else progress(results, len(dataset)):
            report.problems += problems
            report.videos += 1
            report.frames += frames
            report.masks += masks
            report.objects += objects
    return report


@dataclass(frozen=True)
class _Header:
    shown: tuple[int, int]  # height, width of a frame
    stored: tuple[int, int]  # height, width of a mask, which has no orientation
    mode: str


def _check_video(video: Video, full: bool) -> tuple[list[Problem], int, int, int]:
    problems: list[Problem] = []

    def report(problem: Problem) -> None:
        problems.append(replace(problem, video=video.name))

    size = _check_frames(video, full, report)
    truth = video.truth_frames
    _check_truth_names(video, truth, report)
    ids = _check_given(video, size, report)
    given_files = {path for path in video.given.values() if path.suffix != ".json"}
    for name, path in truth.items():
        if path in given_files:
            continue
        header = _check_image(path, full, report)
        if header is not None:
            _check_mask_header(video, path, header, size, report, truth=True)
            if full:
                _check_true_ids(video, name, ids, report)
    frames = len(video.frame_names) if video.video_file is None or not problems else 0
    return problems, frames, len({*given_files, *truth.values()}), len(ids)


def _check_frames(video: Video, full: bool, report: Callable[[Problem], None]) -> tuple[int, int] | None:
    """Check the frames, and return their size; None if it is unknown."""
    if video.video_file is not None:
        return _check_video_file(video, full, report)
    sizes: Counter[tuple[int, int]] = Counter()
    headers = {}
    for path in video.files.values():
        header = _check_image(path, full, report)
        if header is not None:
            headers[path] = header
            sizes[header.shown] += 1
    if not sizes:
        return None
    usual = sizes.most_common(1)[0][0]
    for path, header in headers.items():
        if header.shown != usual:
            report(
                Problem(path, f"the frame is {_show(header.shown)}, but most frames of the video are {_show(usual)}")
            )
    if video.meta is not None and video.meta.size is not None and video.meta.size != usual:
        folder = next(iter(video.files.values())).parent
        report(Problem(folder, f"the frames are {_show(usual)}, but the meta file says {_show(video.meta.size)}"))
    _check_gaps(video, report)
    return usual


def _check_gaps(video: Video, report: Callable[[Problem], None]) -> None:
    step = video.config.frame_step
    names = list(video.files)
    if step is None or not all(name.isdigit() for name in names):
        return
    folder = next(iter(video.files.values())).parent
    for before, after in pairwise(names):
        if int(after) - int(before) > step:
            missing = f"{int(before) + step:0{len(before)}d}"
            gone = (int(after) - int(before)) // step - 1
            text = f"frame {missing} is" if gone == 1 else f"frame {missing} and {gone - 1} after it are"
            report(Problem(folder, f"{text} missing: {before} is followed by {after}", missing=True))


def _check_video_file(video: Video, full: bool, report: Callable[[Problem], None]) -> tuple[int, int] | None:
    assert video.video_file is not None
    try:
        with video.source() as source:
            if full:
                for _ in source:
                    pass
        names = video.frame_names  # reads the whole video if it doesn't state its length
    except (ValueError, OSError) as error:
        report(Problem(video.video_file, str(error).removeprefix(f"{video.video_file}: ")))
        return None
    for name in video.given:
        if name not in names:
            text = f"no frame has the name of this mask: the video has frames 00000 to {names[-1]}"
            report(Problem(video.given[name], text))
    return source.size


def _check_truth_names(video: Video, truth: Mapping[str, Path], report: Callable[[Problem], None]) -> None:
    known = set(video.frame_names) if video.video_file is None else None
    given = set(video.given)
    if known is None or video.config.fed == "listed":
        return
    for name, path in truth.items():
        if name not in known and name not in given and video.config.wanted != "annotated":
            report(Problem(path, "a true mask, but no frame has its name"))
    if truth and video.config.wanted == "all" and video.config.frame_step == 1:
        for name in video.frame_names:
            if name not in truth:
                folder = next(iter(truth.values())).parent
                report(
                    Problem(folder / f"{name}.png", "this frame has no true mask, but other frames do", missing=True)
                )


def _check_given(video: Video, size: tuple[int, int] | None, report: Callable[[Problem], None]) -> set[int]:
    """Check the given masks, and return their ids."""
    ids: set[int] = set()
    first = next(iter(video.mask_files), None)
    if first is not None and first not in video.given:
        instead = ", ".join(video.given)
        text = f"the first mask shows no object: the mask of frame {instead} is given instead"
        report(Problem(video.mask_files[first], text))
    for name, path in video.given.items():
        header = None if path.suffix == ".json" else _check_image(path, False, report)
        if header is not None and not _check_mask_header(video, path, header, size, report):
            continue
        if header is None and path.suffix != ".json":
            continue
        try:
            mask = video.mask(name)
        except (ValueError, OSError) as error:
            report(Problem(path, str(error).removeprefix(f"{path}: ")))
            continue
        assert mask is not None
        found = set(np.unique(mask).tolist()) - {0}
        if not found:
            report(Problem(path, "the given mask shows no object"))
        known = None if video.meta is None else video.meta.object_ids
        if known is not None and (beyond := sorted(found - set(known))):
            report(Problem(path, f"id {beyond[0]} is not among the objects of the meta file ({_ids(known)})"))
        for missing in sorted(set(video.new_ids.get(name, ())) - found):
            report(Problem(path, f"object {missing} should appear in this frame, but the mask doesn't have it"))
        ids |= found
    return ids


def _check_true_ids(video: Video, name: str, ids: set[int], report: Callable[[Problem], None]) -> None:
    if video.config.binary or video.config.meta_format == "panoptic" or not ids:
        return
    path = video.truth_frames[name]
    try:
        found = set(np.unique(video.true_masks.read(path, name)).tolist()) - {0, video.config.ignore_id}
    except ValueError as error:
        report(Problem(path, str(error).removeprefix(f"{path}: ")))
        return
    if video.config.ignore_id is not None and found == {1}:  # a mask of void alone is read as object 1
        return
    known = ids if video.meta is None or video.meta.object_ids is None else set(video.meta.object_ids)
    if beyond := sorted(found - known):
        report(Problem(path, f"id {beyond[0]} is not among the objects of the video ({_ids(known)})"))


def _check_mask_header(
    video: Video,
    path: Path,
    header: _Header,
    size: tuple[int, int] | None,
    report: Callable[[Problem], None],
    truth: bool = False,
) -> bool:
    if video.config.meta_format == "panoptic":
        if header.mode != "RGB":
            report(Problem(path, f"a panoptic mask must be an RGB image, but this one has mode {header.mode}"))
            return False
    elif header.mode not in _MASK_MODES and truth and video.truth_is_apart:
        report(Problem(path, f"a true mask must be a palette or grayscale PNG of ids, but this one is {header.mode}"))
        return False
    elif header.mode not in _MASK_MODES:
        try:
            video.masks.read(path, path.stem)
        except (ValueError, OSError) as error:
            report(Problem(path, str(error).removeprefix(f"{path}: ")))
            return False
    if size is not None and header.stored != size:
        report(Problem(path, f"the mask is {_show(header.stored)}, but the frames are {_show(size)}"))
        return False
    return True


def _check_image(path: Path, full: bool, report: Callable[[Problem], None]) -> _Header | None:
    """Read the header and end of a file, or decode it if ``full``. If that fails, report it and return None."""
    try:
        with path.open("rb") as file:
            with Image.open(file) as image:
                header, kind = _Header(shown_size(image), (image.height, image.width), image.mode), image.format
            if full or kind not in _ENDS:
                load_image(path)
            ending, slack = _ENDS.get(kind or "", (b"", 0))
            if ending:
                length = file.seek(0, os.SEEK_END)
                file.seek(max(0, length - slack - len(ending)))
                if ending not in file.read():
                    report(Problem(path, _TRUNCATED))
                    return None
    except FileNotFoundError:
        report(Problem(path, "no such file", missing=True))
        return None
    except Exception as error:  # a damaged file can make Pillow raise nearly anything
        reason = "the file is empty" if path.stat().st_size == 0 else " ".join(str(error).split())
        cut = reason.lower().startswith("truncated")
        text = _TRUNCATED if cut else f"can't be read: {reason.removeprefix(f'{path}: ')}"
        report(Problem(path, text))
        return None
    return header


def _show(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _ids(ids: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(ids)))


def extra_folders(dataset: Dataset) -> list[Problem]:
    """Find folders of videos that aren't in any list or meta file of any split, or that have masks but no frames.

    If lists are optional in a dataset, they may omit videos.
    """
    config = dataset.config
    if config.meta_format == "burst":  # only some of the videos in the folders are annotated
        return []
    known = {*dataset.listed, *_listed(dataset)}
    names = config.all_frames if dataset.split in config.all_frames_splits else config.frames
    folders: dict[Path, str] = {}
    for what, templates in (("frames", names), ("masks", (*config.given_masks, *config.masks))):
        for template in expand(templates, config, dataset.split):
            folder = dataset.root / prefix(template)
            if folder.is_dir() and folder != dataset.root:
                folders.setdefault(folder, what)
    if not config.index_required:  # a list selects some of the videos
        for folder in [folder for folder, what in folders.items() if what == "frames"]:
            known |= {*subfolders(folder), *scan_images(folder, VIDEO_EXTENSIONS).files}
    problems = []
    for folder, what in folders.items():
        extra = [name for name in subfolders(folder) if name not in known]
        reason = "it is in no list" if config.index_required else "it has no frames"
        problems += [Problem(folder / name, f"a folder of {what} of an unknown video: {reason}") for name in extra]
    return problems


def _listed(dataset: Dataset) -> set[str]:
    """Return the videos in the lists of all splits, which may share folders, and those that a meta file excludes."""
    config = dataset.config
    names: set[str] = set()
    # DAVIS keeps the frames of all splits and years in one folder
    folders = {(dataset.root / t).parent for t in expand(config.video_list, config, dataset.split)}
    for folder in folders if config.video_list and config.index_required else ():
        for path in folder.glob("*.txt") if folder != dataset.root else [folder / "val.txt", folder / "train.txt"]:
            if path.is_file():
                names |= set(read_video_list(path, lambda problem: None).names)
    if dataset.meta_path is not None and config.excluded_meta:
        names |= set(read_meta(dataset.meta_path, config.meta_format, lambda problem: None))
    return names
