"""Mask files: reading and writing masks of object ids."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from voskit.dataloaders import MAX_ID
from voskit.dataloaders.files import atomic_write
from voskit.dataloaders.images import load_image
from voskit.dataloaders.masks.json_files import JsonMasks, read_coco_masks
from voskit.dataloaders.masks.mask_set import MaskSet
from voskit.dataloaders.masks.object_folder import read_object_folder
from voskit.dataloaders.masks.palette import davis_palette, id_colors
from voskit.dataloaders.masks.sizes import fit_mask

__all__ = [
    "davis_palette",
    "id_colors",
    "read_coco_masks",
    "read_mask",
    "read_mask_with_names",
    "read_written_mask",
    "write_mask",
]


class Mask(NamedTuple):
    """Mask of object ids, with the names of the objects."""

    ids: np.ndarray
    """H x W uint8 or uint16; 0 is background."""
    names: dict[int, str]
    """Object names by id, from file names, labels or categories. Objects without a name have no entry."""


def read_mask(
    path: str | os.PathLike[str], *, size: tuple[int, int] | None = None, image: str | int | None = None
) -> np.ndarray:
    """Read the object ids of one mask. For all masks of a video, use ``masks_for``.

    - Palette PNG: the index is the id, if index 0 or no index is black. Otherwise each color is an object.
    - Grayscale of 1, 2, 4, 8 or 16 bits: the value is the id. A mask of 0 and 255 is one object, id 1, even with a
      soft edge. 255 next to other ids is an object.
    - RGB and RGBA: white on black as grayscale; flat colors on black or transparent are objects, in the order of their
      colors (R, then G, then B); in a cut-out, the visible pixels are the object.
    - JPEG and lossy WebP: black and white, with the threshold 128.
    - ``.npy``: H x W ids, or N x H x W masks of N objects; if all N are equal, they are one mask.
    - Folder with one such file for each object. If all file stems are positive integers, they are the ids; otherwise
      the files are numbered 1 to n in natural order. Overlaps are logged; the higher id wins.
    - JSON of COCO, YouTube-VIS or labelme, see :class:`~voskit.dataloaders.masks.json_files.JsonMasks`.

    If a file isn't read as plain ids, one log line says how it is read. Pixels of smooth edges go to their neighbors,
    see :func:`~voskit.dataloaders.masks.edges.mend_edges`. docs/inputs.md has a table of all forms.

    Args:
        path: file or folder.
        size: (height, width) of the frame. A mask of the same aspect ratio is resized, which is logged. None: any.
        image: name or id of the image in a JSON file of several.

    Returns:
        H x W uint8, or uint16 if an id is above 255 or the only id is 255. 0 is background. The mask may have no
        objects.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: the file is damaged, not a mask (a photo, lossy colors, smooth edges that can't be mended), or of
            an aspect ratio other than that of ``size``; or an id is above 65535. The message names the file.
    """
    return read_mask_with_names(path, size=size, image=image).ids


def read_mask_with_names(
    path: str | os.PathLike[str], *, size: tuple[int, int] | None = None, image: str | int | None = None
) -> Mask:
    """Read a mask, as :func:`read_mask` does, together with the names of its objects."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such mask file or folder")
    if path.is_dir():
        ids, names = read_object_folder(path)
    elif path.suffix.lower() == ".json":
        masks = JsonMasks([path])
        return Mask(masks.read(masks.find(image), size), masks.names)
    else:
        ids, names = MaskSet([path]).read(path), {}
    return Mask(fit_mask(path, ids, size), names)


def read_written_mask(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """Read back a file that :func:`write_mask` wrote, ids unchanged: H x W uint8 or uint16.

    ``read_mask`` would take a lone 65535 for white, and custom palettes for colors. It reads all other files.

    Raises:
        ValueError: the file is damaged or has another size.
    """
    image = load_image(path)
    black = image.mode == "P" and (image.getpalette() or [])[:3] == [0, 0, 0]
    if (black or image.mode.startswith("I;16")) and size in (None, (image.height, image.width)):
        return np.array(image, np.uint8 if black else np.uint16)
    return read_mask(path, size=size)


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
            ``.png``, or the palette has an invalid length.
        OSError: the file can't be written (no such folder, disk full). The error names the file.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path}: masks are written as PNG: give a name that ends in .png")
    encoded = encode_mask(mask, palette=palette, grayscale=grayscale, label=str(path))
    with atomic_write(path, "mask") as temporary:
        temporary.write_bytes(encoded)


def encode_mask(
    mask: ArrayLike, *, palette: bytes | None = None, grayscale: bool = False, label: str = "the mask"
) -> bytes:
    """Return the PNG that ``write_mask`` writes; ``label`` is the mask's name in error messages."""
    colors = None if grayscale else davis_palette() if palette is None else palette
    encoded = io.BytesIO()
    _mask_to_image(label, np.asarray(mask), colors).save(encoded, format="PNG")
    return encoded.getvalue()


def _mask_to_image(path: str, ids: np.ndarray, palette: bytes | None) -> Image.Image:
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
