"""Matching and loss of ReferFormer: numbers of the original, and what they are meant to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from voskit.trainers.referring_losses import LOSS_WEIGHTS, Target, layer_losses, match, matching_cost, referring_loss


class Layer(NamedTuple):
    logits: Tensor
    boxes: Tensor
    masks: Tensor


class Recorded(NamedTuple):
    case: dict
    arrays: dict[str, Tensor]
    layers: dict[str, Layer]
    target: Target

    @property
    def num_boxes(self) -> float:
        return float(self.target.valid_BT.sum())


def padded(masks_THW: list[Tensor]) -> Tensor:
    """Masks of samples at the top left of a common size."""
    sizes = [masks.shape for masks in masks_THW]
    out = torch.zeros(len(sizes), *(max(size) for size in zip(*sizes, strict=True)), dtype=torch.bool)
    for row, masks in zip(out, masks_THW, strict=True):
        row[:, : masks.shape[1], : masks.shape[2]] = masks
    return out


@pytest.fixture(params=["criterion_binary", "criterion_65"])
def recorded(request: pytest.FixtureRequest, referformer_goldens: Path) -> Recorded:
    case = json.loads((referformer_goldens / "components" / "components.json").read_text())[request.param]
    with np.load(referformer_goldens / case["file"]) as f:
        arrays = {k: torch.from_numpy(f[k]) for k in f.files}
    boxes, valid, labels = (
        torch.stack([arrays[f"target.{i}.{key}"] for i in range(2)]) for key in ("boxes", "valid", "labels")
    )
    masks = padded([arrays[f"target.{i}.masks"] for i in range(2)])
    layers = {
        name: Layer(*(arrays[f"{name}.pred_{key}"].clone().requires_grad_() for key in Layer._fields))
        for name in ("aux", "last")
    }
    return Recorded(case, arrays, layers, Target(masks, boxes, valid.bool(), labels[:, 0]))


@pytest.mark.parametrize(("name", "suffix"), [("last", ""), ("aux", "_0")])
def test_costs_matches_and_losses_of_a_layer(recorded: Recorded, name: str, suffix: str) -> None:
    layer, target = recorded.layers[name], recorded.target
    torch.testing.assert_close(matching_cost(layer, target), recorded.arrays[f"cost.{name}"], rtol=1e-5, atol=1e-5)
    matched = match(layer, target)
    assert torch.equal(matched, recorded.arrays[f"matched.{name}"])
    losses = layer_losses(layer, target, matched, recorded.num_boxes)
    assert losses.keys() == LOSS_WEIGHTS.keys()
    for key, loss in losses.items():
        assert loss.item() == pytest.approx(recorded.case["losses"][key + suffix], rel=1e-5), key
        assert LOSS_WEIGHTS[key] == recorded.case["weights"][key + suffix], key


def test_total_and_its_gradients(recorded: Recorded) -> None:
    layers = recorded.layers
    total = referring_loss([layers["aux"], layers["last"]], recorded.target, torch.tensor(recorded.num_boxes))
    assert total.item() == pytest.approx(recorded.case["total"], rel=1e-5)
    total.backward()
    for key, value in layers["last"]._asdict().items():
        want = recorded.arrays[f"grad.last.pred_{key}"]
        assert value.grad is not None
        assert (value.grad - want).abs().max() <= 1e-5 * want.abs().max(), key


B, T, Q, K, H, W = 3, 4, 5, 2, 50, 64
h, w = 16, 16


@pytest.fixture
def target() -> Target:
    """An object of three pixels by two (at stride 4), which moves to the right and isn't in the second frame."""
    masks = torch.zeros(B, T, H, W, dtype=torch.bool)
    boxes = torch.zeros(B, T, 4)
    valid = torch.ones(B, T, dtype=torch.bool)
    valid[:, 1] = False
    for b in range(B):
        for t in (0, 2, 3):
            x, y = 8 * t + 4 * b, 12
            masks[b, t, y : y + 8, x : x + 12] = True
            boxes[b, t] = torch.tensor([(x + 6) / W, (y + 4) / H, 12 / W, 8 / H])
    return Target(masks, boxes, valid, torch.tensor([0, 1, 1]))


@pytest.fixture
def layer() -> Layer:
    generator = torch.Generator().manual_seed(1)
    shapes = ((B, T, Q, K), (B, T, Q, 4), (B, T, Q, h, w))
    logits, boxes, masks = (torch.randn(shape, generator=generator) for shape in shapes)
    return Layer(logits, boxes.sigmoid(), masks)


def with_truth(layer: Layer, target: Target, queries: list[int]) -> Layer:
    """The layer where one query of each sample is right."""
    logits, boxes, masks = (x.clone() for x in layer)
    logits -= 8
    for b, q in enumerate(queries):
        logits[b, target.valid_BT[b], q, target.labels_B[b]] = 12.0
        boxes[b, :, q] = target.boxes_BT4[b]
        sampled = target.masks_BTHW[b, :, 2::4, 2::4]
        masks[b, :, q] = -12.0
        masks[b, :, q, : sampled.shape[1], : sampled.shape[2]] = sampled * 24.0 - 12
    return Layer(logits, boxes, masks)


def test_a_perfect_prediction_has_the_lowest_cost_and_no_gradient(layer: Layer, target: Target) -> None:
    perfect = with_truth(layer, target, [3, 0, 4])
    assert match(perfect, target).tolist() == [3, 0, 4]
    losses = layer_losses(perfect, target, match(perfect, target), float(target.valid_BT.sum()))
    empty = (~target.valid_BT).sum().item() / target.valid_BT.sum().item()
    for key, loss in losses.items():
        # GIoU of two empty boxes is 0, from its constants alone.
        least = empty if key == "loss_giou" else 0.0
        assert loss.item() == pytest.approx(least, abs=1e-2), key
    others = layer_losses(perfect, target, torch.tensor([0, 1, 2]), float(target.valid_BT.sum()))
    for key, loss in others.items():
        assert loss > losses[key] + 0.05, key


def test_frames_without_the_object_count_in_boxes_and_not_in_the_class_cost(layer: Layer, target: Target) -> None:
    cost, matched = matching_cost(layer, target), match(layer, target)
    losses = layer_losses(layer, target, matched, 1.0)

    surer = layer._replace(logits=layer.logits.clone())
    surer.logits[:, 1] += 3
    assert torch.equal(matching_cost(surer, target), cost)
    assert layer_losses(surer, target, matched, 1.0)["loss_ce"] > losses["loss_ce"], "there all queries are negative"

    larger = layer._replace(boxes=layer.boxes.clone())
    larger.boxes[:, 1] += 0.1
    assert torch.allclose(
        layer_losses(larger, target, matched, 1.0)["loss_bbox"], losses["loss_bbox"] + B * 4 * 0.1, rtol=1e-5
    )
    assert not torch.isclose(matching_cost(larger, target), cost).any()


def test_a_sample_without_its_object_has_a_finite_loss(layer: Layer, target: Target) -> None:
    target.masks_BTHW[1], target.boxes_BT4[1], target.valid_BT[1] = False, 0, False
    assert matching_cost(layer, target).isfinite().all()
    assert referring_loss([layer], target, float(target.valid_BT.sum())).isfinite()


def test_order_of_samples_does_not_matter(layer: Layer, target: Target) -> None:
    order = torch.tensor([2, 0, 1])
    other = Layer(*(x[order] for x in layer))
    truth = Target(target.masks_BTHW[order], target.boxes_BT4[order], target.valid_BT[order], target.labels_B[order])
    torch.testing.assert_close(matching_cost(other, truth), matching_cost(layer, target)[order])
    assert torch.equal(match(other, truth), match(layer, target)[order])
    torch.testing.assert_close(referring_loss([other], truth, 9.0), referring_loss([layer], target, 9.0))


def test_layers_add_up_each_with_its_own_match(layer: Layer, target: Target) -> None:
    layers = [layer, with_truth(layer, target, [4, 4, 4])]
    assert not torch.equal(*(match(x, target) for x in layers))
    separate = [referring_loss([x], target, 9.0) for x in layers]
    torch.testing.assert_close(referring_loss(layers, target, 9.0), separate[0] + separate[1])
    torch.testing.assert_close(referring_loss(layers, target, 18.0), (separate[0] + separate[1]) / 2)


def test_only_the_matched_query_learns_boxes_and_masks(layer: Layer, target: Target) -> None:
    leaves = Layer(*(x.requires_grad_() for x in layer))
    referring_loss([leaves], target, 9.0).backward()
    matched = match(layer, target)
    assert leaves.logits.grad is not None and (leaves.logits.grad != 0).all()
    for leaf in (leaves.boxes, leaves.masks):
        assert leaf.grad is not None
        taught = leaf.grad.transpose(1, 2).flatten(2).any(-1)
        assert torch.equal(taught, torch.arange(Q) == matched[:, None])


def test_padding_further_to_the_next_multiple_of_32_changes_nothing(layer: Layer, target: Target) -> None:
    masks = torch.nn.functional.pad(target.masks_BTHW, (0, 0, 0, 64 - H))
    further = Target(masks, target.boxes_BT4, target.valid_BT, target.labels_B)
    assert torch.equal(referring_loss([layer], further, 9.0), referring_loss([layer], target, 9.0))


@pytest.mark.parametrize("size", [(65, 64), (32, 64), (64, 96)])
def test_mismatched_masks_are_refused(layer: Layer, target: Target, size: tuple[int, int]) -> None:
    wrong = Target(torch.zeros(B, T, *size, dtype=torch.bool), target.boxes_BT4, target.valid_BT, target.labels_B)
    with pytest.raises(ValueError, match="multiples of 32"):
        referring_loss([layer], wrong, 9.0)


def test_mixed_precision_stays_outside(layer: Layer, target: Target) -> None:
    low = Layer(*(x.bfloat16() for x in layer))
    full = Layer(*(x.float() for x in low))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cost, loss = matching_cost(low, target), referring_loss([low], target, 9.0)
    assert cost.dtype == loss.dtype == torch.float32
    assert torch.equal(cost, matching_cost(full, target))
    assert torch.equal(loss, referring_loss([full], target, 9.0))
