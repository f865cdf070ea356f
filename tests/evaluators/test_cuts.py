"""Scene cuts: found in frames or listed, and the short-term memory that is dropped at them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from small_models import build_small

from voskit.evaluators import VideoSegmenter
from voskit.evaluators.cuts import CutDetector, read_cuts
from voskit.evaluators.segmenter_state import restore_state, segmenter_state
from voskit.networks.memory.informed import Gated

H, W = 96, 128


def shot(seed: int, count: int, speed: int = 2) -> list[np.ndarray]:
    """Frames of a smooth colored texture that moves."""
    rng = np.random.default_rng(seed)
    tint = rng.integers(0, 200, 3)
    small = (rng.integers(0, 56, (12, 16, 3)) + tint).astype(np.uint8)
    texture = cv2.resize(small, (W + speed * count, H), interpolation=cv2.INTER_CUBIC)
    return [np.ascontiguousarray(texture[:, speed * t : speed * t + W]) for t in range(count)]


def found(frames: list[np.ndarray]) -> list[int]:
    detector = CutDetector()
    return [t for t, frame in enumerate(frames) if detector.starts_shot(frame)]


def test_cuts_between_shots_are_found_and_motion_is_not_a_cut() -> None:
    frames = [*shot(0, 12), *shot(1, 8), *shot(0, 6)]
    assert found(frames) == [12, 20]
    assert found(shot(2, 20, speed=9)) == []


def test_plain_frames_of_one_color_are_a_shot() -> None:
    black, white = np.zeros((H, W, 3), np.uint8), np.full((H, W, 3), 255, np.uint8)
    assert found([black] * 5 + [white] * 5) == [5]


def test_a_list_of_cuts_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cuts.txt"
    path.write_text("12  # the goal\n\n40\n")
    assert read_cuts(path) == {12, 40}
    path.write_text("12\n00:13\n")
    with pytest.raises(ValueError, match=r"cuts\.txt:2: '00:13' is not a frame number: give one number per line"):
        read_cuts(path)


def square(top: int, left: int) -> np.ndarray:
    mask = np.zeros((H, W), np.uint8)
    mask[top : top + 24, left : left + 24] = 1
    return mask


def segmenter_of(name: str, **options: Any) -> VideoSegmenter:
    torch.manual_seed(0)
    return VideoSegmenter(build_small(name), **options)


@pytest.mark.parametrize("cuts", ["auto", (6,)])
@pytest.mark.parametrize("name", ["aott", "deaott", "aost"])
def test_the_stored_frame_most_like_the_new_shot_becomes_the_short_term_memory(name: str, cuts: Any) -> None:
    segmenter = segmenter_of(name, long_term_gap=2, cuts=cuts)
    frames = [*shot(0, 6), *shot(1, 2)]
    for t, frame in enumerate(frames[:6]):
        segmenter.step(frame, square(8, 8) if t == 0 else None)
    engine: Any = segmenter._engines[0]
    bank, used = engine._banks[0], []
    memories = engine._memories

    def recorded(features: Any) -> Any:
        long_term, short_term = memories(features)
        used.append(short_term[0].value.clone())
        return long_term, short_term

    engine._memories = recorded
    stored = {t: bank.memory_of(t)[0].value.clone() for t in bank.frame_numbers}
    before = engine._short_term[0][0].value.clone()
    segmenter.step(frames[6])
    assert segmenter.cuts_found == [6]
    assert torch.equal(used[0], before)
    assert any(torch.equal(used[1], value) for value in stored.values())
    segmenter.step(frames[7])
    assert len(used) == 3  # a frame after the cut is predicted once


def test_a_cut_in_xmem_resets_the_sensory_memory() -> None:
    segmenter = segmenter_of("xmem", short_edge=64, cuts=(2,))
    for t, frame in enumerate(shot(0, 2)):
        segmenter.step(frame, square(8, 8) if t == 0 else None)
    engine: Any = segmenter._engines[0]
    assert engine._sensory.state.any()
    engine.cut()
    assert not engine._sensory.state.any()


def test_a_cut_in_jointformer_drops_the_latest_frame() -> None:
    segmenter = segmenter_of("jointformer", short_edge=64, long_term_gap=4, cuts=(3,))
    for t, frame in enumerate(shot(0, 3)):
        segmenter.step(frame, square(8, 8) if t == 0 else None)
    bank = segmenter._engines[0]._cohorts[0].bank  # type: ignore[attr-defined]
    assert [(f.frame, f.passing) for f in bank.frames] == [(0, False), (2, True)]
    with torch.inference_mode():
        segmenter._engines[0].cut()
    assert [f.frame for f in bank.frames] == [0]


def test_without_cuts_and_in_one_shot_results_are_equal() -> None:
    frames = shot(0, 6)
    plain, watching = segmenter_of("aott"), segmenter_of("aott", cuts="auto")
    for t, frame in enumerate(frames):
        masks = [s.step(frame, square(8, 8) if t == 0 else None, return_probs=True)[1] for s in (plain, watching)]
        assert torch.equal(*masks)
    assert plain.cuts_found == watching.cuts_found == []


def test_objects_of_several_groups_and_start_frames_survive_a_cut() -> None:
    torch.manual_seed(0)
    segmenter = VideoSegmenter(build_small("aott", max_objects=1), long_term_gap=1, cuts=(4,))
    for t, frame in enumerate([*shot(0, 4), *shot(1, 2)]):
        later = np.where(square(60, 60) > 0, 2, 0)
        segmenter.step(frame, {0: square(8, 8), 2: later}.get(t))
    assert segmenter.object_ids == [1, 2]
    assert segmenter.cuts_found == [4]


def test_the_cut_detector_is_resumed() -> None:
    frames = [*shot(0, 6), *shot(1, 3)]
    undisturbed, resumed = segmenter_of("aott", cuts="auto"), segmenter_of("aott", cuts="auto")
    for t, frame in enumerate(frames[:6]):
        undisturbed.step(frame, square(8, 8) if t == 0 else None)
    file = io.BytesIO()
    torch.save(segmenter_state(undisturbed), file)
    file.seek(0)
    restore_state(resumed, torch.load(file, weights_only=True))
    for frame in frames[6:]:
        assert np.array_equal(undisturbed.step(frame), resumed.step(frame))
    assert resumed.cuts_found == undisturbed.cuts_found == [6]
    resumed.reset()
    assert resumed.cuts_found == []


@pytest.mark.parametrize("cuts", ["always", ["2"], [-1], [2.5], 3])
def test_unknown_kinds_of_cuts_are_refused(cuts: Any) -> None:
    with pytest.raises(ValueError, match="cuts must be 'auto', a collection of frame numbers from 0 on, or None, got"):
        segmenter_of("aott", cuts=cuts)


def test_a_policy_may_be_a_name() -> None:
    assert segmenter_of("aott", policy="gated:gap=2").policy == Gated(2)
    with pytest.raises(ValueError, match="did you mean gated"):
        segmenter_of("aott", policy="gatd")


@pytest.mark.parametrize("scales", [1.0, ["a"], (), (0,)])
def test_scales_are_positive_numbers(scales: Any) -> None:
    with pytest.raises(ValueError, match="scales must be one or more positive numbers"):
        segmenter_of("aott", scales=scales)
