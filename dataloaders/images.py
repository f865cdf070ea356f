"""Still images: listing, strict decoding, and conversion of all pixel formats to 8-bit RGB."""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps

_ORIENTATION = 0x0112
_TRANSPOSED = (5, 6, 7, 8)  # EXIF orientations that swap rows and columns
_ZEROS = str.maketrans("123456789", "000000000")
IMAGE_EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_switch = threading.Lock()  # all threads share Pillow's switch
_readers, _truncated_before = 0, False

# Pillow warns of odd metadata; catch_warnings would change the filters of all threads
warnings.filterwarnings("ignore", module=r"PIL\.")


def natural_key(name: str) -> tuple[tuple[str | int, ...], str]:
    """Return a sort key that orders numbers by value: ``frame2`` before ``frame10``; ties go by the plain name."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return tuple(int(part) if index % 2 else part for index, part in enumerate(parts)), name


def natural_sorted(names: Iterable[str]) -> list[str]:
    """Return names in the order of :func:`natural_key`."""
    names = list(names)
    # plain order is the same, and faster, if all names have digits at the same places (00000.jpg, 00001.jpg)
    alike = len({name.translate(_ZEROS) for name in names}) <= 1
    return sorted(names, key=None if alike else natural_key)


def list_images(folder: Path, extensions: tuple[str, ...] = IMAGE_EXTENSIONS) -> list[Path]:
    """List the image files directly in ``folder``, naturally sorted, without hidden files and nested folders.

    Raises:
        ValueError: the folder contains no image.
    """
    files = [path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file()]
    images = [path for path in files if path.suffix.lower() in extensions]
    if not images:
        others = sorted(files, key=lambda path: natural_key(path.name))
        found = f"; it holds {len(others)} other file(s), e.g. {others[0].name}" if others else ""
        raise ValueError(f"{folder}: no image in this folder (looked for {', '.join(extensions)}){found}")
    return sorted(images, key=lambda path: natural_key(path.name))


def load_image(path: Path) -> Image.Image:
    """Decode one image file completely, in its stored mode. ``.format`` tells the file format.

    A truncated image is an error, even if other code has set Pillow to accept such files. All checksums of a PNG are
    verified. A file of several pages or animation frames gives the first one.

    Raises:
        ValueError: the file is empty, truncated, damaged, or not an image.
        OSError: the file can't be read (missing, permissions).
    """
    data = path.read_bytes()
    if not data:
        raise ValueError(f"{path}: the file is empty (0 bytes): copy it again")
    try:
        with _strict_pillow():
            image = Image.open(io.BytesIO(data))
            if image.format == "PNG":
                Image.open(io.BytesIO(data)).verify()
            image.load()
    except MemoryError:
        raise
    except Image.UnidentifiedImageError:
        raise ValueError(f"{path}: not an image that can be read (its content is of no known image format)") from None
    except Exception as error:  # a damaged file makes Pillow's readers raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: the image is truncated or damaged ({reason}): copy or export it again") from error
    return image


def shown_size(image: Image.Image) -> tuple[int, int]:
    """Return (height, width) of an opened image with its EXIF orientation applied, without decoding its pixels."""
    # without this test Pillow would decode a whole PNG, as EXIF data may follow the pixels
    transposed = (image.format != "PNG" or "exif" in image.info) and image.getexif().get(_ORIENTATION) in _TRANSPOSED
    return (image.width, image.height) if transposed else (image.height, image.width)


def refuse_several_pictures(path: Path) -> None:
    """Raise ValueError if a file is an animation or has several pages: ``load_image`` would give the first alone."""
    try:
        with Image.open(path) as image:
            count, kind = getattr(image, "n_frames", 1), image.format
    except Exception:  # damaged: reading it will say how
        return
    if count > 1 and kind != "MPO":  # a photo with its preview
        raise ValueError(f"{path} contains {count} images: convert it to a video or to a folder of single images")


def image_to_rgb(image: Image.Image, path: Path) -> np.ndarray:
    """Convert a loaded image of any mode to H x W x 3 uint8 RGB, upright (EXIF orientation applied).

    Grayscale is repeated, palettes are looked up, transparency is dropped (the colors below it stay), and 16-bit values
    are reduced to their upper 8 bits.

    Args:
        image: the image.
        path: its file, for error messages.

    Raises:
        ValueError: floating-point or 32-bit pixels, whose range is unknown, or a color space without an RGB form.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode == "I" or image.mode.startswith("I;16"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError(f"{path}: 32-bit pixels have no known range: export the frame with 8 or 16 bits")
        return np.repeat((values >> 8).astype(np.uint8)[..., None], 3, axis=2)
    if image.mode == "F":
        raise ValueError(f"{path}: floating-point pixels have no known range: export the frame with 8 or 16 bits")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    try:
        return np.array(image.convert("RGB"))
    except ValueError as error:
        raise ValueError(f"{path}: cannot be converted to RGB ({error}): export the frame as RGB") from error


@contextmanager
def _strict_pillow() -> Iterator[None]:
    """Make Pillow refuse truncated files, whatever other code has set, while any thread is in here."""
    global _readers, _truncated_before
    with _switch:
        if not _readers:
            _truncated_before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
        _readers += 1
    try:
        yield
    finally:
        with _switch:
            _readers -= 1
            if not _readers:
                ImageFile.LOAD_TRUNCATED_IMAGES = _truncated_before
