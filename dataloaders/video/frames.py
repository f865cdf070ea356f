"""Frames of a person's video, image folder, camera or stream, one after the other and never all in memory."""

from __future__ import annotations

import math
import os
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

from voskit.dataloaders.images import IMAGE_EXTENSIONS, refuse_several_pictures
from voskit.dataloaders.video.decoder import VideoFrames, VideoInput
from voskit.dataloaders.video.image_files import ImageFrames, open_image_folder
from voskit.dataloaders.video.source import Frame, FrameSource

__all__ = ["Frame", "FrameSource", "open_frames"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_NETWORK_TIMEOUTS = (15.0, 30.0)  # seconds to open, seconds for one read


def open_frames(source: str | os.PathLike[str], *, fps: float | None = None) -> FrameSource:
    """Open whatever holds frames.

    - a video file (mp4, mov, mkv, webm, avi, ...: what FFmpeg reads), upright as its rotation metadata says;
    - a folder of images (jpg, jpeg, png, bmp, webp, tif, tiff), naturally sorted, or one image file;
    - a camera: its number as a string (``"0"``), or its device file (``/dev/video0``);
    - a URL that FFmpeg reads (``rtsp://``, ``http(s)://``, ``file://``, ...).

    Pixels are 8-bit RGB as stored: deeper formats are reduced, HDR is not tone-mapped and non-square pixels are not
    stretched. The first frame is decoded here, so that a source which can't be read fails now.

    Args:
        source: path, camera number or URL. An existing path wins over the other two.
        fps: rate to report as ``source.fps`` in place of the source's own; a camera is also asked for it. Frames are
            never dropped or repeated for it.

    Raises:
        FileNotFoundError: there is no such path.
        ValueError: the source cannot be opened or holds no frame, or ``fps`` is no positive number. Reading raises
            ValueError where a frame is damaged, changes its size, or where the source ends before its stated end.
    """
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"fps must be a positive number of frames per second, not {fps}")
    text = os.fspath(source)
    path = Path(text)
    if not text:
        raise FileNotFoundError("the source of frames is an empty string: give a video, a folder, a camera or a URL")
    if not path.exists():
        if re.fullmatch(r"[0-9]+", text):
            return VideoFrames(_camera(int(text), fps), fps=fps)
        if _URL.match(text):
            return VideoFrames(_stream(text), fps=fps)
        raise FileNotFoundError(
            f"{text}: no such file or folder (a camera is given by its number, a stream by its URL)"
        )
    if path.is_dir():
        return open_image_folder(path, fps)
    if path.is_char_device():
        return VideoFrames(_device(text, path.name, text, fps), fps=fps)
    if path.suffix.lower() in IMAGE_EXTENSIONS:
        refuse_several_pictures(path)
        return ImageFrames([path], name=path.stem, fps=fps)
    # "file:" keeps FFmpeg from reading a colon in the name as a protocol.
    return VideoFrames(VideoInput(url=f"file:{text}", label=text, name=path.stem), fps=fps)


def _camera(index: int, fps: float | None) -> VideoInput:
    name = f"camera{index}"
    if sys.platform == "darwin":
        return _device(f"{index}:none", name, f"camera {index}", fps or 30.0)  # avfoundation's own default often fails
    if sys.platform == "win32":
        return _device(f"video={_dshow_name(index)}", name, f"camera {index}", fps)
    return _device(f"/dev/video{index}", name, f"camera {index} (/dev/video{index})", fps)


def _device(url: str, name: str, label: str, fps: float | None) -> VideoInput:
    backend = {"darwin": "avfoundation", "win32": "dshow"}.get(sys.platform, "v4l2")
    options = {"framerate": f"{fps:g}"} if fps else {}
    return VideoInput(url=url, label=label, name=name, format=backend, options=options, live=True, rereadable=False)


def _dshow_name(index: int) -> str:
    """DirectShow knows cameras by name only: the name of the index-th video device."""
    import av

    cameras = [device for device in av.enumerate_input_devices("dshow") if "video" in device.media_types]
    if index >= len(cameras):
        raise ValueError(f"camera {index} does not exist: {len(cameras)} camera(s) found, numbered from 0")
    return cameras[index].name


def _stream(url: str) -> VideoInput:
    parts = urlsplit(url)
    # Passwords and tokens in a URL must not end up in logs and error messages.
    host = parts.netloc.rpartition("@")[2]
    stem = Path(parts.path).stem or host or parts.scheme
    local = parts.scheme.lower() == "file"
    return VideoInput(
        url=url,
        label=f"{parts.scheme}://{host}{parts.path}",
        name=re.sub(r"[^\w.-]+", "_", stem),
        options={"rtsp_flags": "prefer_tcp"} if parts.scheme.lower() == "rtsp" else {},
        timeout=None if local else _NETWORK_TIMEOUTS,
        live=False if local else None,
        rereadable=local,
    )
