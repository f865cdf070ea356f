"""Sequences of benchmarks with PNG masks: lists, masks and pairs of frames."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voskit.dataloaders.datasets.index import read_video_list
from voskit.dataloaders.datasets.problem import raise_problem
from voskit.dataloaders.files import load_json
from voskit.dataloaders.natural_order import natural_sorted
from voskit.evaluators.metrics.frames.measure import FramePair, require_files

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


def read_list(path: Path) -> list[str]:
    """Read the sequences in a list file.

    Each line is a name or, in DAVIS 2016, a pair of files whose folder is the name.

    Raises:
        FileNotFoundError: no such list; the message names those that exist.
        ValueError: the list is empty.
    """
    if not path.is_file():
        there = ", ".join(sorted(file.stem for file in path.parent.glob("*.txt"))) or "none"
        raise FileNotFoundError(f"{path}: no such list of sequences; lists in this folder: {there}")
    return list(dict.fromkeys(read_video_list(path, raise_problem).names))


def mask_names(folder: Path) -> list[str]:
    """Return the stems of the PNG files in a folder, in natural order.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: the folder has no PNG files, or the extension of one is in upper case.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of ground truth masks")
    files = (file.name for file in folder.iterdir() if not file.name.startswith("."))
    names = natural_sorted(name for name in files if name.lower().endswith(".png"))
    if upper := next((name for name in names if not name.endswith(".png")), None):
        raise ValueError(f"{folder / upper}: ground truth masks must be named *.png, in lower case: rename it")
    if not names:
        raise ValueError(f"{folder}: no PNG in this folder of ground truth masks")
    return [name.removesuffix(".png") for name in names]


def frame_pairs(truth: Path, prediction: Path, names: list[str]) -> list[FramePair]:
    """Return the pairs of ``<name>.png`` in two folders.

    Raises:
        FileNotFoundError: a folder or a file is missing on either side.
    """
    if names and not prediction.is_dir():
        raise FileNotFoundError(f"{prediction}: this folder of the results is missing")
    pairs = [FramePair(name, truth / f"{name}.png", prediction / f"{name}.png") for name in names]
    require_files((truth / f"{name}.png" for name in names), "ground truth mask")
    require_files(pair.prediction for pair in pairs)
    return pairs


def check_counted(counted: Mapping[str, int], advice: str) -> None:
    """Check that some frames count, and warn if a video has none that do.

    Args:
        counted: number of counted frames by video.
        advice: end of the messages, which tells the user what to do.

    Raises:
        ValueError: no frame of any video counts.
    """
    without = [video for video, count in counted.items() if not count]
    if not without:
        return
    reason = "the first and the last true mask of a video don't count, and there are no others"
    if len(without) == len(counted):
        raise ValueError(f"no frame of {len(counted)} videos counts: {reason}: {advice}")
    logger.warning(
        "%d of %d videos have no frame that counts, such as %s: %s: %s",
        len(without), len(counted), without[0], reason, advice,
    )  # fmt: skip


def image_of(folder: Path, name: str) -> Path | None:
    """Return the image file of a frame, or None if there is none."""
    return next((path for suffix in IMAGE_SUFFIXES if (path := folder / f"{name}{suffix}").is_file()), None)


def read_json(path: Path, *keys: str) -> Any:
    """Read a JSON file. If ``keys`` are given, it must be an object with these keys.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file isn't JSON, or lacks a key.
    """
    content = load_json(path)
    if keys and (not isinstance(content, dict) or not set(keys) <= set(content)):
        raise ValueError(f"{path}: must be a JSON object with {', '.join(keys)}")
    return content


@contextmanager
def published_format(path: Path) -> Iterator[None]:
    """Turn errors about missing fields and wrong types, in a ``with`` block that reads JSON, into a ValueError."""
    try:
        yield
    except (KeyError, TypeError, AttributeError) as error:
        reason = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{path}: not in the published format ({reason}): write it with voskit pack") from error
