"""Masks of object ids: reading what people and datasets have, writing what benchmarks take."""

from __future__ import annotations

import io
import logging
import os
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from voskit.dataloaders.files import atomic_write
from voskit.dataloaders.images import list_images, load_image
from voskit.dataloaders.masks.coco import check_mask_size, read_coco_masks
from voskit.dataloaders.masks.palette import MAX_ID, davis_palette, id_colors

__all__ = ["davis_palette", "id_colors", "read_coco_masks", "read_mask", "write_mask"]

logger = logging.getLogger(__name__)

_VOID = 255
_MANY_IDS = 100  # a greyscale file with more values than this is hardly a mask of ids
_LOSSLESS = ("PNG", "BMP", "TIFF")
MASK_EXTENSIONS = (".bmp", ".png", ".tif", ".tiff")


def read_mask(
    path: str | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    ignore: int | None = None,
    ignored_as: int = 0,
) -> np.ndarray:
    """The object ids of one mask.

    - A palette PNG: the index is the id. Id 255 beside others ("void" in VOC and DAVIS) is kept, and logged.
    - A greyscale PNG of 1, 2, 4, 8 or 16 bits: the value is the id; 8 bits with 0 and 255 only are one object, id 1
      (DAVIS 2016), and so are 0 and 255 with a soft edge between them (128 and above is the object), which is logged.
      BMP and TIFF files of the same kinds are read too.
    - A folder with one such file per object, non-zero where the object is. File stems that are positive integers are
      the ids; otherwise the files are numbered 1 to n in natural order, which is logged. Where objects overlap the
      later file wins, which is logged.
    - A COCO JSON file of one image, see ``read_coco_masks``.

    Args:
        path: file or folder.
        size: (height, width) that the mask must have.
        ignore: a value (255: "void") that is no object where it stands beside others; these pixels become background,
            and neither this nor 0/255 for one object is worth a line in the log.
        ignored_as: what these pixels become in place of background. If this isn't 0, they also do where they are alone.

    Returns:
        H x W uint8, or uint16 where an id is above 255; 0 is background. It may hold no object at all.

    Raises:
        FileNotFoundError: there is no such path.
        ValueError: no image or a damaged one, a format that cannot hold ids (JPEG, colours, floating point), ids above
            65535, or another size than asked for.
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
    """Write object ids as PNG: a palette PNG up to id 255, a 16-bit greyscale PNG above.

    The file appears complete or not at all: it is written under a temporary name in the same folder, then renamed.

    Args:
        path: the file, with extension ``.png``, in an existing folder.
        mask: H x W integers (or bool) from 0 to 65535.
        palette: RGB values of the indices, 768 at most; None is ``davis_palette()``.
        grey: an 8-bit greyscale PNG in place of one with a palette.

    Raises:
        ValueError: the mask is not two-dimensional, not integer or out of range, or path or palette is of a wrong kind.
        OSError: the file cannot be written (no such folder, disk full); the error names the file.
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
        logger.log(level, "%s: 0 and 255 with a soft edge: read as one object with id 1, from 128 on", path)
        return (ids > 127).astype(np.uint8)
    if image.mode == "L" and objects.tolist() == [_VOID] and not ignored_as:
        logger.log(level, "%s: its values are 0 and 255 only: read as one object with id 1", path)
        return (ids > 0).astype(np.uint8)
    if ignore is not None and ignore in objects and (len(objects) > 1 or ignored_as):
        ids = np.where(ids == ignore, ignored_as, ids.astype(np.uint16))
        objects = _values(ids)
    if _VOID in objects and len(objects) > 1 and image.mode in ("L", "P"):
        logger.warning("%s: id 255 beside other ids, the void label of VOC and DAVIS: kept as an object", path)
    if image.mode == "L" and len(objects) > _MANY_IDS:
        logger.warning("%s: %d different values: is this a mask of object ids, not a photo?", path, len(objects))
    return ids.astype(np.uint8) if max(objects, default=0) <= 255 else ids.astype(np.uint16)


def _values(ids: np.ndarray) -> np.ndarray:
    """The values of a mask but 0, rising; in less than half of ``np.unique``'s time."""
    counts = np.bincount(ids.ravel())
    counts[0] = 0
    return np.flatnonzero(counts)


def _is_soft(ids: np.ndarray, objects: np.ndarray) -> bool:
    """Whether greyscale values are those of one object with an anti-aliased edge, and no ids: 255 has more pixels than
    all values between, which are several on both sides of the middle."""
    between = objects[objects < _VOID]
    if len(between) == len(objects) or min(np.count_nonzero(between < 128), np.count_nonzero(between > 127)) < 2:
        return False
    return bool(2 * np.count_nonzero(ids == _VOID) > np.count_nonzero(ids))


def _stored_values(path: Path, image: Image.Image) -> np.ndarray:
    """H x W integers as stored in a file that can hold ids. Raises ValueError for any other kind of file."""
    if image.format not in _LOSSLESS:
        raise ValueError(f"{path}: {image.format} files cannot hold object ids exactly: save the mask as PNG")
    if getattr(image, "n_frames", 1) > 1:
        raise ValueError(f"{path}: the file holds several images (pages or animation): give a mask with one")
    if image.mode == "F":
        raise ValueError(f"{path}: floating-point values are no object ids: save integers, as palette or greyscale PNG")
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
    """What Pillow multiplies the values of 2-bit and 4-bit greyscale PNGs by, to stretch them to 255."""
    if image.format != "PNG":
        return 1
    with path.open("rb") as file:
        bits = file.read(25)[24]  # IHDR: signature (8), length and type (8), width and height (8), bit depth
    return {2: 85, 4: 17}.get(bits, 1)


def _color_advice(path: Path, image: Image.Image) -> str:
    pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    colors = np.unique(pixels, axis=0)
    found = f"{image.mode} with {len(colors)} colour(s)"
    message = f"{path}: a mask must hold object ids (palette or greyscale PNG), this is {found}"
    if np.all(colors[:, :1] == colors):
        return f"{message}, all grey: save one channel, e.g. Image.open(path).convert('L').save(path)"
    if len(colors) <= 256:
        example = tuple(colors[colors.any(axis=1)][0].tolist())
        return (
            f"{message}: give each colour an id, e.g. ids[(rgb == {example}).all(-1)] = 1, and save with "
            "voskit.dataloaders.masks.files.write_mask"
        )
    return f"{message}: it looks like a photo or a lossy copy, export the mask as palette PNG"


def _read_object_folder(folder: Path) -> np.ndarray:
    files = list_images(folder, MASK_EXTENSIONS)
    ids = _folder_ids(folder, files)
    mask: np.ndarray | None = None
    overlap = 0
    for file, object_id in sorted(zip(files, ids, strict=True), key=lambda pair: pair[1]):
        values = _stored_values(file, load_image(file))
        if len(found := np.unique(values[values != 0])) > 1:
            raise ValueError(
                f"{file}: in a folder of objects each file holds one object, this one has {len(found)} values besides "
                "0: give a single file as mask, or one two-valued file per object"
            )
        if not len(found):
            logger.warning("%s: no pixel of object %d", file, object_id)
        region = values != 0
        if mask is None:
            mask = np.zeros(region.shape, np.uint16)
        if region.shape != mask.shape:
            raise ValueError(
                f"{file}: this mask is {region.shape[0]}x{region.shape[1]} (height x width), those before it "
                f"(from {files[0].name}) are {mask.shape[0]}x{mask.shape[1]}: give masks of one size"
            )
        overlap += int(np.count_nonzero(region & (mask != 0)))
        mask[region] = object_id
    assert mask is not None
    if overlap:
        logger.warning("%s: objects overlap in %d pixels; the higher id wins there", folder, overlap)
    return mask.astype(np.uint8) if mask.max() <= 255 else mask


def _folder_ids(folder: Path, files: list[Path]) -> list[int]:
    """The id of each file: its stem where all stems are positive integers, else 1 to n in the order given."""
    stems = [file.stem for file in files]
    if not all(stem.isascii() and stem.isdigit() and int(stem) > 0 for stem in stems):
        numbering = ", ".join(f"{file.name} is {index}" for index, file in enumerate(files, start=1))
        logger.warning("%s: file names are no positive integers, objects are numbered: %s", folder, numbering)
        return list(range(1, len(files) + 1))
    by_id: dict[int, Path] = {}
    for file, stem in zip(files, stems, strict=True):
        other = by_id.setdefault(int(stem), file)
        if other is not file:
            raise ValueError(f"{folder}: {other.name} and {file.name} are both object {int(stem)}: remove one of them")
        if int(stem) > MAX_ID:
            raise ValueError(f"{file}: object ids must be between 1 and {MAX_ID}: rename the file")
    return list(by_id)
