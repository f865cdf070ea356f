"""Generator of the Probe set: videos with exact ids that show in which situations a tracker fails.

    python datasets/Probe/make_probe.py --output datasets/Probe

writes ``JPEGImages/<video>``, ``Annotations/<video>`` and the lists of the splits, ``ImageSets/<split>.txt``,
to ``--output``. Complete videos are kept, so an interrupted run can be repeated.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "Synthetic"))

import cv2
import numpy as np
from scenes.kinds import KINDS
from scenes.pictures import DemoPictures
from synthesis.output import write_clip

HERE = Path(__file__).resolve().parent
SEED = 20


def main() -> None:
    """Parse the command line and generate missing videos."""
    parser = argparse.ArgumentParser(description="Generate the Probe set.")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of the dataset")
    parser.add_argument("--splits", nargs="+", choices=KINDS, default=list(KINDS), help="kinds of videos to generate")
    args = parser.parse_args()
    for part in ("JPEGImages", "Annotations", "ImageSets"):
        (args.output / part).mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    pictures = DemoPictures(HERE.parent / "Demo")
    for number, (kind, scenes) in enumerate(KINDS.items()):
        for k, (name, scene) in enumerate(scenes.items()):
            if kind in args.splits and not (args.output / "Annotations" / f"{kind}-{name}").is_dir():
                write_clip(args.output, f"{kind}-{name}", scene(pictures, np.random.default_rng((SEED, number, k))))
                print(f"{kind}-{name}", flush=True)
    write_lists(args.output)


def write_lists(output: Path) -> None:
    """Write the list of videos of each split; ``all`` has the videos of all kinds."""
    lists = {kind: [f"{kind}-{name}" for name in scenes] for kind, scenes in KINDS.items()}
    lists["all"] = [name for names in lists.values() for name in names]
    for split, names in lists.items():
        (output / "ImageSets" / f"{split}.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


if __name__ == "__main__":
    main()
