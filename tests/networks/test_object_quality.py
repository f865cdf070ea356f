"""Quality of objects: measured from probabilities with known answers."""

from __future__ import annotations

import pytest
import torch

from voskit.networks.engines import MaskOverlay, Prediction, ResizedProbabilities
from voskit.networks.engines.quality import areas_of, object_qualities


def probabilities(*objects: torch.Tensor) -> torch.Tensor:
    """Background and objects, [K + 1, 12, 20]."""
    rows = torch.stack(objects)
    return torch.cat([1 - rows.sum(0, keepdim=True), rows])


def square(value: float, top: int, left: int, side: int = 4) -> torch.Tensor:
    x = torch.zeros(12, 20)
    x[top : top + side, left : left + side] = value
    return x


def test_a_sure_object_has_confidence_and_margin_near_one() -> None:
    (sure,) = object_qualities(probabilities(square(1.0, 2, 2)), [64], [32])
    assert (sure.area, sure.present, sure.components) == (64, True, 1)
    assert (sure.confidence, sure.margin, sure.unsure, sure.change) == (1, 1, 0, 1)


def test_probability_outside_the_mask_lowers_the_confidence() -> None:
    (unsure,) = object_qualities(probabilities(square(0.9, 2, 2) + square(0.4, 2, 10)), [16])
    assert unsure.confidence == pytest.approx(0.9 * 16 / (16 + 0.4 * 16))
    assert unsure.margin == pytest.approx(0.8)
    assert unsure.change is None


def test_the_margin_is_the_lead_over_any_other_class() -> None:
    first, second = object_qualities(probabilities(square(0.5, 2, 2), square(0.4, 2, 2)), [16, 0])
    assert first.margin == pytest.approx(0.1)
    assert first.unsure == 1
    assert (second.present, second.margin, second.components) == (False, 0, 0)
    assert second.confidence == pytest.approx(0.4)


def test_an_object_in_two_places_has_two_components_and_specks_are_none() -> None:
    places = square(1.0, 0, 0) + square(1.0, 7, 12)
    assert object_qualities(probabilities(places), [32])[0].components == 2
    speck = square(1.0, 0, 0, side=8) + square(1.0, 11, 19, side=1)
    assert object_qualities(probabilities(speck), [65])[0].components == 1


def test_an_object_too_small_for_the_coarse_map_is_present() -> None:
    (tiny,) = object_qualities(probabilities(square(0.3, 2, 2, side=1)), [3])
    assert tiny.present and tiny.components == 1
    assert tiny.confidence == pytest.approx(0.3)


@pytest.mark.parametrize("groups", [1, 2])
def test_coarse_probabilities_are_those_at_the_size_of_the_logits(groups: int) -> None:
    logits = torch.randn(groups, 3, 9, 13, generator=torch.Generator().manual_seed(0))
    slots = list(range(1, 2 * groups + 1))
    for background in (True, False):
        coarse = Prediction(logits, slots, (33, 49), True, background).coarse()
        same = Prediction(logits, slots, (9, 13), True, background).probabilities()
        assert torch.allclose(coarse, same)
    before = Prediction(logits, slots, (33, 49), True).probabilities()
    again = Prediction(logits, slots, (33, 49), True)
    again.coarse()
    assert torch.equal(again.probabilities(), before)


def test_coarse_maps_of_per_object_families_are_samples() -> None:
    maps = torch.rand(3, 33, 49).softmax(0)
    assert torch.equal(ResizedProbabilities(maps, [1, 2], (33, 49)).coarse(), maps[:, ::4, ::4])


@pytest.mark.parametrize("predicted", [False, True])
def test_a_given_object_of_one_pixel_is_certain(predicted: bool) -> None:
    given = torch.zeros(33, 49, dtype=torch.int32)
    given[7, 11] = 2
    before = ResizedProbabilities(torch.full((2, 33, 49), 0.5), [1], (33, 49)) if predicted else None
    overlay = MaskOverlay(before, given, [1, 2])
    assert overlay.coarse().shape == (3, 9, 13)
    found = object_qualities(overlay.coarse(), areas_of(given, [1, 2]))[1]
    assert (found.area, found.confidence, found.margin) == (1, 1, 1)
