"""Segment videos, given masks of their objects or text prompts.

    voskit demo
    voskit demo my_video.mp4 --mask first.png
    voskit demo my_video.mp4 --box 1:200,80,420,300 --point 2:510,140
    voskit demo my_video.mp4 --mask first.png --start 1:02.5 --export coco prores4444
    voskit demo --model vswinb_referformer --data_path my_video.mp4 --text "a dog" "the red car"

Each clip gets a folder <output_path>/<clip> with masks/*.png, overlay.mp4, contact_sheet.png, report.json, exports/.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # python tools/demo.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from voskit.__main__ import main as voskit

    sys.exit(voskit(["demo", *sys.argv[1:]]))

import logging

from voskit.tools.command import quiet, run_tool
from voskit.tools.flags.clips import ClipArgs as Args
from voskit.tools.open_file import open_result

logger = logging.getLogger("demo")
_LOADING = "voskit.networks.build"


def run(args: Args) -> int:
    """Segment all clips; return 0 only if all were segmented."""
    args.check()
    args = args.for_bundled_scenes()
    if args.task == "referring":
        folders, failed = [refer(args)], 0
    else:
        folders, failed = segment(args)
    if args.open and folders and (line := open_result(folders[0])):
        logger.info("%s", line)
    return int(failed > 0)


def segment(args: Args) -> tuple[list[Path], int]:
    """Segment clips with masks; return the folders of the results and the number of clips that failed."""
    from voskit.evaluators.clips.sources import check_clips

    clips = args.find_clips()
    if len(clips) == 1:  # of several, those that can be read are segmented
        with quiet(logging.ERROR):  # the run itself says how it reads the mask
            check_clips(clips, args.output_path, args.fps, args.start, args.end)
    from voskit.evaluators.clips.scenes import segment_clips

    with quiet(logging.WARNING, None if args.verbose else _LOADING):
        segmenter = args.with_bounded_memory().build_segmenter()
    logger.log(logging.INFO if args.verbose else logging.DEBUG, "%s", segmenter.config)
    logger.info("%s on %s", args.model, segmenter.device)
    folders = segment_clips(clips, segmenter, args.output_path, args.options())
    return folders, len(clips) - len(folders)


def refer(args: Args) -> Path:
    """Segment the objects of text prompts in a clip; return the folder of the results."""
    from voskit.dataloaders.video.frames import check_source

    check_source(args.data_path[0], args.fps)
    from voskit.evaluators.clips.scenes import refer_source

    with quiet(logging.WARNING, None if args.verbose else _LOADING):
        segmenter, propagator = args.build_referring_segmenter(), args.build_propagator()
    logger.info("%s on %s", args.model, segmenter.device)
    return refer_source(args.data_path[0], args.text, segmenter, propagator, args.output_path, args.options())


def main() -> int:
    """Parse the command line and run."""
    return run_tool(run, Args, __doc__, interrupted="interrupted; results so far are saved")
