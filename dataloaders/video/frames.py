"""Frames of a video, folder of images, camera or stream, read one by one."""

from __future__ import annotations

import math
import os
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

from voskit.dataloaders.images import IMAGE_EXTENSIONS, find_images, refuse_several_pictures
from voskit.dataloaders.video.decoder import VideoFrames, VideoInput
from voskit.dataloaders.video.image_files import ImageFrames, open_image_folder
from voskit.dataloaders.video.source import Frame, FrameSource

__all__ = ["Frame", "FrameSource", "can_be_read_once", "check_source", "open_frames"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_NETWORK_TIMEOUTS = (15.0, 30.0)  # seconds to open, seconds for one read


def open_frames(source: str | int | os.PathLike[str], *, fps: float | None = None) -> FrameSource:
    """Open a source of frames.

    - Video file in any format that FFmpeg reads (mp4, mov, mkv, webm, avi, ...), rotated upright by its metadata.
    - Folder of images (jpg, jpeg, png, bmp, webp, tif, tiff), naturally sorted, or one image file.
    - Camera: its number (``0`` or ``"0"``), or its device file (``/dev/video0``).
    - URL that FFmpeg reads (``rtsp://``, ``http(s)://``, ``file://``, ...).

    Frames are H x W x 3 uint8 RGB. Deeper formats are reduced to 8 bits, HDR isn't tone-mapped, and non-square pixels
    aren't stretched. Frames of videos carry timestamps. The first frame is decoded immediately, so that an unreadable
    source fails here.

    Args:
        source: path, camera number or URL. An existing path takes precedence.
        fps: frame rate that replaces the timestamps of the source; None: keep them (images have none). A camera is set
            to this rate. Frames are never dropped or repeated.

    Returns:
        A :class:`~voskit.dataloaders.video.source.FrameSource`: iterate over it, and close it or use it in a ``with``
        block.

    Raises:
        FileNotFoundError: no such path.
        ValueError: the source can't be opened or has no frames, or ``fps`` isn't a positive number. Iterating raises
            ValueError at a frame that is damaged or has another size, or if the source ends before its stated end.
    """
    source = str(source) if isinstance(source, int) else source
    kind = check_source(source, fps)
    text = os.fspath(source)
    path = Path(text)
    if kind == "camera":
        return VideoFrames(_camera(int(text), fps), fps=fps)
    if kind == "stream":
        return VideoFrames(_stream(text), fps=fps)
    if kind == "folder":
        return open_image_folder(path, fps)
    if kind == "device":
        return VideoFrames(_device(text, path.name, text, fps), fps=fps)
    if kind == "image":
        return ImageFrames([path], name=path.stem, fps=fps)
    # "file:" keeps FFmpeg from parsing a colon in the name as a protocol
    return VideoFrames(VideoInput(url=f"file:{text}", label=text, name=path.stem), fps=fps)


def check_source(source: str | os.PathLike[str], fps: float | None = None) -> str:
    """Check a source for :func:`open_frames` without decoding anything, so that a mistyped path is reported at once.

    Returns:
        ``"camera"``, ``"stream"``, ``"folder"``, ``"device"``, ``"image"`` or ``"video"``.

    Raises:
        FileNotFoundError: no such path.
        ValueError: an empty file, a folder without images, an image file with several pictures, or an invalid ``fps``.
    """
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"fps must be a positive number of frames per second, not {fps}")
    text = os.fspath(source)
    path = Path(text)
    if not text:
        raise FileNotFoundError("the frame source is an empty string: give a video, a folder, a camera or a URL")
    if not path.exists():
        if re.fullmatch(r"[0-9]+", text):
            return "camera"
        if _URL.match(text):
            return "stream"
        raise FileNotFoundError(f"{text}: no such file or folder (for a camera give its number, for a stream its URL)")
    if path.is_dir():
        find_images(path)
        return "folder"
    if path.is_char_device():
        return "device"
    if path.is_file() and not path.stat().st_size:
        raise ValueError(f"{text}: the file is empty (0 bytes): copy it again")
    if path.suffix.lower() in IMAGE_EXTENSIONS:
        refuse_several_pictures(path)
        return "image"
    return "video"


def can_be_read_once(source: str | os.PathLike[str]) -> bool:
    """Return True for cameras and streams, whose frames can be read only once. Nothing is opened."""
    text, path = os.fspath(source), Path(source)
    if path.exists():
        return path.is_char_device()
    return bool(re.fullmatch(r"[0-9]+", text) or (_URL.match(text) and not text.lower().startswith("file:")))


def _camera(index: int, fps: float | None) -> VideoInput:
    name = f"camera{index}"
    if sys.platform == "darwin":
        return _device(f"{index}:none", name, f"camera {index}", fps or 30.0)  # avfoundation's default rate often fails
    if sys.platform == "win32":
        return _device(f"video={_dshow_name(index)}", name, f"camera {index}", fps)
    return _device(f"/dev/video{index}", name, f"camera {index} (/dev/video{index})", fps)


def _device(url: str, name: str, label: str, fps: float | None) -> VideoInput:
    backend = {"darwin": "avfoundation", "win32": "dshow"}.get(sys.platform, "v4l2")
    options = {"framerate": f"{fps:g}"} if fps else {}
    return VideoInput(url=url, label=label, name=name, format=backend, options=options, live=True, rereadable=False)


def _dshow_name(index: int) -> str:
    """Return the name of the index-th video device: DirectShow addresses cameras by name only."""
    import av

    cameras = [device for device in av.enumerate_input_devices("dshow") if "video" in device.media_types]
    if index >= len(cameras):
        raise ValueError(f"camera {index} does not exist: {len(cameras)} camera(s) found, numbered from 0")
    return cameras[index].name


def _stream(url: str) -> VideoInput:
    parts = urlsplit(url)
    # passwords and tokens in a URL must not appear in logs and error messages
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
