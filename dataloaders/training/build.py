"""Training data of a stage, built from the names of its datasets."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import ConcatDataset

from voskit.configs.datasets import get_dataset_config, list_datasets
from voskit.configs.datasets.davis import DAVIS2016, DAVIS2017
from voskit.configs.registry import Registry, suggest
from voskit.configs.stages import SkipStageConfig, StageConfig
from voskit.dataloaders.datasets import Dataset, open_dataset
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
SAMPLINGS: Registry[tuple[type[StaticClips], type[VideoClips]]] = Registry("sampling")
"""Dataset classes for images and for videos, by ``StageConfig.sampling``."""
SAMPLINGS.register("gaps")((StaticClips, VideoClips))
SAMPLINGS.register("skips")((SkipStaticClips, SkipVideoClips))

DataRoot = str | os.PathLike[str]


class TrainingData(ConcatDataset[TrainClip]):
    """Concatenated datasets of training clips."""

    def __init__(self, parts: Sequence[ClipDataset]) -> None:
        super().__init__(parts)
        self.parts = tuple(parts)
        for part in self.parts:
            part.epoch_clips = len(self)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of all parts, see ``ClipDataset``."""
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
    """Build the training data of a stage from its datasets, in order.

    - ``static``: ``JPEGImages/<set>`` and ``Annotations/<set>`` in ``data_root/Static`` or ``data_root``.
    - ``collage``: clips of many objects from the same images, see ``CollageClips``.
    - ``youtubevos``: ``train/JPEGImages`` and ``train/Annotations`` in ``data_root/YouTubeVOS`` (``YTB/2019``, ...).
    - ``bl30k``: ``JPEGImages`` and ``Annotations``, with a folder for each video, in ``data_root/BL30K`` or
      ``data_root``. ``burst`` and ``ovis``: the same in ``data_root/BURST/train`` and ``data_root/OVIS/train``, with
      JSON masks converted to PNGs (``voskit masks-to-png``).
    - ``davis2017``, ``davis2016``: the videos in ``ImageSets/2017/train.txt`` (2016: in its list) in
      ``data_root/DAVIS`` or ``data_root``, each ``davis_repeat`` times.
    - Any other registered dataset with masks and a split ``train`` (``vost``, ``mosev1``, ``lvos``, ``visor``, ...,
      your own): that split, with gap ``davis_gap``, see docs/datasets.md.
    - A JSON file for ``voskit.dataloaders.datasets.open_dataset``, by its path or below ``data_root``. All its masks
      are ground truth; the gap is ``own_gap``, or ``davis_gap`` if that is None. With ``"base": "davis2016"`` or
      ``"davis2017"``, the gap and the repetitions are those of DAVIS.

    Args:
        stage: the stage.
        data_root: folder of all datasets, or a folder for each dataset by name. JSON files need no entry.
        crop: side of the frames in pixels; None: that of the stage.
        max_objects: maximum number of objects in a clip, 1 to 254.
        augmentation: "v1" or "v2", see ``ClipDataset``.
        seed: seed of all random numbers.

    Raises:
        FileNotFoundError: a dataset is missing.
        ValueError: unknown sampling, unknown dataset, or a dataset without usable masks.
    """
    SAMPLINGS.get(stage.sampling)  # raises for unknown names
    options = {"crop": stage.crop if crop is None else crop, "max_objects": max_objects, "augmentation": augmentation}
    if not stage.datasets:
        raise ValueError("the stage has no datasets: set its field 'datasets'")
    parts = []
    for place, name in enumerate(stage.datasets):
        parts.append(_build_part(name, stage, _root(data_root, name), seed=(seed, place), **options))
    return TrainingData(parts)


def _root(data_root: DataRoot | Mapping[str, DataRoot], name: str) -> Path:
    if not isinstance(data_root, Mapping):
        return Path(data_root)
    if name not in data_root and not name.lower().endswith(".json"):
        raise ValueError(f"data_root has no entry for the dataset {name!r}: it has {', '.join(data_root) or 'none'}")
    return Path(data_root.get(name, ""))


def _build_part(name: str, stage: StageConfig, root: Path, **options: Any) -> ClipDataset:
    static, video = SAMPLINGS.get(stage.sampling)
    if name == "static":
        return static(_first_folder(root, _STATIC, name), stage, **options)
    if name == "collage":
        return CollageClips(_first_folder(root, _STATIC, name), stage, **options)
    options["gap"] = stage.ytb_gap if name == "youtubevos" else stage.davis_gap
    if isinstance(stage, SkipStageConfig) and issubclass(video, SkipVideoClips):
        options["divisor"] = stage.skip_divisors.get(name, 1)
    if name in _FOLDERS:
        folder = _first_folder(root, _FOLDERS[name], name)
        return video(folder_records(folder / "JPEGImages", folder / "Annotations"), stage, **options)
    with_train_split = _with_train_split()
    if name in with_train_split or name.lower().endswith(".json"):
        if name in with_train_split:
            dataset = open_dataset(name, root, split="train")
        else:
            dataset = open_dataset(Path(name) if Path(name).is_file() or not (root / name).is_file() else root / name)
            if not _is_davis(dataset):
                options["gap"] = stage.own_gap or stage.davis_gap
        return video(dataset, stage, repeat=stage.davis_repeat if _is_davis(dataset) else 1, **options)
    known = ("static", "collage", *_FOLDERS, *with_train_split)
    raise ValueError(f"unknown training dataset {name!r} (and not a .json file): {suggest(name, known)}")


def _is_davis(dataset: Dataset) -> bool:
    """True for DAVIS 2016 and 2017, and for descriptions based on them."""
    return isinstance(dataset.config, (DAVIS2016, DAVIS2017))


def _with_train_split() -> list[str]:
    """Return the names of all registered datasets with masks to train on."""
    configs = {name: get_dataset_config(name) for name in list_datasets()}
    return [name for name, config in configs.items() if "train" in config.splits and config.task != "referring"]


def _first_folder(root: Path, folders: Sequence[str], name: str) -> Path:
    """Return the first of ``folders``, relative to the root, that contains folders of images and masks."""
    for folder in folders:
        path = root / folder.strip("/")
        if all((path / part).is_dir() for part in ("JPEGImages", "Annotations")):
            return path
    looked = ", ".join(dict.fromkeys(folder.strip("/") or "." for folder in folders))
    raise FileNotFoundError(f"{root}: no JPEGImages and Annotations of {name} in this folder (looked in {looked})")
