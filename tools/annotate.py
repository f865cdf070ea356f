"""Annotate videos in the browser: paint or click objects in a frame, propagate them, correct them, propagate again.

    voskit annotate
    voskit annotate my_video.mp4
    voskit annotate folder_of_videos --output_path out --model r50_deaotl --ckpt_path F
    voskit annotate --root /data/videos --host 0.0.0.0 --password SECRET

The page needs starlette and uvicorn: pip install "voskit[annotate]". <output_path>/<clip>/masks always holds the masks
of all frames, and <output_path>/<clip>/given those that you gave. Run the command again to resume.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # python tools/annotate.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from voskit.__main__ import main as voskit

    sys.exit(voskit(["annotate", *sys.argv[1:]]))

import os
from functools import partial

from voskit.tools.command import run_tool
from voskit.tools.flags.annotation import AnnotateArgs


def run(args: AnnotateArgs) -> int:
    """Serve the page until Ctrl-C."""
    args.check()
    from voskit.evaluators.annotation.start import ServerOptions, annotate

    options = ServerOptions(
        host=args.host,
        port=args.port,
        password=args.password or os.environ.get("VOSKIT_PASSWORD"),
        allowed_hosts=args.allowed_hosts,
        max_upload=args.max_upload,
        open_browser=args.open_browser,
    )
    annotate(
        args.data_path,
        args.output_path,
        args.model,
        partial(args.build_segmenter, bounded=True),
        options,
        mask=args.mask,
        root=args.root,
        fps=args.fps,
        prompters=args.prompter,
    )
    return 0


def main() -> int:
    """Parse the command line and run."""
    return run_tool(run, AnnotateArgs, __doc__, interrupted="stopped; all masks are saved")
