"""Segment a video, given the mask of its objects in the first frame.

    python tools/demo.py --ckpt_path AOTT_PRE_YTB_DAV.pth
    python tools/demo.py --model r50_deaotl --ckpt_path F --data_path my_video.mp4 --mask first.png --output_path out

Writes for each clip <output_path>/<clip>/masks/*.png, overlay.mp4, contact_sheet.png and report.json.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro
from tqdm.contrib.logging import logging_redirect_tqdm

from configs import get_model_config
from dataloaders.frame_masks import FrameMasks, masks_for
from dataloaders.frames import open_frames
from evaluators import VideoSegmenter
from evaluators.clip import segment_clip
from networks import build_model

logger = logging.getLogger("demo")
DEMO_SCENES = Path(__file__).resolve().parents[1] / "datasets" / "Demo"


@dataclass(frozen=True)
class Args:
    """Segment a video, given the mask of its objects in the first frame."""

    data_path: str = str(DEMO_SCENES)
    """A video, a folder of images, a camera's number, a URL, or a folder of scenes: images/SCENE and masks/SCENE."""
    mask: Path | None = None
    """Mask of the first frame: a palette or greyscale PNG of ids, a folder with a PNG for each object, COCO JSON; or a
    folder of masks that are called like their frames. Scenes bring their own."""
    model: str = "aott"
    """A model of the zoo."""
    ckpt_path: Path | None = None
    """Its checkpoint: the authors' or one of ours."""
    output_path: Path = Path("out")
    """Folder of the results."""
    max_resolution: float | None = None
    """The long edge is scaled down to 800/480 times this; 624 is 1.3 x 480p. Default: the model's."""
    amp: bool = False
    """Run the network in half precision (fp16 on CUDA, bf16 elsewhere)."""
    device: str | None = None
    """cuda, cuda:1, mps, cpu, ...; default: the best there is."""
    flip: bool = False
    """Average over horizontally flipped copies."""
    ms: tuple[float, ...] = (1.0,)
    """Test scales to average over."""
    long_term_mem_gap: int | None = None
    """Frames between two that enter the long-term memory. Default: the model's."""
    short_term_mem_skip: int | None = None
    """Which earlier frame is the short-term memory. Default: the model's, which is the previous one."""
    max_memory_frames: int | Literal["unbounded"] = 10
    """Most frames in the long-term memory: the first and the latest are kept."""
    max_frames: int | None = None
    """Stop after so many frames (cameras never end)."""
    fps: float | None = None
    """Rate of the overlay video. Default: the source's, 25 for images."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """Fields of the model's config to change."""


@dataclass(frozen=True)
class Clip:
    """A source and its masks. ``masks`` None: they lie in ``path``'s scene folder or are given by ``--mask``."""

    name: str
    frames: str
    scene_masks: Path | None = None


def find_clips(args: Args) -> Iterator[Clip]:
    """The scenes of a folder of scenes, or the one source that was given."""
    images = Path(args.data_path) / "images"
    if not images.is_dir():
        if args.mask is None:
            raise ValueError("--mask is needed: the mask of the first frame")
        yield Clip("", args.data_path)
        return
    scenes = sorted(p for p in images.iterdir() if not p.name.startswith("."))
    if not scenes:
        raise ValueError(f"--data_path {args.data_path}: no scenes in {images}")
    if args.mask is not None:
        raise ValueError("--mask is for a single source; scenes have theirs in masks/SCENE")
    for path in scenes:
        yield Clip(path.stem, str(path), Path(args.data_path) / "masks" / path.stem)


def run_clip(clip: Clip, segmenter: VideoSegmenter, args: Args) -> None:
    """Segment one clip."""
    with open_frames(clip.frames, fps=args.fps) as source:
        if clip.scene_masks is not None:
            masks = FrameMasks(clip.scene_masks, by_name=True)
        else:
            assert args.mask is not None
            masks = masks_for(args.mask, next(iter(source)).name)
        folder = args.output_path / (clip.name or source.name)
        report = segment_clip(segmenter, source, masks, folder, max_frames=args.max_frames)
    memory = "" if report.peak_memory is None else f", {report.peak_memory / 2**30:.2f} GiB"
    logger.info("%s: %d frames, %d objects, %.2f frames/s%s", folder, report.frames, report.objects, report.fps, memory)


def run(args: Args) -> int:
    """Segment all clips; the exit code says whether all were done."""
    if args.ckpt_path is None:
        raise ValueError(
            f"--ckpt_path is needed: no weights are bundled yet; give a checkpoint of {args.model} "
            "(MODEL_ZOO.md says where the authors' are)"
        )
    clips = list(find_clips(args))
    config = get_model_config(args.model).override_from_text(*args.set)
    changed = {k: v for k, v in config.to_dict().items() if v != getattr(get_model_config(args.model), k)}
    model = build_model(args.model, checkpoint=args.ckpt_path, device=args.device, **changed)
    device = next(model.parameters()).device
    segmenter = VideoSegmenter(
        model,
        scales=args.ms,
        flip=args.flip,
        amp=("fp16" if device.type == "cuda" else "bf16") if args.amp else None,
        max_long_edge=None if args.max_resolution is None else round(args.max_resolution * 800 / 480),
        long_term_gap=args.long_term_mem_gap,
        short_term_skip=args.short_term_mem_skip,
        max_memory_frames=None if args.max_memory_frames == "unbounded" else args.max_memory_frames,
    )
    logger.info("%s on %s: %s", args.model, device, segmenter.config)
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
    """Parse, run, and make errors one line."""
    args = tyro.cli(Args, description=__doc__)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        with logging_redirect_tqdm():
            return run(args)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; what was done is saved", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
