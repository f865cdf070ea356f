"""The largest of many scores against ``topk``."""

from __future__ import annotations

import pytest
import torch

from voskit.networks.ops.top_k import largest


@pytest.mark.parametrize("length", [5, 40, 160, 163, 1000])
@pytest.mark.parametrize("k", [1, 5])
def test_values_and_places(length: int, k: int) -> None:
    scores = torch.randn(3, 4, length)
    values, places = largest(scores, k)
    assert torch.equal(values.sort(-1, descending=True).values, scores.topk(k).values)
    assert torch.equal(scores.gather(-1, places), values)
    assert all(len(set(row.tolist())) == k for row in places.flatten(0, 1))


def test_equal_scores_are_taken_once_each() -> None:
    values, places = largest(torch.zeros(2, 100), 4)
    assert not values.any()
    assert all(len(set(row.tolist())) == 4 for row in places)


def test_the_remainder_after_whole_groups_may_hold_the_largest() -> None:
    scores = torch.zeros(1, 87)
    scores[0, -7:] = torch.arange(1.0, 8)
    values, places = largest(scores, 5)
    assert sorted(places[0].tolist()) == [82, 83, 84, 85, 86]
    assert sorted(values[0].tolist()) == [3, 4, 5, 6, 7]
