"""Presence of objects: a test with hysteresis."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from moving_clip import moving_frames, squares
from small_models import build_small
from thorough import mark_thorough

from voskit.configs import PropagationConfig
from voskit.evaluators import VideoSegmenter
from voskit.networks.engines import Prediction
from voskit.networks.engines.quality import ObjectQuality
from voskit.networks.engines.quality.presence import Presence


def quality(**confidences: float) -> dict[int, ObjectQuality]:
    return {int(k[1:]): ObjectQuality(100, c, c, True) for k, c in confidences.items()}


def test_an_object_is_absent_only_after_consecutive_unsure_frames() -> None:
    presence = Presence(3, 0.4, 0.6)
    runs = [0.9, 0.3, 0.3, 0.5, 0.3, 0.3, 0.3, 0.3]
    assert [bool(presence.update(quality(o1=c))) for c in runs] == [False] * 6 + [True, True]


def test_it_comes_back_only_after_consecutive_sure_frames() -> None:
    presence = Presence(2, 0.4, 0.6)
    runs = [0.1, 0.1, 0.7, 0.5, 0.7, 0.7, 0.5]
    assert [bool(presence.update(quality(o1=c))) for c in runs] == [False, True, True, True, True, False, False]


def test_a_given_mask_makes_it_present_and_objects_are_judged_one_by_one() -> None:
    presence = Presence(1, 0.4, 0.6)
    assert presence.update(quality(o1=0.1, o2=0.9)) == {1}
    presence.give([0, 1])
    assert presence.update(quality(o1=0.5, o2=0.1)) == {2}
    assert presence.update(quality(o1=0.5)) == set()


@pytest.mark.parametrize("groups", [1, 2])
def test_a_prediction_without_an_object_gives_its_pixels_to_others(groups: int) -> None:
    logits = torch.randn(groups, 3, 9, 13, generator=torch.Generator().manual_seed(0))
    slots = [1, 2, 3, 4][: 2 * groups]
    whole = Prediction(logits, slots, (9, 13), True)
    part = whole.without([slots[-1]])
    assert part.probabilities()[-1].max() < 1e-4
    assert slots[-1] not in part.argmax()
    assert slots[-1] in whole.argmax()
    assert torch.allclose(part.probabilities().sum(0), torch.ones(9, 13))


@pytest.mark.parametrize(
    ("name", "options"),
    mark_thorough(
        [("aott", {}), ("xmem", {"short_edge": 64}), ("jointformer", {"short_edge": 64})],
        [("jointformer", {"short_edge": 64})],
    ),
)
def test_an_absent_object_gives_no_mask_and_a_given_mask_brings_it_back(
    monkeypatch: pytest.MonkeyPatch, name: str, options: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(PropagationConfig, "presence_confidences", (1.1, 1.2))
    segmenter = VideoSegmenter(build_small(name), presence_frames=2, **options)
    frames = moving_frames(4)
    segmenter.step(frames[0], squares(3, 7))
    segmenter.step(frames[1])
    assert not np.isin(segmenter.step(frames[2]), (3, 7)).any()
    assert not any(q.present for q in segmenter.quality.values())
    ids = segmenter.step(frames[3], squares(3))
    assert (ids == 3).any() and not (ids == 7).any()
