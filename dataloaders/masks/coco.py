"""COCO JSON masks: run-length encodings, compressed or not, and polygons."""

from __future__ import annotations

import logging
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco

from voskit.dataloaders import MAX_ID
from voskit.dataloaders.files import load_json
from voskit.dataloaders.natural_order import natural_sorted

logger = logging.getLogger(__name__)

_ID_KEYS = ("object_id", "id", "category_id")


def read_coco_masks(
    path: str | os.PathLike[str], *, image: str | int | None = None, size: tuple[int, int] | None = None
) -> np.ndarray:
    """Read the mask of one image from a COCO JSON file.

    The file is ``{"images": [...], "annotations": [...]}``, a list of annotations, or a single encoding
    ``{"size": [height, width], "counts": ...}`` (object 1). An annotation's ``segmentation`` is a run-length encoding
    (compressed or not) or polygons.

    The object id of an annotation is its ``object_id``, ``id`` or ``category_id``: the first of the three that all
    annotations of the image have. If they have none of them, they are numbered from 1 in file order. Annotations of one
    id are one object. Overlaps are logged; the later annotation wins.

    Args:
        path: the JSON file.
        image: file name (with or without folder and extension) or id of the image, if the file has several.
        size: (height, width) that the mask must have. Polygons need it if the file states no image size.

    Returns:
        H x W uint8, or uint16 if an id is above 255; 0 is background.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file isn't JSON, an encoding is damaged or of another size, an id is out of range, or it isn't
            clear which image is meant.
    """
    path = Path(path)
    name, images, annotations = _select(path, load_json(path), image)
    stated = _image_size(path, images[0]) if images else None
    objects = _object_ids(path, annotations)
    mask: np.ndarray | None = None
    overlap = 0
    for position, (annotation, object_id) in enumerate(zip(annotations, objects, strict=True)):
        where = f"{path}: annotation {position} ({name}, object {object_id})"
        region = _decode(where, annotation.get("segmentation"), stated or size)
        if mask is None:
            mask = np.zeros(region.shape, np.uint16)
        if region.shape != (stated or mask.shape):
            raise ValueError(
                f"{where}: the mask is {region.shape[0]}x{region.shape[1]} (height x width), the image is "
                f"{(stated or mask.shape)[0]}x{(stated or mask.shape)[1]}: encode all masks at the size of the image"
            )
        overlap += int(np.count_nonzero(region & (mask != 0) & (mask != object_id)))
        mask[region] = object_id
    if mask is None:
        if stated is None and size is None:
            raise ValueError(f"{path}: no annotation of {name} and no image size: give a file with annotations")
        mask = np.zeros(stated or size or (0, 0), np.uint16)
    if overlap:
        logger.warning("%s: objects overlap in %d pixels: there the later annotation wins", path, overlap)
    check_mask_size(path, mask, size)
    return mask.astype(np.uint8) if mask.max(initial=0) <= 255 else mask


def check_mask_size(path: Path, mask: np.ndarray, size: tuple[int, int] | None) -> None:
    """Raise ValueError if a mask read from ``path`` isn't of ``size``, (height, width); None allows any size."""
    if size is None or mask.shape == tuple(size):
        return
    turned = " (a quarter turn: was it drawn on the unrotated frame?)" if mask.shape == (size[1], size[0]) else ""
    raise ValueError(
        f"{path}: the mask is {mask.shape[0]}x{mask.shape[1]} (height x width), the frames are {size[0]}x{size[1]}"
        f"{turned}: draw it on a frame of that size, or resize it with nearest-neighbor interpolation"
    )


def decode_run_lengths(where: str, counts: Any, size: tuple[int, int]) -> np.ndarray:
    """Decode one run-length encoding, compressed or not.

    Args:
        where: start of error messages.
        counts: COCO's compressed string or a list of run lengths.
        size: (height, width).

    Returns:
        H x W bool.

    Raises:
        ValueError: the encoding is damaged or of another size.
    """
    return _decode(where, {"size": list(size), "counts": counts}, None)


def decode_segmentation(where: str, segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """Decode the ``segmentation`` of an annotation: a run-length encoding or polygons.

    Args:
        where: start of error messages.
        segmentation: polygons, or an encoding, with or without its size.
        size: (height, width) of the image.

    Returns:
        H x W bool.

    Raises:
        ValueError: the segmentation is neither, or it is damaged or of another size.
    """
    if isinstance(segmentation, dict):
        segmentation = {"size": list(size), **segmentation}
    region = _decode(where, segmentation, size)
    if region.shape != size:
        found = f"{region.shape[0]}x{region.shape[1]}"
        raise ValueError(f"{where}: the mask is {found} (height x width), the image is {size[0]}x{size[1]}")
    return region


def _select(path: Path, data: Any, wanted: str | int | None) -> tuple[str, list[dict], list[dict]]:
    """Return the image's name for errors, a list with its entry in the file (if it has one), and its annotations."""
    if isinstance(data, dict) and "counts" in data:
        data = [{"segmentation": data}]
    if isinstance(data, list):
        data = {"annotations": data}
    recognized = isinstance(data, dict) and isinstance(data.get("annotations"), list)
    if not recognized:
        raise ValueError(
            f'{path}: not COCO masks: expected {{"images": [...], "annotations": [...]}}, a list of annotations or one '
            'encoding {"size": [height, width], "counts": ...}'
        )
    images = data.get("images") or ([data["image"]] if isinstance(data.get("image"), dict) else [])
    annotations = data["annotations"]
    if not isinstance(images, list) or not all(isinstance(entry, dict) for entry in [*images, *annotations]):
        raise ValueError(f"{path}: every image and every annotation must be a JSON object: check how it was written")
    if not images:  # without a list of images, the annotations tell which images there are
        known = dict.fromkeys(str(entry["image_id"]) for entry in annotations if "image_id" in entry)
        images = [{"id": key} for key in known]
    if not images:
        return "the only image", [], annotations
    entry = images[0] if len(images) == 1 and wanted is None else _find_image(path, images, wanted)
    image_id = entry.get("id", entry.get("image_id"))
    own = [
        annotation
        for annotation in annotations
        if str(annotation.get("image_id", image_id if len(images) == 1 else None)) == str(image_id)
    ]
    return str(entry.get("file_name", f"image {image_id}")), [entry], own


def _find_image(path: Path, images: list[dict], wanted: str | int | None) -> dict:
    names = natural_sorted(str(entry.get("file_name", entry.get("id"))) for entry in images)
    listing = ", ".join(names[:10]) + (f", ... ({len(names)} in all)" if len(names) > 10 else "")
    if wanted is None:
        raise ValueError(f"{path}: masks of {len(images)} images: choose one with image= (file name or id): {listing}")
    for matches in (_is_exactly, _is_loosely):
        found = [entry for entry in images if matches(entry, str(wanted))]
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(f"{path}: {len(found)} images are named {wanted}: give the id or the whole file name")
    raise ValueError(f"{path}: no image {wanted} in this file; it has {listing}")


def _is_exactly(entry: dict, wanted: str) -> bool:
    return wanted in (str(entry.get("file_name")), str(entry.get("id")))


def _is_loosely(entry: dict, wanted: str) -> bool:
    name = entry.get("file_name")
    return isinstance(name, str) and wanted in (Path(name).name, Path(name).stem, str(Path(name).with_suffix("")))


def _image_size(path: Path, entry: dict) -> tuple[int, int] | None:
    if "height" not in entry or "width" not in entry:
        return None
    return _checked_size(f"{path}: image {entry.get('file_name', entry.get('id'))}", [entry["height"], entry["width"]])


def _checked_size(where: str, size: Any) -> tuple[int, int]:
    if not (isinstance(size, list | tuple) and len(size) == 2 and all(type(side) is int and side > 0 for side in size)):
        raise ValueError(f"{where}: the size must be two positive integers (height, width), not {size}")
    return size[0], size[1]


def _object_ids(path: Path, annotations: list[dict]) -> list[int]:
    key = next((key for key in _ID_KEYS if annotations and all(key in entry for entry in annotations)), None)
    if key is None:
        some = [key for key in _ID_KEYS if any(key in entry for entry in annotations)]
        if some:
            raise ValueError(f"{path}: only some annotations have {' / '.join(some)}: give all of them an object_id")
        if len(annotations) > 1:
            logger.info("%s: annotations without ids are numbered 1 to %d", path, len(annotations))
        return list(range(1, len(annotations) + 1))
    ids = [entry[key] for entry in annotations]
    for position, value in enumerate(ids):
        if type(value) is not int or not 1 <= value <= MAX_ID:
            raise ValueError(
                f"{path}: annotation {position}: {key} {value!r} is not an object id (1 to {MAX_ID}): "
                "give all annotations an object_id in that range"
            )
    return ids


def _decode(where: str, segmentation: Any, size: tuple[int, int] | None) -> np.ndarray:
    """Decode one run-length encoding, or polygons, to H x W bool."""
    if isinstance(segmentation, dict) and "counts" in segmentation:
        height, width = _checked_size(where, segmentation.get("size"))
        counts = segmentation["counts"]
        runs = _runs(where, counts)
        if sum(runs) != height * width:  # pycocotools would write past the end, or leave the rest empty
            raise ValueError(
                f"{where}: the run-length encoding covers {sum(runs)} of {height}x{width} = {height * width} pixels: "
                "it is damaged or its size is wrong, write it again"
            )
        rle = coco.frPyObjects({"size": [height, width], "counts": runs}, height, width)
        return coco.decode(rle).astype(bool)
    if isinstance(segmentation, list) and segmentation:
        if size is None:
            raise ValueError(
                f"{where}: polygons need the size of the image: add height and width to the images of the file"
            )
        polygons = segmentation if isinstance(segmentation[0], list) else [segmentation]
        for polygon in polygons:
            numbers = isinstance(polygon, list) and all(type(value) in (int, float) for value in polygon)
            if not numbers or len(polygon) < 6 or len(polygon) % 2 or not all(math.isfinite(v) for v in polygon):
                raise ValueError(f"{where}: a polygon must be at least 3 points [x1, y1, x2, y2, x3, y3, ...]")
        return coco.decode(coco.merge(coco.frPyObjects(polygons, *size))).astype(bool)
    raise ValueError(f"{where}: no segmentation: expected a run-length encoding or polygons")


def _runs(where: str, counts: Any) -> list[int]:
    """Return the lengths of alternating runs of zeros and ones, from a list or from COCO's compressed string.

    Each character of the string has 5 bits of a number; a sixth bit is set if more follow. From the third run on, a
    number is the difference to the run two before it. ``rleFrString`` of pycocotools reads the same but checks nothing.
    """
    damaged = ValueError(f"{where}: the run-length encoding is damaged: write it again")
    if isinstance(counts, list):
        if not all(type(run) is int and run >= 0 for run in counts):
            raise damaged
        return counts
    if not isinstance(counts, str):
        raise damaged
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            raise damaged
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        if runs[-1] < 0:
            raise damaged
        value = shift = 0
    if shift:
        raise damaged
    return runs
