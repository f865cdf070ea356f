"""Segment a video, given the mask of its objects in the first frame, or sentences that tell them.

    python tools/demo.py
    python tools/demo.py --model r50_deaotl --ckpt_path F --data_path my_video.mp4 --mask first.png --output_path out
    python tools/demo.py --model vswinb_referformer --ckpt_path F --data_path my_video.mp4 --text "a dog" "the red car"

Writes for each clip <output_path>/<clip>/masks/*.png, overlay.mp4, contact_sheet.png and report.json.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro

from voskit.configs import PropagationConfig, get_model_config, list_models
from voskit.dataloaders.masks.frame_masks import FrameMasks, masks_for
from voskit.dataloaders.video.frames import open_frames
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.clips.run import refer_clip, segment_clip
from voskit.tools.command import run_command
from voskit.tools.model_args import ModelArgs

logger = logging.getLogger("demo")
DEMO_SCENES = Path(__file__).resolve().parents[1] / "datasets" / "Demo"
_ENLARGED = (780, 828)  # --short_edge and --max_resolution: the bundled scene's frames times 1.25


@dataclass(frozen=True, kw_only=True)
class Args(ModelArgs):
    """Segment a video, given the mask of its objects in the first frame, or sentences that tell them."""

    data_path: str | None = None
    """A video, a folder of images, a camera's number, a URL, or a folder of scenes: images/SCENE and masks/SCENE.
    Default: the bundled scene, with --set background=false, since its masks say of every pixel what it is. The bundled
    weights see it enlarged, since many of its 49 objects are small or thin; --short_edge or --max_resolution set
    another size."""
    mask: Path | None = None
    """Mask of the first frame: a palette or greyscale PNG of ids, a folder with a PNG for each object, COCO JSON; or a
    folder of masks that are called like their frames. Scenes bring their own."""
    complete_masks: bool = False
    """Masks of later frames say where all objects are: what they leave black is background, not what was predicted."""
    backwards: bool = False
    """Propagate objects to the frames before their masks, too; not for cameras and streams."""
    text: tuple[str, ...] = ()
    """Sentences that tell the objects, for models that take them; the first one's object gets id 1, and so on."""
    output_path: Path = Path("out")
    """Folder of the results."""
    max_memory_frames: int | Literal["unbounded"] | None = None
    """Most frames in the long-term memory: the first and the latest are kept. Default: the model's, or 10 where it sets
    no bound."""
    max_frames: int | None = None
    """Stop after so many frames (cameras never end)."""
    fps: float | None = None
    """Rate of the overlay video. Default: the source's, 25 for images."""


@dataclass(frozen=True)
class Clip:
    """A source and its masks. ``masks`` None: they lie in ``path``'s scene folder or are given by ``--mask``."""

    name: str
    frames: str
    scene_masks: Path | None = None


def find_clips(args: Args) -> Iterator[Clip]:
    """The scenes of a folder of scenes, or the one source that was given."""
    folder = DEMO_SCENES if args.data_path is None else Path(args.data_path)
    images = folder / "images"
    if not images.is_dir():
        if args.mask is None:
            raise ValueError("--mask is needed: the mask of the first frame")
        yield Clip("", str(args.data_path))
        return
    scenes = sorted(p for p in images.iterdir() if not p.name.startswith("."))
    names = [path.stem for path in scenes]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{images}: several scenes are called {twice}, and so would be their results: rename one")
    if not scenes:
        raise ValueError(f"--data_path {folder}: no scenes in {images}")
    if args.mask is not None:
        raise ValueError("--mask is for a single source; scenes have theirs in masks/SCENE")
    for path in scenes:
        masks = folder / "masks" / path.stem
        single = masks.with_name(f"{masks.name}.png")
        yield Clip(path.stem, str(path), single if single.is_file() and not masks.is_dir() else masks)


def run_clip(clip: Clip, segmenter: VideoSegmenter, args: Args) -> None:
    """Segment one clip."""
    with open_frames(clip.frames, fps=args.fps) as source:
        if clip.scene_masks is not None:
            masks = FrameMasks(clip.scene_masks, by_name=not clip.scene_masks.is_file())
        else:
            assert args.mask is not None
            masks = masks_for(args.mask, source)
        folder = args.output_path / (clip.name or source.name)
        report = segment_clip(
            segmenter,
            source,
            masks,
            folder,
            complete_masks=args.complete_masks,
            backwards=args.backwards,
            max_frames=args.max_frames,
        )
    memory = "" if report.peak_memory is None else f", {report.peak_memory / 2**30:.2f} GiB"
    logger.info("%s: %d frames, %d objects, %.2f frames/s%s", folder, report.frames, report.objects, report.fps, memory)


def run_sentences(args: Args) -> int:
    """Segment what sentences tell in a video."""
    if not args.text or args.data_path is None or args.mask is not None:
        raise ValueError(f"{args.model} takes a video and sentences: give --data_path and --text, and no --mask")
    for name in ("complete_masks", "backwards"):
        if getattr(args, name):
            raise ValueError(f"--{name} is for masks, and {args.model} takes sentences")
    segmenter, device = args.build_referring_segmenter()
    logger.info("%s on %s: %s", args.model, device, segmenter.config)
    with open_frames(args.data_path, fps=args.fps) as source:
        folder = args.output_path / source.name
        report = refer_clip(
            segmenter, source, args.text, folder, propagator=args.build_propagator(), max_frames=args.max_frames
        )
    for number, sentence in enumerate(report.sentences, 1):
        mean = sum(sentence.scores) / len(sentence.scores)
        origin = "" if sentence.key_frame is None else f", propagated from frame {sentence.key_frame}"
        logger.info("id %d: %r, score %.2f%s", number, sentence.text, mean, origin)
    logger.info("%s: %d frames, %.2f frames/s", folder, report.frames, report.fps)
    return 0


def for_bundled_scene(args: Args) -> Args:
    """Flags for the scene whose masks know no background, as far as they aren't given."""
    if not any(text.partition("=")[0] == "background" for text in args.set):
        args = replace(args, set=(*args.set, "background=false"))
    if all(x is None for x in (args.ckpt_path, args.short_edge, args.max_resolution)):
        args = replace(args, short_edge=_ENLARGED[0], max_resolution=_ENLARGED[1])
    return args


def run(args: Args) -> int:
    """Segment all clips; the exit code says whether all were done."""
    if args.max_frames is not None and args.max_frames < 1:
        raise ValueError(f"--max_frames is at least 1, not {args.max_frames}")
    if args.output_path.is_file():
        raise ValueError(f"--output_path {args.output_path}: a file is where the folder of the results should be")
    if args.task == "referring":
        return run_sentences(args)
    if args.text:
        others = ", ".join(list_models("referring"))
        raise ValueError(f"--text is for models that take sentences, and {args.model} takes masks: there are {others}")
    clips = list(find_clips(args))
    if args.data_path is None:
        args = for_bundled_scene(args)
    config = get_model_config(args.model)
    if args.max_memory_frames is None and isinstance(config, PropagationConfig) and config.max_memory_frames is None:
        args = replace(args, max_memory_frames=10)
    segmenter, device = args.build_segmenter()
    logger.info("%s on %s: %s", args.model, device, segmenter.config)
    if args.data_path is None:
        logger.info("the bundled scene has settings of its own, see --data_path in --help")
    failed = 0
    for clip in clips:
        try:
            run_clip(clip, segmenter, args)
        except (ValueError, OSError) as error:
            if len(clips) == 1:
                raise
            failed += 1
            logger.error("scene %s: %s", clip.name, error)
    if failed:
        logger.error("%d of %d scenes failed", failed, len(clips))
    return int(failed > 0)


def main() -> int:
    """Parse and run."""
    args = tyro.cli(Args, description=__doc__)
    return run_command(lambda: run(args), interrupted="interrupted; what was done is saved")


if __name__ == "__main__":
    sys.exit(main())
