"""Boundaries, discs, J and F compared with the DAVIS tool, and fast versions compared with plain ones."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from voskit.evaluators.metrics.measures.bit_planes import boundaries, count, dilate, disc, pack_ids, tolerance
from voskit.evaluators.metrics.measures.jaccard_boundary import (
    all_pairs,
    boundary_of_planes,
    region_of_planes,
)


@pytest.fixture(scope="module")
def expected(goldens: Path) -> dict:
    return json.loads((goldens / "boundary" / "expected.json").read_text())


def drawn(rows: list[str]) -> np.ndarray:
    return np.array([[pixel == "#" for pixel in row] for row in rows])


def region_similarity(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Return J of two H x W bool masks."""
    return float(region_of_planes(*(mask[None].view(np.uint8) for mask in (prediction, truth)))[0])


def boundary_accuracy(prediction: np.ndarray, truth: np.ndarray, radius: float | None = None) -> float:
    """Return F of two H x W bool masks; the default tolerance is that of DAVIS."""
    radius = math.ceil(tolerance(*truth.shape)) if radius is None else radius
    return float(boundary_of_planes(*(mask[None].view(np.uint8) for mask in (prediction, truth)), radius)[0])


def random_ids(seed: int, objects: int, shape: tuple[int, int] = (70, 110)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    ids = np.zeros(shape, np.uint8)
    for k in range(1, objects + 1):
        center = tuple(int(v) for v in rng.integers(0, (shape[1], shape[0])))
        cv2.ellipse(ids, center, tuple(int(v) for v in rng.integers(2, 25, 2)), 0, 0, 360, k, -1)
    ids[rng.random(shape) < 0.02] = 0
    return ids


@pytest.mark.parametrize("kind", ["plain", "compiled"])
def test_boundary_maps(expected: dict, kind: str) -> None:
    for name, case in expected["maps"].items():
        drawn_map = boundaries(drawn(case["mask"]).view(np.uint8), kind)
        golden = drawn(case["boundary" if kind == "plain" else "compiled"])
        assert np.array_equal(drawn_map.astype(bool), golden), name


def test_boundary_maps_of_images(goldens: Path) -> None:
    for file in sorted((goldens / "boundary").glob("*_gt.png")):
        mask = (np.asarray(Image.open(file)) != 0).view(np.uint8)
        golden = np.asarray(Image.open(file.with_name(f"{file.stem}_boundary.png"))) != 0
        assert np.array_equal(boundaries(mask).astype(bool), golden), file.name


def test_discs_of_integer_and_fractional_radius(expected: dict) -> None:
    for radius, rows in expected["disk"].items():
        assert np.array_equal(disc(float(radius)), drawn(rows)), radius


def test_tolerance_by_size(expected: dict) -> None:
    for case in expected["radius_by_size"]:
        assert math.ceil(tolerance(case["height"], case["width"])) == case["radius"]


def test_pairs_with_and_without_void(expected: dict) -> None:
    for case in expected["pairs"]:
        prediction, truth = (drawn(expected["maps"][case[side]]["mask"]) for side in ("pred", "gt"))
        if "void" in case:  # left out of both masks
            prediction, truth = (mask & ~drawn(case["void"]) for mask in (prediction, truth))
        assert region_similarity(prediction, truth) == pytest.approx(case["J"], abs=1e-12)
        f = boundary_accuracy(prediction, truth, radius=case["radius"])
        assert f == pytest.approx(case["F"], abs=1e-12), case


def test_images(goldens: Path, expected: dict) -> None:
    for name, case in expected["images"].items():
        masks = [np.asarray(Image.open(goldens / "boundary" / f"{name}_{side}.png")) != 0 for side in ("pred", "gt")]
        assert region_similarity(*masks) == pytest.approx(case["J"], abs=1e-12)
        assert boundary_accuracy(*masks) == pytest.approx(case["F"], abs=1e-12)


def test_both_empty_is_perfect_and_a_full_mask_has_no_boundary() -> None:
    empty, full = np.zeros((9, 12), bool), np.ones((9, 12), bool)
    assert region_similarity(empty, empty) == boundary_accuracy(empty, empty) == 1
    assert region_similarity(full, empty) == 0
    assert boundary_accuracy(full, empty) == 1


@pytest.mark.parametrize("radius", [1, 2, 8, 13, 1.4927, 2.6, 7.8368])
def test_dilation_is_opencvs(radius: float) -> None:
    ids = random_ids(3, 8)
    planes = pack_ids(ids, range(1, 9))[0]
    element = disc(radius).astype(np.uint8)
    anchor = (len(element) // 2, len(element) // 2)
    grown = dilate(planes, radius)
    for k in range(8):
        golden = cv2.dilate((ids == k + 1).astype(np.uint8), element, anchor=anchor)
        assert np.array_equal(grown >> k & 1, golden), (radius, k)


def test_radius_larger_than_the_image() -> None:
    plane = np.zeros((3, 4), np.uint8)
    plane[0, 0] = 1
    assert dilate(plane, 9).all()


def test_many_objects_at_once_equal_one_by_one() -> None:
    prediction, truth = random_ids(1, 19), random_ids(2, 19)
    objects = [*range(1, 20), 250]
    together = boundary_of_planes(pack_ids(prediction, objects), pack_ids(truth, objects), 2)
    alone = [boundary_accuracy(prediction == k, truth == k, radius=2) for k in objects]
    assert together[: len(objects)] == pytest.approx(alone, abs=1e-15)
    assert count(pack_ids(truth, objects)[0]).tolist() == [np.count_nonzero(truth == k) for k in range(1, 9)]


def test_all_pairs_equal_one_by_one() -> None:
    prediction, truth = random_ids(5, 9), random_ids(6, 4)
    region, boundary = all_pairs(prediction, truth, range(1, 21), range(1, 5), 2)
    assert region.shape == boundary.shape == (20, 4)
    for p in (1, 5, 9, 20):
        for o in range(1, 5):
            assert region[p - 1, o - 1] == pytest.approx(region_similarity(prediction == p, truth == o))
            golden = boundary_accuracy(prediction == p, truth == o, radius=2)
            assert boundary[p - 1, o - 1] == pytest.approx(golden)


def test_ids_of_sixteen_bits() -> None:
    ids = np.array([[0, 300], [300, 7]], np.uint16)
    assert count(pack_ids(ids, [300, 7])[0])[:2].tolist() == [2, 1]
