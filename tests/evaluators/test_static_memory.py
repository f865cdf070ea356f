"""Memory of a fixed size: the same masks as with memory that grows, and compiled code that is compiled once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from moving_clip import H, W, moving_frames, squares
from small_models import build_small
from thorough import mark_thorough

from voskit.evaluators import VideoSegmenter
from voskit.networks import build_model
from voskit.networks.engines.static.aot import StaticAOTEngine
from voskit.networks.engines.static.jointformer import StaticJointFormerEngine
from voskit.networks.engines.static.xmem import StaticXMemEngine
from voskit.networks.inference import compile_calls
from voskit.networks.memory import EveryNthFrame
from voskit.networks.memory.static import CAPACITY


def probabilities(segmenter: VideoSegmenter, count: int, events: dict[int, Callable[[Any], Any]]) -> list[torch.Tensor]:
    """Segment a clip; ``events`` give a mask, or delete objects, before a frame."""
    out = []
    for t, frame in enumerate(moving_frames(count)):
        mask = events[t](segmenter) if t in events else None
        out.append(segmenter.step(frame, mask, return_probs=True)[1])
    return out


EVENTS: dict[int, Callable[[Any], Any]] = {
    0: lambda s: squares(1, 2, 3),
    3: lambda s: squares(0, 0, 0, *range(4, 16)),  # a second group, which begins later
    6: lambda s: s.delete_objects([2]),
    8: lambda s: s.delete_objects(range(3, 11)),
    9: lambda s: s.delete_objects([1]),  # the first group is gone
}


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("aott", {}),
        ("swinb_deaotl", {"encoder": "mobilenetv2", "num_layers": 2}),
        ("aost", {"depth": 2}),
        ("bundled", {"short_edge": 65}),  # reads the likeliest positions only, in groups of five
    ],
)
def test_predicts_what_growing_memory_does(model: str, fields: dict[str, Any]) -> None:
    torch.manual_seed(1)  # with some random weights, rounding decides between equally likely objects
    bundled = model == "bundled"
    network = build_model("deaott", pretrained=True, device="cpu") if bundled else build_small(model, **fields)
    options = {"long_term_gap": 1, "max_memory_frames": 3, **(fields if bundled else {})}
    grown = probabilities(VideoSegmenter(network, **options), 11, EVENTS)
    static = VideoSegmenter(network, static_memory=True, **options)
    fixed = probabilities(static, 11, EVENTS)
    for before, now in zip(grown, fixed, strict=True):
        assert before.shape == now.shape
        assert (before - now).abs().max() < 1e-5
    assert static.memory_frames == 3


XMEM = {"key_dim": 8, "value_dim": 32, "hidden_dim": 8, "enable_long_term": False, "top_k": 5, "short_edge": 48}


FIELDS: list[dict[str, Any]] = [
    {"deep_update_every": 2},
    {},
    {"hidden_dim": 0},
    {"single_object": True},
    {"max_memory_frames": None},
]


@pytest.mark.parametrize("fields", mark_thorough(FIELDS, FIELDS[1:]))
def test_objects_of_xmem_are_predicted_as_with_growing_memory(fields: dict[str, Any]) -> None:
    events: dict[int, Callable[[Any], Any]] = {
        0: lambda s: squares(1, 2),
        2: lambda s: squares(0, 0, 3),  # reads later frames only
        6: lambda s: s.delete_objects([1, 2]),  # nobody reads the first frames any more
        7: lambda s: squares(0, 4),
    }
    torch.manual_seed(0)
    network = build_small("xmem", **{"mem_every": 1, "max_memory_frames": 3, **XMEM, **fields})
    check_static_memory(network, 10, events, tolerance=1e-5)


def check_static_memory(network: Any, count: int, events: dict[int, Callable[[Any], Any]], *, tolerance: float) -> None:
    """Check that static memory predicts what growing memory does, and holds as many frames."""
    grown, static = VideoSegmenter(network), VideoSegmenter(network, static_memory=True)
    both = zip(probabilities(grown, count, events), probabilities(static, count, events), strict=True)
    for expected, found in both:
        assert expected.shape == found.shape and (expected - found).abs().max() < tolerance
    assert static.memory_frames == grown.memory_frames


JOINTFORMER = {"update_block_depth": 1, "mem_every": 2, "max_memory_frames": 2, "topk_num": 6, "short_edge": 48}
READINGS: list[dict[str, Any]] = [
    {"topk_range": "every_frame", "topk_block": "half"},
    {"topk_num": 60},  # more than the positions of the first frames
    {"include_last": False, "topk_clstoken": "Y"},
    {"topk_block": "None", "single_object": True},
    {"max_memory_frames": None},
]


@pytest.mark.thorough
@pytest.mark.parametrize("fields", READINGS)
def test_objects_of_jointformer_are_predicted_as_with_growing_memory(fields: dict[str, Any]) -> None:
    events: dict[int, Callable[[Any], Any]] = {
        0: lambda s: squares(1, 2),
        1: lambda s: squares(0, 0, 3),
        4: lambda s: s.delete_objects([1]),
    }
    torch.manual_seed(0)
    network = build_small("jointformer", **{**JOINTFORMER, **fields})
    # rounding decides which of two equally likely positions is read, which changes 4e-5; an empty one changes 4e-3
    check_static_memory(network, 7, events, tolerance=2e-4)


@torch.inference_mode()
def test_memory_is_written_in_place() -> None:
    segmenter = VideoSegmenter(build_small("aott"), static_memory=True, long_term_gap=1, max_memory_frames=4)
    frames = moving_frames(9)
    segmenter.step(frames[0], squares(1, 2))
    keys = [part.key for part in segmenter._engines[0]._banks[0].read()]
    size = segmenter.memory_bytes
    for frame in frames[1:]:
        segmenter.step(frame)
        assert all(k is part.key for k, part in zip(keys, segmenter._engines[0]._banks[0].read(), strict=True))
    assert segmenter.memory_bytes == size


def test_frames_that_the_policy_refuses_take_no_memory() -> None:
    policy = EveryNthFrame(1, 1)  # references only
    segmenter = VideoSegmenter(build_small("xmem", **XMEM), static_memory=True, policy=policy)
    sizes = []
    for t, frame in enumerate(moving_frames(3)):
        segmenter.step(frame, squares(1) if t == 0 else None)
        sizes.append(segmenter.memory_bytes)
    assert segmenter.memory_frames == 1 and sizes == [sizes[0]] * 3


def test_without_a_bound_the_capacity_doubles() -> None:
    segmenter = VideoSegmenter(build_small("aott"), static_memory=True, long_term_gap=1)
    sizes = []
    for t, frame in enumerate(moving_frames(CAPACITY + 2)):
        segmenter.step(frame, squares(1) if t == 0 else None)
        sizes.append(segmenter.memory_bytes)
    assert sizes[: CAPACITY + 1] == [sizes[0]] * CAPACITY + [2 * sizes[0]]


SMALLEST = {"xmem": XMEM, "jointformer": JOINTFORMER}


@pytest.mark.parametrize(
    "model", mark_thorough(["aott", "deaott", "xmem", "jointformer"], ["aott", "xmem", "jointformer"])
)
def test_nothing_is_compiled_again_after_the_first_frames(model: str) -> None:
    """300 frames; more objects than a group holds are added at 50 and deleted at 100 (a JointFormer is slow: two)."""
    added = range(3, 5 if model == "jointformer" else 21)
    policy = EveryNthFrame(5, 4)
    network = build_small(model, **SMALLEST.get(model, {"embed_dim": 16}))
    segmenter = VideoSegmenter(network, static_memory=True, policy=policy, short_edge=33)
    calls = segmenter._engines[0].network_calls
    compile_calls(segmenter._network, calls, "eager")  # guards and graphs as of any backend
    torch._dynamo.reset()
    counters = torch._dynamo.utils.counters
    counters.clear()
    frames = moving_frames(300)
    segmenter.step(frames[0], squares(1, 2))
    for frame in frames[1:4]:
        segmenter.step(frame)
    compiled = counters["stats"]["unique_graphs"]
    assert compiled == len(calls)  # each whole
    assert not counters["graph_break"]
    with torch._dynamo.config.patch(error_on_recompile=True):
        for t, frame in enumerate(frames[4:], 4):
            if t == 100:
                segmenter.delete_objects(added)
            ids = segmenter.step(frame, squares(0, 0, *added) if t == 50 else None)
            assert ids.shape == (H, W)
    assert counters["stats"]["unique_graphs"] == compiled


def test_compiling_makes_the_memory_static_if_the_model_can() -> None:
    def engine(model: str, fields: dict[str, Any] | None = None, **options: Any) -> type:
        return type(VideoSegmenter(build_small(model, **(fields or {})), compile=True, **options)._engines[0])

    assert engine("aott") is StaticAOTEngine
    assert engine("aott", static_memory=False) is not StaticAOTEngine
    assert engine("aott", {"enable_long_term": True}) is not StaticAOTEngine
    assert engine("aost", target_fps=10) is not StaticAOTEngine
    assert engine("xmem", XMEM) is StaticXMemEngine
    assert engine("xmem", {**XMEM, "enable_long_term": True}) is not StaticXMemEngine
    assert engine("jointformer", JOINTFORMER) is StaticJointFormerEngine


def test_says_why_memory_cannot_be_static() -> None:
    with pytest.raises(ValueError, match="enable_long_term=False"):
        VideoSegmenter(build_small("aott", enable_long_term=True), static_memory=True)
    with pytest.raises(ValueError, match="enable_long_term=False"):
        VideoSegmenter(build_small("xmem", **{**XMEM, "enable_long_term": True}), static_memory=True)
    with pytest.raises(ValueError, match="target_fps changes the depth"):
        VideoSegmenter(build_small("aost"), static_memory=True, target_fps=10)
    segmenter = VideoSegmenter(build_small("aost"), static_memory=True)
    with pytest.raises(ValueError, match="depth=N"):
        segmenter.set_depth(1)
    assert segmenter.depth == 3
