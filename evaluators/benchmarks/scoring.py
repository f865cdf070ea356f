"""Scoring of an evaluation with the dataset's scorer and ground truth."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from voskit.configs.datasets import expand
from voskit.dataloaders.datasets import Dataset, Video
from voskit.dataloaders.datasets.video import image_size
from voskit.dataloaders.masks.mask_set import VOID, mask_values
from voskit.evaluators.metrics import SCORERS, Scores
from voskit.evaluators.metrics.base import Request, Scorer, VideoFolders, VideoScorer
from voskit.evaluators.metrics.frames.jobs import default_workers
from voskit.evaluators.metrics.frames.label_maps import read_label_map

_ONE_OBJECT = "davis2016"
UNPACKED = ".unpacked-"


def check_benchmark(dataset: Dataset) -> None:
    """Check, before there are any results, that they can be scored and packed as the dataset's description says.

    Raises:
        ValueError: the description names an unknown scorer, or one that can't read the results.
        FileNotFoundError: a file that the archive needs is missing.
    """
    DatasetScoring(dataset)
    if dataset.config.archive != "visor":
        return
    try:
        named = dataset.object_names
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error}, which the submission of {dataset.name} needs: download it, or describe the dataset in a JSON "
            f'file with "base": "{dataset.name}", "archive": "masks", which packs masks'
        ) from None
    if absent := [video.name for video in dataset if video.name not in named]:
        raise ValueError(
            f"the file of object names of {dataset.name} lacks {len(absent)} of {len(dataset)} videos, such as "
            f"{absent[0]}: is it the file of the split {dataset.split}?"
        )


class DatasetScoring:
    """Scorer and ground truth of a dataset, checked before there are results.

    Args:
        dataset: an opened dataset.

    Attributes:
        obstacle: the reason why results can't be scored; empty if they can.
        limits: one line about videos that aren't scored; empty if all are.

    Raises:
        ValueError: the description names an unknown scorer (similar names are suggested), or one that can't read the
            dataset's results.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.obstacle = self.limits = ""
        name = dataset.config.scoring
        if not name:
            self.obstacle = f"there is no scorer for {dataset.name}"
            return
        scorer = SCORERS.get(name)
        if dataset.config.archive not in scorer.archives:
            raise ValueError(
                f"dataset {dataset.name}: scoring {name!r} can't read results of the form {dataset.config.archive!r}: "
                "set scoring in the description to 'folder', or to '' for no scores"
            )
        try:
            self._scorer, self._request = scorer, self._resolve(scorer)
            scorer.check(self._request)
        except (ValueError, FileNotFoundError) as error:
            self.obstacle = str(error)

    def score(self, results: Path, archive: Path, num_workers: int | None = None) -> Scores:
        """Score results.

        Args:
            results: the folder of the videos.
            archive: the packed results, which are scored instead for BURST and VIPSeg.
            num_workers: number of processes; None: one per core.

        Raises:
            ValueError: there is an obstacle, or a file is invalid.
            FileNotFoundError: a file is missing.
        """
        if self.obstacle:
            raise ValueError(f"{self.dataset.name} {self.dataset.split} can't be scored: {self.obstacle}")
        workers = default_workers() if num_workers is None else num_workers
        if self.dataset.config.archive == "burst":
            return self._run(archive, workers)
        if self.dataset.config.archive == "panoptic":
            with tempfile.TemporaryDirectory(prefix=UNPACKED, dir=archive.parent) as folder:
                with zipfile.ZipFile(archive) as file:
                    file.extractall(folder)
                return self._run(Path(folder), workers)
        return self._run(results, workers)

    def _run(self, results: Path, workers: int) -> Scores:
        request = self._request
        return self._scorer.run(
            Request(request.data_root, results, request.options, workers, None, request.videos, request.meta)
        )

    def _resolve(self, scorer: Scorer) -> Request:
        """Return everything that the scorer needs except the results.

        Raises:
            ValueError: ground truth is missing, or in a form that the scorer doesn't read.
        """
        dataset, config = self.dataset, self.dataset.config
        known = [video for video in dataset if video.ground_truth is not None]
        if not known:
            looked_for = ", ".join(expand(config.ground_truth, config, dataset.split, results=True)) or "none is known"
            raise ValueError(f"no video of {dataset.name} {dataset.split} has ground truth (looked for: {looked_for})")
        if len(known) < len(dataset):
            self.limits = f"{len(known)} of {len(dataset)} videos have ground truth: only these are scored"
        given: dict[str, str] = {}
        if config.binary and "binary" not in scorer.options and scorer.name != _ONE_OBJECT:
            raise ValueError(f"{scorer.name} scores ids, not binary masks: set scoring to 'folder' in the description")
        if "ignore_id" in scorer.options:
            given["binary"] = "yes" if config.binary else "no"
            given["ignore_id"] = "none" if config.ignore_id is None else str(config.ignore_id)
        if not isinstance(scorer, VideoScorer):
            if "split" in scorer.options:
                given["split"] = _split_of(scorer, dataset)
            return Request(dataset.root, Path(), scorer.complete_options(given))
        videos = {video.name: _folders(video) for video in known}
        for video in known:
            self._check_first_mask(video, ids=scorer.name == "folder" and not config.binary)
        # the dataset knows where its ground truth is, so these options are only recorded
        places = {"split": dataset.split, "resolution": next(iter(videos.values())).masks.parent.name}
        options = {k: places.get(k, v) for k, v in scorer.complete_options(given).items()}
        if self.limits:
            options["videos"] = f"{len(known)} of {len(dataset)}"
        return Request(dataset.root, Path(), options, videos=videos, meta=dataset.meta_path)

    def _check_first_mask(self, video: Video, *, ids: bool) -> None:
        """Check the size of a video's first true mask and, with ``ids``, that its values are the ids of the objects.

        Raises:
            ValueError: the size differs from that of the results, or the mask has colors or smooth edges, which
                scorers don't interpret.
        """
        name, path = next(iter(video.truth_frames.items()), ("", None))
        if path is None:
            return
        size = self.dataset.result_size(video) or video.frame_size
        if (found := image_size(path)) != size:
            raise ValueError(
                f"{path}: the mask is {found[0]}x{found[1]} (height x width), but the results are {size[0]}x{size[1]}"
            )
        if not ids or mask_values(path) <= {VOID}:  # one object, whose edge may be soft
            return
        values = read_label_map(path)
        void = np.isin(values, (VOID, self.dataset.config.ignore_id or VOID))
        if ((values != video.true_masks.read(path, name)) & ~void).any():
            raise ValueError(
                f"{path}: its objects are distinguished by colors or have smooth edges: save the ground truth as PNGs "
                "of ids"
            )


def _folders(video: Video) -> VideoFolders:
    masks = video.ground_truth
    assert masks is not None
    for path in video.truth_frames.values():
        if path.suffix != ".png":
            raise ValueError(f"{path}: ground truth masks must be named *.png, in lower case: rename it")
    image: Any = next(iter(video.files.values()), video.video_file)
    return VideoFolders(masks, masks if image is None else image.parent)


def _split_of(scorer: Scorer, dataset: Dataset) -> str:
    """Return the scorer's name for the split: the dataset's name for it, or the name of its folder."""
    choices = scorer.options["split"].choices
    for name in (dataset.split, dataset.config.split_folder(dataset.split)):
        if choices is None or name in choices:
            return name
    raise ValueError(f"{scorer.name} can only be scored on {', '.join(choices or ())}, not on {dataset.split}")
