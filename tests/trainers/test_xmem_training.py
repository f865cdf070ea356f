"""XMem's training: one step against the original's losses, gradients and parameters; losses by iteration; stages."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from small_training import Squares, in_two_processes, join

from voskit.configs.stages import get_stage_config
from voskit.dataloaders.training import TrainClip
from voskit.networks import build_model
from voskit.networks.models.base import Supervised
from voskit.trainers.clips import propagate_clips
from voskit.trainers.clips.xmem import propagate_xmem_clips
from voskit.trainers.losses import CLIP_LOSSES, bootstrapped_cross_entropy, dice, kept_fraction_between
from voskit.trainers.parameter_groups import parameter_groups
from voskit.trainers.schedule import Schedule
from voskit.trainers.trainer import Trainer, TrainerOptions

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def test_losses_by_iteration(xmem_goldens: Path) -> None:
    golden = json.loads((xmem_goldens / "components" / "losses.json").read_text())
    with np.load(xmem_goldens / "components" / "losses.npz") as f:
        case = {k: torch.from_numpy(f[k]) for k in f.files}
    labels = case["cls_gt"][:, :, 0]
    for step, want in golden["by_iteration"].items():
        p = kept_fraction_between(int(step), golden["start_warm"], golden["end_warm"])
        assert p == pytest.approx(want["p"])
        for t in (1, 2):
            own = [
                bootstrapped_cross_entropy(case[f"logits_{t}"][b : b + 1, : n + 1], labels[b : b + 1, t], p)
                for b, n in enumerate(golden["num_objects"])
            ]
            assert torch.cat(own).mean().item() == pytest.approx(want[f"ce_loss_{t}"], rel=1e-5)
            assert dice(case[f"masks_{t}"], labels[:, t]).item() == pytest.approx(want[f"dice_loss_{t}"], rel=1e-5)


def test_a_training_step_is_the_originals(xmem_goldens: Path, xmem_weights) -> None:
    golden = json.loads((xmem_goldens / "training" / "step_multi_object.json").read_text())
    with np.load(xmem_goldens / "training" / "step_multi_object.npz") as f:
        case = {k: f[k] for k in f.files}
    config, step = golden["config"], golden["iteration"]
    stage = get_stage_config("s3", clip_length=config["num_frames"], reference_frames=config["num_ref_frames"])
    network = build_model("xmem", checkpoint=xmem_weights("default"), device="cpu").train()
    frames = torch.from_numpy(((case["rgb"].astype(np.float32) / 255 - MEAN) / STD).astype(np.float32))
    labels = torch.from_numpy(case["cls_gt"]).transpose(0, 1)
    logits = propagate_xmem_clips(
        network,
        frames.permute(1, 0, 4, 2, 3).contiguous(),
        labels,
        golden["num_objects"],
        objects=golden["max_objects"],
        reference_frames=stage.reference_frames,
        deep_update=[x < stage.deep_update_prob for x in golden["deep_update_random_numbers"]],
        references=[torch.tensor(golden["reference_frame_permutations"]) + 1],
    )
    for t, x in enumerate(logits, 1):
        assert np.abs(x.detach().numpy() - case[f"logits_{t}"]).max() < 1e-3
    clips = [[Supervised(1.0, x)] for x in logits]
    loss = CLIP_LOSSES.get(stage.loss)(clips, labels, golden["num_objects"], stage, step)
    assert loss.item() == pytest.approx(golden["losses"]["total_loss"], rel=1e-5)
    loss.backward()
    groups = parameter_groups(network, stage.weight_decay, stage.encoder_lr_ratio, stage.decay_all)
    optimizer = torch.optim.AdamW(groups, lr=stage.lr)
    optimizer.step()
    parameters = dict(network.named_parameters())
    assert parameters.keys() == golden["gradients"].keys()
    for name, want in golden["gradients"].items():
        if name == "key_proj.key_proj.bias":  # mathematically zero
            continue
        gradient = parameters[name].grad
        assert gradient.norm().item() == pytest.approx(want["norm"], rel=2e-3), name
        for place, value in want["param_after_step"].items():
            tiny = abs(want["at"][place]) < 1e-4 * want["norm"]
            limit = 1e-6 + (2.1 * stage.lr if tiny else 0)
            assert abs(parameters[name].detach().flatten()[int(place)].item() - value) <= limit, (name, place)


def test_batch_norms_keep_their_statistics() -> None:
    network = build_model("xmem", device="cpu").train()
    before = {k: v.clone() for k, v in network.state_dict().items() if "running" in k}
    network.encode_image(torch.randn(1, 3, 32, 32))
    assert all(torch.equal(v, network.state_dict()[k]) for k, v in before.items())
    assert network.key_encoder.bn1.weight.requires_grad


def test_stages_have_the_published_values(xmem_goldens: Path) -> None:
    facts = json.loads((xmem_goldens / "facts.json").read_text())
    for name, want in facts["stages"].items():
        stage = get_stage_config(name)
        ours = (stage.batch_size, stage.total_steps, stage.fine_tuning, list(stage.milestones), stage.lr)
        assert ours == tuple(want[k] for k in ("batch_size", "iterations", "finetune", "steps", "lr")), name
        assert (stage.reference_frames, stage.clip_length) == (want["num_ref_frames"], want["num_frames"])
        assert stage.mining_steps == (want["start_warm"], want["end_warm"])
        assert (stage.max_objects == 1) is want["single_object"]
        if want["max_skip"] is not None:
            switches = want["max_skip"]["switch_at_fraction_of_iterations"]
            assert stage.skips == (want["max_skip"]["initial"], *want["max_skip"]["values"])
            assert stage.skip_from == (0.0, *switches)
    training = facts["training"]
    for name in ("deep_update_prob", "weight_decay", "gamma"):
        assert getattr(get_stage_config("s2"), name) == training[name]
    assert get_stage_config("s2").crop == training["crop"][0]
    assert get_stage_config("s2").hard_pixel_ratio == facts["loss"]["bootstrapped_cross_entropy"]["top_p"]


def test_the_learning_rate_falls_at_milestones() -> None:
    schedule = Schedule(base=1e-5, least=0, total_steps=100, milestones=(50, 80))
    assert [schedule.lr(s) for s in (0, 49, 50, 79, 80)] == pytest.approx([1e-5, 1e-5, 1e-6, 1e-6, 1e-7])


class TwoFrames(Squares):
    """Clips of two frames."""

    def __getitem__(self, index: int) -> TrainClip:
        clip = super().__getitem__(index)
        return TrainClip(clip.frames[:2, :, :48, :48], clip.labels[:2, :48, :48], clip.num_objects, clip.name)


def _train_on_two_frames(rank: int, port: int, output: str) -> None:
    processes = join(rank, port)
    torch.manual_seed(0)
    network = build_model("xmem", device="cpu", key_dim=8, value_dim=16, hidden_dim=8)
    stage = get_stage_config("s0", clip_length=2, crop=48, batch_size=2, total_steps=2, workers=0)
    Trainer(
        network, stage, TwoFrames(), Path(output), processes=processes, options=TrainerOptions(progress=False)
    ).train()
    dist.destroy_process_group()


@pytest.mark.thorough
def test_two_processes_train_on_clips_of_two_frames(tmp_path: Path) -> None:
    """The sensory memory isn't carried on, so that its update has no gradient."""
    in_two_processes(_train_on_two_frames, tmp_path)
    assert (tmp_path / "ema.safetensors").exists()


def test_another_familys_stage_is_refused() -> None:
    network = build_model("xmem", device="cpu")
    frames, labels = torch.zeros(2, 1, 3, 32, 32), torch.zeros(2, 1, 32, 32)
    with pytest.raises(ValueError, match="derives from XMemStageConfig, not PreYtb"):
        propagate_clips(
            network, frames, labels, [1], stage=get_stage_config("pre_ytb"), step=0, permutation_BO=torch.zeros(1, 3)
        )
