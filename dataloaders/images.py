"""Still images: listing, strict decoding, and conversion of all pixel formats to 8-bit RGB."""

from __future__ import annotations

import functools
import io
import logging
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps

from voskit.dataloaders.natural_order import natural_sorted

logger = logging.getLogger(__name__)

ORIENTATION = 0x0112
"""EXIF tag of the orientation."""
_TRANSPOSED = (5, 6, 7, 8)  # EXIF orientations that swap rows and columns
_DEEP = "16 bits"  # key in Image.info
_DEEP_SUFFIXES = (".png", ".tif", ".tiff")
_SAMPLED = 64  # maximum number of a folder's images that are read to find the bits in use
IMAGE_EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_switch = threading.Lock()  # Pillow's setting is shared by all threads
_readers, _truncated_before = 0, False

# Pillow warns about odd metadata; catch_warnings would change the filters of all threads
warnings.filterwarnings("ignore", module=r"PIL\.")


def list_images(folder: Path, extensions: tuple[str, ...] = IMAGE_EXTENSIONS) -> list[Path]:
    """List the image files directly in ``folder``, naturally sorted, without hidden files and nested folders.

    Raises:
        ValueError: the folder contains no image.
    """
    return [folder / name for name in natural_sorted((path.name for path in find_images(folder, extensions)), folder)]


def find_images(folder: Path, extensions: tuple[str, ...] = IMAGE_EXTENSIONS) -> list[Path]:
    """Return the images of :func:`list_images` in arbitrary order.

    Raises:
        ValueError: the folder contains no image.
        FileNotFoundError: an image is a broken link.
    """
    entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
    files = [path for path in entries if path.is_file()]
    images = [path for path in files if path.suffix.lower() in extensions]
    for path in entries:
        if path.suffix.lower() in extensions and path.is_symlink() and not path.exists():
            raise FileNotFoundError(f"{path}: a link to {path.readlink()}, which doesn't exist: restore or remove it")
    if not images:
        others = natural_sorted(path.name for path in files)
        found = f"; it holds {len(others)} other file(s), e.g. {others[0]}" if others else ""
        raise ValueError(f"{folder}: no image in this folder (looked for {', '.join(extensions)}){found}")
    return images


def load_image(path: Path) -> Image.Image:
    """Decode one image file completely, in its stored mode. ``.format`` is the file format.

    A truncated image is an error, even if other code has set Pillow to accept such files. All checksums of a PNG are
    verified. Of several pages or animation frames, the first one is returned.

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
            image.info[_DEEP] = _is_deep(image)
            image.load()
    except MemoryError:
        raise
    except Image.UnidentifiedImageError:
        raise ValueError(f"{path}: not an image in any known format") from None
    except Exception as error:  # a damaged file can make Pillow raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: the image is truncated or damaged ({reason}): copy or export it again") from error
    return image


def shown_size(image: Image.Image) -> tuple[int, int]:
    """Return (height, width) of an opened image with its EXIF orientation applied, without decoding its pixels."""
    # without the test of the format, Pillow would decode a whole PNG, as EXIF data may follow the pixels
    transposed = (image.format != "PNG" or "exif" in image.info) and image.getexif().get(ORIENTATION) in _TRANSPOSED
    return (image.width, image.height) if transposed else (image.height, image.width)


def refuse_several_pictures(path: Path) -> None:
    """Raise ValueError if a file is an animation or has several pages: ``load_image`` returns only the first."""
    try:
        with Image.open(path) as image:
            count, kind = getattr(image, "n_frames", 1), image.format
    except Exception:  # damaged: reported when it is read
        return
    if count > 1 and kind != "MPO":  # a photo with its preview
        raise ValueError(f"{path} contains {count} images: convert it to a video or to a folder of single images")


def image_to_rgb(image: Image.Image, path: Path, bits: int | None = None) -> np.ndarray:
    """Convert a loaded image of any mode to H x W x 3 uint8 RGB, upright (EXIF orientation applied).

    Grayscale is repeated, palettes are looked up, and transparency is dropped (hidden colors become visible). 16-bit
    values are reduced to the upper 8 of the bits that their folder uses, see :func:`bits_in_use`.

    Args:
        image: the image, from :func:`load_image`.
        path: its file.
        bits: bits in use in 16-bit values; None: find them from the images in the file's folder.

    Raises:
        ValueError: floating-point or 32-bit pixels, whose range is unknown, or a color space that has no conversion to
            RGB.
    """
    if image.info.get(_DEEP):
        bits = _bits_of_folder(path.parent) if bits is None else bits
        if bits < 16 or image.mode == "I" or image.mode.startswith("I;16"):
            image = _reduce_bits(image, path, bits)
    image = ImageOps.exif_transpose(image)
    if image.mode == "I" or image.mode.startswith("I;16"):
        raise ValueError(f"{path}: 32-bit pixels have no known range: export the frame with 8 or 16 bits")
    if image.mode == "F":
        raise ValueError(f"{path}: floating-point pixels have no known range: export the frame with 8 or 16 bits")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    try:
        return np.array(image.convert("RGB"))
    except ValueError as error:
        raise ValueError(f"{path}: cannot be converted to RGB ({error}): export the frame as RGB") from error


def bits_in_use(paths: Sequence[Path]) -> int:
    """Return how many bits the 16-bit images of one folder use: 8, 10, 12, 14 or 16; 16 if none has 16 bits.

    Cameras store 10 to 14 bits in 16-bit files. The largest value in up to 64 of the images decides for all of them,
    so that brightness doesn't change from frame to frame.
    """
    paths = [path for path in paths if path.suffix.lower() in _DEEP_SUFFIXES]
    step = max(1, -(-len(paths) // _SAMPLED))
    largest = -1
    for path in {*paths[::step], *paths[-1:]}:
        try:
            with Image.open(path) as header:
                if not _is_deep(header):
                    continue
            largest = max(largest, int(_deep_values(load_image(path), path).max()))
        except (ValueError, OSError):  # damaged: reported when the frame is read
            continue
    if largest < 0:
        return 16
    return max(8, largest.bit_length() + largest.bit_length() % 2)


def log_bits_in_use(path: Path) -> None:
    """Log how many bits the images of a folder use, if the one at ``path`` has 16 bits and they use fewer."""
    if path.suffix.lower() not in _DEEP_SUFFIXES:
        return
    with Image.open(path) as header:
        deep = _is_deep(header)
    if deep and (bits := _bits_of_folder(path.parent)) < 16:
        logger.info(
            "%s: the 16-bit images use only %d bits: values 0 to %d become 0 to 255", path.parent, bits, 2**bits - 1
        )


@functools.lru_cache(maxsize=4096)
def _bits_of_folder(folder: Path) -> int:
    return bits_in_use(sorted(folder.iterdir()))


def _is_deep(image: Image.Image) -> bool:
    """True if an opened, unloaded image has 16 bits per channel, which Pillow reduces to 8 in color images."""
    return image.mode.startswith("I") or any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def _deep_values(image: Image.Image, path: Path) -> np.ndarray:
    """Return the integers of a 16-bit image, H x W (x 3 RGB), as stored. Raises ValueError for 32-bit values."""
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError(f"{path}: 32-bit pixels have no known range: export the frame with 8 or 16 bits")
        return values
    import cv2  # slow to import, and rarely needed

    stored = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)  # Pillow has no 16-bit colors
    if stored is None or stored.dtype != np.uint16:
        return np.asarray(image.convert("RGB")).astype(np.uint16) << 8
    if stored.ndim == 3:
        stored = stored[..., 2::-1]
    return np.asarray(stored)


def _reduce_bits(image: Image.Image, path: Path, bits: int) -> Image.Image:
    """Reduce a 16-bit image to the upper 8 of ``bits`` bits, with the same orientation."""
    values = _deep_values(image, path) >> (bits - 8)
    if values.max() > 255:
        logger.warning("%s: values above %d, the range of the other frames, are clipped", path, 2**bits - 1)
        values = np.minimum(values, 255)
    reduced = Image.fromarray(values.astype(np.uint8))
    reduced.getexif()[ORIENTATION] = image.getexif().get(ORIENTATION, 1)
    return reduced


@contextmanager
def _strict_pillow() -> Iterator[None]:
    """Make Pillow refuse truncated files while any thread is in the block, whatever other code has set."""
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
