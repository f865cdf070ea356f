"""labelme annotations, also from X-AnyLabeling: polygons, rectangles, circles and masks."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from voskit.dataloaders.masks.coco import check_pixels, check_points, checked_size

_POLYGONS = ("polygon", "rotation", "quadrilateral")  # the last two are X-AnyLabeling's
_AREAS = (*_POLYGONS, "rectangle", "circle", "mask")


def is_labelme(data: Any) -> bool:
    """True if parsed JSON is in labelme's format, with a list of shapes."""
    return isinstance(data, dict) and isinstance(data.get("shapes"), list) and "annotations" not in data


def shape_name(shape: dict[str, Any]) -> tuple[str, Any]:
    """Return the label and the group id of a shape. Shapes with the same label and group are one object."""
    group = shape.get("group_id")
    return str(shape.get("label") or ""), group if isinstance(group, (int, str)) else None


def shape_region(shape: Any) -> Callable[[str, tuple[int, int] | None], np.ndarray] | None:
    """Return the decoder of a shape, see ``json_files.Decoder``; None for points and lines, which have no area."""
    if not isinstance(shape, dict) or (shape.get("shape_type") or "polygon") not in _AREAS:
        return None
    return partial(_draw, shape)


def _draw(shape: dict[str, Any], where: str, size: tuple[int, int] | None) -> np.ndarray:
    """Draw a shape as labelme does: the outline is part of the shape."""
    kind = shape.get("shape_type") or "polygon"
    height, width = checked_size(f"{where}: imageHeight and imageWidth", size)
    points = _points(where, shape.get("points"), 3 if kind in _POLYGONS else 2)
    values = [value for point in points for value in point]
    check_points(where, values, (height, width))
    if kind == "mask":
        return _paste(where, shape.get("mask"), points[0], (height, width))
    check_pixels(where, values)
    picture = Image.new("1", (width, height))
    draw = ImageDraw.Draw(picture)
    if kind in _POLYGONS:
        draw.polygon(points, fill=1, outline=1)
    elif kind == "rectangle":
        columns, rows = zip(*points, strict=True)  # two corners, or the four of X-AnyLabeling
        draw.rectangle([min(columns), min(rows), max(columns), max(rows)], fill=1, outline=1)
    else:
        (x, y), rim = points[:2]
        radius = math.dist((x, y), rim)
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=1, outline=1)
    return np.array(picture)


def _points(where: str, points: Any, least: int) -> list[tuple[float, float]]:
    def is_point(point: Any) -> bool:
        return isinstance(point, list) and len(point) == 2 and all(type(v) in (int, float) for v in point)

    if not isinstance(points, list) or len(points) < least or not all(map(is_point, points)):
        raise ValueError(f"{where}: a shape must have at least {least} points [x, y]")
    if not all(math.isfinite(value) for point in points for value in point):
        raise ValueError(f"{where}: a point isn't finite: draw the shape again")
    return [(float(x), float(y)) for x, y in points]


def _paste(where: str, encoded: Any, corner: tuple[float, float], size: tuple[int, int]) -> np.ndarray:
    """Decode a mask that is stored as the PNG of its bounding box."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(encoded, validate=True))) as image:
            part = np.array(image.convert("L")) > 0
    except Exception as error:  # a damaged picture makes Pillow raise nearly anything
        raise ValueError(f"{where}: its mask is damaged ({' '.join(str(error).split())}): save it again") from None
    out = np.zeros(size, bool)
    x, y = (math.floor(v) for v in corner)
    top, left = max(y, 0), max(x, 0)
    bottom, right = min(y + part.shape[0], size[0]), min(x + part.shape[1], size[1])
    if bottom > top and right > left:
        out[top:bottom, left:right] = part[top - y : bottom - y, left - x : right - x]
    return out
