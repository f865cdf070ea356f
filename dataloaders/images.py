"""Still images: finding them in a folder, decoding them strictly, and turning every pixel format into 8-bit RGB."""

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
_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap rows and columns
_ZEROS = str.maketrans("123456789", "000000000")
IMAGE_EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_switch = threading.Lock()  # Pillow's switch is one for all threads
_readers, _truncated_before = 0, False

warnings.filterwarnings("ignore", module=r"PIL\.")  # of odd metadata; catch_warnings is no thread's own either


def natural_key(name: str) -> tuple[tuple[str | int, ...], str]:
    """Sort key that counts as people do: ``frame2`` before ``frame10``; ties (``01``, ``1``) go by the plain name."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return tuple(int(part) if index % 2 else part for index, part in enumerate(parts)), name


def natural_sorted(names: Iterable[str]) -> list[str]:
    """Names in the order of ``natural_key``."""
    names = list(names)
    # where names have digits at the same places, as 00000.jpg and 00001.jpg, the plain order is the same, and faster
    alike = len({name.translate(_ZEROS) for name in names}) <= 1
    return sorted(names, key=None if alike else natural_key)


def list_images(folder: Path, extensions: tuple[str, ...] = IMAGE_EXTENSIONS) -> list[Path]:
    """The image files directly in ``folder``, naturally sorted. Hidden files and nested folders are left out.

    Raises:
        ValueError: no image is there.
    """
    files = [path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file()]
    images = [path for path in files if path.suffix.lower() in extensions]
    if not images:
        others = sorted(files, key=lambda path: natural_key(path.name))
        found = f"; it holds {len(others)} other file(s), e.g. {others[0].name}" if others else ""
        raise ValueError(f"{folder}: no image in this folder (looked for {', '.join(extensions)}){found}")
    return sorted(images, key=lambda path: natural_key(path.name))


def load_image(path: Path) -> Image.Image:
    """Decode one image file completely, in the mode that it is stored in (``.format`` says which kind it was).

    A truncated image is an error even where Pillow was told elsewhere to accept such files, and every checksum of a
    PNG is checked. Of several pages or animation frames the first one is given.

    Raises:
        ValueError: the file is empty, no image, truncated or damaged.
        OSError: the file cannot be read (missing, permissions).
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
    except Exception as error:  # Pillow's readers raise nearly anything when a file is damaged
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: the image is truncated or damaged ({reason}): copy or export it again") from error
    return image


def shown_size(image: Image.Image) -> tuple[int, int]:
    """(height, width) of an opened image as it is shown (EXIF orientation applied); nothing is decoded for it."""
    # Pillow decodes a whole PNG to see whether EXIF data stand at its end; where they stand before, it knows
    turned = (image.format != "PNG" or "exif" in image.info) and image.getexif().get(_ORIENTATION) in _TURNED
    return (image.width, image.height) if turned else (image.height, image.width)


def refuse_several_pictures(path: Path) -> None:
    """Raise a ValueError where a file is an animation or has several pages, of which ``load_image`` gives the first."""
    try:
        with Image.open(path) as image:
            count, kind = getattr(image, "n_frames", 1), image.format
    except Exception:  # damaged: reading it says how
        return
    if count > 1 and kind != "MPO":  # photographs with a preview
        raise ValueError(f"{path} holds {count} pictures: make a video or a folder of single images of it")


def image_to_rgb(image: Image.Image, path: Path) -> np.ndarray:
    """H x W x 3 uint8 RGB of a loaded image of any mode, upright (EXIF orientation applied).

    Greyscale is repeated, palettes are looked up, transparency is dropped (the colours below it are kept), and 16-bit
    values give their upper 8 bits. ``path`` is only named in errors.

    Raises:
        ValueError: floating-point or 32-bit pixels, whose range nobody knows, or a colour space without an RGB form.
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
    """Pillow with truncated files refused, whatever other code set, while any thread is in here."""
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
