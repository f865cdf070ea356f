"""What a description of a dataset says: where things lie, which frames are asked for, how results are handed in.

Paths are templates below the data root. They may hold

- ``{video}``: the name of a video (BURST also has ``{dataset}`` and ``{sequence}``),
- ``{split}``: what ``split_folders`` gives for the split,
- ``{resolution}``: each of ``resolutions``, or of ``full_resolutions`` where ``full_resolution`` is on.

Where a field holds several templates, the first one that exists is used.
"""

from __future__ import annotations

import string
from collections.abc import Iterable
from typing import Literal

from voskit.configs.base import Config
from voskit.configs.registry import Registry

DATASETS: Registry[type[DatasetConfig]] = Registry("dataset")

_PLACEHOLDERS = {"video", "split", "resolution", "dataset", "sequence"}


class DatasetConfig(Config):
    """Fields of all datasets. A description is data: it can be written to and read from JSON."""

    name: str = ""
    """Name in results; that of the registry where nothing else is given."""
    title: str = ""
    """What people call it."""
    task: Literal["semi_supervised", "unsupervised", "referring", "panoptic"] = "semi_supervised"

    folder: str = ""
    """Folder below ``datasets/`` where it usually lies; for documentation."""
    roots: tuple[str, ...] = ("",)
    """Folders below the data root in which the layout may begin, as several code bases have put it."""
    splits: tuple[str, ...] = ("val",)
    """The first one is the default."""
    split_folders: tuple[str, ...] = ()
    """What ``{split}`` stands for, for each of ``splits``. Empty: the names themselves."""
    all_frames_splits: tuple[str, ...] = ()
    """Splits whose frames come from ``all_frames``: more frames are fed than the server wants."""

    frames: tuple[str, ...] = ()
    """Folders of the frames of one video. One's own dataset may have a video file of that name in place of a folder."""
    all_frames: tuple[str, ...] = ()
    """Stands for ``frames`` in ``all_frames_splits``."""
    given_masks: tuple[str, ...] = ()
    """Folders that hold just the masks that a method is given. Looked for before ``masks``."""
    masks: tuple[str, ...] = ()
    """Folders of masks, of which ``given`` says what a method gets."""
    ground_truth: tuple[str, ...] = ()
    """Folders (or one JSON file) of the truth. It counts as present where it has more masks than a method is given."""
    video_list: tuple[str, ...] = ()
    """Text files: a video's name on each line, or pairs of files (DAVIS 2016)."""
    meta: tuple[str, ...] = ()
    """JSON files about all videos."""
    excluded_meta: tuple[str, ...] = ()
    """JSON files of the same kind, whose videos are left out (if they are there)."""
    meta_format: Literal["none", "objects", "burst", "panoptic", "expressions"] = "none"
    index_required: bool = True
    """Whether ``video_list`` or ``meta`` must be there; otherwise the folders of frames are the list."""

    resolutions: tuple[str, ...] = ()
    full_resolutions: tuple[str, ...] = ()
    full_resolution: bool = False
    """Read frames and given masks at their full resolution."""
    results_at: str = ""
    """One of ``resolutions``: with ``full_resolution`` results have the size of frames there, and the truth is there;
    empty: of the frames that are read."""

    given: Literal["none", "first", "all", "appearing"] = "first"
    """Masks that a method is given: the first one, all in the folder, or the objects that begin at a frame, cut out of
    the full annotation of that frame."""
    fed: Literal["folder", "listed"] = "folder"
    """Frames that a method sees: all in the folder, or those that the meta file lists."""
    wanted: Literal["all", "listed", "annotated"] = "all"
    """Frames to be written: all, those that the meta file lists, or those that have a true mask."""
    frame_step: int | None = None
    """Difference between the numbers of two frames; None: not regular. Checked by ``tools/check_dataset.py``."""

    binary: bool = False
    """Any value but 0 is the one object, id 1."""
    ignore_id: int | None = 255
    """Value of masks that is no object."""
    max_proposals: int | None = None
    """Ids 1 to this are known where no mask is given."""

    copy_given_mask: bool = True
    """The file of the first given mask is the result of its frame (binarised if ``binary``)."""
    result_folder: str = ""
    """Folder between ``Annotations`` and the videos in results as AOT's evaluator writes them."""
    full_resolution_result_folder: str = ""

    archive: Literal["masks", "expressions", "annotators", "panoptic", "visor", "burst"] = "masks"
    """What the server reads: id PNGs; 0/255 PNGs per expression; id PNGs per annotator; RGB PNGs and JSON; JSON."""
    archive_prefix: str = ""
    """Folder in the archive that holds the videos."""
    archive_suffix: str = ".zip"
    submit_given_frame: bool = True
    """Whether the first frame's mask is handed in."""
    object_names: tuple[str, ...] = ()
    """JSON files of object names by video and id (VISOR)."""
    server: bool = False
    """Whether there is (or was) a server for the first split; else the archive is only for keeping."""

    scoring: str = "folder"
    """Name of the scoring protocol: an entry of ``voskit.evaluators.metrics.SCORERS``. Empty: there is none."""

    def __post_init__(self) -> None:
        where = f"dataset {self.name or type(self).__name__!r}"
        if not self.splits:
            raise ValueError(f"{where}: splits must name at least one split")
        if self.split_folders and len(self.split_folders) != len(self.splits):
            raise ValueError(f"{where}: split_folders must have one entry for each of the {len(self.splits)} splits")
        if self.results_at and self.results_at not in self.resolutions:
            raise ValueError(f"{where}: results_at {self.results_at!r} is none of {', '.join(self.resolutions)}")
        for field, value in self.to_dict().items():
            for template in value if isinstance(value, tuple) else ():
                _check_template(where, field, template)

    def split_folder(self, split: str) -> str:
        """What ``{split}`` stands for.

        Raises:
            ValueError: no such split; the message lists those that exist.
        """
        if split not in self.splits:
            raise ValueError(f"dataset {self.name!r} has no split {split!r}: known: {', '.join(self.splits)}")
        return self.split_folders[self.splits.index(split)] if self.split_folders else split

    @property
    def published_folder(self) -> str:
        """Folder of the videos in results as AOT's evaluator names it, such as ``Annotations/480p``."""
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


def register_dataset(name: str):
    """Class decorator that files a dataset's description under ``name``."""
    return DATASETS.register(name)


def list_datasets() -> list[str]:
    """Names of all datasets."""
    return DATASETS.names()


def get_dataset_config(name: str, **changes: object) -> DatasetConfig:
    """Return the description of a dataset, with some fields changed.

    Raises:
        ValueError: unknown dataset, unknown field, or a value of the wrong type; near names are listed.
    """
    config = DATASETS.get(name)()
    return config.override(**{"name": config.name or name, **changes})


def expand(templates: Iterable[str], config: DatasetConfig, split: str, *, results: bool = False) -> list[str]:
    """Templates with ``{split}`` and ``{resolution}`` filled in; ``{video}``, ``{dataset}``, ``{sequence}`` stay.

    With ``results`` the resolution is the one at which results are.
    """
    resolutions = (config.full_resolutions if config.full_resolution else config.resolutions) or ("",)
    if results and config.results_at:
        resolutions = (config.results_at,)
    keep = {"video": "{video}", "dataset": "{dataset}", "sequence": "{sequence}"}
    folder = config.split_folder(split)
    return list(dict.fromkeys(t.format(split=folder, resolution=r, **keep) for t in templates for r in resolutions))
