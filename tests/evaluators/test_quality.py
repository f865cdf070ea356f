"""``VideoSegmenter.quality``: the network's own estimate of each object's mask in the last frame."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from moving_clip import moving_frames, squares
from thorough import mark_thorough

from voskit.evaluators import VideoSegmenter
from voskit.evaluators.segmenter_state import restore_state, segmenter_state
from voskit.networks import build_model

FRAMES = moving_frames(5)


def segmenter_of(name: str, **options: object) -> VideoSegmenter:
    torch.manual_seed(0)
    return VideoSegmenter(build_model(name, device="cpu"), **options)


@pytest.mark.parametrize(
    ("name", "options"),
    mark_thorough(
        [
            ("aott", {}),
            ("deaott", {"flip": True, "scales": (1.0, 1.3)}),
            ("aost", {}),
            ("xmem", {"short_edge": 64, "flip": True}),
            ("jointformer", {"short_edge": 64}),
        ],
        [("jointformer", {"short_edge": 64})],
    ),
)
def test_every_family_has_a_quality_for_each_object(name: str, options: dict[str, object]) -> None:
    segmenter = segmenter_of(name, **options)
    assert segmenter.quality == {}
    segmenter.step(FRAMES[0])
    assert segmenter.quality == {}
    ids = segmenter.step(FRAMES[0], squares(3, 300))
    given = segmenter.quality
    assert list(given) == [3, 300]
    assert all(q.present and q.area == (ids == i).sum() and q.confidence > 0.9 for i, q in given.items())
    ids, probs = segmenter.step(FRAMES[1], return_probs=True)
    for row, (object_id, q) in enumerate(segmenter.quality.items(), 1):
        assert q.area == (ids == object_id).sum()
        assert q.present == (q.area > 0)
        assert q.change == pytest.approx(q.area / given[object_id].area - 1)
        assert 0 <= q.margin <= 1 and 0 <= q.unsure <= 1
        assert 0 < q.confidence <= 1
        if not q.present and not options.get("flip"):
            assert q.confidence == pytest.approx(probs[row].max().item(), abs=0.1)
    segmenter.reset()
    assert segmenter.quality == {}


def test_it_is_that_of_the_last_frame_whether_it_was_read_before_or_not() -> None:
    often, once = segmenter_of("aott"), segmenter_of("aott")
    for t, frame in enumerate(FRAMES):
        for segmenter in (often, once):
            segmenter.step(frame, squares(1, 2) if t == 0 else None)
        _ = often.quality
    assert often.quality == once.quality == once.quality


def test_a_deleted_object_has_no_quality_in_the_next_frame() -> None:
    segmenter = segmenter_of("aott")
    segmenter.step(FRAMES[0], squares(1, 2))
    segmenter.delete_objects(1)
    assert list(segmenter.quality) == [1, 2]
    segmenter.step(FRAMES[1])
    assert list(segmenter.quality) == [2]
    assert segmenter.another().quality == {}


def test_given_objects_are_certain_and_the_others_are_not() -> None:
    segmenter = segmenter_of("aott")
    segmenter.step(FRAMES[0], squares(1, 2))
    mask = np.zeros_like(squares(1))
    mask[40:50, 40:50] = 3
    segmenter.step(FRAMES[1], mask)
    assert segmenter.quality[3].confidence == 1
    assert segmenter.quality[1].confidence < 1


def test_more_objects_than_a_bank_holds_each_have_their_own() -> None:
    segmenter = segmenter_of("aott")
    ids = segmenter.step(FRAMES[0], squares(*range(1, 14)))
    assert all(q.area == 81 and q.confidence == 1 for q in segmenter.quality.values())
    ids = segmenter.step(FRAMES[1])
    assert {i: q.area for i, q in segmenter.quality.items()} == {i: (ids == i).sum() for i in range(1, 14)}


def test_a_resumed_video_has_equal_quality() -> None:
    undisturbed, resumed = segmenter_of("aott"), segmenter_of("aott")
    undisturbed.step(FRAMES[0], squares(1, 2))
    undisturbed.step(FRAMES[1])
    file = io.BytesIO()
    torch.save(segmenter_state(undisturbed), file)
    file.seek(0)
    restore_state(resumed, torch.load(file, weights_only=True))
    for segmenter in (undisturbed, resumed):
        segmenter.step(FRAMES[2])
    assert resumed.quality == undisturbed.quality
