"""Fusion of both directions between two given masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from moving_clip import H, W, moving_frames, squares
from PIL import Image
from small_models import build_small

from voskit.dataloaders.video.frames import open_frames
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.fusion import Direction, direction_weights, fuse, fused_ids, propagate_between
from voskit.networks.engines.quality import ObjectQuality


def probabilities(*objects: float) -> torch.Tensor:
    """Background and objects at two pixels, [K + 1, 1, 2]."""
    rows = torch.tensor([1 - sum(objects), *objects])
    return rows[:, None, None].expand(-1, 1, 2)


def sure(confidence: float, present: bool = True) -> ObjectQuality:
    return ObjectQuality(int(present), confidence, confidence, present)


def test_equal_weights_give_the_mean_and_the_sum_stays_one() -> None:
    fused = fuse(probabilities(0.8, 0.1), probabilities(0.2, 0.3), ([1, 1], [1, 1]))
    assert fused[:, 0, 0].tolist() == pytest.approx([0.3, 0.5, 0.2])


def test_weights_are_per_object_and_only_their_ratio_counts() -> None:
    fused = fuse(probabilities(0.8, 0.1), probabilities(0.2, 0.3), ([3.0, 0.1], [1.0, 0.1]))
    raw = [0.625 * 0.1 + 0.375 * 0.5, 0.65, 0.2]
    assert fused[:, 0, 0].tolist() == pytest.approx([x / sum(raw) for x in raw])


def test_other_objects_are_refused() -> None:
    with pytest.raises(ValueError, match="both directions need the same objects and a weight for each"):
        fuse(probabilities(0.8), probabilities(0.2, 0.3), ([1], [1]))
    with pytest.raises(ValueError, match="both directions need the same objects"):
        fuse(probabilities(0.8), probabilities(0.2), ([1, 1], [1]))


def test_nearness_and_confidence_decide_and_a_lost_object_is_found_by_the_other_direction() -> None:
    forward, backward = direction_weights(
        [1, 2], (0.25, 0.75), ({1: sure(0.8), 2: sure(0.9, False)}, {1: sure(0.4), 2: sure(0.5)})
    )
    assert forward == pytest.approx([0.2, 0.25e-3])
    assert backward == pytest.approx([0.3, 0.375])


def test_objects_unknown_to_one_direction_come_from_the_other() -> None:
    forward = Direction([300], probabilities(0.6), {300: sure(0.9)})
    backward = Direction([7, 300], probabilities(0.9, 0.05), {7: sure(0.9), 300: sure(0.9)})
    assert fused_ids(forward, backward, (0.5, 0.5)).tolist() == [[7, 7]]
    assert fused_ids(forward, backward, (0.5, 0.5)).dtype == np.uint16


def test_a_direction_is_stored_in_steps_of_a_255th(tmp_path: Path) -> None:
    stored = Direction([3, 300], torch.rand(3, 8, 9).softmax(0), {3: sure(0.9), 300: sure(0.2, False)})
    stored.save(tmp_path / "a.npz")
    read = Direction.load(tmp_path / "a.npz", torch.device("cpu"))
    assert (read.ids, read.quality) == (stored.ids, stored.quality)
    assert (read.probabilities - stored.probabilities).abs().max() <= 0.5 / 255 + 1e-6


@pytest.fixture
def clip(tmp_path: Path) -> str:
    folder = tmp_path / "clip"
    folder.mkdir()
    for t, frame in enumerate(moving_frames(7)):
        Image.fromarray(frame).save(folder / f"{t:05d}.png")
    return str(folder)


def test_frames_between_two_masks_come_from_both_directions(clip: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    segmenter = VideoSegmenter(build_small("aott"))
    with open_frames(clip) as source:
        found = list(propagate_between(segmenter, source, (squares(3, 7), squares(3, 7)), (1, 5), tmp_path / "scratch"))
    assert [frame.index for frame, _ in found] == [2, 3, 4]
    assert all(ids.shape == (H, W) and set(np.unique(ids)) <= {0, 3, 7} for _, ids in found)
    assert not (tmp_path / "scratch").exists()
    assert segmenter.object_ids == []


def test_a_still_clip_with_equal_masks_is_symmetric(tmp_path: Path) -> None:
    folder = tmp_path / "still"
    folder.mkdir()
    for t in range(5):
        Image.fromarray(moving_frames(1)[0]).save(folder / f"{t:05d}.png")
    torch.manual_seed(0)
    segmenter = VideoSegmenter(build_small("aott"))
    with open_frames(str(folder)) as source:
        masks = (squares(1, 2), squares(1, 2))
        found = [ids for _, ids in propagate_between(segmenter, source, masks, (0, 4), tmp_path / "scratch")]
    assert (found[0] != found[2]).mean() < 0.01


def test_the_backward_pass_can_be_ended(clip: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    segmenter = VideoSegmenter(build_small("aott"))
    with open_frames(clip) as source:
        masks = (squares(3), squares(3))
        assert not list(propagate_between(segmenter, source, masks, (0, 6), tmp_path / "scratch", lambda: False))
    assert not (tmp_path / "scratch").exists()
