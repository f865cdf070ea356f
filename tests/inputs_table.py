"""Forms of masks that are read or refused: files for the tests, and rows of docs/inputs.md."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter
from pycocotools import mask as coco

SIZE = (96, 128)
"""(height, width) of the frames."""
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def shapes(scale: int = 1) -> np.ndarray:
    """Return 0, 1 and 2: a disk and a rectangle that don't touch."""
    y, x = np.mgrid[: SIZE[0] * scale, : SIZE[1] * scale] / scale
    ids = np.zeros(y.shape, np.uint8)
    ids[(x - 35) ** 2 + (y - 45) ** 2 < 400] = 1
    ids[(x >= 76) & (x < 108) & (y >= 20) & (y < 76)] = 2
    return ids


TWO = shapes()
ONE = (TWO > 0).astype(np.uint8)


@dataclass(frozen=True)
class MaskInput:
    """A form of mask.

    Attributes:
        form: name of the form, as in docs/inputs.md.
        write: writes one into a folder, and returns the path for ``--mask``.
        ids: the ids to read; None: it is refused.
        reading: how it is understood, for docs/inputs.md.
        says: part of the log line, or of the error.
        agreement: least part of equal pixels; 1 for exact forms.
    """

    form: str
    write: Callable[[Path], Path]
    ids: np.ndarray | None
    reading: str
    says: str = ""
    agreement: float = 1.0


def picture(colors: dict[int, tuple[int, ...]], ids: np.ndarray = TWO) -> Image.Image:
    """Return an RGB or RGBA image with a color for each id."""
    table = np.zeros((256, len(colors[0])), np.uint8)
    for value, color in colors.items():
        table[value] = color
    return Image.fromarray(table[ids])


def save(image: Image.Image | np.ndarray, name: str = "m.png", **options: Any) -> Callable[[Path], Path]:
    """Return a writer of an image."""

    def write(folder: Path) -> Path:
        made = image if isinstance(image, Image.Image) else Image.fromarray(image)
        made.save(folder / name, **options)
        return folder / name

    return write


def save_json(data: Any, name: str = "m.json") -> Callable[[Path], Path]:
    """Return a writer of a JSON file."""

    def write(folder: Path) -> Path:
        (folder / name).write_text(json.dumps(data))
        return folder / name

    return write


def save_array(array: np.ndarray, name: str = "m.npy", *more: np.ndarray) -> Callable[[Path], Path]:
    """Return a writer of a file of NumPy; an .npz file may have more arrays."""

    def write(folder: Path) -> Path:
        with (folder / name).open("wb") as file:
            np.savez(file, array, *more) if name.endswith("z") else np.save(file, array)
        return folder / name

    return write


def save_folder(**files: Image.Image | np.ndarray) -> Callable[[Path], Path]:
    """Return a writer of a folder of images; ``_png`` at the end of a name is its extension."""

    def write(folder: Path) -> Path:
        (folder / "masks").mkdir()
        for name, image in files.items():
            save(image, "masks/" + name.lstrip("_")[::-1].replace("_", ".", 1)[::-1])(folder)
        return folder / "masks"

    return write


def with_palette(*colors: tuple[int, int, int], ids: np.ndarray = TWO) -> Image.Image:
    """Return a palette image."""
    image = Image.fromarray(ids.astype(np.uint8))
    image.putpalette(bytes(value for color in colors for value in color))
    return image


def rle(mask: np.ndarray) -> dict[str, Any]:
    """Return COCO's compressed encoding of a mask."""
    encoded = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(encoded["size"]), "counts": encoded["counts"].decode()}


def coco_file(ids: tuple[Any, Any] = (1, 2), image: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Return the content of a COCO file with both shapes."""
    entry = image or {"id": 7, "file_name": "00000.jpg", "height": SIZE[0], "width": SIZE[1]}
    annotations = [
        {"id": i, "image_id": 7, "category_id": k, "segmentation": rle(k == TWO)} for k, i in enumerate(ids, 1)
    ]
    return {"images": [entry], "annotations": annotations, **more}


def labelme_file(*shapes: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a labelme file."""
    size = {"imageHeight": SIZE[0], "imageWidth": SIZE[1]}
    return {
        "version": "5.4.1",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": "00000.jpg",
        "imageData": None,
        **size,
    }


def shape(label: str, *points: tuple[float, float], kind: str = "polygon", **more: Any) -> dict[str, Any]:
    """Return a shape of labelme."""
    return {
        "label": label,
        "points": [list(p) for p in points],
        "group_id": None,
        "shape_type": kind,
        "flags": {},
        **more,
    }


def _box(label: str, kind: str) -> dict[str, Any]:
    corners = ((76, 20), (107, 75)) if kind == "rectangle" else ((76, 20), (107, 20), (107, 75), (76, 75))
    return shape(label, *corners, kind=kind)


def _png_of(mask: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def youtube_vis_file(*videos: str) -> dict[str, Any]:
    """Return the content of a YouTube-VIS file with both shapes in frame 00000 of each video."""
    names = videos or ("clip",)
    entries = [
        {"id": i, "height": SIZE[0], "width": SIZE[1], "length": 2, "file_names": [f"{n}/00000.jpg", f"{n}/00005.jpg"]}
        for i, n in enumerate(names, 1)
    ]
    tracks = [
        {"id": 10 * k + v, "video_id": v, "category_id": k, "segmentations": [rle(k == TWO), None]}
        for v in range(1, len(names) + 1)
        for k in (1, 2)
    ]
    categories = [{"id": 1, "name": "ball"}, {"id": 2, "name": "box"}]
    return {"videos": entries, "annotations": tracks, "categories": categories}


_WHITE = np.where(ONE, np.uint8(255), np.uint8(0))
_LEVELS = np.array([0, 100, 200], np.uint8)
_COLORED = {0: (0, 0, 0), 1: RED, 2: GREEN}
_LARGE_COLORS = picture(_COLORED, shapes(4))
_SMALL = (SIZE[1], SIZE[0])
_NOISE = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
_PHOTO = Image.fromarray(_NOISE).resize((2 * _SMALL[0], 2 * _SMALL[1]), Image.Resampling.BICUBIC).resize(_SMALL)
_OPAQUE = np.full(SIZE, 255, np.uint8)
_SWAPPED = np.array([0, 2, 1], np.uint8)[TWO]
_SOFT_WHITE = Image.fromarray(np.where(shapes(4) > 0, np.uint8(255), np.uint8(0)))
_TWO_WORDS = {
    "ball_png": np.where(TWO == 1, np.uint8(255), np.uint8(0)),
    "box_png": np.where(TWO == 2, np.uint8(255), np.uint8(0)),
}
_SHIFTED = np.array([2, 1, 0], np.uint8)  # the disk is 1, the rectangle 0, the background 2

BY_COLOR = "each color an object, in the order of R, G, B; black is the background"
MENDED = "pixels of the blended values go to the most similar neighbor"
ON = "one object, id 1"

MASKS: tuple[MaskInput, ...] = (
    # ------------------------------------------------------------------------------------------------ values are ids
    MaskInput("palette PNG, index 0 black", save(with_palette((0, 0, 0), RED, GREEN)), TWO, "the index is the id"),
    MaskInput("palette PNG, colors repeated", save(with_palette(RED, RED, RED)), TWO, "the index is the id"),
    MaskInput(
        "palette PNG without black, border of index 0",
        save(with_palette(WHITE, RED, GREEN)),
        TWO,
        "the index is the id; index 0 is the background",
        "index 0 of the palette, (255, 255, 255), is the",
    ),
    MaskInput("grayscale PNG", save(TWO), TWO, "the value is the id"),
    MaskInput("grayscale BMP", save(TWO, "m.bmp"), TWO, "the value is the id"),
    MaskInput("grayscale TIFF", save(TWO, "m.tif"), TWO, "the value is the id"),
    MaskInput(
        "grayscale PNG of 16 bits",
        save(TWO.astype(np.uint16) * 300),
        TWO.astype(np.uint16) * 300,
        "the value is the id",
    ),
    MaskInput("gray levels", save(_LEVELS[TWO]), _LEVELS[TWO], "the value is the id"),
    MaskInput(
        "levels 128 and 255",
        save(np.array([0, 255, 128], np.uint8)[TWO]),
        np.array([0, 255, 128])[TWO],
        "the value is the id",
    ),
    MaskInput(
        "ids and 255",
        save(np.array([0, 1, 255], np.uint8)[TWO]),
        np.array([0, 1, 255])[TWO],
        "255 is kept as an object",
        "id 255, the void label",
    ),
    # -------------------------------------------------------------------------------------------- black and white
    MaskInput("black and white, grayscale", save(_WHITE), ONE, ON, "read as one object with id 1"),
    MaskInput("black and white, 1 bit", save(Image.fromarray(_WHITE).convert("1")), ONE, ON),
    MaskInput(
        "black and white, 16 bits", save(np.where(ONE, np.uint16(65535), np.uint16(0))), ONE, ON, "one object with id 1"
    ),
    MaskInput("black and white, RGB", save(Image.fromarray(_WHITE).convert("RGB")), ONE, ON, "one object with id 1"),
    MaskInput(
        "black and white, RGBA without transparency",
        save(Image.fromarray(_WHITE).convert("RGBA")),
        ONE,
        ON,
        "one object",
    ),
    MaskInput(
        "black and white, LA without transparency", save(Image.fromarray(_WHITE).convert("LA")), ONE, ON, "one object"
    ),
    MaskInput(
        "black and white, gray palette",
        save(Image.fromarray(_WHITE).convert("P", palette=Image.Palette.ADAPTIVE)),
        ONE,
        ON,
    ),
    MaskInput(
        "black and white, soft edge",
        save(_SOFT_WHITE.resize(_SMALL, Image.Resampling.LANCZOS)),
        ONE,
        f"{ON}, from the value 128 on",
        "soft edge: values from 128 on",
        0.99,
    ),
    MaskInput(
        "black and white, edge of a few values",
        save(_SOFT_WHITE.resize(_SMALL, Image.Resampling.BOX)),
        ONE,
        f"{ON}; {MENDED}",
        "",
        0.99,
    ),
    MaskInput(
        "black and white, JPEG",
        save(_WHITE, "m.jpg", quality=70),
        ONE,
        f"{ON}, from the value 128 on",
        "JPEG is lossy",
        0.99,
    ),
    MaskInput(
        "black and white, JPEG in color", save(Image.fromarray(_WHITE).convert("RGB"), "m.jpeg"), ONE, ON, "lossy", 0.99
    ),
    MaskInput(
        "black and white, WebP",
        save(_WHITE, "m.webp", quality=60),
        ONE,
        f"{ON}, from the value 128 on",
        "WEBP is lossy",
        0.99,
    ),
    # --------------------------------------------------------------------------------------------------- colors
    MaskInput(
        "flat colors on black, RGB", save(picture(_COLORED)), _SWAPPED, BY_COLOR, "(0, 255, 0) is 1, (255, 0, 0) is 2"
    ),
    MaskInput("flat colors on black, RGBA", save(picture(_COLORED).convert("RGBA")), _SWAPPED, BY_COLOR, "each color"),
    MaskInput(
        "flat colors, lossless WebP", save(picture(_COLORED), "m.webp", lossless=True), _SWAPPED, BY_COLOR, "each color"
    ),
    MaskInput("flat colors, TIFF", save(picture(_COLORED), "m.tiff"), _SWAPPED, BY_COLOR, "each color"),
    MaskInput(
        "flat colors on transparent",
        save(picture({0: (9, 9, 9, 0), 1: (*RED, 255), 2: (*GREEN, 255)})),
        _SWAPPED,
        f"{BY_COLOR}, here transparent",
        "each color",
    ),
    MaskInput(
        "white and gray among colors",
        save(picture({0: (0, 0, 0), 1: RED, 2: WHITE})),
        TWO,
        BY_COLOR,
        "(255, 0, 0) is 1",
    ),
    MaskInput(
        "gray levels, RGB", save(Image.fromarray(_LEVELS[TWO]).convert("RGB")), _LEVELS[TWO], "the value is the id"
    ),
    MaskInput(
        "ids, LA without transparency",
        save(Image.fromarray(TWO).convert("LA")),
        TWO,
        "alpha is dropped, the value is the id",
    ),
    MaskInput(
        "ids, RGBA without transparency",
        save(Image.fromarray(TWO).convert("RGBA")),
        TWO,
        "alpha is dropped, the value is the id",
    ),
    MaskInput(
        "colors with smooth edges",
        save(_LARGE_COLORS.resize(_SMALL, Image.Resampling.BILINEAR)),
        _SWAPPED,
        f"{BY_COLOR}; {MENDED}",
        "are smooth edges of the others",
        0.99,
    ),
    # ----------------------------------------------------------------------------------------- drawing programs
    MaskInput(
        "palette of Pillow's quantize",
        save(picture(_COLORED).quantize(3)),
        _SWAPPED,
        BY_COLOR,
        "each color is an object",
    ),
    MaskInput(
        "palette, black is the last index",
        save(with_palette(GREEN, RED, (0, 0, 0), ids=_SHIFTED[TWO])),
        _SWAPPED,
        BY_COLOR,
        "each color",
    ),
    MaskInput(
        "palette of web colors, smooth edges",
        save(_LARGE_COLORS.resize(_SMALL, Image.Resampling.LANCZOS).convert("P")),
        np.array([0, 15, 40])[TWO],
        f"the index is the id; {MENDED}",
        "smooth edges",
        0.99,
    ),
    MaskInput(
        "adaptive palette, smooth edges",
        save(
            _LARGE_COLORS.resize(_SMALL, Image.Resampling.LANCZOS).convert(
                "P", palette=Image.Palette.ADAPTIVE, colors=16
            )
        ),
        _SWAPPED,
        f"{BY_COLOR}; {MENDED}",
        "smooth edges",
        0.99,
    ),
    MaskInput(
        "quantized palette, smooth edges",
        save(_LARGE_COLORS.resize(_SMALL, Image.Resampling.LANCZOS).quantize(64)),
        _SWAPPED,
        f"{BY_COLOR}; {MENDED}",
        "smooth edges",
        0.99,
    ),
    MaskInput(
        "gray levels with smooth edges",
        save(Image.fromarray(_LEVELS[shapes(4)]).resize(_SMALL, Image.Resampling.LANCZOS)),
        _LEVELS[TWO],
        f"the value is the id; {MENDED}",
        "smooth edges",
        0.99,
    ),
    # --------------------------------------------------------------------------------------------------- cut-outs
    MaskInput(
        "cut-out of a photo, RGBA",
        save(Image.merge("RGBA", [*_PHOTO.split(), Image.fromarray(_WHITE)])),
        ONE,
        f"the visible pixels are {ON}",
        "visible pixels of a cut-out",
    ),
    MaskInput(
        "black with transparency, RGBA",
        save(np.dstack([np.zeros((*SIZE, 3), np.uint8), _WHITE])),
        ONE,
        f"the visible pixels are {ON}",
        "visible pixels of a cut-out",
    ),
    MaskInput(
        "one gray with transparency, LA",
        save(Image.merge("LA", [Image.fromarray(_OPAQUE), Image.fromarray(_WHITE)])),
        ONE,
        f"the visible pixels are {ON}",
        "visible pixels of a cut-out",
    ),
    # --------------------------------------------------------------------------------------------------- arrays
    MaskInput("array of ids, .npy", save_array(TWO.astype(np.int64)), TWO, "the value is the id"),
    MaskInput(
        "array of floats that are integers, .npy", save_array(TWO.astype(np.float32)), TWO, "the value is the id"
    ),
    MaskInput("array of bool, .npy", save_array(ONE.astype(bool)), ONE, ON),
    MaskInput(
        "arrays of N objects, .npy",
        save_array(np.stack([TWO == 1, TWO == 2])),
        TWO,
        "objects 1 to N",
        "2 objects are numbered",
    ),
    MaskInput(
        "arrays of N objects of 0 and 255, .npy",
        save_array(np.stack([TWO == 1, TWO == 2]).astype(np.uint8) * 255),
        TWO,
        "objects 1 to N",
        "2 objects are numbered",
    ),
    MaskInput(
        "arrays of N objects in the last axis, .npy",
        save_array(np.stack([TWO == 1, TWO == 2, TWO == 3], axis=-1)),
        TWO,
        "objects 1 to N",
        "3 objects are numbered",
    ),
    MaskInput("one array, .npz", save_array(TWO, "m.npz"), TWO, "the value is the id"),
    # --------------------------------------------------------------------------------------------------- folders
    MaskInput(
        "folder, files named by ids",
        save_folder(_2_png=_TWO_WORDS["ball_png"], _5_png=_TWO_WORDS["box_png"]),
        np.array([0, 2, 5])[TWO],
        "the name is the id; any value but 0 is the object",
    ),
    MaskInput(
        "folder, files named by words",
        save_folder(**_TWO_WORDS),
        TWO,
        "numbered in natural order; the names go to report.json",
        "ball.png is 1, box.png is 2",
    ),
    MaskInput(
        "folder of RGB files",
        save_folder(
            a_png=picture({0: (0, 0, 0), 1: RED, 2: (0, 0, 0)}), b_png=picture({0: (0, 0, 0), 1: (0, 0, 0), 2: WHITE})
        ),
        TWO,
        "numbered in natural order",
        "a.png is 1",
    ),
    MaskInput(
        "folder of JPEG files",
        save_folder(a_jpg=_TWO_WORDS["ball_png"], b_jpg=_TWO_WORDS["box_png"]),
        TWO,
        "numbered in natural order",
        "a.jpg is 1",
        0.99,
    ),
    MaskInput(
        "folder of cut-outs",
        save_folder(
            a_png=np.dstack([_NOISE, _TWO_WORDS["ball_png"]]), b_png=np.dstack([_NOISE, _TWO_WORDS["box_png"]])
        ),
        TWO,
        "numbered in natural order; the visible pixels are the object",
        "a.png is 1",
    ),
    # --------------------------------------------------------------------------------------------------- JSON
    MaskInput(
        "COCO, ids from 1 to 65535",
        save_json(coco_file((3, 9))),
        np.array([0, 3, 9])[TWO],
        "the annotation's id is the id",
    ),
    MaskInput(
        "COCO, ids from 0 (Roboflow)", save_json(coco_file((0, 1))), TWO, "numbered in file order", "numbered 1 to 2"
    ),
    MaskInput(
        "COCO, large ids (COCO, LVIS, SA-1B)",
        save_json(coco_file((900100259290, 1768))),
        TWO,
        "numbered in file order",
        "900100259290 is 1",
    ),
    MaskInput("COCO, ids of text", save_json(coco_file(("a", "b"))), TWO, "numbered in file order", "a is 1, b is 2"),
    MaskInput(
        "COCO, category names",
        save_json(coco_file((0, 1), categories=[{"id": 1, "name": "ball"}, {"id": 2, "name": "box"}])),
        TWO,
        "numbered in file order; the names go to report.json",
        "0 (ball) is 1",
    ),
    MaskInput(
        "SA-1B",
        save_json(
            {
                "image": {"image_id": 7, "file_name": "sa_7.jpg", "height": SIZE[0], "width": SIZE[1]},
                "annotations": [{"id": 523353731 + k, "segmentation": rle(k == TWO)} for k in (1, 2)],
            }
        ),
        TWO,
        "numbered in file order",
        "numbered 1 to 2",
    ),
    MaskInput(
        "LVIS, coco_url in place of file_name",
        save_json(
            coco_file(image={"id": 7, "coco_url": "http://x.org/val/00000.jpg", "height": SIZE[0], "width": SIZE[1]})
        ),
        TWO,
        "as COCO",
    ),
    MaskInput(
        "CVAT, track_id in attributes",
        save_json(
            {
                "images": coco_file()["images"],
                "annotations": [
                    {"id": 50 + k, "image_id": 7, "attributes": {"track_id": k}, "segmentation": rle(k == TWO)}
                    for k in (1, 2)
                ],
            }
        ),
        TWO,
        "the track_id is the id",
    ),
    MaskInput(
        "list of annotations (SAM)",
        save_json([{"segmentation": rle(k == TWO)} for k in (1, 2)]),
        TWO,
        "numbered in file order",
    ),
    MaskInput("one encoding", save_json(rle(ONE)), ONE, ON),
    MaskInput(
        "YouTube-VIS, one video",
        save_json(youtube_vis_file()),
        TWO,
        "objects are numbered in the order of their ids",
        "objects are numbered 1 to",
    ),
    MaskInput(
        "labelme, polygon",
        save_json(labelme_file(_box("box", "polygon"))),
        np.where(TWO == 2, 1, 0),
        "labels are objects, numbered in file order",
        "box, gets id 1",
    ),
    MaskInput(
        "labelme, rectangle",
        save_json(labelme_file(_box("box", "rectangle"))),
        np.where(TWO == 2, 1, 0),
        "labels are objects, numbered in file order",
        "box, gets id 1",
    ),
    MaskInput(
        "labelme, rectangle of four corners (X-AnyLabeling)",
        save_json(labelme_file({**_box("box", "polygon"), "shape_type": "rectangle"})),
        np.where(TWO == 2, 1, 0),
        "labels are objects, numbered in file order",
        "box, gets id 1",
    ),
    MaskInput(
        "labelme, rotated box (X-AnyLabeling)",
        save_json(labelme_file(_box("box", "rotation"))),
        np.where(TWO == 2, 1, 0),
        "labels are objects, numbered in file order",
        "box, gets id 1",
    ),
    MaskInput(
        "labelme, circle",
        save_json(labelme_file(shape("ball", (35, 45), (55, 45), kind="circle"))),
        np.where(TWO == 1, 1, 0),
        "labels are objects, numbered in file order",
        "ball, gets id 1",
        0.98,
    ),
    MaskInput(
        "labelme, mask",
        save_json(labelme_file(shape("box", (76, 20), (107, 75), kind="mask", mask=_png_of(np.ones((56, 32)))))),
        np.where(TWO == 2, 1, 0),
        "labels are objects, numbered in file order",
        "box, gets id 1",
    ),
    # --------------------------------------------------------------------------------------------------- sizes
    MaskInput(
        "another size, same aspect ratio",
        save(shapes(2)),
        TWO,
        "resized with nearest-neighbor interpolation",
        "resized with nearest",
        0.99,
    ),
    # --------------------------------------------------------------------------------------------------- refused
    MaskInput("photo, RGB", save(_PHOTO), None, "", "looks like a photo"),
    MaskInput("photo, RGBA without transparency", save(_PHOTO.convert("RGBA")), None, "", "looks like a photo"),
    MaskInput("photo, grayscale", save(_PHOTO.convert("L")), None, "", "looks like a photo"),
    MaskInput("photo, palette", save(_PHOTO.quantize(64)), None, "", "looks like a photo"),
    MaskInput(
        "photo, JPEG",
        save(_PHOTO, "m.jpg"),
        None,
        "",
        "JPEG files cannot store object ids exactly, only black and white",
    ),
    MaskInput("flat colors, JPEG", save(picture(_COLORED), "m.jpg"), None, "", "only black and white"),
    MaskInput("ids, JPEG", save(TWO, "m.jpg"), None, "", "only black and white"),
    MaskInput(
        "flat colors, lossy WebP",
        save(picture(_COLORED), "m.webp", quality=50),
        None,
        "",
        "WEBP files cannot store object ids",
    ),
    MaskInput(
        "flat colors without black",
        save(picture({0: WHITE, 1: RED, 2: GREEN})),
        None,
        "",
        "no pixel is black, so the background",
    ),
    MaskInput(
        "palette without black, border of another index",
        save(with_palette(GREEN, RED, WHITE, ids=_SHIFTED[TWO])),
        None,
        "",
        "no pixel is black, index 0 of the palette is (0, 255, 0)",
    ),
    MaskInput(
        "colors beside black and transparent pixels",
        save(picture({0: (0, 0, 0, 255), 1: (*RED, 255), 2: (*GREEN, 0)})),
        None,
        "",
        "some pixels are transparent, others black",
    ),
    MaskInput("all pixels transparent", save(np.zeros((*SIZE, 4), np.uint8)), None, "", "all pixels are transparent"),
    MaskInput(
        "gray levels with wide soft edges",
        save(Image.fromarray(_LEVELS[TWO]).filter(ImageFilter.GaussianBlur(9))),
        None,
        "",
        "smooth edges",
    ),
    MaskInput(
        "several pages, TIFF",
        save(TWO, "m.tif", save_all=True, append_images=[Image.fromarray(TWO)]),
        None,
        "",
        "contains several images",
    ),
    MaskInput(
        "floating point, TIFF",
        save(TWO.astype(np.float32), "m.tif"),
        None,
        "",
        "floating-point values are not object ids",
    ),
    MaskInput("GIF", save(with_palette((0, 0, 0), RED, GREEN), "m.gif"), None, "", "GIF files cannot store object ids"),
    MaskInput(
        "array of probabilities, .npy",
        save_array(np.linspace(0, 1, 12).reshape(3, 4)),
        None,
        "",
        "integer object ids, got float64",
    ),
    MaskInput(
        "array of objects, .npy",
        save_array(np.array([{"a": 1}], dtype=object)),
        None,
        "",
        "can't be read as an array",
    ),
    MaskInput(
        "array of one dimension, .npy",
        save_array(np.arange(4)),
        None,
        "",
        "must be an H x W array of object ids, got shape (4,)",
    ),
    MaskInput(
        "array of negative ids, .npy",
        save_array(np.full(SIZE, -1)),
        None,
        "",
        "between 0 and 65535, the mask has -1 to -1",
    ),
    MaskInput("several arrays, .npz", save_array(TWO, "m.npz", ONE), None, "", "it holds 2 arrays, but a mask is one"),
    MaskInput("empty array, .npy", save_array(np.zeros(0)), None, "", "got shape (0,)"),
    MaskInput(
        "another aspect ratio",
        save(np.zeros((96, 96), np.uint8)),
        None,
        "",
        "the mask is 96x96 (height x width), the frames are 96x128",
    ),
    MaskInput("quarter turn", save(TWO.T.copy()), None, "", "a quarter turn: was it drawn on the unrotated frame?"),
    MaskInput(
        "folder, file of two objects",
        save_folder(a_png=TWO),
        None,
        "",
        "each file is one object, but this one has 2 values",
    ),
    MaskInput(
        "COCO, several images, none chosen",
        save_json({"images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}], "annotations": []}),
        None,
        "",
        "masks of 2 images",
    ),
    MaskInput("COCO, boxes only", save_json([{"id": 1, "bbox": [0, 0, 2, 2]}]), None, "", "no segmentation"),
    MaskInput(
        "YouTube-VIS, several videos, none named like the clip",
        save_json(youtube_vis_file("a", "b")),
        None,
        "",
        "masks of 2 videos",
    ),
    MaskInput(
        "labelme, damaged polygon", save_json(labelme_file(shape("a", (1, 2), (3, 4)))), None, "", "at least 3 points"
    ),
    MaskInput(
        "labelme, damaged mask",
        save_json(labelme_file(shape("a", (1, 2), kind="mask", mask="?"))),
        None,
        "",
        "at least 2 points",
    ),
    MaskInput(
        "labelme, points in fractions of the image",
        save_json(labelme_file(shape("a", (0.1, 0.1), (0.9, 0.1), (0.5, 0.5)))),
        None,
        "",
        "fractions of the image",
    ),
    MaskInput(
        "COCO, polygons in fractions of the image",
        save_json(coco_file(annotations=[{"id": 1, "image_id": 7, "segmentation": [[0.1, 0.1, 0.9, 0.1, 0.5, 0.5]]}])),
        None,
        "",
        "fractions of the image",
    ),
    MaskInput(
        "COCO or labelme, a point far outside the image",
        save_json(labelme_file(shape("a", (1, 1), (1e18, 1), (5, 5)))),
        None,
        "",
        "far outside the image",
    ),
    MaskInput("another JSON", save_json({"a": 1}), None, "", "not COCO masks"),
    MaskInput("text", save_json("x", "m.png"), None, "", "not an image"),
)

OTHERS: tuple[dict[str, str], ...] = (
    {
        "kind": "mask",
        "form": "folder, masks named like their frames",
        "reading": "a mask for each of these frames; letter case and Unicode form may differ",
        "refused": "",
    },
    {
        "kind": "mask",
        "form": "folder, names with prefix or suffix (`mask_00003.png`)",
        "reading": "the number is the frame's",
        "refused": "if the numbers may be those of objects (`obj1.png`), or no frame has them",
    },
    {
        "kind": "mask",
        "form": "folder of `1.png` to `n.png`",
        "reading": "objects of the first frame, unless frames have these names",
        "refused": "`3.png` alone: frame 3 or object 3?",
    },
    {
        "kind": "mask",
        "form": "one file named like a later frame",
        "reading": "applied to the first frame, which is logged",
        "refused": "",
    },
    {
        "kind": "mask",
        "form": "255 in several masks of a clip",
        "reading": '"on" (id 1) if no mask has another value, else an id in all of them',
        "refused": "0 and 1 in some masks, 0 and 255 in others",
    },
    {
        "kind": "mask",
        "form": "COCO or YouTube-VIS of several frames",
        "reading": "images are matched with frames by file name or number",
        "refused": "if none matches, or two have the same name",
    },
    {
        "kind": "mask",
        "form": "folder of labelme JSON named like the frames",
        "reading": "a mask for each; labels are the same objects in all",
        "refused": "",
    },
    {
        "kind": "mask",
        "form": "masks without any object",
        "reading": "",
        "refused": "before the first frame is segmented",
    },
)
"""Rows about several masks, which ``tests/dataloaders/masks/test_frame_masks.py`` tests."""
