"""Datasets of a comparison, including the Probe set, which is made when it is needed."""

from __future__ import annotations

import dataclasses
import logging
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from voskit.configs.datasets import get_dataset_config
from voskit.dataloaders.datasets import Dataset, open_dataset
from voskit.dataloaders.files import exclusive_lock

logger = logging.getLogger(__name__)

_PROGRAM = Path(__file__).resolve().parents[2] / "datasets" / "Probe" / "make_probe.py"


@dataclass(frozen=True)
class DatasetChoice:
    """Dataset to compare on.

    Attributes:
        name: name of a registered dataset, or a JSON file that describes one.
        split: name of the split; None: the first.
        folder: folder of the dataset; None: that of the JSON file.
    """

    name: str
    split: str | None = None
    folder: Path | None = None


def open_datasets(choices: Mapping[str, DatasetChoice], videos: Sequence[str] = ()) -> dict[str, Dataset]:
    """Open datasets, and make the Probe set if it is among them but doesn't exist yet.

    Args:
        choices: datasets by their name in the table.
        videos: names of the videos to compare on; empty: all. Datasets without any of them are left out.

    Returns:
        datasets by their name in the table, which states how many videos are chosen unless all are.

    Raises:
        ValueError, FileNotFoundError: see ``voskit.open_dataset``; or no dataset has one of the videos.
    """
    opened = {}
    for label, choice in choices.items():
        if choice.name == "probe" and choice.folder is not None:
            make_probe(choice.folder, choice.split)
        opened[label] = open_dataset(choice.name, choice.folder, split=choice.split)
    if not videos:
        return opened
    if unknown := set(videos) - {video.name for dataset in opened.values() for video in dataset}:
        raise ValueError(f"video {min(unknown)} is in none of the datasets {', '.join(opened)}")
    parts = {}
    for label, dataset in opened.items():
        if chosen := tuple(video for video in dataset if video.name in videos):
            parts[f"{label}, {len(chosen)} of {len(dataset)}"] = dataclasses.replace(dataset, videos=chosen)
    return parts


def make_probe(folder: Path, split: str | None = None) -> None:
    """Make the missing videos in a split of the Probe set, which takes a minute for all of them.

    Args:
        folder: folder of the set.
        split: name of the split; None: ``all``.

    Raises:
        ValueError: there is no such split, another program is making the set, or the program that makes it fails; the
            message ends with its last line.
        FileNotFoundError: the program is missing.
    """
    config = get_dataset_config("probe")
    split = config.splits[0] if split is None else split
    config.split_folder(split)
    if _is_complete(folder, split):
        return
    if not _PROGRAM.is_file():
        raise FileNotFoundError(f"{_PROGRAM}: no such file; it makes the Probe set: get it from the repository")
    logger.info("making the Probe set in %s (only this time)", folder)
    command = [sys.executable, str(_PROGRAM), "--output", str(folder)]
    if split != config.splits[0]:
        command += ["--splits", split]
    last = "no message"
    with (
        exclusive_lock(folder),
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as program,
    ):
        assert program.stdout is not None
        for line in tqdm(program.stdout, unit="video"):
            last = line.strip()
    if program.returncode:
        raise ValueError(f"{_PROGRAM.name} ended with code {program.returncode}: {last}")


def _is_complete(folder: Path, split: str) -> bool:
    path = folder / "ImageSets" / f"{split}.txt"
    return path.is_file() and all((folder / "Annotations" / name).is_dir() for name in path.read_text().split())
