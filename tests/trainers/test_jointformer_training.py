"""JointFormer's training: one step against the original's losses, gradients and parameters; losses; stages."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from voskit.configs.stages import get_stage_config
from voskit.networks import build_model
from voskit.networks.models.base import Supervised
from voskit.trainers.activation_checkpointing import checkpoint_activations
from voskit.trainers.clips import propagate_clips
from voskit.trainers.clips.jointformer import propagate_jointformer_clips
from voskit.trainers.losses import CLIP_LOSSES, dice, dice_of_batch, kept_fraction_between
from voskit.trainers.parameter_groups import parameter_groups

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def test_losses_that_ignore_pixels(jointformer_goldens: Path) -> None:
    golden = json.loads((jointformer_goldens / "components" / "losses_ignore255.json").read_text())
    with np.load(jointformer_goldens / "components" / "losses_ignore255.npz") as f:
        case = {k: torch.from_numpy(f[k]) for k in f.files}
    labels = case["cls_gt"][:, :, 0].transpose(0, 1)
    stage = get_stage_config("jointformer_s4")
    assert stage.mining_steps == (golden["start_warm"], golden["end_warm"])
    clips = [[Supervised(1.0, case[f"logits_{t}"])] for t in (1, 2)]
    # recorded masks are made up, too: their part is compared by itself
    own_dice = sum(dice_of_batch(case[f"logits_{t}"].softmax(1)[:, 1:], labels[t]).item() for t in (1, 2))
    for step, want in golden["by_iteration"].items():
        assert kept_fraction_between(int(step), *stage.mining_steps) == pytest.approx(want["p"])
        total = CLIP_LOSSES.get(stage.loss)(clips, labels, golden["num_objects"], stage, int(step)).item()
        assert total - own_dice == pytest.approx(want["ce_loss_1"] + want["ce_loss_2"], rel=1e-5)
        for t in (1, 2):
            assert dice_of_batch(case[f"masks_{t}"], labels[t]).item() == pytest.approx(
                want[f"dice_loss_{t}"], rel=1e-5
            )


def test_dice_of_a_batch_of_one_clip_is_its_own() -> None:
    masks, labels = torch.rand(1, 3, 8, 9), torch.randint(0, 4, (1, 8, 9))
    assert dice_of_batch(masks, labels).item() == pytest.approx(dice(masks, labels).item())


def test_mining_that_would_end_before_it_starts_is_fully_on_at_once() -> None:
    """As in the stage of all datasets together."""
    assert [kept_fraction_between(s, 30_000, 10_000) for s in (0, 20_000, 29_999, 30_000, 99_999)] == [
        1,
        1,
        1,
        0.15,
        0.15,
    ]


@pytest.mark.thorough
def test_a_training_step_is_the_originals(jointformer_goldens: Path, jointformer_weights) -> None:
    golden = json.loads((jointformer_goldens / "training" / "step_multi_object.json").read_text())
    with np.load(jointformer_goldens / "training" / "step_multi_object.npz") as f:
        case = {k: f[k] for k in f.files}
    stage = get_stage_config("jointformer_s2")
    config = golden["config"]
    assert (stage.clip_length, stage.reference_frames) == (config["num_frames"], config["num_ref_frames"])
    assert stage.token_update_prob == config["backbone_update_clsToken_prob"]
    network = build_model("jointformer", checkpoint=jointformer_weights("default"), device="cpu").train()
    frames = torch.from_numpy(((case["rgb"].astype(np.float32) / 255 - MEAN) / STD).astype(np.float32))
    labels = torch.from_numpy(case["cls_gt"]).transpose(0, 1)
    logits = propagate_jointformer_clips(
        network,
        frames.permute(1, 0, 4, 2, 3).contiguous(),
        labels,
        golden["num_objects"],
        objects=golden["max_objects"],
        reference_frames=stage.reference_frames,
        token_updates=[x < stage.token_update_prob for x in golden["token_update_random_numbers"]],
        references=[torch.tensor(golden["reference_frame_permutations"]) + 1],
    )
    for t, x in enumerate(logits, 1):
        assert np.abs(x.detach().numpy() - case[f"logits_{t}"]).max() < 1e-3
    clips = [[Supervised(1.0, x)] for x in logits]
    loss = CLIP_LOSSES.get(stage.loss)(clips, labels, golden["num_objects"], stage, golden["iteration"])
    assert loss.item() == pytest.approx(golden["losses"]["total_loss"], rel=1e-5)
    loss.backward()
    groups = parameter_groups(network, stage.weight_decay, stage.encoder_lr_ratio, stage.decay_all)
    for scale, want in zip((1.0, 0.1), golden["parameter_groups"], strict=True):
        assert sum(g["scale"] == scale for g in groups) == want["num_tensors"]
        assert stage.lr * scale == pytest.approx(want["lr"])
    for group in groups:
        group["lr"] = stage.lr * group["scale"]
    torch.optim.AdamW(groups).step()
    parameters = dict(network.named_parameters())
    assert parameters.keys() == golden["gradients"].keys()
    for group in groups:
        name, want = group["name"], golden["gradients"][group["name"]]
        assert parameters[name].grad.norm().item() == pytest.approx(want["norm"], rel=1e-3), name
        for place, value in want["param_after_step"].items():
            tiny = abs(want["at"][place]) < 1e-4 * want["norm"]
            limit = 1e-6 + (2.1 * group["lr"] if tiny else 0)
            assert abs(parameters[name].detach().flatten()[int(place)].item() - value) <= limit, (name, place)


def test_stages_have_the_published_values(jointformer_goldens: Path) -> None:
    facts = json.loads((jointformer_goldens / "facts.json").read_text())
    for name, content in facts["stages"].items():
        stage, want = get_stage_config(f"jointformer_{name}"), content["published_command_line"]
        want = want or content["parser_defaults"]
        ours = (stage.batch_size, stage.total_steps, stage.fine_tuning, list(stage.milestones), stage.lr)
        assert ours == tuple(want[k] for k in ("batch_size", "iterations", "finetune", "steps", "lr")), name
        assert (stage.reference_frames, stage.clip_length) == (want["num_ref_frames"], want["num_frames"]), name
        assert stage.mining_steps == (want["start_warm"], want["end_warm"]), name
        assert stage.loss == ("bootstrapped_dice_ignoring" if name == "s4" else "bootstrapped_dice")
        if content["max_skip"] is not None:
            switches = content["max_skip"]["switch_at_fraction_of_iterations"]
            assert stage.skips == (content["max_skip"]["initial"], *content["max_skip"]["values"])
            assert stage.skip_from == (0.0, *switches)
    stage, training = get_stage_config("jointformer_s2"), facts["training"]
    assert (stage.weight_decay, stage.gamma) == (training["weight_decay"], training["gamma"])
    assert stage.crop == training["crop"][0]
    assert (stage.max_objects, get_stage_config("jointformer_s0").max_objects) == (3, 1)
    assert (stage.clip_norm, stage.clip_only_amp) == (0.1, True)
    assert get_stage_config("jointformer_s4").max_ignored == training["ignore_thresh"]


@pytest.mark.thorough
def test_activation_checkpointing_changes_nothing() -> None:
    torch.manual_seed(0)
    network = build_model("jointformer", device="cpu", update_block_depth=1).train()
    stage = get_stage_config("jointformer_s2", clip_length=3)
    frames, labels = torch.randn(3, 1, 3, 32, 32), torch.randint(0, 3, (3, 1, 32, 32))
    gradients = []
    for again in (False, True):
        if again:
            checkpoint_activations(network)
        network.zero_grad()
        torch.manual_seed(1)
        clips = propagate_clips(network, frames, labels, [2], stage=stage, step=0, permutation_BO=labels[0, 0])
        CLIP_LOSSES.get(stage.loss)(clips, labels, [2], stage, 0).backward()
        gradients.append({k: p.grad.clone() for k, p in network.named_parameters()})
    for name, gradient in gradients[0].items():
        assert torch.allclose(gradient, gradients[1][name], rtol=1e-3, atol=1e-5), name


def test_another_familys_stage_is_refused() -> None:
    network = build_model("jointformer", device="cpu", update_block_depth=1)
    frames, labels = torch.zeros(2, 1, 3, 32, 32), torch.zeros(2, 1, 32, 32)
    with pytest.raises(ValueError, match="derives from JointFormerStageConfig, not S3"):
        propagate_clips(network, frames, labels, [1], stage=get_stage_config("s3"), step=0, permutation_BO=labels[0, 0])
