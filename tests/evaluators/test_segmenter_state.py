"""State of a video between two frames: stored without code, and continued with equal masks."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from moving_clip import moving_frames, squares
from small_models import SMALL
from thorough import mark_thorough

from voskit.evaluators import VideoSegmenter
from voskit.evaluators.segmenter_state import restore_state, segmenter_state
from voskit.networks import build_model
from voskit.networks.memory.policies import EveryNthFrame

LONG_TERM = {"enable_long_term": True, "max_mid_term_frames": 4, "min_mid_term_frames": 2, "num_prototypes": 20}
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "aott": ("aott", {}, {"long_term_gap": 2}),
    "deaott with a bound and flip": ("deaott", {}, {"long_term_gap": 1, "max_memory_frames": 2, "flip": True}),
    "two groups of objects": ("aott", {"max_objects": 1}, {"long_term_gap": 2}),
    "a policy": ("aott", {}, {"policy": EveryNthFrame(2, 3)}),
    "a short-term memory of two frames": ("aott", {}, {"short_term_skip": 2}),
    "prototypes in layers": ("aott", LONG_TERM, {"long_term_gap": 1}),
    "aost": ("aost", SMALL, {"long_term_gap": 2}),
    "xmem": ("xmem", {**LONG_TERM, "mem_every": 1}, {"short_edge": 64}),
    "jointformer": ("jointformer", {"mem_every": 2}, {"short_edge": 64}),
}


def stored(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("name", mark_thorough(CASES, ["jointformer", "xmem"]))
def test_a_restored_segmenter_continues_with_equal_probabilities(name: str) -> None:
    model_name, fields, options = CASES[name]
    torch.manual_seed(0)
    model = build_model(model_name, device="cpu", **fields)
    frames, masks = moving_frames(9), {0: squares(3, 300), 3: squares(7)}

    def run(segmenter: VideoSegmenter, numbers: range) -> list[torch.Tensor]:
        out = []
        for t in numbers:
            if name == "aost" and t in (2, 6):  # deeper layers skip frames, so their memories differ
                segmenter.set_depth(1 if t == 2 else segmenter.config.depths[-1])
            out.append(segmenter.step(frames[t], masks.get(t), return_probs=True)[1])
        return out

    undisturbed = VideoSegmenter(model, **options)
    run(undisturbed, range(5))
    state = stored(segmenter_state(undisturbed))
    expected = run(undisturbed, range(5, 9))
    resumed = VideoSegmenter(model, **options)
    run(resumed, range(2))  # another video, which the state replaces
    restore_state(resumed, state)
    assert resumed.object_ids == undisturbed.object_ids
    for own, other in zip(run(resumed, range(5, 9)), expected, strict=True):
        assert torch.equal(own, other)
    assert resumed.memory_frames == undisturbed.memory_frames
    assert resumed.memory_bytes == undisturbed.memory_bytes


def test_the_state_before_the_first_mask_equals_that_of_a_new_video() -> None:
    torch.manual_seed(0)
    segmenter = VideoSegmenter(build_model("aott", device="cpu"))
    frame = moving_frames(1)[0]
    segmenter.step(frame)
    state = stored(segmenter_state(segmenter))
    segmenter.reset()
    restore_state(segmenter, state)
    assert not segmenter.step(frame).any()
    with pytest.raises(ValueError, match="earlier frames of the video"):
        segmenter.step(frame[1:])


def test_255_is_read_as_before() -> None:
    segmenter = VideoSegmenter(build_model("aott", device="cpu"))
    frames = moving_frames(2)
    segmenter.step(frames[0], 255 * squares(1))
    state = stored(segmenter_state(segmenter))
    segmenter.reset()
    restore_state(segmenter, state)
    mask = squares(1, 2)
    mask[mask == 1] = 255
    with pytest.raises(ValueError, match="255 next to other values"):
        segmenter.step(frames[1], mask)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s["engines"].append(s["engines"][0]), "the state has 2 views, the segmenter 1"),
        (lambda s: s["engines"][0]["_objects"].update({"class": "os:system"}), "unknown class os:system"),
        (lambda s: s["engines"][0]["_objects"].update({"class": "voskit.absent:X"}), "unknown class voskit.absent:X"),
        (lambda s: s["engines"][0]["network"].update(path=["net"]), "the state has net, which a AOTEngine doesn't"),
    ],
)
def test_states_of_other_engines_and_code_are_refused(change, message: str) -> None:
    torch.manual_seed(0)
    segmenter = VideoSegmenter(build_model("aott", device="cpu"))
    segmenter.step(moving_frames(1)[0], squares(3))
    state = segmenter_state(segmenter)
    change(state)
    with pytest.raises(ValueError, match=message):
        restore_state(segmenter, state)
    assert segmenter.object_ids == [3]


class OpenFile(EveryNthFrame):
    """A policy of a user's module that holds a file."""

    def __init__(self) -> None:
        super().__init__(2)
        object.__setattr__(self, "file", io.BytesIO())


def test_state_that_cannot_be_stored_is_named() -> None:
    segmenter = VideoSegmenter(build_model("aott", device="cpu"), policy=OpenFile())
    with pytest.raises(ValueError, match=r"_policy\.file: a BytesIO can't be stored"):
        segmenter_state(segmenter)
    assert np.array_equal(segmenter.step(moving_frames(1)[0], squares(3)), squares(3))
