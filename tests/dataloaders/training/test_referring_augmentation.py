"""Augmentation of training clips with text prompts: sizes, crops and colors."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from voskit.dataloaders.training.referring.augment import (
    SHORT_SIDES,
    augment_clip,
    crop_clip,
    distort_colors,
    resize_clip,
    resized_size,
)


@pytest.mark.parametrize(
    ("size", "short", "expected"),
    [
        ((480, 640), 288, (288, 384)),
        ((640, 480), 288, (384, 288)),
        ((720, 1280), 512, (360, 640)),
        ((1280, 720), 352, (625, 352)),
        ((333, 500), 288, (288, 432)),
        ((100, 100), 512, (512, 512)),
        ((1, 2000), 288, (1, 2000)),
    ],
)
def test_the_short_side_sets_the_size_unless_the_long_one_exceeds_its_limit(
    size: tuple[int, int], short: int, expected: tuple[int, int]
) -> None:
    assert resized_size(size, short, 640) == expected


def test_all_short_sides_come_and_long_ones_are_limited() -> None:
    """The frames are nearly square, so that the limit affects none of them."""
    frame, mask = np.zeros((50, 55, 3), np.uint8), np.ones((50, 55), bool)
    sizes = []
    for seed in range(80):
        _, masks, _ = augment_clip([frame] * 2, [mask] * 2, "it", np.random.default_rng(seed))
        assert masks[0].shape == masks[1].shape
        sizes.append(masks[0].shape)
    assert {min(size) for size in sizes} >= set(SHORT_SIDES)
    assert max(max(size) for size in sizes) <= 641  # rounding the short side may add a pixel to the long one


def test_crops_are_384_to_600_pixels_a_side_and_the_same_for_all_frames() -> None:
    rng = np.random.default_rng(0)
    ramp = np.add.outer(np.arange(700), np.arange(500)).astype(np.uint8)
    frames, masks = [np.repeat(ramp[..., None], 3, 2)] * 2, [ramp > 100] * 2
    shapes = set()
    for _ in range(100):
        cut, regions = crop_clip(frames, masks, rng)
        assert np.array_equal(cut[0], cut[1])
        assert np.array_equal(cut[0][..., 0] > 100, regions[0])
        shapes.add(regions[0].shape)
    heights, widths = zip(*shapes, strict=True)
    assert 384 <= min(heights) < 400 < 580 < max(heights) <= 600
    assert 384 <= min(widths) < 400 < 480 < max(widths) <= 500
    small = [mask[:100, :90] for mask in masks]
    assert crop_clip([frame[:100, :90] for frame in frames], small, rng)[1][0].shape == (100, 90)


def test_masks_are_resized_by_nearest_neighbor_and_frames_smoothly() -> None:
    frame = np.zeros((4, 4, 3), np.uint8)
    frame[:, 2:] = 200
    mask = np.zeros((4, 4), bool)
    mask[:, 2:] = True
    (large,), (region,) = resize_clip([frame], [mask], 8)
    assert region.dtype == bool
    assert np.array_equal(region, np.repeat(np.repeat(mask, 2, 0), 2, 1))
    assert 0 < large[0, 3, 0] < large[0, 4, 0] < 200


def test_colors_are_distorted_independently_in_each_frame() -> None:
    rng = np.random.default_rng(0)
    gray = np.full((2, 2, 3), 100, np.uint8)  # saturation, hue and the order of channels don't change it
    values = []
    for _ in range(400):
        distorted = distort_colors(gray, rng)
        assert distorted.dtype == np.uint8
        assert np.ptp(distorted.astype(int)) <= 1
        values.append(int(distorted[0, 0, 0]))
    assert 0.15 < np.mean(np.array(values) == 100) < 0.35  # neither brightness nor contrast
    assert 34 <= min(values) < 60
    assert 170 < max(values) <= 198
    before = np.broadcast_to(np.array((200, 120, 60), np.uint8), (2, 2, 3)).copy()
    copy = before.copy()
    orders = Counter(tuple(np.argsort(distort_colors(before, rng)[0, 0])) for _ in range(400))
    assert len(orders) == 6
    assert 0.45 < orders[(2, 1, 0)] / 400 < 0.75  # half of the frames, and a sixth of the others
    assert np.array_equal(before, copy)


class OnlyHue(np.random.Generator):
    """Random numbers that choose a change of hue alone, by a fixed angle."""

    def __init__(self, turn: float) -> None:
        super().__init__(np.random.PCG64(0))
        self.turn, self.draws = turn, iter((1.0, 1.0, 1.0, 0.0, 1.0))

    def random(self, *_: Any) -> Any:
        return next(self.draws)

    def uniform(self, low: Any = 0, high: Any = 1, *_: Any) -> Any:
        assert (low, high) == (-18, 18)
        return self.turn


def test_hue_turns_by_18_degrees_of_the_full_circle() -> None:
    """RGB is taken for BGR, so a negative angle turns red towards yellow."""
    colors = np.array([[(200, 0, 0), (0, 200, 0), (0, 0, 200), (120, 120, 120), (100, 100, 110)]], np.uint8)
    turned = {turn: distort_colors(colors, OnlyHue(turn))[0].tolist() for turn in (-18, 18)}
    assert turned[-18] == [[200, 60, 0], [0, 200, 60], [60, 0, 200], [120] * 3, [103, 100, 110]]
    assert turned[18] == [[200, 0, 60], [60, 200, 0], [0, 60, 200], [120] * 3, [100, 103, 110]]
