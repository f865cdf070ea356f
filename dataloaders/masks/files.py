"""Mask files: reading and writing masks of object ids."""

from __future__ import annotations

import io
import logging
import os
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from voskit.dataloaders import MAX_ID
from voskit.dataloaders.files import atomic_write
from voskit.dataloaders.images import list_images, load_image
from voskit.dataloaders.masks.coco import check_mask_size, read_coco_masks
from voskit.dataloaders.masks.palette import davis_palette, id_colors

__all__ = ["davis_palette", "id_colors", "read_coco_masks", "read_mask", "write_mask"]

logger = logging.getLogger(__name__)

_VOID = 255
_MANY_IDS = 100  # a grayscale file with more values than this is hardly a mask of ids
_LOSSLESS = ("PNG", "BMP", "TIFF")
MASK_EXTENSIONS = (".bmp", ".png", ".tif", ".tiff")


def read_mask(
    path: str | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    ignore: int | None = None,
    ignored_as: int = 0,
) -> np.ndarray:
    """Read the object ids of one mask.

    - Palette PNG: the index is the id. Id 255 beside other ids ("void" in VOC and DAVIS) is kept and logged.
    - Grayscale PNG of 1, 2, 4, 8 or 16 bits: the value is the id. An 8-bit file of only 0 and 255 is one object, id 1
      (DAVIS 2016). So is one of 0 and 255 with a soft edge: values from 128 on are the object, which is logged.
      BMP and TIFF files of these kinds are read, too.
    - Folder with one such file per object, non-zero on the object. If all file stems are positive integers, they are
      the ids; otherwise the files are numbered 1 to n in natural order, which is logged. Overlaps are logged; the
      higher id wins.
    - COCO JSON file of one image, see :func:`~voskit.dataloaders.masks.coco.read_coco_masks`.

    Args:
        path: file or folder.
        size: (height, width) that the mask must have; None: any.
        ignore: value (such as 255, "void") that isn't an object if it occurs beside other values. These pixels become
            ``ignored_as``. With ``ignore``, nothing is logged about 255.
        ignored_as: value of the ignored pixels. If it isn't 0, pixels of ``ignore`` are replaced even if the mask has
            no other value.

    Returns:
        H x W uint8, or uint16 if an id is above 255. 0 is background. The mask may have no object at all.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: the file is damaged, not an image, or of a format that can't store ids (JPEG, colors, floating
            point); an id is above 65535; or the mask isn't of ``size``. The message names the file.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such mask file or folder")
    if path.is_dir():
        mask = _read_object_folder(path)
    elif path.suffix.lower() == ".json":
        mask = read_coco_masks(path, size=size)
    else:
        mask = _read_mask_image(path, ignore, ignored_as)
    check_mask_size(path, mask, size)
    return mask


def write_mask(
    path: str | os.PathLike[str], mask: ArrayLike, *, palette: bytes | None = None, grayscale: bool = False
) -> None:
    """Write object ids as a PNG: a palette PNG if all ids are at most 255, otherwise a 16-bit grayscale PNG.

    The file is written completely or not at all: under a temporary name in the same folder, then renamed.

    Args:
        path: file name ending in ``.png``, in an existing folder.
        mask: H x W integers (or bool), 0 to 65535. 0 is background.
        palette: RGB values of the ids from 0 on, up to 768 bytes; None: ``davis_palette()``.
        grayscale: write an 8-bit grayscale PNG instead of a palette PNG.

    Raises:
        ValueError: the mask isn't two-dimensional or not integer, an id is out of range, the name doesn't end in
            ``.png``, or the palette has a wrong length.
        OSError: the file can't be written (no such folder, disk full). The error names the file.
    """
    path = Path(path)
    colors = None if grayscale else davis_palette() if palette is None else palette
    image = _mask_to_image(path, np.asarray(mask), colors)
    encoded = io.BytesIO()
    image.save(encoded, format="PNG")
    with atomic_write(path, "mask") as temporary:
        temporary.write_bytes(encoded.getbuffer())


def _mask_to_image(path: Path, ids: np.ndarray, palette: bytes | None) -> Image.Image:
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path}: masks are written as PNG: give a name that ends in .png")
    if ids.ndim != 2 or ids.size == 0:
        raise ValueError(f"{path}: a mask must be height x width and not empty, not of shape {ids.shape}")
    if ids.dtype != bool and not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(f"{path}: a mask must hold integer object ids, not {ids.dtype}")
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high > MAX_ID:
        raise ValueError(f"{path}: object ids must be between 0 and {MAX_ID}, the mask has {low} to {high}")
    if palette is not None and (len(palette) % 3 or not 0 < len(palette) <= 768):
        raise ValueError(f"{path}: a palette is 1 to 256 RGB triples (768 bytes at most), not {len(palette)} bytes")
    if high > 255:
        return Image.fromarray(ids.astype(np.uint16))
    image = Image.fromarray(ids.astype(np.uint8))
    if palette is not None:
        image.putpalette(palette)
    return image


def _read_mask_image(path: Path, ignore: int | None, ignored_as: int) -> np.ndarray:
    image = load_image(path)
    ids = _stored_values(path, image)
    objects = _values(ids)
    level = logging.WARNING if ignore is None else logging.DEBUG
    if image.mode == "L" and _is_soft(ids, objects):
        logger.log(level, "%s: 0 and 255 with a soft edge: values from 128 on are read as one object with id 1", path)
        return (ids > 127).astype(np.uint8)
    if image.mode == "L" and objects.tolist() == [_VOID] and not ignored_as:
        logger.log(level, "%s: its only values are 0 and 255: read as one object with id 1", path)
        return (ids > 0).astype(np.uint8)
    if ignore is not None and ignore in objects and (len(objects) > 1 or ignored_as):
        ids = np.where(ids == ignore, ignored_as, ids.astype(np.uint16))
        objects = _values(ids)
    if _VOID in objects and len(objects) > 1 and image.mode in ("L", "P"):
        logger.warning("%s: id 255, the void label of VOC and DAVIS, beside other ids: kept as an object", path)
    if image.mode == "L" and len(objects) > _MANY_IDS:
        logger.warning("%s: %d different values: is this a mask of object ids, not a photo?", path, len(objects))
    return ids.astype(np.uint8) if max(objects, default=0) <= 255 else ids.astype(np.uint16)


def _values(ids: np.ndarray) -> np.ndarray:
    """Return the values of a mask except 0, in rising order, in less than half the time of ``np.unique``."""
    counts = np.bincount(ids.ravel())
    counts[0] = 0
    return np.flatnonzero(counts)


def _is_soft(ids: np.ndarray, objects: np.ndarray) -> bool:
    """True if grayscale values are one object with an anti-aliased edge, not ids.

    Then more pixels have 255 than all values between 0 and 255 together, and several of these values lie on either side
    of the middle.
    """
    between = objects[objects < _VOID]
    if len(between) == len(objects) or min(np.count_nonzero(between < 128), np.count_nonzero(between > 127)) < 2:
        return False
    return bool(2 * np.count_nonzero(ids == _VOID) > np.count_nonzero(ids))


def _stored_values(path: Path, image: Image.Image) -> np.ndarray:
    """Return the H x W integers stored in a file. Raises ValueError if the file is of a kind that can't store ids."""
    if image.format not in _LOSSLESS:
        raise ValueError(f"{path}: {image.format} files cannot store object ids exactly: save the mask as PNG")
    if getattr(image, "n_frames", 1) > 1:
        raise ValueError(f"{path}: the file contains several images (pages or animation): give a mask with one")
    if image.mode == "F":
        raise ValueError(
            f"{path}: floating-point values are not object ids: save integers as a palette or grayscale PNG"
        )
    if image.mode not in ("1", "L", "P", "I") and not image.mode.startswith("I;16"):
        raise ValueError(_color_advice(path, image))
    values = np.array(image)
    if image.mode == "L":
        values //= grayscale_step(path, image)
    if image.mode == "I" and (values.min() < 0 or values.max() > MAX_ID):
        raise ValueError(
            f"{path}: object ids must be between 0 and {MAX_ID}, the mask has {values.min()} to {values.max()}"
        )
    return values


def grayscale_step(path: Path, image: Image.Image) -> int:
    """Return the factor by which Pillow stretches the values of 2-bit and 4-bit grayscale PNGs to 255, else 1."""
    if image.format != "PNG":
        return 1
    with path.open("rb") as file:
        bits = file.read(25)[24]  # IHDR: signature (8), length and type (8), width and height (8), bit depth
    return {2: 85, 4: 17}.get(bits, 1)


def _color_advice(path: Path, image: Image.Image) -> str:
    pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    colors = np.unique(pixels, axis=0)
    found = f"{image.mode} with {len(colors)} color(s)"
    message = f"{path}: a mask must store object ids (palette or grayscale PNG), this is {found}"
    if np.all(colors[:, :1] == colors):
        return f"{message}, all gray: save one channel, e.g. Image.open(path).convert('L').save(path)"
    if len(colors) <= 256:
        example = tuple(colors[colors.any(axis=1)][0].tolist())
        return (
            f"{message}: give each color an id, e.g. ids[(rgb == {example}).all(-1)] = 1, and save with "
            "voskit.dataloaders.masks.files.write_mask"
        )
    return f"{message}: it looks like a photo or a lossy copy, export the mask as a palette PNG"


def _read_object_folder(folder: Path) -> np.ndarray:
    files = list_images(folder, MASK_EXTENSIONS)
    ids = _folder_ids(folder, files)
    mask: np.ndarray | None = None
    overlap = 0
    for file, object_id in sorted(zip(files, ids, strict=True), key=lambda pair: pair[1]):
        values = _stored_values(file, load_image(file))
        if len(found := np.unique(values[values != 0])) > 1:
            raise ValueError(
                f"{file}: in a folder of objects each file is one object, this one has {len(found)} values other than "
                "0: give a single file as the mask, or one two-valued file per object"
            )
        if not len(found):
            logger.warning("%s: object %d has no pixel", file, object_id)
        region = values != 0
        if mask is None:
            mask = np.zeros(region.shape, np.uint16)
        if region.shape != mask.shape:
            raise ValueError(
                f"{file}: this mask is {region.shape[0]}x{region.shape[1]} (height x width), the masks before it "
                f"(from {files[0].name} on) are {mask.shape[0]}x{mask.shape[1]}: give masks of one size"
            )
        overlap += int(np.count_nonzero(region & (mask != 0)))
        mask[region] = object_id
    assert mask is not None
    if overlap:
        logger.warning("%s: objects overlap in %d pixels; the higher id wins there", folder, overlap)
    return mask.astype(np.uint8) if mask.max() <= 255 else mask


def _folder_ids(folder: Path, files: list[Path]) -> list[int]:
    """Return the id of each file: its stem if all stems are positive integers, otherwise 1 to n in order."""
    stems = [file.stem for file in files]
    if not all(stem.isascii() and stem.isdigit() and int(stem) > 0 for stem in stems):
        numbering = ", ".join(f"{file.name} is {index}" for index, file in enumerate(files, start=1))
        logger.warning("%s: not all file names are positive integers, so objects are numbered: %s", folder, numbering)
        return list(range(1, len(files) + 1))
    by_id: dict[int, Path] = {}
    for file, stem in zip(files, stems, strict=True):
        other = by_id.setdefault(int(stem), file)
        if other is not file:
            raise ValueError(f"{folder}: {other.name} and {file.name} are both object {int(stem)}: remove one of them")
        if int(stem) > MAX_ID:
            raise ValueError(f"{file}: object ids must be between 1 and {MAX_ID}: rename the file")
    return list(by_id)
