"""Memory policies that use the quality of objects and the attention of stored frames."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from moving_clip import moving_frames, squares
from small_models import build_small
from thorough import mark_thorough

from voskit.evaluators import VideoSegmenter
from voskit.networks.engines.quality import ObjectQuality
from voskit.networks.memory import FirstAndLatest, StoredFrame, build_policy
from voskit.networks.memory.informed import DistractorAware, Gated, Restricted, WithLatest
from voskit.networks.memory.policies import POLICIES, EveryNthFrame

SURE = ObjectQuality(area=100, confidence=0.9, margin=0.9, present=True)
UNSURE = replace(SURE, confidence=0.3)
ABSENT = ObjectQuality(area=0, confidence=0.1, margin=0.0, present=False)
RIVAL = replace(SURE, rival=0.3)
FIRST = StoredFrame(0, True)


def frame(number: int, *quality: ObjectQuality, partial: bool = False) -> StoredFrame:
    return StoredFrame(number, False, quality=dict(enumerate(quality, 1)), partial=partial)


def filled(policy: Any, frames: Sequence[StoredFrame]) -> list[int]:
    """Numbers of the frames that a bank holds after it was offered the due ones of these."""
    stored = [FIRST]
    for new in frames:
        if not policy.due(new.frame, max(f.frame for f in stored)):
            continue
        slot = policy.place(stored, new)
        if slot is not None:
            stored[slot : slot + 1] = [new]
    return [f.frame for f in stored]


@pytest.mark.parametrize(
    ("quality", "partial", "stored"),
    [
        ((SURE,), False, True),
        ((UNSURE,), False, False),
        ((ABSENT,), False, False),
        ((SURE, UNSURE), False, True),
        ((SURE, UNSURE, ABSENT), False, False),
        ((SURE, UNSURE, ABSENT), True, True),  # the others are left out of the frame
        ((UNSURE, ABSENT), True, False),
    ],
)
def test_a_gated_memory_stores_no_frame_of_unsure_objects(
    quality: Sequence[ObjectQuality], partial: bool, stored: bool
) -> None:
    place = Gated(gap=1).place([FIRST], frame(1, *quality, partial=partial))
    assert (place is not None) == stored


def test_a_gated_memory_makes_up_for_a_skipped_frame_and_keeps_references() -> None:
    offered = [frame(t, UNSURE if t in (3, 4) else SURE) for t in range(1, 9)]
    assert filled(Gated(gap=3), offered) == [0, 5, 8]
    assert Gated(gap=3).place([FIRST], StoredFrame(1, True)) == 1
    assert filled(Gated(gap=1, max_frames=3), offered) == [0, 7, 8]


def test_a_distractor_aware_memory_holds_recent_and_resolved_frames() -> None:
    offered = [frame(t, RIVAL if t in (4, 8, 12, 13) else SURE) for t in range(1, 31)]
    held = filled(DistractorAware(gap=2, max_frames=5), offered)
    assert sorted(held) == [0, 8, 12, 28, 30]
    unsure = [frame(t, replace(RIVAL, confidence=0.4)) for t in range(1, 9)]
    assert filled(DistractorAware(gap=1, max_frames=5), unsure) == [0, 7, 8]


def test_the_sensory_memory_is_updated_on_frames_that_a_policy_refuses() -> None:
    torch.manual_seed(0)
    network = build_small("xmem", value_dim=32, hidden_dim=8, key_dim=16, enable_long_term=False)
    segmenter = VideoSegmenter(network, policy=DistractorAware(gap=100), short_edge=48)
    frames = moving_frames(5)
    segmenter.step(frames[0], squares(1, 2))
    states = [segmenter._engines[0]._sensory.state]
    for image in frames[1:]:
        segmenter.step(image)
        states.append(segmenter._engines[0]._sensory.state)
    assert segmenter.memory_frames == 1
    assert not any(torch.equal(before, after) for before, after in itertools.pairwise(states))


def test_a_restricted_memory_drops_the_frame_that_attention_uses_least() -> None:
    stored = [
        FIRST,
        replace(frame(5), usage=0.3, reads=40),
        replace(frame(10), usage=0.01, reads=35),
        replace(frame(15), usage=0.0, reads=5),
    ]
    policy = Restricted(gap=5, max_frames=4, freshness=0.1)
    assert policy.place(stored, frame(20)) == 2
    fresh = [FIRST, stored[1], replace(stored[2], usage=0.02), replace(stored[3], frame=12), frame(15)]
    assert replace(policy, max_frames=5).place(fresh, frame(20)) == 2  # frame 12 was read five times only
    assert replace(policy, max_frames=5, freshness=0.0).place(fresh, frame(20)) == 3
    assert policy.place([FIRST, StoredFrame(3, True), StoredFrame(6, True), frame(9)], StoredFrame(12, True)) == 3


def test_a_passing_frame_has_a_slot_of_its_own() -> None:
    policy = WithLatest(EveryNthFrame(5, 2))
    latest = StoredFrame(1, False, passing=True)
    assert policy.max_frames == 3
    assert policy.place([FIRST], latest) == 1
    assert policy.place([FIRST, latest], StoredFrame(2, False, passing=True)) == 1
    assert policy.place([FIRST, latest], frame(5)) == 2
    assert policy.place([FIRST, latest, frame(5)], frame(10)) == 2
    assert FirstAndLatest(5, 2).place([FIRST, latest, frame(5)], frame(10)) == 2


@pytest.mark.parametrize("name", ["gated", "distractor_aware", "restricted", "every_nth_frame:gap=5"])
def test_every_policy_is_known_by_name(name: str) -> None:
    policy = build_policy(name)
    assert policy.due(5, 0)
    assert policy.place([FIRST], replace(frame(5, SURE), partial=False)) == 1
    assert {"gated", "distractor_aware", "restricted", "prototypes", "first_and_latest"} <= set(POLICIES)


class Recorder:
    """A policy of every ``gap``-th frame that keeps what it sees."""

    max_frames = None
    needs_quality = True
    needs_usage = True

    def __init__(self, gap: int = 1) -> None:
        self.rule = EveryNthFrame(gap)
        self.seen: list[StoredFrame] = []
        self.stored: list[StoredFrame] = []

    def due(self, frame: int, last: int) -> bool:
        return self.rule.due(frame, last)

    def place(self, stored: Sequence[StoredFrame], new: StoredFrame) -> int | None:
        self.seen.append(new)
        self.stored = list(stored)
        return self.rule.place(stored, new)


FRAMES = moving_frames(6)
FAMILIES = {
    "aott": {},
    "deaott": {},
    "aost": {"num_layers": 2},
    "xmem": {"enable_long_term": False},
    "jointformer": {},
}


def run(name: str, policy: Any, **options: object) -> VideoSegmenter:
    torch.manual_seed(0)
    if name in ("xmem", "jointformer"):
        options["short_edge"] = 64
    segmenter = VideoSegmenter(build_small(name, **FAMILIES[name]), policy=policy, **options)
    for t, image in enumerate(FRAMES):
        segmenter.step(image, squares(3, 300) if t == 0 else None)
    return segmenter


@pytest.mark.parametrize("name", mark_thorough(FAMILIES, ["jointformer"]))
def test_policies_see_quality_and_usage_in_every_family(name: str) -> None:
    policy = Recorder()
    policy.needs_usage = name != "jointformer"
    run(name, policy)
    predicted = [f for f in policy.seen if not f.reference and not f.passing]
    assert predicted and all(list(f.quality) == [3, 300] for f in predicted)
    if policy.needs_usage:
        first, second = policy.stored[:2]
        assert first.reads == second.reads + 1
        together = [f for f in policy.stored if f.reads == max(g.reads for g in policy.stored)]
        assert together == [first] and 0 < first.usage <= 1


def test_usage_is_a_share_of_attention() -> None:
    policy = Recorder(gap=2)
    run("aott", policy)
    first, second = policy.stored
    assert (first.reads, second.reads) == (4, 2)
    assert first.usage * 4 + second.usage * 2 == pytest.approx(4)  # each read has a sum of 1


@pytest.mark.parametrize("name", mark_thorough(FAMILIES, ["jointformer"]))
def test_a_memory_that_trusts_nothing_holds_only_the_given_frame(name: str) -> None:
    segmenter = run(name, Gated(gap=1, confidence=1.0))
    passing = name == "jointformer" and segmenter.config.include_last
    assert segmenter.memory_frames == 1 + passing


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "jointformer"])
def test_a_restricted_memory_is_bounded_in_every_family(name: str) -> None:
    assert run(name, Restricted(gap=1, max_frames=3)).memory_frames == 3


def test_a_memory_that_trusts_everything_equals_every_nth_frame() -> None:
    torch.manual_seed(0)
    model = build_small("aott")
    plain, gated = VideoSegmenter(model, policy=EveryNthFrame(2)), VideoSegmenter(model, policy=Gated(2, None, 0.0))
    for t, image in enumerate(FRAMES):
        mask = squares(3, 300) if t == 0 else None
        (_, a), (_, b) = (s.step(image, mask, return_probs=True) for s in (plain, gated))
        if all(q.present for q in gated.quality.values()):
            assert torch.equal(a, b)
    assert plain.memory_frames >= gated.memory_frames


def test_an_object_that_is_not_trusted_leaves_no_identity_in_the_memory() -> None:
    torch.manual_seed(0)
    model = build_small("aott", max_objects=2)
    segmenter = VideoSegmenter(model, policy=Gated(gap=1))
    segmenter.step(FRAMES[0], squares(3, 300, 7))
    engine: Any = segmenter._engines[0]
    labels = torch.tensor([[[1, 2, 0]], [[1, 0, 0]]], dtype=torch.int32)
    seen = []
    engine.network = SpyNetwork(seen)
    engine._quality = {3: SURE, 300: UNSURE, 7: UNSURE}
    engine._trusted(type("P", (), {"states": []}), [], labels)
    assert seen[0].tolist() == [[[1, 3, 0]], [[3, 0, 0]]]
    assert labels.tolist() == [[[1, 2, 0]], [[1, 0, 0]]]


class SpyNetwork:
    """A network that keeps the labels it encodes."""

    def __init__(self, seen: list[torch.Tensor]) -> None:
        self.seen = seen

    def encode_ids(self, labels: torch.Tensor) -> torch.Tensor:
        self.seen.append(labels)
        return labels

    def remember(self, states: Any, ids: torch.Tensor) -> list[Any]:
        return []


def test_prototypes_are_a_policy_for_models_that_have_them() -> None:
    policy = build_policy("prototypes:gap=1,max_frames=3,min_frames=2,prototypes=8")
    assert run("aott", policy).memory_frames < 4
    with pytest.raises(ValueError, match="policy prototypes: JointFormer has no memory of prototypes"):
        run("jointformer", policy)


def test_jointformer_refuses_policies_that_need_usage() -> None:
    with pytest.raises(ValueError, match="needs the attention that each frame gets, which JointFormer doesn't track"):
        run("jointformer", Restricted())


def test_the_policy_that_the_docs_print_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(POLICIES, "_entries", {name: POLICIES.get(name) for name in POLICIES})
    page = (Path(__file__).resolve().parents[2] / "docs" / "memory.md").read_text(encoding="utf-8")
    (example,) = (text for text in re.findall(r"```python\n(.*?)```", page, re.S) if "class Surest" in text)
    exec(example, {"__name__": "printed"})
    assert run("aott", build_policy("surest:max_frames=2")).memory_frames == 2
