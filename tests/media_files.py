"""Small videos, folders of images and masks for tests, and ways to damage them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

RED, GREEN, BLUE, GRAY = (230, 20, 20), (20, 230, 20), (20, 20, 230), (120, 120, 120)


def level(index: int) -> int:
    """Return a gray level that distinguishes frame ``index`` from its neighbors."""
    return 16 + (index * 13) % 220


def write_video(
    path: Path,
    codec: str,
    count: int = 12,
    *,
    size: tuple[int, int] = (32, 48),
    pixels: str = "yuv420p",
    noise: bool = False,
    times: list[int] | None = None,
    picture: np.ndarray | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write gray frames of ``level(index)`` (or ``picture``) at 10 fps, or at ``times`` in tenths of a second."""
    random = np.random.default_rng(0)
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width = size
        stream.pix_fmt = pixels
        stream.codec_context.time_base = Fraction(1, 10)
        stream.codec_context.thread_count = 1  # equal files on all machines: threads would divide images into slices
        for index in range(count):
            image = np.full((*size, 3), level(index), np.uint8) if picture is None else picture
            if noise:
                image[: size[0] // 2] = random.integers(0, 256, (size[0] // 2, size[1], 3))
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = (times[index] if times else index), Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_timed(path: Path, codec: str, times: list[float], **options: dict[str, str]) -> Path:
    """Write gray frames of ``level(index)`` at times in seconds, in units of 1/90000 s."""
    with av.open(str(path), "w", options=options.get("container_options", {})) as container:
        last = times[-1] - times[-2] if len(times) > 1 else 0.1  # the encoder makes it the last frame's duration
        stream = container.add_stream(codec, rate=Fraction(1 / last).limit_denominator(10000))
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        units = 60000 if codec == "mpeg4" else 90000
        stream.codec_context.time_base = Fraction(1, units)
        for index, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((32, 48, 3), level(index), np.uint8), format="rgb24")
            frame.pts, frame.time_base = round(time * units), Fraction(1, units)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_audio(container: av.container.OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    """Write a tone of 440 Hz to an audio stream of 48 kHz."""
    size = stream.codec_context.frame_size or 1024
    for start in range(0, round(48000 * seconds), size):
        tone = 0.3 * np.sin(2 * np.pi * 440 / 48000 * np.arange(start, start + size))
        frame = av.AudioFrame.from_ndarray(tone[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def cut(path: Path, keep: float) -> Path:
    data = path.read_bytes()
    short = path.with_name(f"cut_{path.name}")
    short.write_bytes(data[: int(len(data) * keep)])
    return short


def damage(path: Path, length: int = 600) -> Path:
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + length] = b"\xff" * length
    bad = path.with_name(f"bad_{path.name}")
    bad.write_bytes(data)
    return bad


def quarters(image: np.ndarray) -> list[tuple[int, int, int]]:
    """Return the test color in the middle of each quarter, row by row."""
    height, width = image.shape[:2]
    points = [image[y * height // 4, x * width // 4].astype(int) for y in (1, 3) for x in (1, 3)]
    return [min((RED, GREEN, BLUE, GRAY), key=lambda color: np.abs(point - color).sum()) for point in points]


def four_colors(size: tuple[int, int] = (32, 48)) -> np.ndarray:
    image = np.zeros((*size, 3), np.uint8)
    half = size[0] // 2, size[1] // 2
    image[: half[0], : half[1]], image[: half[0], half[1] :] = RED, GREEN
    image[half[0] :, : half[1]], image[half[0] :, half[1] :] = BLUE, GRAY
    return image


def save_images(folder: Path, *names: str, size: tuple[int, int] = (20, 30)) -> Path:
    folder.mkdir(exist_ok=True)
    for index, name in enumerate(names):
        Image.fromarray(np.full((*size, 3), level(index), np.uint8)).save(folder / name)
    return folder


def one_line(error: pytest.ExceptionInfo[Exception]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def ids_of(*values: int, size: tuple[int, int] = (12, 16), dtype: type = np.uint8) -> np.ndarray:
    """Return a mask with one horizontal band per value, below a band of background."""
    mask: np.ndarray = np.zeros(size, dtype)
    height = size[0] // (len(values) + 1)
    for band, value in enumerate(values, start=1):
        mask[band * height : (band + 1) * height, 2:-2] = value
    return mask


def save_mask(path: Path, mask: np.ndarray) -> Path:
    """Write a mask as a grayscale image."""
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(mask).save(path)
    return path


def object_folder(folder: Path, **masks: np.ndarray) -> Path:
    """Write a folder with a mask of each object. A leading underscore isn't part of a file name."""
    folder.mkdir()
    for stem, mask in masks.items():
        save_mask(folder / f"{stem.removeprefix('_')}.png", mask)
    return folder
