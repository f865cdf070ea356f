"""The training data of a stage."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import ConcatDataset

from voskit.configs.datasets import get_dataset_config, list_datasets
from voskit.configs.registry import suggest
from voskit.configs.stages import SkipStageConfig, StageConfig
from voskit.dataloaders.datasets import open_dataset
from voskit.dataloaders.training.aot_images import StaticClips
from voskit.dataloaders.training.aot_videos import VideoClips
from voskit.dataloaders.training.clip import TrainClip
from voskit.dataloaders.training.clip_dataset import AugmentationVersion, ClipDataset
from voskit.dataloaders.training.collage import CollageClips
from voskit.dataloaders.training.records import folder_records
from voskit.dataloaders.training.xmem import SkipStaticClips, SkipVideoClips

_STATIC = ("Static", "static", "")
_YOUTUBE = ("YouTubeVOS", "YTB/2019", "YTB/2018", "YTB", "YouTube-VOS", "2019", "2018", "")
_FOLDERS = {
    "youtubevos": [f"{a}/{b}" for a in _YOUTUBE for b in ("train", "")],
    "bl30k": ("BL30K", "bl30k", ""),
    "burst": ("BURST/train", "train", ""),
    "ovis": ("OVIS/train", "train", ""),
}
_REPEATED = ("davis2016", "davis2017")
SAMPLINGS: dict[str, tuple[type[StaticClips], type[VideoClips]]] = {
    "gaps": (StaticClips, VideoClips),
    "skips": (SkipStaticClips, SkipVideoClips),
}
"""How clips are drawn from images and from videos, by what a stage calls it."""

DataRoot = str | os.PathLike[str]


class TrainingData(ConcatDataset[TrainClip]):
    """Datasets of clips one after the other."""

    def __init__(self, parts: Sequence[ClipDataset]) -> None:
        super().__init__(parts)
        self.parts = tuple(parts)
        for part in self.parts:
            part.epoch_clips = len(self)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose items are given, see ``ClipDataset``."""
        for part in self.parts:
            part.set_epoch(epoch)


def build_training_data(
    stage: StageConfig,
    data_root: DataRoot | Mapping[str, DataRoot],
    *,
    crop: int | None = None,
    max_objects: int = 10,
    augmentation: AugmentationVersion = "v1",
    seed: int = 0,
) -> TrainingData:
    """All datasets of a stage, in its order.

    - ``static``: ``JPEGImages/<set>`` and ``Annotations/<set>`` in ``data_root/Static`` or in ``data_root``.
    - ``collage``: clips of many objects from the same images, see ``CollageClips``.
    - ``youtubevos``: ``train/JPEGImages`` and ``train/Annotations`` in ``data_root/YouTubeVOS`` (``YTB/2019``, ...).
    - ``bl30k``: ``JPEGImages`` and ``Annotations`` in ``data_root/BL30K`` or in ``data_root``, with a folder a video;
      ``burst``, ``ovis``: the same in ``data_root/BURST/train``, ``data_root/OVIS/train`` (their JSON masks as PNGs).
    - ``davis2017``, ``davis2016``: the videos of ``ImageSets/2017/train.txt`` (2016: its list) in ``data_root/DAVIS``
      or ``data_root``, each ``davis_repeat`` times.
    - any other registered dataset with a split ``train`` and masks (``vost``, ``mosev1``, ``lvos``, ``visor``, ...,
      one's own): that split, see docs/datasets.md; ``davis_gap`` holds for it.
    - a JSON file as ``voskit.dataloaders.datasets.open_dataset`` reads it, as it is named or below ``data_root``:
      all masks
      are truth, and ``davis_gap`` holds for it.

    Args:
        stage: the stage.
        data_root: the folder of all datasets, or one for each dataset of the stage by its name (JSON files are found
            without).
        crop: side of the frames; None: the stage's.
        max_objects: most objects of a clip.
        augmentation: "v1" or "v2", see ``ClipDataset``.
        seed: of all randomness.

    Raises:
        FileNotFoundError: a dataset is not there.
        ValueError: an unknown dataset, or one that can't be trained on; an unknown sampling.
    """
    if stage.sampling not in SAMPLINGS:
        raise ValueError(f"unknown sampling {stage.sampling!r}: {suggest(stage.sampling, SAMPLINGS)}")
    options = {"crop": stage.crop if crop is None else crop, "max_objects": max_objects, "augmentation": augmentation}
    if not stage.datasets:
        raise ValueError("the stage has no datasets")
    parts = []
    for place, name in enumerate(stage.datasets):
        parts.append(_build_part(name, stage, _root(data_root, name), seed=(seed, place), **options))
    return TrainingData(parts)


def _root(data_root: DataRoot | Mapping[str, DataRoot], name: str) -> Path:
    if not isinstance(data_root, Mapping):
        return Path(data_root)
    if name not in data_root and not name.lower().endswith(".json"):
        raise ValueError(f"data_root has no folder for the dataset {name!r}: it has {', '.join(data_root) or 'none'}")
    return Path(data_root.get(name, ""))


def _build_part(name: str, stage: StageConfig, root: Path, **options: Any) -> ClipDataset:
    static, video = SAMPLINGS[stage.sampling]
    if name == "static":
        return static(_first_folder(root, _STATIC, name), stage, **options)
    if name == "collage":
        return CollageClips(_first_folder(root, _STATIC, name), stage, **options)
    options["gap"] = stage.ytb_gap if name == "youtubevos" else stage.davis_gap
    if isinstance(stage, SkipStageConfig):
        options["divisor"] = stage.skip_divisors.get(name, 1)
    if name in _FOLDERS:
        folder = _first_folder(root, _FOLDERS[name], name)
        return video(folder_records(folder / "JPEGImages", folder / "Annotations"), stage, **options)
    with_train_split = _with_train_split()
    if name in with_train_split:
        repeat = stage.davis_repeat if name in _REPEATED else 1
        return video(open_dataset(name, root, split="train"), stage, repeat=repeat, **options)
    if name.lower().endswith(".json"):
        path = Path(name) if Path(name).is_file() or not (root / name).is_file() else root / name
        return video(open_dataset(path), stage, **options)
    known = ("static", "collage", *_FOLDERS, *with_train_split)
    raise ValueError(f"no training dataset {name!r} (nor is it a .json file): {suggest(name, known)}")


def _with_train_split() -> list[str]:
    """Registered datasets, also one's own, with masks to train on."""
    configs = {name: get_dataset_config(name) for name in list_datasets()}
    return [name for name, config in configs.items() if "train" in config.splits and config.task != "referring"]


def _first_folder(root: Path, folders: Sequence[str], name: str) -> Path:
    """The first of some folders below the root that holds folders of images and masks."""
    for folder in folders:
        path = root / folder.strip("/")
        if all((path / part).is_dir() for part in ("JPEGImages", "Annotations")):
            return path
    looked = ", ".join(dict.fromkeys(folder.strip("/") or "." for folder in folders))
    raise FileNotFoundError(f"{root}: no JPEGImages and Annotations of {name} in it (looked in {looked})")
