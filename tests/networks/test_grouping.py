"""Objects that are close to each other go into different groups of identities."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_models import build_small

from voskit.configs import get_model_config
from voskit.evaluators import VideoSegmenter
from voskit.networks.engines.grouping import separate_neighbors


def grid(rows: int, columns: int, side: int = 20) -> torch.Tensor:
    """A mask of adjoining squares, whose ids count along the rows: 10, 20, ..."""
    ids = 10 * torch.arange(1, rows * columns + 1, dtype=torch.int32).view(rows, columns)
    return ids.repeat_interleave(side, 0).repeat_interleave(side, 1)


def groups_of(order: list[int], size: int) -> list[list[int]]:
    return [order[i : i + size] for i in range(0, len(order), size)]


def test_a_row_of_objects_is_dealt_out_in_turn() -> None:
    order = separate_neighbors(grid(1, 4), [10, 20, 30, 40], 2, 0)
    assert groups_of(order, 2) == [[10, 30], [20, 40]]


def test_grid_neighbors_are_in_different_groups_if_there_are_enough_groups() -> None:
    mask = grid(4, 4)
    for group in groups_of(separate_neighbors(mask, mask.unique().tolist(), 2, 0), 2):
        one, other = (divmod(i // 10 - 1, 4) for i in group)
        assert max(abs(a - b) for a, b in zip(one, other, strict=True)) > 1


def test_a_partly_filled_group_is_filled_first_and_only_the_last_has_room_left() -> None:
    mask = grid(1, 6)
    order = separate_neighbors(mask, [10, 20, 30, 40, 50, 60], 4, 1)
    assert sorted(order) == [10, 20, 30, 40, 50, 60]
    first, *others = order[:1], order[1:5], order[5:]
    assert len(first) == 1
    assert [len(group) for group in others] == [4, 1]


def test_one_group_keeps_the_order_of_ids() -> None:
    assert separate_neighbors(grid(1, 3), [10, 20, 30], 10, 0) == [10, 20, 30]


def test_a_mirrored_mask_gives_the_same_order() -> None:
    generator = torch.Generator().manual_seed(3)
    mask = torch.randint(0, 24, (6, 9), generator=generator).repeat_interleave(16, 0).repeat_interleave(16, 1)
    ids = [i for i in mask.unique().tolist() if i]
    assert separate_neighbors(mask, ids, 5, 2) == separate_neighbors(mask.flip(1), ids, 5, 2)


def test_other_ids_of_the_mask_are_ignored() -> None:
    mask = grid(1, 5)
    assert sorted(separate_neighbors(mask, [20, 40], 10, 1)) == [20, 40]


@pytest.mark.slow
@pytest.mark.parametrize("flip", (False, True))
def test_a_segmenter_groups_by_neighborhood_if_the_model_says_so(flip: bool) -> None:
    """All views of a frame agree on the identities, and users' ids come out as they went in."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (96, 120, 3), dtype=np.uint8)
    mask = grid(2, 6, 20).numpy()
    mask = np.pad(mask, ((0, 56), (0, 0)))
    orders = []
    for apart in (False, True):
        model = build_small("deaott", max_objects=5, neighbors_apart=apart)
        segmenter = VideoSegmenter(model, flip=flip, scales=(1.0, 1.5) if flip else (1.0,))
        assert (segmenter.step(frame, mask=mask) == mask).all()
        ids, probs = segmenter.step(frame, return_probs=True)
        assert set(np.unique(ids)) <= {0, *segmenter.object_ids}
        rows = np.array([0, *segmenter.object_ids])
        assert (rows[probs.argmax(0).numpy()] == ids).mean() > 0.99
        assert sorted(segmenter.object_ids) == sorted(set(np.unique(mask)) - {0})
        orders.append(segmenter.object_ids)
    assert orders[0] == sorted(orders[0])
    assert orders[1] != orders[0]


def test_published_models_group_by_ids() -> None:
    assert not get_model_config("aott").neighbors_apart
    assert not get_model_config("swinb_deaotl").neighbors_apart
