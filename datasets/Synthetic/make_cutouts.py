"""Generator of annotated clips of cut-outs that move and deform, alone and in groups of look-alikes.

    python datasets/Synthetic/make_cutouts.py --figures node_modules --photographs datasets/Static --output Cutouts

writes ``JPEGImages/<clip>/*.jpg``, ``Annotations/<clip>/*.png`` and ``cutouts.json`` to ``--output``. Existing clips
are kept, so run the command again to resume. README.md lists the packages that it needs.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from synthesis.compositing import composite_clip
from synthesis.figures import Figures
from synthesis.output import write_clips
from synthesis.photographs import Photographs


def main() -> None:
    """Parse the command line and compose."""
    parser = argparse.ArgumentParser(description="Compose annotated clips of cut-outs that move and deform.")
    parser.add_argument(
        "--figures", type=Path, required=True, help="folder with animated *.webp files, also in subfolders"
    )
    parser.add_argument("--photographs", type=Path, required=True, help="folder with *.jpg files, also in subfolders")
    parser.add_argument("--output", type=Path, required=True, help="folder of the dataset")
    parser.add_argument("--clips", type=int, default=300, help="number of clips")
    parser.add_argument(
        "--first", type=int, default=0, help="number of the first clip, to divide the work among processes"
    )
    parser.add_argument("--seed", type=int, default=1, help="random seed")
    parser.add_argument(
        "--frames", type=int, nargs=2, default=(12, 24), help="minimum and maximum number of frames per clip"
    )
    args = parser.parse_args()
    draw = partial(
        composite_clip, Photographs(args.photographs), Figures(args.figures), frames=(args.frames[0], args.frames[1])
    )
    write_clips(args.output, "cutouts", range(args.first, args.first + args.clips), args.seed, draw)


if __name__ == "__main__":
    main()
