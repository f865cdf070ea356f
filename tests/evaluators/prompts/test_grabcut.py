"""GrabCut from a box, points and the present mask, on pictures whose objects are known."""

from __future__ import annotations

import time
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from voskit.evaluators.prompts.base import build_prompter

RED, BLUE = (170, 60, 50), (50, 70, 160)


def picture(height: int = 120, width: int = 160, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A textured picture with a disk on the left, and one on the right: image, and the mask of each disk."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), (90, 140, 80), np.uint8)
    masks = []
    for x, color in ((width // 4, RED), (3 * width // 4, BLUE)):
        mask = cv2.circle(np.zeros((height, width), np.uint8), (x, height // 2), height // 5, 1, -1) > 0
        image[mask] = color
        masks.append(mask)
    noise = rng.normal(0, 12, image.shape)
    return (image + noise).clip(0, 255).astype(np.uint8), masks[0], masks[1]


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return x, y, x + width, y + height


def test_a_box_gives_the_object_in_it() -> None:
    image, left, right = picture()
    for mask in (left, right):
        found = build_prompter("grabcut").segment(image, box=box_of(mask))
        assert found.dtype == bool and found.shape == mask.shape
        assert iou(found, mask) > 0.95


def test_corners_of_a_box_come_in_any_order_and_may_lie_outside_the_frame() -> None:
    image, left, _ = picture()
    prompter = build_prompter("grabcut")
    x0, y0, x1, y1 = box_of(left)
    expected = prompter.segment(image, box=(x0, y0, x1, y1))
    assert np.array_equal(prompter.segment(image, box=(x1, y0, x0, y1)), expected)
    assert iou(prompter.segment(image, box=(-30, -30, 78, 500)), left) > 0.9


def test_a_click_gives_the_object_below_it() -> None:
    image, left, right = picture()
    for mask, x in ((left, 40), (right, 120)):
        assert iou(build_prompter("grabcut").segment(image, points=[(x, 60, True)]), mask) > 0.95


def test_a_negative_click_takes_an_object_out_of_a_box() -> None:
    image, left, right = picture()
    box = (10, 30, 150, 90)
    both = build_prompter("grabcut").segment(image, box=box)
    assert iou(both, left | right) > 0.9
    found = build_prompter("grabcut").segment(image, box=box, points=[(40, 60, True), (120, 60, False)])
    assert iou(found, left) > 0.9


def test_points_change_a_mask_only_in_the_part_that_they_contradict() -> None:
    image, left, right = picture()
    painted = left.copy()
    painted[:8, :8] = True  # by the user, far from the points
    grown = build_prompter("grabcut").segment(image, points=[(120, 60, True)], mask=painted)
    assert np.array_equal(grown[:, :80], painted[:, :80])
    assert iou(grown[:, 80:], right[:, 80:]) > 0.95
    shrunk = build_prompter("grabcut").segment(image, points=[(120, 60, False)], mask=painted | right)
    assert np.array_equal(shrunk[:, :80], painted[:, :80])
    assert shrunk[:, 80:].sum() < 0.05 * right.sum()


def test_points_that_agree_with_a_mask_leave_it_unchanged() -> None:
    image, left, _ = picture()
    points = [(40, 60, True), (120, 60, False)]
    assert np.array_equal(build_prompter("grabcut").segment(image, points=points, mask=left), left)


def test_a_box_cuts_a_mask() -> None:
    image, left, right = picture()
    found = build_prompter("grabcut").segment(image, box=(0, 0, 80, 120), mask=left | right)
    assert np.array_equal(found, left)


def test_equal_prompts_give_equal_masks() -> None:
    image, left, _ = picture()
    masks = [build_prompter("grabcut").segment(image, box=box_of(left)) for _ in range(3)]
    cv2.setRNGSeed(5)
    assert all(np.array_equal(mask, masks[0]) for mask in masks)


def test_a_large_frame_takes_as_long_as_a_crop_of_it(record_property: Callable[[str, object], None]) -> None:
    image, left, _ = picture(2160, 3840)
    start = time.perf_counter()
    found = build_prompter("grabcut").segment(image, box=box_of(left))
    record_property("seconds", round(time.perf_counter() - start, 3))
    assert iou(found, left) > 0.97


@pytest.mark.parametrize("color", [0, 128, 255])
def test_a_frame_of_one_color_gives_a_mask_and_no_error(color: int) -> None:
    image = np.full((40, 50, 3), color, np.uint8)
    for prompt in (
        {"box": (10, 10, 30, 30)},
        {"points": [(20, 20, True)]},
        {"points": [(20, 20, True), (30, 20, False)]},
    ):
        found = build_prompter("grabcut").segment(image, **prompt)
        assert found.shape == (40, 50)


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (3, 3)])
def test_frames_of_any_size(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8)
    assert build_prompter("grabcut").segment(image, points=[(0, 0, True)]).shape == shape
    assert build_prompter("grabcut").segment(image, box=(0, 0, shape[1], shape[0])).shape == shape


@pytest.mark.parametrize("options", ["pixels=400", "pixels=1000000,iterations=1", "margin=0"])
def test_options(options: str) -> None:
    image, left, _ = picture()
    assert iou(build_prompter(f"grabcut:{options}").segment(image, box=box_of(left)), left) > 0.7
