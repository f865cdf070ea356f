"""Depth as a thing that is chosen while a video runs, and the frame rate that is held by it."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from moving_clip import H, W, moving_frames, squares
from small_models import SMALL, save_small_aost

from voskit.configs import models_with_depths
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.frame_rate import FrameRateKeeper
from voskit.networks import build_model


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return save_small_aost(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def aost(checkpoint: Path):
    return build_model("aost", checkpoint=checkpoint, device="cpu", **SMALL)


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    return moving_frames(40)


def probabilities(segmenter: VideoSegmenter, frame: np.ndarray, mask: np.ndarray | None = None) -> torch.Tensor:
    return segmenter.step(frame, mask, return_probs=True)[1]


# ---- set_depth


@pytest.mark.parametrize("depth", (1, 2))
@pytest.mark.parametrize("objects", (2, 13))
def test_a_depth_set_at_the_start_equals_a_network_of_that_depth(aost, checkpoint, frames, depth, objects) -> None:
    chosen = VideoSegmenter(aost, long_term_gap=2)
    chosen.set_depth(depth)
    built = VideoSegmenter(
        build_model("aost", checkpoint=checkpoint, depth=depth, device="cpu", **SMALL), long_term_gap=2
    )
    assert chosen.depth == built.depth == depth
    mask = squares(*range(1, objects + 1))
    for t, frame in enumerate(frames[:6]):
        given = mask if t == 0 else squares(20) if t == 3 else None
        assert torch.equal(probabilities(chosen, frame, given), probabilities(built, frame, given))


def test_lowered_at_a_frame_it_sees_what_the_first_layers_remember(aost, frames) -> None:
    """The masks up to then came from all layers; from then on the deeper ones have no part."""
    segmenter = VideoSegmenter(aost, long_term_gap=1)
    segmenter.step(frames[0], squares(1, 2))
    segmenter.step(frames[1])
    segmenter.set_depth(1)
    engine = segmenter._engines[0]
    seen = []
    propagate = engine.network.propagate
    engine.network.propagate = lambda f, long, short: seen.append((len(long), len(short))) or propagate(f, long, short)
    segmenter.step(frames[2])
    segmenter.step(frames[3])
    assert seen == [(1, 1), (1, 1)]
    assert engine._banks[0].frames == [[0, 1, 2, 3], [0, 1], [0, 1]]
    assert segmenter.memory_frames == 4


def test_lowered_and_raised_before_the_next_frame_changes_nothing(aost, frames) -> None:
    a, b = VideoSegmenter(aost), VideoSegmenter(aost)
    for t, frame in enumerate(frames[:5]):
        assert torch.equal(*(probabilities(s, frame, squares(1, 2) if t == 0 else None) for s in (a, b)))
        a.set_depth(1)
        a.set_depth(3)


@pytest.mark.parametrize("skip", (1, 2))
@pytest.mark.parametrize("objects", (2, 13))
def test_raised_again_at_any_frame(aost, frames, skip, objects) -> None:
    segmenter = VideoSegmenter(aost, long_term_gap=2, short_term_skip=skip, max_memory_frames=3)
    segmenter.step(frames[0], squares(*range(1, objects + 1)))
    for t, depth in enumerate((3, 1, 1, 2, 3, 1, 3, 2, 1, 2, 3), 1):
        segmenter.set_depth(depth)
        probs = probabilities(segmenter, frames[t])
        assert probs.shape == (objects + 1, H, W)
        assert probs.isfinite().all()
    assert all(len(held) <= 3 and held[0] == 0 for held in segmenter._engines[0]._banks[0].frames)


@torch.inference_mode()
def test_the_next_layers_memory_is_made_up_exactly(aost, frames) -> None:
    """Layer 2 remembers a frame by layer 1, even if only layer 1 saw it."""
    whole, lowered = VideoSegmenter(aost), VideoSegmenter(aost)
    for s in (whole, lowered):
        s.step(frames[0], squares(1, 2))
    lowered.set_depth(1)
    ids = lowered.step(frames[1])
    tail = lowered._engines[0]._tails[0]
    engine = whole._engines[0]
    features = aost.encode_image(whole._views(frames[1])[0])
    propagated = aost.propagate(features, *engine._memories(features))
    mask_ids = aost.encode_ids(engine._group_labels(torch.from_numpy(ids.astype(np.int32)), (H, W)))
    want = aost.remember(propagated.states, mask_ids)[1]
    got, _ = aost.deepen(tail.hidden, tail.ids, features.projected.shape[2:], range(1, 2))
    assert torch.allclose(got[0].key, want.key, atol=1e-6)
    assert torch.allclose(got[0].value, want.value, atol=1e-6)


def test_more_objects_than_a_bank_holds_equal_separate_groups(aost, frames) -> None:
    """Each group is a network of its own that takes the other groups' objects for background, at every depth."""
    mask = squares(*range(1, 14))
    both, first, second = (VideoSegmenter(aost) for _ in range(3))
    logits = []
    network = both._engines[0].network
    decode = network.decode
    for depth in (1, 2, 3):
        for s, given in ((both, mask), (first, np.where(mask <= 10, mask, 0)), (second, np.where(mask > 10, mask, 0))):
            s.reset()
            s.set_depth(depth)
            s.step(frames[0], given)
        network.decode = lambda *a: logits.append(decode(*a)) or logits[-1]
        both.step(frames[1])
        del network.decode
        resized = torch.nn.functional.interpolate(logits[-1], (H, W), mode="bilinear", align_corners=True)
        assert torch.allclose(resized[0].softmax(0), probabilities(first, frames[1]), atol=1e-4)
        assert torch.allclose(resized[1, :4].softmax(0), probabilities(second, frames[1]), atol=1e-4)


def test_objects_that_appear_at_a_lower_depth_are_known_to_deeper_layers(aost, frames) -> None:
    segmenter = VideoSegmenter(aost, long_term_gap=1)
    segmenter.set_depth(1)
    segmenter.step(frames[0], squares(1, 2))
    segmenter.step(frames[1])
    segmenter.step(frames[2], np.where(squares(*range(1, 14)) > 8, squares(*range(1, 14)), 0))
    segmenter.set_depth(3)
    assert probabilities(segmenter, frames[3]).shape == (8, H, W)
    assert segmenter._engines[0]._banks[0].frames == [[0, 1, 2, 3], [0, 2, 3], [0, 2, 3]]


def test_deleting_objects_between_changes_of_depth(aost, frames) -> None:
    segmenter = VideoSegmenter(aost)
    segmenter.step(frames[0], squares(*range(1, 14)))
    segmenter.set_depth(1)
    segmenter.step(frames[1])
    segmenter.delete_objects([11, 12, 13])
    segmenter.set_depth(3)
    assert probabilities(segmenter, frames[2]).shape == (11, H, W)


@pytest.mark.parametrize("options", [{"flip": True}, {"scales": (1.0, 1.3)}, {"amp": "bf16"}])
def test_augmentation_and_half_precision_at_every_depth(aost, frames, options) -> None:
    segmenter = VideoSegmenter(aost, **options)
    segmenter.step(frames[0], squares(1, 2))
    for t, depth in enumerate((3, 1, 2), 1):
        segmenter.set_depth(depth)
        assert probabilities(segmenter, frames[t]).isfinite().all()
    assert {e.depth for e in segmenter._engines} == {2}


def test_a_reset_leaves_the_depth(aost, frames) -> None:
    segmenter = VideoSegmenter(aost)
    segmenter.set_depth(2)
    segmenter.step(frames[0], squares(1))
    segmenter.reset()
    assert segmenter.depth == 2


def test_unsupported_depths_are_refused(aost, checkpoint) -> None:
    segmenter = VideoSegmenter(aost)
    for depth in (0, 4):
        with pytest.raises(ValueError, match=rf"depth {depth} is not available: this network was built with 3 layers"):
            segmenter.set_depth(depth)
    assert segmenter.depth == 3
    shallow = VideoSegmenter(build_model("aost", checkpoint=checkpoint, depth=1, device="cpu", **SMALL))
    with pytest.raises(ValueError, match=r"depth 2 is not available: this network was built with 1 layer"):
        shallow.set_depth(2)


def test_models_of_one_depth_say_so() -> None:
    assert models_with_depths() == ["aost", "r50_aost", "swinb_aost"]
    model = build_model("aott", device="cpu")
    assert VideoSegmenter(model).depth is None
    with pytest.raises(ValueError, match=r"set_depth: AOTT has one depth only; models .*: aost, r50_aost"):
        VideoSegmenter(model).set_depth(1)
    with pytest.raises(ValueError, match="target_fps: AOTT has one depth only"):
        VideoSegmenter(model, target_fps=25)


# ---- target_fps


class Clock:
    """Time in which every reading costs as much as a frame at the segmenter's depth."""

    def __init__(self, costs: dict[int, float]) -> None:
        self.costs, self.now = costs, 0.0
        self.segmenter: VideoSegmenter | None = None

    def __call__(self) -> float:
        assert self.segmenter is not None
        self.now += self.costs[self.segmenter.depth]
        return self.now


@pytest.fixture
def held(aost, monkeypatch):
    """A function that builds a segmenter which holds a rate, and its clock."""

    def build(costs: dict[int, float], target: float) -> tuple[VideoSegmenter, Clock]:
        clock = Clock(costs)
        clock.segmenter = VideoSegmenter(aost, target_fps=target)
        monkeypatch.setattr("voskit.evaluators.segmenter.time.perf_counter", clock)
        return clock.segmenter, clock

    return build


@pytest.mark.parametrize(("target", "depth"), [(5, 3), (8, 2), (15, 1), (100, 1)])
def test_the_largest_depth_that_keeps_the_rate_is_used(held, frames, target, depth) -> None:
    segmenter, _ = held({1: 0.05, 2: 0.1, 3: 0.15}, target)
    segmenter.step(frames[0], squares(1, 2))
    depths = [segmenter.depth for frame in frames[1:13] if segmenter.step(frame) is not None]
    assert depths[-4:] == [depth] * 4
    assert depths == sorted(depths, reverse=True)


def test_the_depth_adapts_to_the_load_of_other_programs(held, frames) -> None:
    segmenter, clock = held({1: 0.05, 2: 0.1, 3: 0.15}, 6)
    segmenter.step(frames[0], squares(1, 2))
    seen = []
    for load in (1, 2, 1):
        clock.costs = {1: 0.05 * load, 2: 0.1 * load, 3: 0.15 * load}
        for frame in frames[1:12]:
            segmenter.step(frame)
        seen.append(segmenter.depth)
    assert seen == [3, 1, 3]


def test_results_are_those_of_the_depths_that_were_chosen(aost, held, frames) -> None:
    segmenter, _ = held({1: 0.05, 2: 0.1, 3: 0.15}, 15)
    by_hand = VideoSegmenter(aost)
    for t, frame in enumerate(frames[:12]):
        by_hand.set_depth(segmenter.depth)
        given = squares(1, 2) if t == 0 else None
        assert torch.equal(probabilities(segmenter, frame, given), probabilities(by_hand, frame, given))


def test_without_the_option_the_clock_is_not_read(aost, frames, monkeypatch) -> None:
    monkeypatch.setattr("time.perf_counter", lambda: pytest.fail("the clock was read"))
    segmenter = VideoSegmenter(aost)
    for t, frame in enumerate(frames[:4]):
        segmenter.step(frame, squares(1) if t == 0 else None)
    assert (segmenter.depth, segmenter.target_fps) == (3, None)


def test_given_frames_and_frames_before_them_do_not_count(held, frames) -> None:
    segmenter, _ = held({1: 9.0, 2: 9.0, 3: 9.0}, 15)
    for frame in frames[:6]:
        segmenter.step(frame)
    for frame in frames[:6]:
        segmenter.step(frame, squares(1))
    assert segmenter.depth == 3


def keep(keeper: FrameRateKeeper, depth: int, costs: dict[int, float], frames: int = 20) -> list[int]:
    out = []
    for _ in range(frames):
        depth = keeper.next_depth(depth, costs[depth])
        out.append(depth)
    return out


def test_a_single_slow_frame_changes_nothing() -> None:
    keeper = FrameRateKeeper(10, (1, 2, 3))
    times = [0.05] * 5 + [0.9] + [0.05] * 5
    assert [keeper.next_depth(3, t) for t in times] == [3] * 11


def test_the_depth_does_not_oscillate_if_the_next_one_is_too_slow() -> None:
    depths = keep(FrameRateKeeper(10, (1, 2, 3)), 3, {1: 0.04, 2: 0.09, 3: 0.11}, 40)
    assert depths[-30:] == [2] * 30


def test_an_untried_depth_is_tried_if_its_layers_would_fit() -> None:
    assert keep(FrameRateKeeper(10, (1, 2, 3)), 1, {1: 0.04, 2: 0.05, 3: 0.06})[-1] == 3
    assert keep(FrameRateKeeper(10, (1, 2, 3)), 1, {1: 0.06, 2: 0.11, 3: 0.2})[-1] == 1


def test_a_rate_that_cannot_be_kept_is_logged_once(caplog) -> None:
    with caplog.at_level(logging.WARNING):
        keep(FrameRateKeeper(100, (1, 2, 3)), 3, {1: 0.1, 2: 0.2, 3: 0.3}, 40)
    assert [r.message for r in caplog.records] == [
        "100 frames/s can't be reached: a frame takes 0.100 s at depth 1, the smallest"
    ]


@pytest.mark.parametrize("value", (0, -1, float("nan"), "25", True))
def test_invalid_rates_are_refused(value) -> None:
    with pytest.raises(ValueError, match="target_fps must be a positive number of frames per second"):
        FrameRateKeeper(value, (1, 2))
