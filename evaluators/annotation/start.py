"""Start of the annotation server: checks, address, browser."""

from __future__ import annotations

import logging
import socket
import threading
import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voskit.dataloaders.files import check_output_folder
from voskit.dataloaders.masks.files import read_mask
from voskit.evaluators.annotation.project import STATE, ProjectClip, find_videos
from voskit.evaluators.annotation.security import Access, names_of, stored_token
from voskit.evaluators.annotation.server import bind, serve
from voskit.evaluators.annotation.workspace import Workspace
from voskit.evaluators.prompts.base import PROMPTERS

if TYPE_CHECKING:
    from voskit.evaluators.segmenter import VideoSegmenter

logger = logging.getLogger("annotate")


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """Options of the server, see the flags of ``voskit annotate``; ``max_upload`` is in GB."""

    host: str = "127.0.0.1"
    port: int = 7860
    password: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    max_upload: float = 8.0
    open_browser: bool = True


def annotate(
    path: Path | None,
    folder: Path,
    model: str,
    build_segmenter: Callable[[], VideoSegmenter],
    options: ServerOptions,
    *,
    mask: Path | None = None,
    root: Path | None = None,
    fps: float | None = None,
    prompters: Sequence[str] = ("grabcut",),
) -> None:
    """Serve the page until Ctrl-C or SIGTERM.

    Args:
        path: a video, a folder of images, or a folder of such clips; None: the clips of the folder of results.
        folder: folder of the results.
        model: displayed name of the model.
        build_segmenter: returns the segmenter; called in the background.
        options: address and limits.
        mask: mask of the first frame of the only clip.
        root: folder that the page may open videos from.
        fps: frame rate of image clips and of overlay videos.
        prompters: prompters for clicks and boxes, with their options; see ``build_prompter``.

    Raises:
        ValueError, OSError: the port is in use, a path is wrong, or the only clip or its mask can't be read.
    """
    check_output_folder(folder, "--output_path ")
    if root is not None and not root.is_dir():
        raise FileNotFoundError(f"--root {root}: no such folder")
    if options.max_upload <= 0:
        raise ValueError(f"--max_upload must be positive, not {options.max_upload}")
    for prompter in prompters:
        PROMPTERS.get(prompter.partition(":")[0])
    paths = [] if path is None else find_videos(path)
    if mask is not None and len(paths) != 1:
        raise ValueError("--mask is for a single clip: give one with --data_path")
    with bind(options.host, options.port) as listener:
        workspace = Workspace(folder, model, build_segmenter, root=root, fps=fps, prompters=prompters)
        try:
            clips = [workspace.project.add(path) for path in paths]
            workspace.project.first = clips[0] if clips else None
            needed = _open_only_clip(workspace, clips, mask)
            token = stored_token(folder / STATE)
        except BaseException:
            workspace.close()
            raise
        hosts, any_address = names_of(options.host)
        access = Access(
            token=token,
            password=options.password,
            cookie=f"voskit-{listener.getsockname()[1]}",
            hosts=hosts | {name.lower() for name in options.allowed_hosts},
            any_address=any_address,
            upload_limit=round(options.max_upload * 2**30),
        )
        address = _address(options.host, listener, token)
        logging.getLogger("torch").setLevel(logging.WARNING)  # it logs statistics on exit
        logger.info("%s: results are written here", folder)
        logger.info("the page is at %s ; Ctrl-C ends it", address)
        if options.open_browser:
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        serve(workspace, access, listener, needed=needed)


def _open_only_clip(workspace: Workspace, clips: list[ProjectClip], mask: Path | None) -> ProjectClip | None:
    """Open the only clip and give its mask right away; return the clip. None: there are several clips or none."""
    if len(clips) != 1:
        return None
    if mask is None:
        workspace.project.open(clips[0])
        return clips[0]
    annotation = workspace.project.open_now(clips[0]).annotation
    if annotation.given:
        raise ValueError(f"--mask: {annotation.folder} already has given masks: resume without --mask")
    annotation.give(0, read_mask(mask, size=annotation.source.size), action="mask of the command line")
    workspace.project.changed(clips[0])
    return clips[0]


def _address(host: str, listener: socket.socket, token: str) -> str:
    name = "127.0.0.1" if host in ("0.0.0.0", "") else "[::1]" if host == "::" else f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}/?token={token}"
