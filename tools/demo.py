"""Segment a video, given a mask of its objects or text prompts.

    voskit demo
    voskit demo my_video.mp4 --mask first.png
    voskit demo --model r50_deaotl --data_path my_video.mp4 --mask first.png --output_path out
    voskit demo --model vswinb_referformer --data_path my_video.mp4 --text "a dog" "the red car"

Each clip gets a folder <output_path>/<clip> with masks/*.png, overlay.mp4, contact_sheet.png and report.json.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # python tools/demo.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from voskit.__main__ import main as voskit

    sys.exit(voskit(["demo", *sys.argv[1:]]))

import logging
from dataclasses import dataclass, replace

from voskit.configs import list_models
from voskit.tools.command import run_tool
from voskit.tools.model_args import ModelArgs

logger = logging.getLogger("demo")


@dataclass(frozen=True, kw_only=True)
class Args(ModelArgs):
    """Segment a video, given a mask of its objects or text prompts."""

    data_path: str | None = None
    """A video, a folder of images, a camera's number, a URL, or a folder of scenes (images/SCENE and masks/SCENE).
    Default: the bundled scenes, see --scene."""
    scene: str | None = None
    """Only this scene of the folder. Bundled: bunny (4 objects, the default) and cabinet (49 objects). The cabinet runs
    with --set background=false, because its masks label every pixel, and with --short_edge 780 --max_resolution 828,
    because many of its objects are small; your flags override these."""
    mask: Path | None = None
    """Mask of the first frame: an image of ids, white on black or flat colors, a folder with an image for each object,
    COCO or labelme JSON, or .npy. Or a folder of masks with the names of their frames. Scenes have their own masks."""
    complete_masks: bool = False
    """Masks of later frames show all objects: their black pixels are background, whatever was predicted."""
    backwards: bool = False
    """Also propagate objects to the frames before their masks; not for cameras and streams."""
    text: tuple[str, ...] = ()
    """Text prompts, for models that take them; the object of the first prompt gets id 1, and so on."""
    output_path: Path = Path("out")
    """Folder of the results."""
    max_frames: int | None = None
    """Stop after this many frames. Cameras never end."""
    fps: float | None = None
    """Rate of the overlay video. Default: frames keep their times; 25 for images."""
    overlay: bool = True
    """Write the overlay video."""
    resume: bool = False
    """Continue a run that was broken off, with the same flags; not for text prompts."""


def run(args: Args) -> int:
    """Segment all clips; return 0 only if all were segmented."""
    if args.max_frames is not None and args.max_frames < 1:
        raise ValueError(f"--max_frames must be at least 1, got {args.max_frames}")
    if args.output_path.is_file():
        raise ValueError(f"--output_path {args.output_path} is a file: give a folder for the results")
    if args.task == "referring":
        return refer(args)
    if args.text:
        others = ", ".join(list_models("referring"))
        raise ValueError(f"--text: {args.model} takes masks; models with text prompts: {others}")
    args.check_mask_flags()
    from voskit.evaluators.clips.sources import check_clips, find_clips

    if args.data_path is None and args.scene is None and args.mask is None:
        args = replace(args, scene="bunny")
    clips = find_clips(args.data_path, args.mask, args.scene)
    if len(clips) == 1:  # of several, those that can be read are segmented
        logging.disable(logging.WARNING)  # the run itself says how it reads the mask
        try:
            check_clips(clips, args.output_path, args.fps)
        finally:
            logging.disable(logging.NOTSET)
    if args.data_path is None and args.scene == "cabinet":
        args = for_cabinet(args)
    from voskit.evaluators.clips.scenes import ClipOptions, segment_clips

    segmenter = args.with_bounded_memory().build_segmenter()
    logger.info("%s on %s: %s", args.model, segmenter.device, segmenter.config)
    names = ("complete_masks", "backwards", "fps", "max_frames", "overlay", "resume")
    options = ClipOptions(**{name: getattr(args, name) for name in names})
    return int(segment_clips(clips, segmenter, args.output_path, options) > 0)


def for_cabinet(args: Args) -> Args:
    """Return flags for the scene ``cabinet``, see ``Args.scene``; flags of the user stay."""
    if not any(text.partition("=")[0] == "background" for text in args.set):
        args = replace(args, set=(*args.set, "background=false"))
    if all(value is None for value in (args.ckpt_path, args.short_edge, args.max_resolution)):
        args = replace(args, short_edge=780, max_resolution=828)
    return args


def refer(args: Args) -> int:
    """Segment the objects of text prompts in a clip."""
    if not args.text or args.data_path is None or args.mask is not None:
        raise ValueError(f"{args.model} takes text prompts: give --data_path and --text, and no --mask")
    for name in ("complete_masks", "backwards", "resume"):
        if getattr(args, name):
            raise ValueError(f"--{name} is for masks, and {args.model} takes text prompts")
    from voskit.dataloaders.video.frames import check_source

    check_source(args.data_path, args.fps)
    from voskit.evaluators.clips.scenes import refer_source

    segmenter, propagator = args.build_referring_segmenter(), args.build_propagator()
    logger.info("%s on %s: %s", args.model, segmenter.device, segmenter.config)
    refer_source(
        args.data_path, args.text, segmenter, propagator, args.output_path, args.fps, args.max_frames, args.overlay
    )
    return 0


def main() -> int:
    """Parse the command line and run."""
    return run_tool(run, Args, __doc__, interrupted="interrupted; results so far are saved")
