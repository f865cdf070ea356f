"""Write masks that a dataset has in one JSON file as a PNG for each frame, as training reads them.

    python tools/masks_to_png.py --annotations OVIS/annotations_train.json --output OVIS/train/Annotations
    python tools/masks_to_png.py --annotations BURST/train/all_classes.json --output BURST/train/Annotations

Run it again to go on after it was stopped: a video's folder is there when it is whole.
"""

from __future__ import annotations

import logging
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro
from tqdm import tqdm

from voskit.dataloaders.datasets.json_masks import read_json_masks
from voskit.evaluators.clips.mask_writer import MaskWriter
from voskit.tools.command import run_command

logger = logging.getLogger("masks_to_png")

_SHOWN = 20


@dataclass(frozen=True)
class Args:
    """Write masks that a dataset has in one JSON file as a PNG for each frame."""

    annotations: Path
    """The JSON file: BURST's, or one laid out as YouTube-VIS (OVIS)."""
    output: Path
    """Folder of the videos' folders."""


def run(args: Args) -> int:
    """Write all videos but those that have a folder; these are named."""
    partial = args.output / ".partial"
    count = 0
    there: list[str] = []
    for video in tqdm(read_json_masks(args.annotations), unit="video"):
        final = args.output / video.name
        if final.is_dir():
            there.append(video.name)
            continue
        shutil.rmtree(partial, ignore_errors=True)
        with MaskWriter(partial) as writer:
            for frame, ids in video.masks:
                writer.write(frame, ids)
        partial.rename(final)
        count += 1
    logger.info("%s: %d videos written", args.output, count)
    if there:
        names = ", ".join(there[:_SHOWN]) + ", ..." * (len(there) > _SHOWN)
        logger.info("%d videos left as they are, because their folders are there already: %s", len(there), names)
    return 0


def main() -> int:
    """Parse and run."""
    args = tyro.cli(Args, description=__doc__)
    return run_command(lambda: run(args), interrupted="interrupted; run it again to go on")


if __name__ == "__main__":
    sys.exit(main())
