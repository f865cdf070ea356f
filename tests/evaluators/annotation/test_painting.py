"""Painted layers mean ids."""

from __future__ import annotations

import numpy as np
import pytest

from voskit.dataloaders.masks.palette import id_colors
from voskit.evaluators.annotation.painting import ids_of, layer_of


@pytest.fixture
def shown() -> np.ndarray:
    ids = np.zeros((20, 30), np.uint16)
    ids[2:8, 2:8], ids[10:18, 5:25] = 3, 40000
    return ids


def painted(layer: np.ndarray, rows: slice, columns: slice, object_id: int) -> None:
    layer[rows, columns, :3], layer[rows, columns, 3] = id_colors([object_id])[0], 255


def test_a_layer_that_nobody_touched_says_what_was_shown(shown: np.ndarray) -> None:
    layer = layer_of(shown)
    assert layer.shape == (20, 30, 4)
    assert layer.dtype == np.uint8
    assert not layer[shown == 0].any()
    assert (layer[shown == 3][:, :3] == id_colors([3])).all()
    assert np.array_equal(ids_of(layer, shown), shown)
    layer[..., :3] ^= layer[..., 3:] // 100 & 1  # browsers keep colours times opacity in 8 bits
    assert np.array_equal(ids_of(layer, shown), shown)


def test_paint_and_eraser(shown: np.ndarray) -> None:
    layer = layer_of(shown)
    painted(layer, slice(0, 5), slice(0, 5), 65535)
    painted(layer, slice(15, 20), slice(0, 9), 1)
    layer[10:12, 5:25] = 0
    expected = shown.copy()
    expected[0:5, 0:5], expected[10:12, 5:25], expected[15:20, 0:9] = 65535, 0, 1
    assert np.array_equal(ids_of(layer, shown), expected)


def test_blended_edges_go_to_the_nearer_color() -> None:
    shown = np.zeros((4, 10), np.uint8)
    layer = layer_of(shown)
    painted(layer, slice(None), slice(0, 5), 1)
    painted(layer, slice(None), slice(5, 10), 2)
    layer[:, 4, :3] = layer[:, 3:6:2, :3].mean(1)
    layer[:, 9, 3] = 30  # the faint end of a soft brush
    ids = ids_of(layer, shown)
    assert set(np.unique(ids[:, 4])) <= {1, 2}
    assert (ids[:, :4] == 1).all()
    assert (ids[:, 5:9] == 2).all()
    assert not ids[:, 9].any()


def test_a_layer_of_another_size_is_refused(shown: np.ndarray) -> None:
    with pytest.raises(ValueError, match="discard the painting"):
        ids_of(layer_of(shown)[1:], shown)
