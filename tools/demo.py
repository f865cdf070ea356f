"""Segment videos, given masks of their objects or text prompts.

    voskit demo
    voskit demo my_video.mp4 --mask first.png
    voskit demo my_video.mp4 --box 1:200,80,420,300 --point 2:510,140
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

from voskit.tools.command import run_tool
from voskit.tools.flags.clips import ClipArgs as Args
from voskit.tools.open_file import open_result


def run(args: Args) -> int:
    """Segment all clips; return 0 only if all were segmented."""
    args.check()
    args = args.for_bundled_scenes(may_use_amp={"--no-amp", "--no_amp"}.isdisjoint(sys.argv))
    folders, failed = refer(args) if args.task == "referring" else segment(args)
    if args.open and folders:
        open_result(folders[0])
    return int(failed > 0)


def segment(args: Args) -> tuple[list[Path], int]:
    """Segment clips with masks; return the folders of the results and the number of clips that failed."""
    clips = args.checked_clips()
    args.check_values()
    args.checkpoint()
    from voskit.evaluators.clips.scenes import segment_clips

    with args.loading():
        segmenter = args.build_segmenter(bounded=True)
    args.log_model(segmenter)
    folders = segment_clips(clips, segmenter, args.output_path, args.options())
    return folders, len(clips) - len(folders)


def refer(args: Args) -> tuple[list[Path], int]:
    """Segment the objects that text prompts describe in a clip; return the folder of the results, and 0."""
    from voskit.evaluators.clips.scenes import refer_source

    with args.loading():
        segmenter, propagator = args.build_referring_segmenter(), args.build_propagator(bounded=True)
    args.log_model(segmenter)
    folder = refer_source(args.data_path[0], args.text, segmenter, propagator, args.output_path, args.options())
    return [folder], 0


def main() -> int:
    """Parse the command line and run."""
    return run_tool(run, Args, __doc__, interrupted="interrupted; results so far are saved")
