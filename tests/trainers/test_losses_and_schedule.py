"""Losses, learning rate, averaged weights and parameter groups against numbers of the original."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from voskit.configs import get_model_config
from voskit.configs.stages import get_stage_config
from voskit.networks import build_network
from voskit.trainers.ema import AveragedWeights
from voskit.trainers.losses import (
    bootstrapped_cross_entropy,
    clip_loss,
    frame_loss,
    kept_fraction,
    reference_weight,
    soft_jaccard,
)
from voskit.trainers.objectives import build_objective
from voskit.trainers.parameter_groups import parameter_groups, set_rates
from voskit.trainers.schedule import Schedule


@pytest.fixture
def losses(aot_goldens: Path) -> dict[str, torch.Tensor]:
    with np.load(aot_goldens / "components" / "losses.npz") as f:
        return {k: torch.from_numpy(f[k]) for k in f.files}


def test_losses_and_their_gradients(losses) -> None:
    mining, least = float(losses["hard_mining_steps"]), float(losses["top_k_fraction"])
    for row, step in enumerate(losses["steps"].tolist()):
        fraction = kept_fraction(step, mining, least)
        logits = [losses[f"logits{i}"][:1].clone().requires_grad_() for i in range(2)]
        labels = [losses[f"labels{i}"][:1] for i in range(2)]
        totals = []
        for i in range(2):
            ce = bootstrapped_cross_entropy(logits[i], labels[i], fraction)
            assert ce.item() == pytest.approx(losses["ce"][row, i].item(), rel=1e-5)
            assert soft_jaccard(logits[i], labels[i]).item() == pytest.approx(losses["jaccard"][i].item(), rel=1e-5)
            totals.append(frame_loss(logits[i], labels[i], fraction))
            assert totals[i].item() == pytest.approx(losses["total"][row, i].item(), rel=1e-5)
        torch.cat(totals).mean().backward()
        want = losses["grad_logits0_of_mean_total"][row]
        assert (logits[0].grad - want).abs().max() <= 1e-5 * max(1.0, float(want.abs().max()))


def test_a_fully_ignored_label_has_no_gradient() -> None:
    logits = torch.randn(2, 3, 8, 8, requires_grad=True)
    labels = torch.randint(0, 3, (2, 8, 8))
    labels[1] = 255
    losses = frame_loss(logits, labels, 0.5)
    losses.sum().backward()
    assert losses[0] > 0
    assert losses[1] == 0
    assert logits.grad is not None
    assert logits.grad[0].any()
    assert not logits.grad[1].any()


def test_ignored_pixels_do_not_count() -> None:
    logits = torch.randn(2, 3, 8, 8)
    labels = torch.randint(0, 3, (2, 8, 8))
    labels[:, :4] = 255
    other = logits.clone()
    other[:, :, :4] += torch.randn(2, 3, 4, 8)
    assert torch.equal(soft_jaccard(logits, labels), soft_jaccard(other, labels))
    assert torch.equal(bootstrapped_cross_entropy(logits, labels, 1.0), bootstrapped_cross_entropy(other, labels, 1.0))


def test_weight_of_the_reference_frame() -> None:
    assert reference_weight(0, 100_000) == 1
    assert reference_weight(50_000, 100_000) == pytest.approx(0.5)
    assert reference_weight(10_001, 100_000, 0.1) == 0
    losses = torch.tensor([[4.0, 6.0], [1.0, 1.0], [2.0, 2.0]])
    assert clip_loss(losses, 0.5).item() == pytest.approx(0.5 * 5 + 1.5)


def test_learning_rates(aot_goldens: Path) -> None:
    for case in json.loads((aot_goldens / "components" / "lr_schedule.json").read_text()):
        schedule = Schedule(
            base=case["base_lr"],
            least=case["min_lr"],
            total_steps=case["total_steps"],
            power=case["power"],
            cosine=case["cosine"],
            cycles=case["restart"],
        )
        for row in case["rows"]:
            assert schedule.lr(row["step"]) == pytest.approx(row["lr"], rel=1e-9), (case["label"], row["step"])
            assert schedule.lr(row["step"], case["encoder_ratio"]) == pytest.approx(row["encoder_lr"], rel=1e-9)
            names = ("decoder.x", "patch_wise_id_bank.weight")
            groups = [{"name": name, "weight_decay": 0.07, "scale": 1.0} for name in names]
            set_rates(groups, schedule, row["step"], ("patch_wise_id_bank",) if case["id_bank_frozen"] else ())
            assert groups[0]["lr"] == pytest.approx(row["other_lr"], rel=1e-9)
            assert groups[1]["lr"] == pytest.approx(row["id_bank_lr"], rel=1e-9)
            assert groups[1]["weight_decay"] == row["id_bank_weight_decay"]


def test_averaged_weights(aot_goldens: Path) -> None:
    case = json.loads((aot_goldens / "components" / "ema.json").read_text())
    module = nn.Module()
    module.register_parameter("w", nn.Parameter(torch.tensor(case["start_value"], dtype=torch.float32)))
    average = AveragedWeights(module, case["total_steps"], case["ema_ratio"])
    assert average.final_decay == pytest.approx(case["final_decay"])
    for values, want in zip(case["params_after_each_step"], case["ema_after_each_step"], strict=True):
        module.w.data = torch.tensor(values)
        average.update(module)
        assert average.weights["w"].tolist() == pytest.approx(want, rel=1e-5, abs=1e-6)
    again = AveragedWeights(module, case["total_steps"], case["ema_ratio"])
    again.load_state_dict(average.state_dict())
    assert torch.equal(again.weights["w"], average.weights["w"])
    assert again.updates == average.updates


@pytest.mark.parametrize(("total_steps", "ratio"), [(6, 0.1), (1000, 0.0)])
def test_an_average_of_less_than_a_step_is_the_last_state(total_steps: int, ratio: float) -> None:
    module = nn.Linear(2, 2)
    average = AveragedWeights(module, total_steps, ratio)
    for _ in range(3):
        module.weight.data.normal_()
        average.update(module)
        assert torch.equal(average.weights["weight"], module.weight)


@pytest.mark.parametrize("family", ("aott", "aost"))
def test_parameter_groups(goldens_of, family: str) -> None:
    for model, rows in json.loads((goldens_of(family) / "training" / "param_groups.json").read_text())[
        "groups"
    ].items():
        groups = parameter_groups(build_network(get_model_config(model)), 0.07)
        got = {g["name"]: (g["weight_decay"], g["scale"] < 1) for g in groups}
        want = {name: (decay, reduced) for name, decay, reduced in rows if name != "LSTT.mask_token"}
        assert got == want, model


def test_an_unknown_loss_suggests_similar_names() -> None:
    stage = get_stage_config("pre", loss="bootstraped_jaccard")
    with pytest.raises(ValueError, match="unknown loss 'bootstraped_jaccard': did you mean bootstrapped_jaccard"):
        build_objective(build_network(get_model_config("aott")), stage, 0)
