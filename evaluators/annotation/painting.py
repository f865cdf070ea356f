"""Masks as a picture that a person paints on: ids to a coloured layer over the frame, and the painted layer to ids."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import ndimage

from voskit.dataloaders.masks.palette import MAX_ID, id_colors

_SHOWN = 140  # opacity of a mask that is shown; what is painted over it is opaque
_ERASED, _PAINTED = 70, 200  # below, between and above: erased, as it was shown, painted


def layer_of(ids_HW: np.ndarray) -> np.ndarray:
    """A mask as an H x W x 4 uint8 RGBA layer, through which the frame is seen."""
    present, places = np.unique(ids_HW, return_inverse=True)
    colors = np.concatenate([id_colors(present), np.where(present[:, None] > 0, _SHOWN, 0).astype(np.uint8)], axis=1)
    colors[present == 0] = 0
    return colors[places.reshape(ids_HW.shape)]


def ids_of(layer_HW4: np.ndarray, shown_HW: np.ndarray) -> np.ndarray:
    """The ids that a painted layer means, H x W uint16.

    Args:
        layer_HW4: uint8 RGBA, what became of ``layer_of(shown_HW)``: parts of it were painted over with opaque colours
            of ids, and parts erased.
        shown_HW: ids that were shown.

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
    blended = ids < 0  # where two colours meet in an anti-aliased edge
    if blended.any():
        rows, columns = ndimage.distance_transform_edt(blended, return_distances=False, return_indices=True)
        ids = ids[rows, columns]
    return ids.astype(np.uint16)


def _id_of(colors_N3: np.ndarray) -> np.ndarray:
    """The ids of colours; -1 for a colour of no id."""
    packed, ids = _packed_colors()
    wanted = _pack(colors_N3)
    places = np.searchsorted(packed, wanted).clip(max=len(packed) - 1)
    return np.where(packed[places] == wanted, ids[places], -1)


@lru_cache(maxsize=1)
def _packed_colors() -> tuple[np.ndarray, np.ndarray]:
    """Colours of all ids but 0, ascending, and their ids."""
    packed = _pack(id_colors(np.arange(1, MAX_ID + 1)))
    order = np.argsort(packed)
    return packed[order], order + 1


def _pack(colors_N3: np.ndarray) -> np.ndarray:
    return colors_N3.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
