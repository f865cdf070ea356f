"""Checks of results before submission: missing frames; wrong sizes, formats and ids."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from voskit.dataloaders.datasets import Dataset, Problem, Video
from voskit.dataloaders.images import load_image
from voskit.dataloaders.masks.palette import davis_palette, voc_palette

MaskKind = Literal["ids", "grayscale", "rgb"]


@dataclass(frozen=True)
class ResultFolder:
    """Folder with the results of one video, or of one expression or annotator of a video.

    Attributes:
        path: the folder.
        video: the video.
        frames: names of the submitted masks.
        ids: allowed values in the masks.
        kind: palette PNGs of ids, grayscale PNGs of 0 and 255, or RGB PNGs.
        size: (height, width) of the masks; None: that of the frames.
    """

    path: Path
    video: Video
    frames: tuple[str, ...]
    ids: frozenset[int]
    kind: MaskKind = "ids"
    size: tuple[int, int] | None = None


def video_folders(dataset: Dataset, root: Path) -> Path:
    """Return the folder of the videos: ``root``, or ``Annotations`` (and ``480p``) in it, as evaluators write them."""
    for name in ("Annotations", dataset.config.published_folder.removeprefix("Annotations").strip("/")):
        if name and (root / name).is_dir() and name not in {video.name for video in dataset.videos}:
            root = root / name
    return root


def check_folders(
    root: Path, folders: Sequence[ResultFolder], workers: int | None = None, also: Iterable[Path] = ()
) -> list[Problem]:
    """Find all problems in results.

    Args:
        root: folder of all results.
        folders: required folders.
        workers: number of threads; None: one per processor.
        also: other allowed files and folders.
    """
    if not root.is_dir():
        return [Problem(root, "no such folder of results", missing=True)]
    problems = _foreign_entries(root, {f.path for f in folders} | set(also))
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        for found in pool.map(check_folder, folders):
            problems += found
    return problems


def check_folder(folder: ResultFolder) -> list[Problem]:
    """Find all problems in the results of one video."""
    video = folder.video
    if not folder.path.is_dir():
        return [Problem(folder.path, "no results for this video", missing=True, video=video.name)]
    problems = []
    allowed = {f"{name}.png" for name in (*video.frame_names, *folder.frames)}
    for name in sorted(entry.name for entry in os.scandir(folder.path)):
        if name not in allowed:
            reason = "left by an interrupted run" if name.startswith(".") else "no frame has this name"
            problems.append(Problem(folder.path / name, f"does not belong here: {reason}"))
    try:
        expected = _Expected.of(folder)
    except (ValueError, OSError) as error:
        return [*problems, Problem(folder.path, f"can't be checked: {error}", video=video.name)]
    for name in folder.frames:
        path = folder.path / f"{name}.png"
        if not path.is_file():
            problems.append(Problem(path, "this frame is missing: the server needs all masks", missing=True))
            continue
        given = name in video.given and video.config.copy_given_mask
        try:
            image = load_image(path)
        except (ValueError, OSError) as error:
            problems.append(Problem(path, str(error).removeprefix(f"{path}: ")))
            continue
        problems += [Problem(path, text) for text in expected.wrong(image, given)]
    return [replace(problem, video=video.name) for problem in problems]


@dataclass(frozen=True)
class _Expected:
    """Requirements for the masks of a video. ``given_*``: what is also allowed in copies of its given masks."""

    kind: MaskKind
    size: tuple[int, int]
    ids: frozenset[int]
    binary: bool
    palettes: tuple[bytes, ...]
    given_sizes: tuple[tuple[int, int], ...] = ()
    given_ids: frozenset[int] = frozenset()

    @classmethod
    def of(cls, folder: ResultFolder) -> _Expected:
        video = folder.video
        palettes = [davis_palette(), voc_palette()]
        given_sizes, given_ids = [], set()
        for path in video.given.values() if folder.kind == "ids" and video.config.copy_given_mask else ():
            if path.suffix == ".png":
                image = load_image(path)
                given_sizes.append((image.height, image.width))
                if image.mode in ("P", "L", "I;16"):
                    given_ids |= _values(image)
                palettes += [bytes(image.getpalette() or b"")] if image.mode == "P" else []
        return cls(
            kind=folder.kind,
            size=folder.size or video.frame_size,
            ids=folder.ids | {0},
            binary=video.config.binary,
            palettes=tuple(dict.fromkeys(palettes)),
            given_sizes=tuple(given_sizes),
            given_ids=frozenset(given_ids),
        )

    def wrong(self, image: Image.Image, given: bool) -> list[str]:
        """Describe all problems in a mask."""
        problems = []
        size = (image.height, image.width)
        if size != self.size and not (given and size in self.given_sizes):
            problems.append(f"is {_show(size)} (height x width), must be {_show(self.size)}")
        if image.format != "PNG":
            problems.append(f"is a {image.format} file, must be a PNG")
        if self.kind == "rgb":
            return problems + ([] if image.mode == "RGB" else [f"has mode {image.mode}, must be RGB"])
        modes = ("L",) if self.kind == "grayscale" else ("P", "L") if self.binary else ("P",)
        if self.kind != "grayscale" and max(self.ids) > 255:
            modes = (*modes, "I;16")
        if image.mode not in modes:
            wanted = (
                "an 8-bit grayscale PNG of 0 and 255" if self.kind == "grayscale" else "a palette PNG of object ids"
            )
            return [*problems, f"has mode {image.mode}, must be {wanted}"]
        values = _values(image)
        known = self.ids | ({255} if self.binary else set()) | (self.given_ids if given else set())
        if unknown := sorted(values - known):
            listing = ", ".join(map(str, unknown[:5]))
            problems.append(
                f"has ids that the video doesn't have: {listing} (the video has {_listing(self.ids - {0})})"
            )
        if image.mode == "P":
            colors = bytes(image.getpalette() or b"")
            if not any(_same_colors(colors, palette, values) for palette in self.palettes):
                problems.append("has a different palette than the masks of the dataset")
        return problems


def _foreign_entries(root: Path, expected: set[Path]) -> list[Problem]:
    """Report files and folders that are neither expected nor contain an expected one."""
    problems = []
    folders = {root} | {parent for path in expected for parent in path.parents if root in parent.parents}
    for folder in sorted(folders):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path not in expected and path not in folders:
                problems.append(Problem(path, "does not belong here: no video has this name"))
    return problems


def _values(image: Image.Image) -> set[int]:
    if image.mode == "I;16":
        return set(np.unique(np.array(image)).tolist())
    return set(np.flatnonzero(image.histogram()).tolist())


def _same_colors(colors: bytes, palette: bytes, values: set[int]) -> bool:
    last = 3 * (max(values, default=0) + 1)
    return len(colors) >= last and all(colors[3 * v : 3 * v + 3] == palette[3 * v : 3 * v + 3] for v in values)


def _show(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _listing(ids: Iterable[int]) -> str:
    names = [str(i) for i in sorted(ids)]
    return ", ".join(names) if len(names) <= 10 else f"{names[0]} to {names[-1]}"
