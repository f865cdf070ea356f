"""Training of a network with several depths, in the same trainer as the others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_training import SMALL, Squares, small_stage, weights
from torch import Tensor

from voskit.networks import build_model
from voskit.trainers.clips.aot import propagate_aot_clips
from voskit.trainers.losses import supervised_losses
from voskit.trainers.trainer import Trainer, TrainerOptions


def make(output: Path, **changes: object) -> Trainer:
    torch.manual_seed(0)
    network = build_model("aost", device="cpu", **{**SMALL, "num_layers": 3}, drop_path=0)
    return Trainer(network, small_stage(**changes), Squares(12), output, options=TrainerOptions(progress=False))


@torch.no_grad()
def losses_by_depth(trainer: Trainer) -> Tensor:
    """Mean loss of each depth over predicted frames of clips that are not trained on."""
    data = Squares(12)
    data.set_epoch(999)
    clips = [data[i] for i in range(8)]
    frames, labels = (torch.stack([getattr(c, n) for c in clips], 1) for n in ("frames", "labels"))
    trainer.network.eval()
    supervised = propagate_aot_clips(trainer.network, frames, labels, [1] * len(clips))
    trainer.network.train()
    return torch.stack(
        [
            torch.stack([supervised_losses([s._replace(weight=1.0)], labels[t], 1.0).mean() for s in frame])
            for t, frame in enumerate(supervised)
        ]
    )[1:].mean(0)


@pytest.mark.thorough
def test_the_loss_of_every_depth_falls(tmp_path: Path) -> None:
    trainer = make(tmp_path, total_steps=200, save_every=200, batch_size=2, lr=1e-3)
    before = losses_by_depth(trainer)
    trainer.train()
    after = losses_by_depth(trainer)
    assert before.shape == (3,)
    assert (after < 0.8 * before).all(), (before, after)


@pytest.mark.thorough
def test_interrupted_and_resumed_with_predicted_masks_is_the_same_run(tmp_path: Path) -> None:
    settings = {"total_steps": 6, "sequential_start": 0.5}
    whole = make(tmp_path / "whole", **settings)
    whole.train()
    make(tmp_path / "parts", **settings).train(until=3)
    torch.manual_seed(123)
    resumed = make(tmp_path / "parts", **settings)
    assert resumed.step == 3
    resumed.train()
    assert all(torch.equal(x, weights(resumed)[name]) for name, x in weights(whole).items())


def test_trained_to_two_layers_the_two_depths_share_the_loss(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build_model("aost", device="cpu", **{**SMALL, "num_layers": 3, "depth": 2})
    clip = Squares(12)[0]
    supervised = propagate_aot_clips(network, clip.frames[:, None], clip.labels[:, None], [1])
    assert [[s.weight for s in frame] for frame in supervised] == [[1 / 3, 2 / 3]] * 3
