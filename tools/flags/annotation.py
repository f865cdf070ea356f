"""Flags of ``voskit annotate``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voskit.configs import PropagationConfig, get_model_config
from voskit.tools.flags.model import ModelArgs


@dataclass(frozen=True, kw_only=True)
class AnnotateArgs(ModelArgs):
    """Annotate videos in the browser."""

    data_path: Path | None = None
    """A video, a folder of images, or a folder of such clips. Default: the clips of <output_path>. More can be
    opened on the page."""
    mask: Path | None = None
    """Mask of the first frame to start with, in any form that voskit demo reads."""
    output_path: Path = Path("out")
    """Folder of the results. Results of voskit demo in it can be corrected."""
    root: Path | None = None
    """Folder below which the page may open videos."""
    fps: float | None = None
    """Frame rate of image folders and of the overlay video. Default: the source's, or 25 for images."""
    host: str = "127.0.0.1"
    """Address of the server. 0.0.0.0 lets other machines in, with the token or the password."""
    port: int = 7860
    """Port of the server."""
    password: str | None = None
    """Password, which grants the same access as the token in the address. Default: the environment variable
    VOSKIT_PASSWORD, which other users of the machine can't see."""
    allowed_hosts: tuple[str, ...] = ()
    """Additional host names of the server, such as that of a proxy."""
    max_upload: float = 8.0
    """Maximum size of an upload, in GB."""
    prompter: tuple[str, ...] = ("grabcut",)
    """Prompters that turn clicks and boxes into masks, such as sam2:weights=FOLDER."""
    open_browser: bool = True
    """Open a browser window."""

    def check(self) -> None:
        """Check the flags before the network is loaded, and that the page's packages are installed.

        Raises:
            ValueError, OSError: a flag; the message names it.
        """
        if not isinstance(get_model_config(self.model), PropagationConfig):
            raise ValueError(f"{self.model} takes text prompts, not masks: use voskit demo --text")
        self.check_mask_flags()
        if self.ckpt_path is not None and not self.ckpt_path.is_file():
            raise FileNotFoundError(f"--ckpt_path {self.ckpt_path}: no such file")
        try:
            import starlette  # noqa: F401
            import uvicorn  # noqa: F401
        except ModuleNotFoundError as error:
            raise ValueError(
                f"{error.name} is not installed, which the page needs: pip install 'voskit[annotate]'"
            ) from None
