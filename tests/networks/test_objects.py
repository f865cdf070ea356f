"""Users' ids against identities, and the merger of groups in bands."""

from __future__ import annotations

import pytest
import torch

from voskit.networks.engines import ObjectSlots, Prediction
from voskit.networks.engines import prediction as prediction_module


def test_ids_get_slots_in_their_order_of_appearance() -> None:
    slots = ObjectSlots(10)
    slots.add([2, 5, 700])
    slots.add([4, 2])
    assert slots.ids == [2, 5, 700, 4]
    assert slots.room == 6
    assert slots.slots == [1, 2, 3, 4]
    mask = torch.tensor([[0, 700], [4, 9]])
    assert slots.to_slots(mask).tolist() == [[0, 3], [4, 0]]


def test_groups_see_each_other_as_background() -> None:
    slots = ObjectSlots(2)
    slots.add([10, 20, 30])
    assert slots.groups == 2
    assert slots.split_groups(torch.tensor([[0, 1, 2, 3]])).tolist() == [[[0, 1, 2, 0]], [[0, 0, 0, 1]]]


def test_a_slot_is_not_reused_while_its_group_exists() -> None:
    slots = ObjectSlots(3)
    slots.add([1, 2, 3])
    assert slots.delete([2]) == [0]
    slots.add([4])
    assert slots.slots == [1, 3, 4]
    assert slots.groups == 2


def test_an_empty_group_is_dropped_and_later_ones_move_up() -> None:
    slots = ObjectSlots(2)
    slots.add([1, 2, 3, 4, 5])
    assert slots.delete([1, 2]) == [1, 2]
    assert (slots.ids, slots.slots, slots.groups) == ([3, 4, 5], [1, 2, 3], 2)
    slots.add([6])
    assert slots.slots == [1, 2, 3, 4]
    assert slots.delete([5, 6]) == [0]
    slots.add([7])
    assert slots.slots == [1, 2, 3]


def test_all_slots_are_free_after_the_last_object() -> None:
    slots = ObjectSlots(2)
    slots.add([1, 2, 3])
    assert slots.delete([3, 1, 2]) == []
    slots.add([9])
    assert slots.slots == [1]


def test_deleting_absent_objects_changes_nothing() -> None:
    slots = ObjectSlots(2)
    slots.add([1, 2])
    with pytest.raises(ValueError, match=r"there is no object 7; the objects are \[1, 2\]"):
        slots.delete([1, 7])
    assert slots.ids == [1, 2]


@pytest.mark.parametrize("groups", (1, 2))
def test_without_background_each_pixel_gets_its_most_likely_object(groups: int) -> None:
    logits = torch.tensor((0.0, -40, -40, -30, -40)).expand(groups, -1)[:, :, None, None].repeat(1, 1, 4, 4)
    logits[-1, 3] = -20
    slots = [2, 3, 4] if groups == 1 else [2, 3, 4, 5, 7, 8]  # 1 and 6 were deleted
    best = slots[-2]
    assert not Prediction(logits, slots, (9, 9), True).argmax().any()
    prediction = Prediction(logits, slots, (9, 9), True, background=False)
    assert (prediction.argmax() == best).all()
    probabilities = prediction.probabilities()
    assert not probabilities[0].any()
    assert (probabilities[1 + slots.index(best)] > 0.99).all()


@pytest.mark.parametrize("align", (True, False))
@pytest.mark.parametrize("groups", (1, 3))
def test_bands_give_what_the_whole_frame_gives(monkeypatch, groups: int, align: bool) -> None:
    logits = 3 * torch.randn(groups, 11, 13, 21, generator=torch.Generator().manual_seed(1))
    slots = [s for s in range(1, 10 * groups) if s % 4]
    whole = Prediction(logits, slots, (50, 83), align)
    probabilities, ids = whole.probabilities(), whole.argmax()
    assert len(whole.bands()) == 1
    monkeypatch.setattr(prediction_module, "BAND_ELEMENTS", 11 * groups * 83 * 7)
    cut = Prediction(logits, slots, (50, 83), align)
    assert len(cut.bands()) >= 6
    assert torch.allclose(torch.cat([cut.probabilities(r) for r in cut.bands()], 1), probabilities, atol=1e-5)
    assert (cut.argmax() == ids).float().mean() > 0.999
    assert set(ids.unique().tolist()) <= {0, *slots}
    assert probabilities.shape == (len(slots) + 1, 50, 83)
