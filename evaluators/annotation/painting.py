"""Painting of masks: object ids to a color layer over the frame, and a painted layer back to ids."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import ndimage

from voskit.dataloaders import MAX_ID
from voskit.dataloaders.masks.palette import id_colors

_SHOWN = 140  # opacity of the shown mask; paint is opaque
_ERASED, _PAINTED = 70, 200  # opacities below, between and above: erased, unchanged, painted


def layer_of(ids_HW: np.ndarray) -> np.ndarray:
    """Return a mask as a translucent H x W x 4 uint8 RGBA layer."""
    present, places = np.unique(ids_HW, return_inverse=True)
    colors = np.concatenate([id_colors(present), np.where(present[:, None] > 0, _SHOWN, 0).astype(np.uint8)], axis=1)
    colors[present == 0] = 0
    return colors[places.reshape(ids_HW.shape)]


def ids_of(layer_HW4: np.ndarray, shown_HW: np.ndarray) -> np.ndarray:
    """Return the ids of a painted layer, H x W uint16.

    Args:
        layer_HW4: uint8 RGBA: ``layer_of(shown_HW)`` after the user painted with opaque colors of ids and erased.
        shown_HW: the ids before.

    Raises:
        ValueError: the layer has another size.
    """
    if layer_HW4.shape != (*shown_HW.shape, 4):
        raise ValueError(
            f"the painted layer is {layer_HW4.shape}, not the frame's {(*shown_HW.shape, 4)}: discard the painting"
        )
    alpha = layer_HW4[..., 3]
    ids = np.where(alpha >= _ERASED, shown_HW, 0).astype(np.int64)
    painted = alpha >= _PAINTED
    ids[painted] = _id_of(layer_HW4[painted][:, :3])
    blended = ids < 0  # blended colors in anti-aliased edges
    if blended.any():
        rows, columns = ndimage.distance_transform_edt(blended, return_distances=False, return_indices=True)
        ids = ids[rows, columns]
    return ids.astype(np.uint16)


def _id_of(colors_N3: np.ndarray) -> np.ndarray:
    """Return the ids of colors; -1 for a color of no id."""
    packed, ids = _packed_colors()
    wanted = _pack(colors_N3)
    places = np.searchsorted(packed, wanted).clip(max=len(packed) - 1)
    return np.where(packed[places] == wanted, ids[places], -1)


@lru_cache(maxsize=1)
def _packed_colors() -> tuple[np.ndarray, np.ndarray]:
    """Return the packed colors of all ids except 0, ascending, and the ids."""
    packed = _pack(id_colors(np.arange(1, MAX_ID + 1)))
    order = np.argsort(packed)
    return packed[order], order + 1


def _pack(colors_N3: np.ndarray) -> np.ndarray:
    return colors_N3.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
