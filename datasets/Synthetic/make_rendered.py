"""Generator of annotated clips: renderings of falling, colliding, shuffled and flying objects over photographs.

    python datasets/Synthetic/make_rendered.py --photographs datasets/Static --output datasets/Rendered --seed 1

writes ``JPEGImages/<clip>/*.jpg``, ``Annotations/<clip>/*.png`` and ``rendered.json`` to ``--output``. Existing clips
are kept, so run the command again to resume. README.md lists the packages that it needs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

import pybullet

sys.path.insert(0, str(Path(__file__).resolve().parent))

from synthesis.models import ModelLibrary
from synthesis.output import write_clips
from synthesis.photographs import Photographs
from synthesis.rendering import render_clip


def main() -> None:
    """Parse the command line and render."""
    parser = argparse.ArgumentParser(description="Render annotated clips of moving objects over photographs.")
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
    photographs = Photographs(args.photographs)
    pybullet.connect(pybullet.DIRECT)
    with tempfile.TemporaryDirectory() as folder:
        library = ModelLibrary(photographs, Path(folder))
        draw = partial(render_clip, library, photographs, frames=tuple(args.frames))
        write_clips(args.output, "rendered", range(args.first, args.first + args.clips), args.seed, draw)


if __name__ == "__main__":
    main()
