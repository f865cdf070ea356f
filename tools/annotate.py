"""Annotate a video in the browser: paint objects in a frame, propagate them, correct, propagate on.

    python tools/annotate.py --data_path my_video.mp4
    python tools/annotate.py --model r50_deaotl --ckpt_path F --data_path my_video.mp4 --mask first.png
    --output_path out

Needs gradio: pip install -e ".[annotate]". Masks are in <output_path>/<clip>/masks at any time, those that were painted in
<output_path>/<clip>/given; started again, it goes on from there.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro

from voskit.configs import PropagationConfig, get_model_config
from voskit.dataloaders.masks.files import read_mask
from voskit.dataloaders.video.frames import open_frames
from voskit.evaluators.annotation.session import Annotation
from voskit.tools.command import run_command
from voskit.tools.model_args import ModelArgs

logger = logging.getLogger("app")


@dataclass(frozen=True, kw_only=True)
class Args(ModelArgs):
    """Annotate a video in the browser."""

    data_path: Path
    """A video or a folder of images."""
    mask: Path | None = None
    """Mask of the first frame to begin with: a palette or greyscale PNG of ids, a folder with a PNG for each object, or
    COCO JSON."""
    output_path: Path = Path("out")
    """Folder of the results; those of the demo can be corrected."""
    fps: float | None = None
    """Rate of the overlay video. Default: the source's, 25 for images."""
    host: str = "127.0.0.1"
    """Address to serve at; 0.0.0.0 lets other machines in, without a password."""
    port: int = 7860
    """Port to serve at."""
    open_browser: bool = True
    """Open a browser window."""


def run(args: Args) -> int:
    """Serve the page until Ctrl-C."""
    with _gradio_s_folder():
        return _run(args)


def _run(args: Args) -> int:
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    try:
        from voskit.evaluators.annotation.page import build_page, serve
    except ModuleNotFoundError as error:
        raise ValueError(f"{error.name} is not installed, which the page needs: pip install -e '.[app]'") from None
    config = get_model_config(args.model)
    if not isinstance(config, PropagationConfig):
        raise ValueError(f"{args.model} takes sentences, there is nothing to paint for it: tools/demo.py --text")
    if args.max_memory_frames is None and config.max_memory_frames is None:
        args = replace(args, max_memory_frames=10)
    with open_frames(args.data_path, fps=args.fps) as source:
        segmenter, device = args.build_segmenter()
        logger.info("%s on %s; reading %s", args.model, device, args.data_path)
        with Annotation(segmenter, source, args.output_path / source.name) as annotation:
            if args.mask is not None:
                if annotation.given:
                    raise ValueError(f"--mask: {annotation.folder} has given masks already, go on without it")
                annotation.give(0, read_mask(args.mask, size=source.size))
            logger.info(
                "%s: %d frames, %d of them with given masks", annotation.folder, len(annotation), len(annotation.given)
            )
            serve(build_page(annotation), annotation.folder, args.host, args.port, args.open_browser)
    return 0


@contextmanager
def _gradio_s_folder() -> Iterator[None]:
    """Where gradio puts a file for each picture that is shown, until the end; it would leave them all there."""
    name, before = "GRADIO_TEMP_DIR", os.environ.get("GRADIO_TEMP_DIR")
    with tempfile.TemporaryDirectory(prefix="annotation-", ignore_cleanup_errors=True) as folder:
        os.environ[name] = folder
        try:
            yield
        finally:
            del os.environ[name]
            if before is not None:
                os.environ[name] = before


def main() -> int:
    """Parse and run."""
    args = tyro.cli(Args, description=__doc__)
    return run_command(lambda: run(args), interrupted="stopped; all masks are saved")


if __name__ == "__main__":
    sys.exit(main())
