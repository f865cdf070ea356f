"""Tables, prototype policies, and working and long-term memory for whichever family."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from voskit.configs import get_model_config
from voskit.networks.layers.memory_part import MemoryPart
from voskit.networks.memory import EveryNthFrame, FrameBank, StoredFrame, prototypes
from voskit.networks.memory.matching import AnisotropicMatching, Columns, DotProductMatching
from voskit.networks.memory.prototype_bank import PrototypeBank
from voskit.networks.memory.prototypes import PrototypeMemory, PrototypePolicy
from voskit.networks.memory.sensory import SensoryMemory
from voskit.networks.memory.table import Table

POLICY = PrototypePolicy(max_frames=4, min_frames=2, max_prototypes=11, new_prototypes=4)
LENGTH, KEY, VALUE = 6, 4, 5


def column(start: int, count: int, batch: int = 1) -> dict[str, Tensor]:
    rows = torch.arange(start, start + count, dtype=torch.float32)[None, :, None]
    return {"key": rows.clone(), "value": rows.expand(batch, -1, 3) + torch.arange(batch)[:, None, None] / 8}


def test_table_grows_at_both_ends_and_reads_views() -> None:
    table = Table(block=4)
    table.append(column(10, 3, batch=2))
    for start in range(13, 40, 3):
        table.append(column(start, 3, batch=2))
    for start in (7, 4, 1):
        table.prepend(column(start, 3, batch=2))
    assert table["key"][0, :, 0].tolist() == list(range(1, 40))
    assert table["value"][1, :, 2].tolist() == [x + 1 / 8 for x in range(1, 40)]
    assert table["key"].untyped_storage().data_ptr() == table["key"].untyped_storage().data_ptr()


def test_a_table_allocates_only_by_blocks() -> None:
    table = Table(block=8)
    places = set()
    for start in range(0, 400, 2):
        table.append(column(start, 2))
        places.add(table["key"].untyped_storage().data_ptr())
    assert len(places) <= 12


def test_removed_rows_make_room_without_a_new_allocation() -> None:
    table = Table(block=4)
    table.append(column(0, 12))
    table.keep(torch.arange(12) % 3 != 1)
    assert table["key"][0, :, 0].tolist() == [0, 2, 3, 5, 6, 8, 9, 11]
    before = table.nbytes
    table.append(column(20, 4))
    assert table["key"][0, :, 0].tolist() == [0, 2, 3, 5, 6, 8, 9, 11, 20, 21, 22, 23]
    assert table.nbytes == before


def test_rows_do_not_drift_through_the_allocation() -> None:
    table = Table(block=4)
    table.append(column(0, 12))
    table.prepend(column(-4, 4))
    before = table.nbytes
    for _ in range(50):
        table.keep(torch.arange(16) % 4 != 1, pivot=4)
        table.prepend(column(-9, 1))
        table.append(column(30, 3))
    assert table.nbytes == before
    assert table["key"][0, 0, 0] == -9
    assert table["key"][0, -3:, 0].tolist() == [30, 31, 32]


def test_an_emptied_table_can_be_filled_again() -> None:
    table = Table(block=4)
    table.append(column(0, 3))
    table.clear()
    assert (len(table), table.nbytes) == (0, 0)
    table.append(column(5, 2))
    assert table["key"][0, :, 0].tolist() == [5, 6]


@pytest.mark.parametrize(
    ("frames", "begins", "want"),
    [
        ([0, 1, 2], [0], []),
        ([0, 1, 2, 3], [0], [1, 2]),
        ([0, 1, 2, 3], [0, 2], [1]),  # the given mask of an object that came later stays
        ([0, 1, 2, 3], [0, 1, 2], []),  # nothing to consolidate: the working memory grows
        ([0, 1, 2, 3, 4], [0, 1, 2], [3]),
    ],
)
def test_which_frames_become_prototypes(frames: list[int], begins: list[int], want: list[int]) -> None:
    assert POLICY.candidates([StoredFrame(f, False) for f in frames], begins) == want


def test_no_latest_frames_at_all() -> None:
    policy = PrototypePolicy(max_frames=3, min_frames=1, max_prototypes=10, new_prototypes=2)
    assert policy.candidates([StoredFrame(f, False) for f in range(3)], [0]) == [1, 2]


def test_the_least_used_prototypes_make_room() -> None:
    usage = torch.tensor([0.5, 0.1, 0.4, 0.2, 0.2, 0.6, 0.7, 0.8])
    assert POLICY.staying(usage[:7]).all()  # 7 and 4 new ones are just 11
    assert POLICY.staying(usage).tolist() == [True, False, True, True, True, True, True, True]
    smaller = PrototypePolicy(max_frames=4, min_frames=2, max_prototypes=10, new_prototypes=4)
    assert smaller.staying(usage).tolist() == [True, False, True, False, False, True, True, True]  # ties go, too
    uncounted = PrototypePolicy(4, 2, 11, 4, count_usage=False)
    assert uncounted.staying(torch.zeros(8)).tolist() == [True] * 7 + [False]  # the oldest goes


def test_fewer_candidates_than_prototypes_are_all_taken() -> None:
    assert sorted(POLICY.chosen(torch.tensor([0.1, 0.3, 0.2])).tolist()) == [0, 1, 2]


def test_policy_of_a_config() -> None:
    assert PrototypePolicy.of(get_model_config("xmem", enable_long_term=False)) is None
    assert PrototypePolicy.of(get_model_config("xmem")) == PrototypePolicy(10, 5, 10_000, 128)
    assert PrototypePolicy.of(get_model_config("aott")) is None
    for bound in (1, 2, 5, 100):
        policy = PrototypePolicy.of(get_model_config("xmem", max_memory_frames=bound))
        assert policy.max_frames == min(10, bound + 1)
        assert policy.min_frames == min(5, policy.max_frames - 1)


class Video:
    """Frames of random keys for a memory."""

    def __init__(self, memory: PrototypeMemory) -> None:
        self.memory = memory
        self.generator = torch.Generator().manual_seed(0)
        self.frame = 0

    def draw(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator)

    def step(self, objects: int) -> Tensor | None:
        query = {
            "key": self.draw(1, LENGTH, KEY),
            "shrinkage": self.draw(1, LENGTH, 1) ** 2 + 1,
            "selection": self.draw(1, LENGTH, KEY).sigmoid(),
        }
        read = self.memory.read(query, 3) if self.memory.begins else None
        self.memory.write({**query, "value": self.draw(objects, LENGTH, VALUE)}, self.frame)
        self.frame += 1
        return read


@pytest.fixture
def video() -> Video:
    return Video(PrototypeMemory(AnisotropicMatching(), EveryNthFrame(1), POLICY))


def test_memory_is_bounded_and_allocated_once(video: Video) -> None:
    sizes = set()
    for t in range(60):
        read = video.step(2)
        assert read is None or read.isfinite().all()
        assert len(video.memory.frames) < 4
        assert video.memory.prototypes <= 11
        if t > 20:
            sizes.add(video.memory.nbytes)
    assert len(sizes) == 1


def test_objects_come_and_go_while_there_are_prototypes(video: Video) -> None:
    for _ in range(8):
        video.step(2)
    before = video.memory.prototypes
    video.step(3)  # a new one at frame 8
    assert video.memory.begins == [0, 0, 8]
    for _ in range(20):
        read = video.step(3)
        assert read.shape == (3, LENGTH, VALUE)
        assert read.isfinite().all()
        assert 8 in [f.frame for f in video.memory.frames]  # its given mask stays
    assert before > 0
    video.memory.keep_objects([1, 2])
    assert video.memory.begins == [0, 8]
    video.memory.keep_objects([1])  # those that began first are gone: so is what only they knew
    assert video.memory.begins == [8]
    assert video.memory["frame"].min() >= 8
    assert video.memory.frames[0].frame == 8
    for _ in range(20):
        assert video.step(1).isfinite().all()
    assert video.memory.prototypes <= 11


def test_a_late_object_reads_what_it_would_read_alone(video: Video) -> None:
    """Elements of frames before its own take no part, whether they are frames or prototypes."""
    for _ in range(7):
        video.step(1)
    video.step(2)
    together = video.memory
    own = PrototypeMemory(AnisotropicMatching(), EveryNthFrame(1))
    frame = video.frame - 1
    rows = together["frame"][0, :, 0] == frame
    columns = {n: together[n][:, rows] for n in ("key", "shrinkage", "selection")}
    own.write({**columns, "value": together["value"][1:, rows]}, frame)
    query = {"key": video.draw(1, LENGTH, KEY), "selection": video.draw(1, LENGTH, KEY).sigmoid()}
    assert torch.allclose(together.read(query, 3)[1:], own.read(query, 3), atol=1e-6)


def test_usage_is_what_the_first_objects_read(video: Video) -> None:
    for _ in range(3):
        video.step(1)
    memory = video.memory
    assert memory["life"][0, :, 0].round().tolist() == [2] * LENGTH + [1] * LENGTH + [0] * LENGTH
    assert memory["use"].sum().item() == pytest.approx(2 * LENGTH, rel=1e-5)
    alone = memory["use"].clone()
    video.step(2)
    query = {"key": video.draw(1, LENGTH, KEY), "selection": video.draw(1, LENGTH, KEY).sigmoid()}
    before = memory["use"].clone()
    memory.read(query, 3)
    assert (memory["use"] - before).sum().item() == pytest.approx(LENGTH, rel=1e-5)  # of the new one nothing
    assert alone.sum() > 0


def test_without_prototypes_a_bound_makes_room_as_for_frames() -> None:
    video = Video(PrototypeMemory(AnisotropicMatching(), EveryNthFrame(1, max_frames=3)))
    for _ in range(12):
        video.step(2)
    assert [f.frame for f in video.memory.frames] == [9, 10, 11]
    assert video.memory.prototypes == 0


def test_prototypes_of_dot_product_attention_read_what_frames_read() -> None:
    """One candidate for each prototype and keys far apart: values stay what they were."""
    memory = PrototypeMemory(DotProductMatching(2), EveryNthFrame(1), PrototypePolicy(3, 1, 100, 2 * LENGTH))
    keys = 40 * torch.eye(4 * LENGTH)[: 3 * LENGTH].view(3, 1, LENGTH, 4 * LENGTH)
    keys = torch.cat([keys, keys], 3)  # the same for both heads
    values = torch.randn(3, 2, LENGTH, 8)
    for t in range(3):
        memory.write({"key": keys[t], "value": values[t]}, t)
    assert memory.prototypes == 2 * LENGTH
    frames = memory["frame"][0, : memory.prototypes, 0]
    for t in (1, 2):
        order = memory["key"][0, : memory.prototypes][frames == t].argmax(1) % (4 * LENGTH) - t * LENGTH
        assert torch.allclose(memory["value"][:, : memory.prototypes][:, frames == t], values[t][:, order], atol=1e-3)


def test_all_heads_count_in_the_bound_of_similarities(monkeypatch) -> None:
    made: list[int] = []

    class Counting(DotProductMatching):
        def similarity(self, query: Columns, memory: Columns) -> torch.Tensor:
            out = super().similarity(query, memory)
            made.append(out.numel())
            return out

    memory = PrototypeMemory(Counting(4), EveryNthFrame(1), PrototypePolicy(9, 1, 100, 5))
    memory.write({"key": torch.randn(1, LENGTH, 8), "value": torch.randn(2, LENGTH, 8)}, 0)
    query = {"key": torch.randn(1, LENGTH, 8)}
    memory.count_usage(query)
    at_once = memory.usage()
    monkeypatch.setattr(prototypes, "_CHUNK", 4 * LENGTH)  # one query
    made.clear()
    memory.count_usage(query)
    assert made == [4 * LENGTH] * LENGTH
    assert torch.allclose(memory.usage(), at_once)


def parts(groups: int, seed: int) -> list[MemoryPart]:
    g = torch.Generator().manual_seed(seed)
    return [
        MemoryPart(torch.randn(b, LENGTH, 8, generator=g), torch.randn(groups, LENGTH, 8, generator=g))
        for b in (1, groups)
    ]


def test_a_bank_that_is_not_full_is_a_bank_of_frames() -> None:
    plain, own = FrameBank(EveryNthFrame(1)), PrototypeBank(EveryNthFrame(1), PrototypePolicy(9, 2, 50, 5), heads=2)
    for t in range(8):
        for bank in (plain, own):
            bank.write(parts(2, t), t, reference=t == 0)
        own.count_usage([part.key for part in parts(2, t)])
    assert (len(own), own.groups, own.frames) == (len(plain), plain.groups, plain.frames)
    for a, b in zip(plain.read(), own.read(), strict=True):
        assert torch.equal(a.key, b.key)
        assert torch.equal(a.value, b.value)


def test_a_full_bank_stays_bounded_in_all_layers() -> None:
    bank = PrototypeBank(EveryNthFrame(1), PrototypePolicy(4, 2, 12, 5), heads=2)
    for t in range(30):
        bank.write(parts(3, t), t, reference=t == 0)
        bank.count_usage([part.key for part in parts(3, t)])
        assert all(part.key.shape[1] <= 12 + 4 * LENGTH for part in bank.read())
    assert len(bank) < 4
    bank.keep_groups([0, 2])
    assert [part.value.shape[0] for part in bank.read()] == [2, 2]
    assert [part.key.shape[0] for part in bank.read()] == [1, 2]
    bank.clear()
    assert (len(bank), bank.nbytes) == (0, 0)


def test_sensory_memory_follows_the_objects() -> None:
    memory = SensoryMemory(3)
    memory.add(2, torch.zeros(1, 9, 4, 5))
    assert memory.state.shape == (2, 3, 4, 5)
    memory.state = memory.state + torch.tensor([1.0, 2.0])[:, None, None, None]
    memory.add(1, torch.zeros(1, 9, 4, 5))
    memory.keep([1, 2])
    assert memory.state[:, 0, 0, 0].tolist() == [2, 0]
    none = SensoryMemory(0)
    none.add(2, torch.zeros(1, 9, 4, 5))
    assert none.state is None
