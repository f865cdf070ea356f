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

import logging
import os
from dataclasses import dataclass

from voskit.configs import PropagationConfig, get_model_config
from voskit.tools.command import run_tool
from voskit.tools.flags.model import ModelArgs

logger = logging.getLogger("annotate")


@dataclass(frozen=True, kw_only=True)
class Args(ModelArgs):
    """Annotate videos in the browser."""

    data_path: Path | None = None
    """A video, a folder of images, or a folder of such clips. Default: the clips of <output_path>; the page opens
    more."""
    mask: Path | None = None
    """Mask of the first frame to start with: a palette or grayscale PNG of ids, a folder with a PNG for each object, or
    COCO JSON."""
    output_path: Path = Path("out")
    """Folder of the results. Results of voskit demo in it can be corrected."""
    root: Path | None = None
    """Folder below which the page may open videos."""
    fps: float | None = None
    """Rate of clips of images and of the overlay video. Default: the source's, or 25 for images."""
    host: str = "127.0.0.1"
    """Address of the server. 0.0.0.0 lets other machines in, with the token or the password."""
    port: int = 7860
    """Port of the server."""
    password: str | None = None
    """Lets in beside the token of the address. Default: VOSKIT_PASSWORD, which other users of the machine can't see."""
    allowed_hosts: tuple[str, ...] = ()
    """Further names of the server, such as that of a proxy."""
    max_upload: float = 8.0
    """Largest upload, in GB."""
    prompter: tuple[str, ...] = ("grabcut",)
    """Prompters that turn clicks and boxes into masks, such as sam2:weights=FOLDER."""
    open_browser: bool = True
    """Open a browser window."""


def run(args: Args) -> int:
    """Serve the page until Ctrl-C."""
    if not isinstance(get_model_config(args.model), PropagationConfig):
        raise ValueError(f"{args.model} takes text prompts, not masks: use voskit demo --text")
    args.check_mask_flags()
    if args.ckpt_path is not None and not args.ckpt_path.is_file():
        raise FileNotFoundError(f"--ckpt_path {args.ckpt_path}: no such file")
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{error.name} is not installed, which the page needs: pip install 'voskit[annotate]'"
        ) from None
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
        args.with_bounded_memory().build_segmenter,
        options,
        mask=args.mask,
        root=args.root,
        fps=args.fps,
        prompters=args.prompter,
    )
    return 0


def main() -> int:
    """Parse the command line and run."""
    return run_tool(run, Args, __doc__, interrupted="stopped; all masks are saved")
