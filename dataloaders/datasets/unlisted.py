"""Folders of videos that no list knows."""

from __future__ import annotations

from pathlib import Path

from voskit.configs.datasets import expand
from voskit.dataloaders.datasets.dataset import Dataset
from voskit.dataloaders.datasets.layout import prefix, subfolders
from voskit.dataloaders.datasets.lists import read_video_list
from voskit.dataloaders.datasets.meta import read_meta
from voskit.dataloaders.datasets.problem import Problem


def extra_folders(dataset: Dataset) -> list[Problem]:
    """Folders beside those of the videos: in a list or meta file no split knows them, or they have masks only."""
    config = dataset.config
    if config.meta_format == "burst":  # annotated videos are a part of those in the folders
        return []
    known = {*dataset.listed, *_listed(dataset)}
    names = config.all_frames if dataset.split in config.all_frames_splits else config.frames
    folders: dict[Path, str] = {}
    for what, templates in (("frames", names), ("masks", (*config.given_masks, *config.masks))):
        for template in expand(templates, config, dataset.split):
            folder = dataset.root / prefix(template)
            if folder.is_dir() and folder != dataset.root:
                folders.setdefault(folder, what)
    problems = []
    for folder, what in folders.items():
        extra = [name for name in subfolders(folder) if name not in known]
        reason = "no list knows it" if config.index_required else "there are no frames of that name"
        problems += [Problem(folder / name, f"a folder of {what} of an unknown video: {reason}") for name in extra]
    return problems


def _listed(dataset: Dataset) -> set[str]:
    """Videos in the lists of all splits, as their folders lie together; and those that a meta file leaves out."""
    config = dataset.config
    names: set[str] = set()
    # DAVIS keeps all splits of all years in one folder of frames
    folders = {(dataset.root / t).parent for t in expand(config.video_list, config, dataset.split)}
    for folder in folders if config.video_list and config.index_required else ():
        for path in folder.glob("*.txt") if folder != dataset.root else [folder / "val.txt", folder / "train.txt"]:
            if path.is_file():
                names |= set(read_video_list(path, lambda problem: None).names)
    if dataset.meta_path is not None and config.excluded_meta:
        names |= set(read_meta(dataset.meta_path, config.meta_format, lambda problem: None))
    return names
