"""Dataset descriptions: folder layout, given masks, frames to write, scoring and submission.

Paths are templates relative to the data root. Placeholders:

- ``{video}``: the name of a video (BURST also has ``{dataset}`` and ``{sequence}``),
- ``{split}``: the entry of ``split_folders`` for the split,
- ``{resolution}``: each of ``resolutions``, or of ``full_resolutions`` if ``full_resolution`` is on.

If a field has several templates, the first path that exists is used.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable
from typing import Literal, TypeVar

from voskit.configs.base import Config
from voskit.configs.registry import Registry

DATASETS: Registry[type[DatasetConfig]] = Registry("dataset")

D = TypeVar("D", bound="type[DatasetConfig]")

_PLACEHOLDERS = {"video", "split", "resolution", "dataset", "sequence"}


class DatasetConfig(Config):
    """Fields of every dataset. A description is data and can be stored as JSON."""

    name: str = ""
    """Name in results. Default: the name in the registry."""
    title: str = ""
    """Display name, such as ``"YouTube-VOS 2019"``."""
    task: Literal["semi_supervised", "unsupervised", "referring", "panoptic"] = "semi_supervised"

    folder: str = ""
    """Usual folder in ``datasets/``, for documentation."""
    roots: tuple[str, ...] = ("",)
    """Folders relative to the data root that may contain the dataset. Conventions differ between code bases."""
    splits: tuple[str, ...] = ("val",)
    """Names of the splits. The first one is the default."""
    split_folders: tuple[str, ...] = ()
    """Values of ``{split}`` for each of ``splits``. Empty: the names of the splits."""
    all_frames_splits: tuple[str, ...] = ()
    """Splits that read frames from ``all_frames``, which has more frames than the server scores."""

    frames: tuple[str, ...] = ()
    """Folders with the frames of one video. A dataset of your own can have a video file of that name instead."""
    all_frames: tuple[str, ...] = ()
    """Replaces ``frames`` in ``all_frames_splits``."""
    given_masks: tuple[str, ...] = ()
    """Folders that contain only the masks given to a method. They take precedence over ``masks``."""
    masks: tuple[str, ...] = ()
    """Folders of masks, from which ``given`` selects those given to a method."""
    ground_truth: tuple[str, ...] = ()
    """Folders or JSON file of the ground truth, which counts as present if it has more masks than are given."""
    video_list: tuple[str, ...] = ()
    """Text files with the name of a video on each line, or with pairs of files (DAVIS 2016)."""
    meta: tuple[str, ...] = ()
    """JSON files about all videos."""
    excluded_meta: tuple[str, ...] = ()
    """JSON files of the same format, if they exist. Their videos are left out."""
    meta_format: Literal["none", "objects", "burst", "panoptic", "expressions"] = "none"
    index_required: bool = True
    """Require ``video_list`` or ``meta``. False: without them, the folders of frames are the list of videos."""

    resolutions: tuple[str, ...] = ()
    full_resolutions: tuple[str, ...] = ()
    full_resolution: bool = False
    """Read frames and given masks at their full resolution."""
    results_at: str = ""
    """Resolution of results and ground truth with ``full_resolution``, one of ``resolutions``. Empty: the resolution of
    the input frames."""

    given: Literal["none", "first", "all", "appearing"] = "first"
    """Masks given to a method: none, the first one, all in the folder, or in each frame only the objects that first
    appear there, cut out of its full annotation."""
    fed: Literal["folder", "listed"] = "folder"
    """Frames given to a method: all in the folder, or those in the meta file."""
    wanted: Literal["all", "listed", "annotated"] = "all"
    """Frames to write: all, those in the meta file, or those with a ground-truth mask."""
    frame_step: int | None = None
    """Difference between the numbers of consecutive frames, checked by ``voskit check-dataset``. None: irregular."""

    binary: bool = False
    """Read every nonzero mask value as object 1."""
    ignore_id: int | None = 255
    """Mask value of ignored pixels. None: no such value."""
    max_proposals: int | None = None
    """Maximum object id in results if no mask is given."""

    copy_given_mask: bool = True
    """Use the first given mask as the result of its frame (binarized if ``binary``)."""
    result_folder: str = ""
    """Folder between ``Annotations`` and the videos in the results of AOT's evaluator."""
    full_resolution_result_folder: str = ""

    archive: Literal["masks", "expressions", "annotators", "panoptic", "visor", "burst"] = "masks"
    """Submission format: id PNGs; 0/255 PNGs per expression; id PNGs per annotator; RGB PNGs with JSON; JSON."""
    archive_prefix: str = ""
    """Folder of the videos in the archive."""
    archive_suffix: str = ".zip"
    submit_given_frame: bool = True
    """Include the mask of the first frame in the submission."""
    object_names: tuple[str, ...] = ()
    """JSON files with object names by video and id (VISOR)."""
    server: bool = False
    """True if the first split has, or had, an evaluation server."""

    scoring: str = "folder"
    """Scoring protocol, an entry in ``voskit.evaluators.metrics.SCORERS``. Empty: no scores."""

    def __post_init__(self) -> None:
        where = f"dataset {self.name or type(self).__name__!r}"
        if not self.splits:
            raise ValueError(f"{where}: splits must name at least one split")
        if self.split_folders and len(self.split_folders) != len(self.splits):
            raise ValueError(f"{where}: split_folders must have one entry for each of the {len(self.splits)} splits")
        if self.results_at and self.results_at not in self.resolutions:
            raise ValueError(f"{where}: results_at {self.results_at!r} must be one of {', '.join(self.resolutions)}")
        for field, value in self.to_dict().items():
            for template in value if isinstance(value, tuple) else ():
                _check_template(where, field, template)

    def split_folder(self, split: str) -> str:
        """Return the value of ``{split}``.

        Raises:
            ValueError: the split is unknown; the message lists all splits.
        """
        if split not in self.splits:
            raise ValueError(f"dataset {self.name!r} has no split {split!r}: known: {', '.join(self.splits)}")
        return self.split_folders[self.splits.index(split)] if self.split_folders else split

    @property
    def published_folder(self) -> str:
        """Folder of the videos in the results of AOT's evaluator, such as ``Annotations/480p``."""
        full = self.full_resolution and not self.results_at
        folder = self.full_resolution_result_folder if full else self.result_folder
        return f"Annotations/{folder}".rstrip("/")


def _check_template(where: str, field: str, template: str) -> None:
    try:
        used = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    except ValueError as error:
        raise ValueError(f"{where}: {field} {template!r} is not a path template ({error})") from None
    if unknown := used - _PLACEHOLDERS:
        raise ValueError(
            f"{where}: {field} {template!r} has an unknown placeholder {{{min(unknown)}}}: "
            f"known: {', '.join(sorted(_PLACEHOLDERS))}"
        )
    if field in ("frames", "all_frames", "given_masks", "masks") and not used & {"video", "sequence"}:
        raise ValueError(f"{where}: {field} {template!r} must contain {{video}}")


def register_dataset(name: str) -> Callable[[D], D]:
    """Return a class decorator that registers a dataset description under ``name``."""
    return DATASETS.register(name)  # type: ignore[return-value]


def list_datasets() -> list[str]:
    """Return the names of all datasets."""
    return DATASETS.names()


def get_dataset_config(name: str, **changes: object) -> DatasetConfig:
    """Return the description of a dataset, with some fields changed.

    Raises:
        ValueError: the dataset or a field is unknown (similar names are suggested), or a value has the wrong
            type.
    """
    config = DATASETS.get(name)()
    return config.override(**{"name": config.name or name, **changes})


def expand(templates: Iterable[str], config: DatasetConfig, split: str, *, results: bool = False) -> list[str]:
    """Fill in ``{split}`` and ``{resolution}`` in path templates; placeholders for the video are kept.

    Args:
        templates: path templates relative to the data root.
        config: the dataset.
        split: one of its splits.
        results: use the resolution of the results instead of that of the frames.
    """
    resolutions = (config.full_resolutions if config.full_resolution else config.resolutions) or ("",)
    if results and config.results_at:
        resolutions = (config.results_at,)
    keep = {"video": "{video}", "dataset": "{dataset}", "sequence": "{sequence}"}
    folder = config.split_folder(split)
    return list(dict.fromkeys(t.format(split=folder, resolution=r, **keep) for t in templates for r in resolutions))
