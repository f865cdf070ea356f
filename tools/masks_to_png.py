"""Convert the masks in a dataset's JSON file to one PNG per frame, for training.

    voskit masks-to-png --annotations OVIS/annotations_train.json --output OVIS/train/Annotations
    voskit masks-to-png --annotations BURST/annotations/train/train.json --output BURST/train/Annotations

Objects of the YouTube-VIS format (OVIS) are numbered from 1 in each video, in the order of their ids. BURST's objects
keep their ids.
Run it again to resume: a video's folder exists only when it is complete.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # python tools/masks_to_png.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from voskit.__main__ import main as voskit

    sys.exit(voskit(["masks-to-png", *sys.argv[1:]]))

import logging
from dataclasses import dataclass

from voskit.tools.command import run_tool

logger = logging.getLogger("masks_to_png")

_SHOWN = 20


@dataclass(frozen=True)
class Args:
    """Convert the masks in a dataset's JSON file to one PNG per frame."""

    annotations: Path
    """The JSON file: BURST's, or one in the layout of YouTube-VIS (OVIS)."""
    output: Path
    """Output folder, with a folder for each video."""


def run(args: Args) -> int:
    """Write all videos except those that already have a folder, which are logged."""
    from voskit.dataloaders.datasets.json_masks import read_json_masks
    from voskit.dataloaders.datasets.problem import counted
    from voskit.dataloaders.files import check_output_folder
    from voskit.evaluators.clips.mask_writer import write_mask_folders
    from voskit.evaluators.progress import progress_bar

    check_output_folder(args.output, "--output ")
    videos = progress_bar(read_json_masks(args.annotations), unit="video")
    count, existing = write_mask_folders(videos, args.output)
    logger.info("%s: %s written", args.output, counted(count, "video"))
    if existing:
        names = ", ".join(existing[:_SHOWN]) + ", ..." * (len(existing) > _SHOWN)
        logger.info("%s skipped, already written: %s", counted(len(existing), "video"), names)
    return 0


def main() -> int:
    """Parse the command line and run."""
    return run_tool(run, Args, __doc__, interrupted="interrupted; run it again to resume")
