"""Prompters by name, and the points and boxes that they take."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, get_args

import numpy as np

from voskit.configs import Registry
from voskit.configs.base import check_type, parse_value

Box = tuple[float, float, float, float]


class Point(NamedTuple):
    """A click, in pixels of the frame; (0, 0) is the upper left pixel."""

    x: float
    y: float
    positive: bool = True
    """On the object; False: on anything else."""


class Prompter(Protocol):
    """Interactive segmentation of one object in one frame from a user's points and box."""

    def segment(
        self,
        image_HW3: np.ndarray,
        *,
        points: Sequence[tuple[float, float, bool]] = (),
        box: Box | None = None,
        mask: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the mask of the object, [H, W] bool.

        Args:
            image_HW3: uint8 RGB.
            points: (x, y, positive) in pixels.
            box: (x0, y0, x1, y1), two opposite corners in pixels.
            mask: [H, W], the object's current mask, non-zero inside the object; points then correct it.

        Raises:
            ValueError: nothing indicates the object, or a point or box lies outside the frame; see
                :func:`check_prompt`.
        """
        ...


PROMPTERS: Registry[Callable[..., Prompter]] = Registry(
    "prompter", ("voskit.evaluators.prompts.grabcut", "voskit.evaluators.prompts.sam")
)
"""Prompters by name, for command lines and pages; the arguments are the prompter's options."""


def build_prompter(text: str = "grabcut") -> Prompter:
    """Build a prompter from its name and options, such as ``"sam2:weights=sam2.1-hiera-tiny"``.

    Raises:
        ValueError: unknown prompter (similar names are suggested), options that it doesn't have, or
            unusable weights.
        FileNotFoundError: there are no such weights.
    """
    name, _, fields = text.partition(":")
    build = PROMPTERS.get(name)
    options: dict[str, Any] = {}
    for field in filter(None, fields.split(",")):
        key, sign, value = field.partition("=")
        if not sign:
            raise ValueError(f"prompter {text!r}: {field!r} is not of the form name=value")
        options[key.strip()] = parse_value(value.strip())
    types = _option_types(build)
    try:
        for key in options.keys() & types.keys():
            if isinstance(options[key], str) and Path in (types[key], *get_args(types[key])):
                options[key] = Path(options[key])
            check_type(f"prompter {text!r}: {key}", options[key], types[key])
        return build(**options)
    except TypeError as error:
        raise ValueError(f"prompter {text!r}: {error}") from error


def _option_types(build: Callable[..., Prompter]) -> dict[str, Any]:
    """Return the annotated types of a prompter's options; none if a plugin's annotations can't be evaluated."""
    try:
        parameters = inspect.signature(build, eval_str=True).parameters.values()
    except Exception:  # annotations may be any expression, even with names that only type checkers import
        return {}
    return {each.name: each.annotation for each in parameters if each.annotation is not each.empty}


@dataclass(frozen=True)
class Prompt:
    """Checked points, box and mask of one object in a frame."""

    points: tuple[Point, ...]
    box: tuple[int, int, int, int] | None
    """First column and row, and the column and row after the last ones."""
    mask: np.ndarray | None
    """[H, W] bool; None: the object has no mask yet."""


def check_prompt(
    image_HW3: np.ndarray,
    points: Sequence[tuple[float, float, bool]] = (),
    box: Box | None = None,
    mask: np.ndarray | None = None,
) -> Prompt:
    """Check the arguments of ``Prompter.segment``; clip the box to the frame.

    Raises:
        ValueError: a frame that isn't [H, W, 3] uint8; a mask of another size; a point, or the whole box, outside the
            frame; or neither a box nor a positive point nor a mask with an object in it.
    """
    if image_HW3.dtype != np.uint8 or image_HW3.ndim != 3 or image_HW3.shape[2] != 3:
        raise ValueError(
            f"the frame must have shape [H, W, 3] and dtype uint8, not {image_HW3.shape} {image_HW3.dtype}"
        )
    height, width = image_HW3.shape[:2]
    checked = tuple(Point(float(x), float(y), bool(positive)) for x, y, positive in points)
    for point in checked:
        if not (0 <= point.x < width and 0 <= point.y < height):
            raise ValueError(f"point ({point.x:g}, {point.y:g}) lies outside the frame of {width} x {height} pixels")
    corners = None if box is None else _clip(box, height, width)
    if mask is not None:
        if mask.shape != (height, width):
            raise ValueError(f"the mask has {mask.shape[-1]} x {mask.shape[0]} pixels, the frame {width} x {height}")
        mask = mask.astype(bool) if mask.any() else None
    if corners is None and mask is None and not any(point.positive for point in checked):
        raise ValueError("nothing indicates the object: give a box, a positive point or a mask")
    return Prompt(checked, corners, mask)


def check_result(mask: np.ndarray, image_HW3: np.ndarray) -> np.ndarray:
    """Return the mask that a prompter returned. Raises ValueError if it isn't [H, W] bool, as a plugin's may be."""
    if not isinstance(mask, np.ndarray) or mask.dtype != bool or mask.shape != image_HW3.shape[:2]:
        found = f"{mask.shape} {mask.dtype}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise ValueError(f"the prompter must return a mask of shape {image_HW3.shape[:2]} and type bool, not {found}")
    return mask


def _clip(box: Box, height: int, width: int) -> tuple[int, int, int, int]:
    """Return the pixels of a box in the frame."""
    if len(box) != 4 or not np.isfinite(box).all():
        raise ValueError(f"a box must have four numbers x0, y0, x1, y1, not {box}")
    x0, x1 = sorted((box[0], box[2]))
    y0, y1 = sorted((box[1], box[3]))
    left, top = max(0, int(np.floor(x0))), max(0, int(np.floor(y0)))
    right, bottom = min(width, int(np.ceil(x1))), min(height, int(np.ceil(y1)))
    if right - left < 1 or bottom - top < 1:
        raise ValueError(f"box {x0:g},{y0:g},{x1:g},{y1:g} covers no pixel of the frame of {width} x {height} pixels")
    return left, top, right, bottom
