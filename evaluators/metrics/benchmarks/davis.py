"""Scorers of DAVIS 2016 and DAVIS 2017, semi-supervised.

Perazzi et al., CVPR 2016; Pont-Tuset et al., "The 2017 DAVIS Challenge on Video Object Segmentation", arXiv:1704.00675.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voskit.evaluators.clips.report import masks_folder
from voskit.evaluators.metrics.base import SCORERS, Option, Request, Scores, VideoFolders, VideoScorer, video_folders
from voskit.evaluators.metrics.frames.jobs import run_frames
from voskit.evaluators.metrics.frames.measure import Rules, measure
from voskit.evaluators.metrics.frames.sequences import check_counted, frame_pairs, mask_names, read_list
from voskit.evaluators.metrics.measures import statistics
from voskit.evaluators.metrics.semi_supervised import (
    J_AND_F,
    DavisFolders,
    DavisStyle,
    object_row,
    scored_frames,
    with_j_and_f,
)


class Davis2016(VideoScorer):
    """J and F of one object, which is any value but 0. The temporal stability T isn't computed.

    The first and the last frame don't count. Global figures are means over sequences.
    """

    options = {
        "split": Option("val", None, "a list in ImageSets/2016, or ImageSets/480p in the 2016 package"),
        "resolution": Option("480p", ("480p", "1080p", "Full-Resolution"), "the folder of masks"),
    }

    def find(self, request: Request) -> dict[str, VideoFolders]:
        """Return the sequences in the list."""
        size = request.options["resolution"]
        names = read_list(_list_file(request.data_root, request.options["split"], size))
        return video_folders(names, request.data_root / "Annotations" / size, request.data_root / "JPEGImages" / size)

    def run(self, request: Request) -> Scores:
        """Score all sequences of the split."""
        videos = self.videos(request)
        rules = Rules(objects=(1,), binary=True)
        work = {}
        for sequence, folders in videos.items():
            names = mask_names(folders.masks)[1:-1]
            work[sequence] = (rules, frame_pairs(folders.masks, masks_folder(request.results, sequence), names))
        check_counted(
            {sequence: len(pairs) for sequence, (_, pairs) in work.items()},
            "give the ground truth of all frames, not only the given masks",
        )
        values = run_frames(measure, work, num_workers=request.num_workers, progress=request.progress)
        rows, frames = {}, []
        for sequence, (_, pairs) in work.items():
            if not pairs:
                continue
            measured = values[sequence]
            row = object_row(
                np.array([value.region[0] for value in measured]), np.array([value.boundary[0] for value in measured])
            )
            for key in ("J_frames", "F_frames"):  # the official tool has an entry for every frame
                row[key] = [float("nan"), *row[key], float("nan")]
            rows[sequence] = row
            frames += scored_frames(sequence, rules, pairs, measured, videos[sequence].images)
        totals = statistics.mean_of(with_j_and_f(rows.values()), J_AND_F)
        return Scores(self.name, dict(request.options), {"global": totals, "per_sequence": rows}, J_AND_F, frames)


class Davis2017(DavisStyle):
    """The semi-supervised metric of DAVIS 2017."""

    options = {
        "split": Option("val", None, "a list in ImageSets/2017"),
        "resolution": Option("480p", ("480p", "Full-Resolution"), "the folder of masks"),
    }

    def folders_for(self, request: Request) -> DavisFolders:
        """Return the folders for the chosen resolution."""
        size = request.options["resolution"]
        return DavisFolders("ImageSets/2017", f"Annotations/{size}", f"JPEGImages/{size}")


def _list_file(root: Path, split: str, resolution: str) -> Path:
    by_package = [root / "ImageSets" / folder / f"{split}.txt" for folder in ("2016", resolution, "480p")]
    return next((path for path in by_package if path.is_file()), by_package[0])


for _scorer in (Davis2016("davis2016"), Davis2017("davis2017")):
    SCORERS.register(_scorer.name)(_scorer)
