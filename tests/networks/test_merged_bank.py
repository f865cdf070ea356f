"""Old frames of the memory at half resolution."""

from __future__ import annotations

import pytest
import torch
from moving_clip import moving_frames, squares
from small_models import build_small

from voskit.evaluators import VideoSegmenter
from voskit.networks.layers.attention import read_memory
from voskit.networks.layers.memory_part import MemoryPart
from voskit.networks.memory import EveryNthFrame
from voskit.networks.memory.informed import Restricted
from voskit.networks.memory.merged_bank import MergedBank

SIZE = (5, 6)


def frame(seed: int, blocks: bool = False) -> list[MemoryPart]:
    """One layer; with ``blocks`` equal values in each 2 x 2 positions."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(1, 8, 3, 3, generator=generator) if blocks else torch.randn(1, 8, *SIZE, generator=generator)
    if blocks:
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)[:, :, : SIZE[0], : SIZE[1]]
    x = x.flatten(2).transpose(1, 2)
    return [MemoryPart(x[..., :4].contiguous(), x[..., 4:].contiguous())]


def filled(count: int, bound: int | None = None, blocks: bool = False) -> MergedBank:
    bank = MergedBank(EveryNthFrame(1, bound), SIZE)
    for t in range(count):
        bank.write(frame(t, blocks), t, reference=t == 0)
    return bank


def test_all_frames_but_the_first_and_the_latest_are_merged() -> None:
    (part,) = filled(4).read()
    assert part.key.shape[1] == part.value.shape[1] == 30 + 9 + 9 + 30
    assert torch.equal(part.key[:, :30], frame(0)[0].key)
    assert torch.equal(part.value[:, -30:], frame(3)[0].value)
    first = frame(1)[0].value.unflatten(1, SIZE)[:, :2, :2].mean((1, 2))
    assert torch.allclose(part.value[:, 30], first)
    assert part.counts.sum() == 4 * 30
    assert part.counts[0, 30:39].tolist() == [4, 4, 4, 4, 4, 4, 2, 2, 2]  # five rows: the last positions merge two


def test_a_bound_replaces_frames_in_their_slots() -> None:
    bank = filled(6, bound=3)
    assert sorted(bank.frame_numbers) == [0, 4, 5]
    (part,) = bank.read()
    assert part.key.shape[1] == 30 + 30 + 9
    assert bank.nbytes == (30 + 30 + 9) * 8 * 4


@pytest.mark.parametrize("top_k", [None, 100])
def test_positions_of_equal_keys_and_values_are_read_as_before_merging(top_k: int | None) -> None:
    merged = filled(4, blocks=True).read()
    whole = [
        torch.cat([x for t in range(4) for x in (getattr(frame(t, True)[0], name),)], 1) for name in ("key", "value")
    ]
    query = torch.randn(1, 7, 4, generator=torch.Generator().manual_seed(9))
    for trained in (None, 20):
        a = read_memory(query, merged, 2, top_k, trained)
        b = read_memory(query, [MemoryPart(*whole)], 2, None, trained)
        assert torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("name", ["aott", "deaott", "aost"])
def test_it_takes_less_memory_in_every_family_with_an_identity_bank(name: str) -> None:
    used = []
    for merge in (False, True):
        torch.manual_seed(0)
        segmenter = VideoSegmenter(build_small(name, merge_old_memory=merge), long_term_gap=1, max_memory_frames=8)
        for t, image in enumerate(moving_frames(10)):
            ids = segmenter.step(image, squares(3, 300) if t == 0 else None)
        assert ids.shape == image.shape[:2]
        assert segmenter.memory_frames == 8
        used.append(segmenter.memory_bytes)
    assert used[1] < 0.6 * used[0]


def test_groups_come_and_go() -> None:
    torch.manual_seed(0)
    segmenter = VideoSegmenter(build_small("aott", merge_old_memory=True, max_objects=1), long_term_gap=1)
    for t, image in enumerate(moving_frames(5)):
        segmenter.step(image, squares(3, 300) if t == 0 else None)
        if t == 2:
            segmenter.delete_objects(3)
    assert segmenter.object_ids == [300]


def test_policies_that_need_usage_are_refused() -> None:
    with pytest.raises(ValueError, match="merge_old_memory can't follow policy"):
        MergedBank(Restricted(), SIZE)
