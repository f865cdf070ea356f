"""One step of training against the original's loss and gradients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from thorough import mark_thorough

from voskit.networks import build_model
from voskit.trainers.clips.aot import propagate_aot_clips
from voskit.trainers.losses import clip_loss, frame_loss, kept_fraction, reference_weight, supervised_losses

CASES = [
    (model, f"{name}_step{step}")
    for model, rows in {
        "aott": ("memory_gap2",),
        "aost": ("memory_gap9999",),
    }.items()
    for name, step in (
        ("teacher_forcing", 0),
        ("teacher_forcing", 30000),
        ("own_predictions", 60000),
        ("id_shuffle", 0),
        *((row, 0) for row in rows),
    )
]
DEFAULT = [("aott", "teacher_forcing_step0"), ("aott", "memory_gap2_step0"), ("aost", "own_predictions_step60000")]


def normalise(frames: np.ndarray) -> torch.Tensor:
    x = (frames.astype(np.float32) / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, -3))).float()


@pytest.mark.parametrize(("model", "name"), mark_thorough(CASES, [case for case in CASES if case not in DEFAULT]))
def test_loss_and_gradients_are_the_originals(goldens_of, aot_goldens: Path, tmp_path: Path, model, name) -> None:
    import fill

    folder = goldens_of(model)
    with np.load(aot_goldens / "training" / "aott_step.npz") as f:
        golden = {k: f[k] for k in f.files}
    with np.load(folder / "training" / f"{model}_step.npz") as f:  # frames and masks are the same for all models
        golden |= {k: f[k] for k in f.files}
    case = {k.removeprefix(f"{name}."): v for k, v in golden.items() if k.startswith(f"{name}.")}
    fill.write_checkpoint(folder / "keys" / f"{model}.json", tmp_path / "filled.pth")
    network = build_model(model, checkpoint=tmp_path / "filled.pth", device="cpu", drop_path=0)
    network.train()
    step, total = int(case["step"]), int(golden["total_steps"])
    counts = golden["object_numbers"].tolist()
    labels = torch.from_numpy(golden["masks"])
    own = bool(case["use_own_predictions"])
    frames = propagate_aot_clips(
        network,
        normalise(golden["frames"]),
        labels,
        counts,
        own_predictions=own,
        permutation_BO=torch.from_numpy(case["id_permutation"]) if "id_permutation" in case else None,
        long_term_gap=int(case["long_term_mem_gap"]),
    )
    fraction = kept_fraction(step, 0.5 * total)
    losses = torch.stack([supervised_losses(s, labels[t], fraction) for t, s in enumerate(frames)])
    loss = clip_loss(losses, reference_weight(step, total))
    loss.backward()
    tolerance = 1e-3 if own else 1e-5
    assert loss.item() == pytest.approx(float(case["loss"]), rel=tolerance)
    assert losses.detach().numpy() == pytest.approx(case["frame_losses"], rel=10 * tolerance)
    if "frame_depth_losses" in case:
        each = [
            torch.stack([frame_loss(x, labels[t], fraction) for _, x in s], 1).tolist() for t, s in enumerate(frames)
        ]
        assert np.array(each) == pytest.approx(case["frame_depth_losses"], rel=10 * tolerance)
    agreement = np.mean(torch.stack([s[-1].logits.argmax(1) for s in frames]).numpy() == case["pred_masks"])
    assert agreement >= 0.999
    check_gradients(network, golden["grad_names"].tolist(), case, own)


def check_gradients(network: torch.nn.Module, names: list[str], case: dict, own: bool) -> None:
    parameters = dict(network.named_parameters())
    scale = float(case["total_grad_norm"])
    for parameter, want in zip(names, case["grad_norms"].tolist(), strict=True):
        grad = parameters[parameter].grad
        if want == -1 or parameter == "LSTT.mask_token":
            assert grad is None or parameter == "LSTT.mask_token", parameter
            continue
        assert grad is not None, parameter
        limit = (1e-2 if own else 1e-3) * want + 1e-6 * scale
        assert abs(grad.norm().item() - want) <= limit, (parameter, grad.norm().item(), want)
