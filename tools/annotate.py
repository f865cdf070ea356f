"""Annotate a video in the browser: paint objects in a frame, propagate them, correct them, propagate again.

    voskit annotate --data_path my_video.mp4
    voskit annotate --model r50_deaotl --ckpt_path F --data_path my_video.mp4 --mask first.png --output_path out

The page needs gradio: pip install "voskit[annotate]". <output_path>/<clip>/masks always holds the masks of all frames,
and <output_path>/<clip>/given those that you painted. Run the command again to resume.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # python tools/annotate.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from voskit.__main__ import main as voskit

    sys.exit(voskit(["annotate", *sys.argv[1:]]))

import logging
import os
from dataclasses import dataclass

from voskit.configs import PropagationConfig, get_model_config
from voskit.tools.command import run_tool
from voskit.tools.model_args import ModelArgs

logger = logging.getLogger("annotate")


@dataclass(frozen=True, kw_only=True)
class Args(ModelArgs):
    """Annotate a video in the browser."""

    data_path: Path
    """A video or a folder of images."""
    mask: Path | None = None
    """Mask of the first frame to start with: a palette or grayscale PNG of ids, a folder with a PNG for each object, or
    COCO JSON."""
    output_path: Path = Path("out")
    """Folder of the results. Results of voskit demo in it can be corrected."""
    fps: float | None = None
    """Rate of the overlay video. Default: the source's, or 25 for images."""
    host: str = "127.0.0.1"
    """Address of the page. 0.0.0.0 lets other machines in, without a password."""
    port: int = 7860
    """Port of the page."""
    open_browser: bool = True
    """Open a browser window."""


def run(args: Args) -> int:
    """Serve the page until Ctrl-C."""
    if not isinstance(get_model_config(args.model), PropagationConfig):
        raise ValueError(f"{args.model} takes text prompts, not masks: use voskit demo --text")
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported
    try:
        import gradio  # noqa: F401
    except ModuleNotFoundError:
        raise ValueError("gradio is not installed, which the page needs: pip install 'voskit[annotate]'") from None
    from voskit.dataloaders.masks.files import read_mask
    from voskit.dataloaders.video.frames import open_frames
    from voskit.evaluators.annotation.page import serve
    from voskit.evaluators.annotation.session import Annotation

    with open_frames(args.data_path, fps=args.fps) as source:
        segmenter = args.with_bounded_memory().build_segmenter()
        logger.info("%s on %s: %s", args.model, segmenter.device, segmenter.config)
        with Annotation(segmenter, source, args.output_path / source.name) as annotation:
            if args.mask is not None:
                if annotation.given:
                    raise ValueError(f"--mask: {annotation.folder} has given masks already, resume without --mask")
                annotation.give(0, read_mask(args.mask, size=source.size))
            logger.info("%s: %d frames, %d given masks", annotation.folder, len(annotation), len(annotation.given))
            serve(annotation, args.host, args.port, args.open_browser)
    return 0


def main() -> int:
    """Parse the command line and run."""
    return run_tool(run, Args, __doc__, interrupted="stopped; all masks are saved")
