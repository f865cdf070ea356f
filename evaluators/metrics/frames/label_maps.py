"""Label maps for scoring, from the exact values of PNG files or from run-length encodings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from voskit.dataloaders.images import load_image
from voskit.dataloaders.masks.mask_images import grayscale_step, without_opaque_alpha

IdMap = NDArray[np.integer]


@dataclass(frozen=True)
class Encoded:
    """Union of run-length encoded masks as a mask of one object, 0 and 1.

    Args:
        masks: compressed COCO encodings, ``{"size": [height, width], "counts": ...}``; None for an absent object.
        where: name in error messages.
    """

    masks: tuple[Mapping[str, Any] | None, ...]
    where: str


def read_label_map(source: Path | Encoded) -> IdMap:
    """Read the ids stored in a mask.

    Args:
        source: a palette or grayscale PNG, or encoded masks.

    Returns:
        H x W uint8 (uint16 from a 16-bit file).

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is damaged or has colors.
    """
    if isinstance(source, Encoded):
        return _decode(source)
    return _read_image(source)


def read_same_size(prediction: Path | Encoded, truth: Path | Encoded) -> tuple[IdMap, IdMap]:
    """Read both masks of a frame. Raises as ``read_label_map`` does, and ValueError if the sizes differ."""
    predicted, true = read_label_map(prediction), read_label_map(truth)
    if predicted.shape != true.shape:
        raise ValueError(
            f"{prediction}: the mask is {predicted.shape[0]}x{predicted.shape[1]} (height x width), the ground truth "
            f"is {true.shape[0]}x{true.shape[1]} ({truth}): write results at the size of the original frames"
        )
    return predicted, true


def _read_image(path: Path) -> IdMap:
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such mask")
    image = load_image(path)
    step = grayscale_step(path, image)
    image = without_opaque_alpha(image)
    if image.mode not in ("1", "L", "P") and not image.mode.startswith("I"):
        raise ValueError(
            f"{path}: a mask must be a palette or grayscale PNG of object ids, but this one is {image.mode}"
        )
    values = np.array(image)
    if step > 1:
        values //= step
    if values.dtype in (np.uint8, np.uint16):
        return values
    if values.dtype == bool:
        return values.astype(np.uint8)
    if values.min(initial=0) < 0 or values.max(initial=0) > 65535:
        raise ValueError(f"{path}: object ids must be between 0 and 65535, not {values.min()} to {values.max()}")
    return values.astype(np.uint16)


def _decode(source: Encoded) -> IdMap:
    masks = [dict(mask) for mask in source.masks if mask is not None]
    if not masks:
        raise ValueError(f"{source.where}: there is no encoded mask, so the size is unknown")
    try:
        return np.bitwise_or.reduce([coco.decode(mask) for mask in masks]).astype(np.uint8, copy=False)
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"{source.where}: not a COCO run-length encoding ({error})") from error
