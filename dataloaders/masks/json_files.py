"""JSON masks: COCO (also from LVIS, SA-1B, Roboflow, CVAT), YouTube-VIS and labelme."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np

from voskit.dataloaders import MAX_ID
from voskit.dataloaders.files import load_json
from voskit.dataloaders.masks.coco import check_pixels, checked_size, decode_region
from voskit.dataloaders.masks.labelme import is_labelme, shape_name, shape_region
from voskit.dataloaders.masks.mask_set import narrow
from voskit.dataloaders.masks.sizes import fit_mask
from voskit.dataloaders.natural_order import natural_key

logger = logging.getLogger(__name__)

_TRACK_KEYS = ("object_id", "track_id", "instance_id")
_ID_KEYS = (*_TRACK_KEYS, "id", "category_id")
_EXPECTED = (
    'expected COCO {"images": [...], "annotations": [...]}, a list of annotations, one encoding '
    '{"size": [height, width], "counts": ...}, YouTube-VIS {"videos": [...], "annotations": [...]}, or labelme shapes'
)


class Decoder(Protocol):
    """Function that decodes a region at a size, (height, width); None if the size is unknown. Returns H x W bool."""

    def __call__(self, where: str, size: tuple[int, int] | None, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Region:
    """One object in one image.

    Attributes:
        key: identity of the object in the file; None: every region is an object.
        name: name or category of the object, or None.
        where: place in the file, for messages.
        decode: decoder of its pixels.
        tracked: the key identifies the object across images, which the ``id`` of an annotation doesn't.
    """

    key: Hashable | None
    name: str | None
    where: str
    decode: Decoder
    tracked: bool = True


@dataclass(frozen=True)
class AnnotatedImage:
    """One image of a JSON file, with its objects.

    Attributes:
        names: its file name, and its id.
        size: (height, width), if stated.
        regions: its objects, in the order of the file.
    """

    names: tuple[str, ...]
    size: tuple[int, int] | None
    regions: tuple[Region, ...]

    @property
    def stem(self) -> str:
        """File name without folder, extension and Roboflow's suffix; empty if the file doesn't state it."""
        return re.sub(r"_(?:jpe?g|png|bmp|webp|tiff?)\.rf\.\w+$", "", PurePosixPath(self.names[0]).stem, flags=re.I)


class JsonMasks:
    """Masks of a video in one or several JSON files, with the same object ids throughout.

    The object id of an annotation is its ``object_id``, ``track_id``, ``instance_id``, ``id`` or ``category_id``: the
    first of these that all annotations have, if all its values are integers from 1 to 65535. Otherwise objects are
    numbered from 1 in file order, which is logged. The objects of labelme, identified by label and group id, are also
    numbered in file order; those of YouTube-VIS, in the order of their ids. Regions of one object in an image are
    joined.

    Args:
        paths: the files. Several files must be labelme files, one for each image.
        video: name of the video, if a YouTube-VIS file has several.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file isn't JSON or has another form, or it isn't clear which video is meant.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]], *, video: str | None = None) -> None:
        self.path = Path(paths[0])
        self.images: list[AnnotatedImage] = []
        for path in map(Path, paths):
            self.images += _images(path, load_json(path), video)
        self._ids = _number(self.path, [region for image in self.images for region in image.regions])
        self.names = {self._ids[id(r)]: r.name for image in self.images for r in image.regions if r.name}
        """Names of the objects by id."""

    def find(self, wanted: str | int | None) -> AnnotatedImage:
        """Return the image with a file name (with or without folder and extension) or id; None: the only image.

        Raises:
            ValueError: no image matches, or several do.
        """
        if wanted is None and len(self.images) == 1:
            return self.images[0]
        names = sorted((image.names[0] for image in self.images), key=natural_key)
        listing = ", ".join(names[:10]) + (f", ... ({len(names)} in all)" if len(names) > 10 else "")
        if wanted is None:
            raise ValueError(
                f"{self.path}: masks of {len(names)} images: choose one with image= (file name or id): {listing}"
            )
        text = str(wanted)
        for loosely in (False, True):
            found = [image for image in self.images if text in (_short_names(image) if loosely else image.names)]
            if len(found) == 1:
                return found[0]
            if found:
                raise ValueError(
                    f"{self.path}: {len(found)} images are named {text}: give the id or the whole file name"
                )
        raise ValueError(f"{self.path}: no image {text} in this file; it has {listing}")

    def warn_if_untracked(self, images: Iterable[AnnotatedImage]) -> None:
        """Warn if the file doesn't tell which annotations in these images of a video show the same object."""
        found = [image.regions for image in images if image.regions]
        regions = [region for own in found for region in own]
        alone = len({id(r) if r.key is None else r.key for r in regions}) == len(regions)
        if len(found) > 1 and alone and not any(region.tracked for region in regions):
            logger.warning(
                "%s: each of the %d annotations in %d images counts as a separate object: give annotations of one "
                "object the same track_id",
                self.path,
                len(regions),
                len(found),
            )

    def read(self, image: AnnotatedImage, size: tuple[int, int] | None = None) -> np.ndarray:
        """Return the ids of an image, H x W uint8 or uint16. Overlaps are logged; the later annotation wins.

        Args:
            image: one of ``images``.
            size: (height, width) of the frame.

        Raises:
            ValueError: a region is damaged or has another size, or the mask's aspect ratio differs from that of
                ``size``.
        """
        mask: np.ndarray | None = None
        overlap = 0
        for region in image.regions:
            object_id = self._ids[id(region)]
            where = f"{region.where}, object {object_id})"
            pixels = region.decode(where, image.size or size)
            if mask is None:
                mask = np.zeros(image.size or pixels.shape, np.uint16)
            if pixels.shape != mask.shape:
                raise ValueError(
                    f"{where}: the mask is {pixels.shape[0]}x{pixels.shape[1]} (height x width), the image is "
                    f"{mask.shape[0]}x{mask.shape[1]}: encode all masks at the size of the image"
                )
            overlap += int(np.count_nonzero(pixels & (mask != 0) & (mask != object_id)))
            mask[pixels] = object_id
        if mask is None:
            shape = image.size or size
            if shape is None:
                name = image.names[0] or "the only image"
                raise ValueError(
                    f"{self.path}: {name} has neither annotations nor a size: give a file that has annotations"
                )
            mask = np.zeros(shape, np.uint16)
        if overlap:
            logger.warning("%s: objects overlap in %d pixels, where the later annotation wins", self.path, overlap)
        return fit_mask(self.path, narrow(mask), size)


def read_coco_masks(
    path: str | os.PathLike[str], *, image: str | int | None = None, size: tuple[int, int] | None = None
) -> np.ndarray:
    """Read the mask of one image from a JSON file, see :class:`JsonMasks`.

    Args:
        path: the JSON file.
        image: file name (with or without folder and extension) or id of the image, if the file has several.
        size: (height, width) of the frame. Polygons need it if the file states no image size.

    Returns:
        H x W uint8, or uint16 if an id is above 255; 0 is background.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file isn't JSON, an encoding is damaged or has another size, or it isn't clear which image is
            meant.
    """
    masks = JsonMasks([path])
    return masks.read(masks.find(image), size)


def _images(path: Path, data: Any, video: str | None) -> list[AnnotatedImage]:
    if is_labelme(data):
        return [_labelme_image(path, data)]
    if isinstance(data, dict) and isinstance(data.get("videos"), list):
        if not data.get("images"):
            return _video_images(path, data, video)
        data = _images_of_video(path, data, video)
    if isinstance(data, dict) and "counts" in data:
        data = [{"segmentation": data}]
    if isinstance(data, list):
        data = {"annotations": data}
    if not isinstance(data, dict) or not isinstance(data.get("annotations"), list):
        raise ValueError(f"{path}: not COCO masks: {_EXPECTED}")
    images = data.get("images") or ([data["image"]] if isinstance(data.get("image"), dict) else [])
    annotations = data["annotations"]
    if not isinstance(images, list) or not all(isinstance(entry, dict) for entry in [*images, *annotations]):
        raise ValueError(f"{path}: images and annotations must be JSON objects: check the program that wrote the file")
    if not images:  # no list of images: derive it from the annotations
        images = [{"id": key} for key in dict.fromkeys(str(a["image_id"]) for a in annotations if "image_id" in a)]
    categories = _categories(data)
    key = _id_key(path, annotations)
    images = images or [{}]
    only = _image_id(images[0]) if len(images) == 1 else None
    by_image: dict[str, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    for place, annotation in enumerate(annotations):
        by_image[str(annotation.get("image_id", only))].append((place, annotation))
    out = []
    for entry in images:
        image_id = _image_id(entry)
        name = _file_name(entry) or ("" if image_id is None else f"image {image_id}")
        regions = [
            Region(_key_of(a, key), _name_of(a, categories), f"{path}: annotation {place} ({name or 'the only image'}",
                   partial(_decode, a.get("segmentation")), tracked=key not in (None, "id"))
            for place, a in by_image.get(str(image_id), ())
        ]  # fmt: skip
        uses = Counter(region.key for region in regions)
        if key == "id" and len(uses) < len(regions):
            twice = next(one for one, count in uses.items() if count > 1)
            image = name or "the only image"
            logger.warning("%s: annotations of %s that share an id, such as %s, are one object", path, image, twice)
        names = (name, *(() if image_id is None else (str(image_id),)))
        out.append(AnnotatedImage(names, _size(path, name, entry), tuple(regions)))
    if lost := len(annotations) - sum(len(image.regions) for image in out):
        logger.warning("%s: left out %d annotations whose image_id matches no image in the file", path, lost)
    return out


def _image_id(entry: dict[str, Any]) -> Any:
    return entry.get("id", entry.get("image_id"))


def _images_of_video(path: Path, data: dict[str, Any], wanted: str | None) -> dict[str, Any]:
    """Return the images of one video in a CocoVID file, with their annotations."""
    videos, images = data["videos"], data["images"]
    if len(videos) < 2 or not all(isinstance(entry, dict) for entry in [*videos, *images]):
        return data
    video = _find_video(path, videos, wanted).get("id")
    own = [image for image in images if str(image.get("video_id")) == str(video)]
    known = {str(image.get("id")) for image in own}
    annotations = data.get("annotations") or []
    kept = [a for a in annotations if not isinstance(a, dict) or str(a.get("image_id")) in known]
    return {**data, "images": own, "annotations": kept}


def _video_images(path: Path, data: dict[str, Any], wanted: str | None) -> list[AnnotatedImage]:
    """Return the frames of one video in a YouTube-VIS file that have an object."""
    videos, tracks = data["videos"], data.get("annotations")
    if not videos or not isinstance(tracks, list) or not all(isinstance(e, dict) for e in [*videos, *tracks]):
        raise ValueError(f"{path}: not YouTube-VIS masks: expected lists of objects, 'videos' and 'annotations'")
    video = videos[0] if len(videos) == 1 else _find_video(path, videos, wanted)
    names = video.get("file_names")
    if not isinstance(names, list) or not names:
        raise ValueError(f"{path}: video {video.get('id')} has no file_names: add the names of its frames")
    categories = _categories(data)
    own = [track for track in tracks if len(videos) == 1 or str(track.get("video_id")) == str(video.get("id"))]
    own.sort(key=lambda track: natural_key(str(track.get("id"))))
    size = _size(path, str(video.get("id")), video)
    regions: list[list[Region]] = [[] for _ in names]
    for number, track in enumerate(own, 1):
        masks = track.get("segmentations")
        if not isinstance(masks, list) or len(masks) != len(names):
            found = f"{len(masks)} masks" if isinstance(masks, list) else "no list of 'segmentations'"
            raise ValueError(f"{path}: object {track.get('id')} has {found}, but its video has {len(names)} frames")
        for place, encoded in enumerate(masks):
            if encoded:
                where = f"{path}: object {track.get('id')} ({names[place]}"
                regions[place].append(Region(number, _name_of(track, categories), where, partial(_decode, encoded)))
    logger.warning("%s: objects are numbered 1 to %d, in the order of their ids", path, len(own))
    return [AnnotatedImage((str(n),), size, tuple(found)) for n, found in zip(names, regions, strict=True) if found]


def _find_video(path: Path, videos: Sequence[dict[str, Any]], wanted: str | None) -> dict[str, Any]:
    def names(video: dict[str, Any]) -> set[str]:
        first = next(iter(video.get("file_names") or ("",)))
        own = (video.get("name"), video.get("file_name"), PurePosixPath(str(first)).parent.name, video.get("id"))
        return {str(name) for name in own if name not in (None, "")}

    found = [video for video in videos if wanted is not None and wanted in names(video)]
    if len(found) == 1:
        return found[0]
    listing = ", ".join(sorted(min(names(video), key=len, default="?") for video in videos)[:10])
    if wanted is None:
        raise ValueError(f"{path}: masks of {len(videos)} videos, but one is needed: {listing}")
    named = f"{len(found)} of them are" if found else "none of them is"
    raise ValueError(f"{path}: masks of {len(videos)} videos, and {named} named {wanted}: {listing}")


def _labelme_image(path: Path, data: dict[str, Any]) -> AnnotatedImage:
    regions = []
    for place, shape in enumerate(data["shapes"]):
        where = f"{path}: shape {place} ("
        if (decode := shape_region(shape)) is None:
            kind = shape.get("shape_type") if isinstance(shape, dict) else shape
            logger.warning("%s: shape %d is a %s, which has no area: left out", path, place, kind)
            continue
        name, group = shape_name(shape)
        regions.append(Region((name, group), name or None, f"{where}{name}", decode))
    size = [data.get("imageHeight"), data.get("imageWidth")]
    stated = None if None in size else checked_size(f"{path}: imageHeight and imageWidth", size)
    return AnnotatedImage((path.name, str(data.get("imagePath") or "")), stated, tuple(regions))


def _decode(segmentation: Any, where: str, size: tuple[int, int] | None) -> np.ndarray:
    if isinstance(segmentation, dict) and "size" not in segmentation and size is not None:
        segmentation = {"size": list(size), **segmentation}
    region = decode_region(where, segmentation, size)
    if isinstance(segmentation, list):
        polygons = segmentation if isinstance(segmentation[0], list) else [segmentation]
        check_pixels(where, [value for polygon in polygons for value in polygon])
    return region


def _id_key(path: Path, annotations: Sequence[dict[str, Any]]) -> str | None:
    """Return the key that holds the object ids; None: every annotation is an object."""
    attributes = [a.get("attributes") for a in annotations]
    tracked = bool(annotations) and all(isinstance(a, dict) and "track_id" in a for a in attributes)
    if tracked and not any("object_id" in a for a in annotations):
        return "attributes"
    for key in _ID_KEYS:
        if annotations and all(key in entry for entry in annotations):
            return key
    some = [key for key in _ID_KEYS if any(key in entry for entry in annotations)]
    if some:
        raise ValueError(f"{path}: only some annotations have {' / '.join(some)}: give all of them an object_id")
    return None


def _key_of(annotation: dict[str, Any], key: str | None) -> Hashable | None:
    value: Any = None if key is None else annotation[key]
    if key == "attributes":
        value = value["track_id"]
    return value if value is None or isinstance(value, (int, str)) else repr(value)


def _number(path: Path, regions: Iterable[Region]) -> dict[int, int]:
    """Return the object id of each region, by the region's ``id()``."""
    regions = list(regions)
    keys = list(dict.fromkeys(id(r) if r.key is None else r.key for r in regions))
    if all(r.key is not None and type(r.key) is int and 1 <= r.key <= MAX_ID for r in regions):
        return {id(r): int(r.key) for r in regions}  # type: ignore[call-overload]
    if len(keys) > MAX_ID:
        raise ValueError(f"{path}: {len(keys)} objects, but the largest id is {MAX_ID}: split the file")
    ids = {key: number for number, key in enumerate(keys, 1)}
    names = {ids[id(r) if r.key is None else r.key]: _shown(r) for r in regions}
    shown = ", ".join(f"{name} is {number}" for number, name in list(names.items())[:10] if name)
    listing = f": {shown}{', ...' * (len(names) > 10)}" if shown else ""
    level = logging.WARNING if any(region.key is not None for region in regions) else logging.INFO
    text = f"objects are numbered 1 to {len(keys)} in file order{listing}"
    if len(keys) == 1:
        text = f"the only object{f', {names[1]},' if names[1] else ''} gets id 1"
    logger.log(level, "%s: %s", path, text)
    return {id(r): ids[id(r) if r.key is None else r.key] for r in regions}


def _shown(region: Region) -> str:
    """Name of an object in the log: its key and name, if they differ."""
    key = (
        " ".join(str(part) for part in region.key if part is not None) if isinstance(region.key, tuple) else region.key
    )
    parts = [str(key)] if key is not None else []
    if region.name and region.name not in str(key):
        parts.append(f"({region.name})")
    return " ".join(parts)


def _categories(data: dict[str, Any]) -> dict[Any, str]:
    entries = data.get("categories") or []
    return {str(c["id"]): str(c["name"]) for c in entries if isinstance(c, dict) and "id" in c and c.get("name")}


def _name_of(annotation: dict[str, Any], categories: dict[Any, str]) -> str | None:
    own = annotation.get("name") or annotation.get("label") or categories.get(str(annotation.get("category_id")))
    return str(own) if own else None


def _file_name(entry: dict[str, Any]) -> str:
    extra = entry.get("extra")
    original = extra.get("name") if isinstance(extra, dict) else None  # Roboflow
    url = str(entry.get("coco_url") or "").rpartition("/")[2]  # LVIS
    return str(original or entry.get("file_name") or url)


def _size(path: Path, name: str, entry: dict[str, Any]) -> tuple[int, int] | None:
    if entry.get("height") is None or entry.get("width") is None:
        return None
    return checked_size(f"{path}: image {name}", [entry["height"], entry["width"]])


def _short_names(image: AnnotatedImage) -> set[str]:
    name = PurePosixPath(image.names[0])
    return {name.name, name.stem, str(name.with_suffix("")) if name.name else "", image.stem}
