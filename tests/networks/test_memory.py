"""Memory banks and policies."""

from __future__ import annotations

import pytest
import torch

from voskit.networks.layers.memory_part import MemoryPart
from voskit.networks.memory import EveryNthFrame, FrameBank, StoredFrame


def frame(value: float, groups: int = 2, length: int = 3) -> list[MemoryPart]:
    """Two layers, of which the first shares its key among groups."""
    value = float(value)
    shared = torch.full((1, length, 4), value)
    return [
        MemoryPart(shared, torch.full((groups, length, 5), value + 0.5)),
        MemoryPart(shared.expand(groups, -1, -1), torch.full((groups, length, 5), value + 0.25)),
    ]


def stored_values(bank: FrameBank) -> list[float]:
    return bank.read()[0].key[0, ::3, 0].tolist()


def test_reads_what_was_written_in_order() -> None:
    bank = FrameBank(EveryNthFrame(1))
    for t in range(11):
        bank.write(frame(t), t)
    first, second = bank.read()
    assert stored_values(bank) == list(range(11))
    assert first.key.shape == (1, 33, 4)
    assert first.value.shape == (2, 33, 5)
    assert second.key.shape == (2, 33, 4)
    assert torch.equal(second.value[1, ::3, 0], torch.arange(11) + 0.25)


def test_reading_copies_nothing_and_writing_reallocates_only_by_blocks() -> None:
    bank = FrameBank(EveryNthFrame(1), block=4)
    allocations = set()
    for t in range(40):
        bank.write(frame(t), t)
        allocations.add(bank.read()[0].key.untyped_storage().data_ptr())
        assert bank.read()[0].key.data_ptr() == bank.read()[0].key.untyped_storage().data_ptr()
    assert len(allocations) <= 8


def test_bounded_bank_keeps_the_first_and_the_latest_in_one_allocation() -> None:
    bank = FrameBank(EveryNthFrame(1, max_frames=4), block=4)
    bank.write(frame(0), 0, reference=True)
    before = bank.read()[0].key.untyped_storage().data_ptr()
    for t in range(1, 30):
        bank.write(frame(t), t)
    assert sorted(stored_values(bank)) == [0, 27, 28, 29]
    assert bank.read()[0].key.untyped_storage().data_ptr() == before
    assert bank.nbytes == 4 * 3 * 4 * (4 + 2 * 5 + 2 * 4 + 2 * 5)


def test_policy_stores_each_frame_once_the_gap_is_reached() -> None:
    policy = EveryNthFrame(5)
    assert [t for t in range(1, 12) if policy.due(t, 0)] == [5, 6, 7, 8, 9, 10, 11]
    assert not policy.due(9, 5)


@pytest.mark.parametrize(
    ("bound", "stored", "reference", "place"),
    [
        (None, [(0, True), (5, False)], False, 2),
        (3, [(0, True), (5, False)], False, 2),
        (3, [(0, True), (15, False), (10, False)], False, 2),  # the oldest predicted one goes
        (3, [(0, True), (5, True), (10, True)], False, 1),  # references but the first go last
        (2, [(0, True), (5, True)], True, 1),
        (1, [(0, True)], False, None),
        (1, [(0, True)], True, 0),
    ],
)
def test_the_replaced_frame(bound: int | None, stored: list, reference: bool, place: int | None) -> None:
    policy = EveryNthFrame(5, bound)
    assert policy.place([StoredFrame(*s) for s in stored], StoredFrame(99, reference)) == place


def test_groups_can_be_dropped() -> None:
    bank = FrameBank(EveryNthFrame(1))
    parts = frame(1, groups=3)
    parts[0].value[1] = 7
    bank.write(parts, 0)
    bank.keep_groups([1])
    assert bank.groups == 1
    assert torch.equal(bank.read()[0].value, torch.full((1, 3, 5), 7.0))
    assert bank.read()[0].key.shape == (1, 3, 4)


def test_clear_frees_the_memory() -> None:
    bank = FrameBank(EveryNthFrame(1))
    bank.write(frame(1), 0)
    bank.clear()
    assert (len(bank), bank.nbytes, bank.groups) == (0, 0, 0)
