"""ReferFormer's training: one step against the original's losses and gradients; stages; the trainer on a tiny set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from referring_trees import image_tree, video_tree
from safetensors.torch import save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from voskit.configs.stages import ReferringStageConfig, get_stage_config
from voskit.dataloaders.tokenizer import Tokenizer
from voskit.dataloaders.training.referring.clip import ReferringBatch
from voskit.dataloaders.training.referring.datasets import build_referring_data
from voskit.dataloaders.transforms import IMAGENET_MEAN, IMAGENET_STD
from voskit.networks import build_model, load_encoder
from voskit.networks.encoders.roberta import build_roberta
from voskit.trainers.activation_checkpointing import checkpoint_activations
from voskit.trainers.distributed import Processes
from voskit.trainers.objectives import ReferringLoss, build_objective
from voskit.trainers.parameter_groups import parameter_groups
from voskit.trainers.trainer import Trainer, TrainerOptions


@pytest.mark.thorough
def test_a_training_step_is_the_originals(referformer_goldens: Path, referformer_weights) -> None:
    golden = json.loads((referformer_goldens / "training" / "train_r50.json").read_text())
    with np.load(referformer_goldens / golden["file"]) as f:
        case = {k: f[k] for k in f.files}
    keys = json.loads((referformer_goldens / "keys" / "resnet50.json").read_text())
    network = build_model("r50_referformer", checkpoint=referformer_weights("resnet50"), device="cpu")
    assert Tokenizer()(golden["captions"])[0].tolist() == golden["token_ids"][0]
    frames = np.stack([(case[f"frames.{i}"] / 255 - IMAGENET_MEAN) / IMAGENET_STD for i in range(2)], 1)
    masks, boxes, valid = (
        torch.from_numpy(np.stack([case[f"target.{i}.{key}"] for i in range(2)], 1))
        for key in ("masks", "boxes", "valid")
    )
    batch = ReferringBatch(
        torch.from_numpy(frames.astype(np.float32)).permute(0, 1, 4, 2, 3),
        masks,
        boxes,
        valid.bool(),
        torch.tensor(golden["sizes_hw"]),
        golden["captions"],
        ["a", "b"],
    )
    objective = ReferringLoss(network)
    arguments = next(objective.parts(batch, range(2), 1, Processes()))
    loss = objective(*arguments, 0)
    assert loss.item() == pytest.approx(golden["total"], rel=1e-5)
    loss.backward()
    parameters = dict(network.named_parameters())
    total = golden["total_grad_norm_before_clipping"]
    assert sum(p.grad is not None for p in parameters.values()) == golden["num_gradients"]
    for name, (want, _) in golden["grad_norms"].items():
        own = float(parameters[name.removeprefix("transformer.decoder.") if "bbox_embed" in name else name].grad.norm())
        assert abs(own - want) <= 2e-3 * want + 1e-5 * total, name
    for name in (k for k in case if k.startswith("grad.")):
        own = parameters[name.removeprefix("grad.").replace("transformer.decoder.bbox", "bbox")].grad
        assert np.abs(own.numpy() - case[name]).max() <= 2e-3 * np.abs(case[name]).max() + 1e-5 * total, name
    stage = get_stage_config("refer_ytvos")
    groups = parameter_groups(network, stage.weight_decay, stage.encoder_lr_ratio, stage.decay_all, stage.text_lr_ratio)
    of_encoder = [g for g in groups if g["scale"] == 0.5]
    recorded = keys["optimizer_groups_freeze_text_encoder"]
    assert len(of_encoder) == recorded["backbone"]["tensors"]
    assert len(groups) - len(of_encoder) == recorded["main"]["tensors"] + recorded["linear_proj"]["tensors"]
    for group in groups:
        group["lr"] = stage.lr * group["scale"]
    norm = torch.nn.utils.clip_grad_norm_([g["params"][0] for g in groups], stage.clip_norm)
    assert float(norm) == pytest.approx(total, rel=1e-3)
    torch.optim.AdamW(groups).step()
    with torch.no_grad():
        assert objective(*arguments, 1).item() == pytest.approx(golden["total_after_one_step"], rel=1e-3)


def test_the_text_encoder_learns_at_its_own_rate_in_pre_training() -> None:
    network = build_model("r50_referformer", device="cpu", text_layers=1, freeze_text_encoder=False)
    stage = get_stage_config("refer_coco")
    groups = parameter_groups(network, stage.weight_decay, stage.encoder_lr_ratio, True, stage.text_lr_ratio)
    scales = {g["scale"] for g in groups if g["name"].startswith("text_encoder.")}
    assert scales == {0.1}
    assert stage.lr * 0.1 == pytest.approx(1e-5)


@pytest.mark.parametrize(
    ("name", "clip", "batch", "epochs", "drops"),
    [
        ("refer_coco", 1, 16, 12, (8, 10)),
        ("refer_ytvos", 5, 8, 6, (3, 5)),
        ("refer_ytvos_scratch", 5, 8, 10, (6, 8)),
        ("refer_joint", 5, 8, 12, (8, 10)),
    ],
)
def test_stages_are_the_published_ones(name: str, clip: int, batch: int, epochs: int, drops) -> None:
    stage = get_stage_config(name)
    assert isinstance(stage, ReferringStageConfig)
    assert (stage.clip_length, stage.batch_size, stage.epochs, stage.drop_epochs) == (clip, batch, epochs, drops)
    assert (stage.lr, stage.lr * stage.encoder_lr_ratio, stage.weight_decay) == (1e-4, 5e-5, 5e-4)
    whole = stage.for_data(10 * batch)
    assert whole.total_steps == 10 * epochs
    assert whole.milestones == tuple(10 * n for n in drops)
    assert stage.override(epochs=None, total_steps=7).for_data(1000).total_steps == 7


def make(
    root: Path, output: Path, *, options: TrainerOptions | None = None, dropout: float = 0.1, **changes
) -> Trainer:
    fields = {"epochs": None, "total_steps": 4, "batch_size": 2, "workers": 0, "clip_length": 2, "save_every": 2}
    stage = get_stage_config("refer_ytvos", **{**fields, **changes})
    torch.manual_seed(0)
    network = build_model("r50_referformer", device="cpu", text_layers=1, dropout=dropout)
    network.text_encoder.config.hidden_dropout_prob = 0.0
    data = build_referring_data(stage, root)
    return Trainer(network, stage, data, output, options=options or TrainerOptions(progress=False))


@pytest.fixture
def small_networks_and_frames(monkeypatch) -> None:
    """A text encoder of which a checkpoint isn't a gigabyte, and frames of 64 pixels."""
    monkeypatch.setattr("voskit.networks.encoders.roberta.WIDTH", 96)
    monkeypatch.setattr("voskit.dataloaders.training.referring.augment.SHORT_SIDES", (64,))
    monkeypatch.setattr("voskit.dataloaders.training.referring.augment.SIDES_BEFORE_CROP", (70,))


@pytest.mark.usefixtures("small_networks_and_frames")
class TestTrainer:
    @pytest.mark.thorough
    def test_interrupted_and_resumed_is_the_same_run(self, tmp_path: Path) -> None:
        root = video_tree(tmp_path / "data")
        steps = {"total_steps": 2, "save_every": 10, "keep": 1}
        whole = make(root, tmp_path / "whole", **steps)
        whole.train()
        make(root, tmp_path / "parts", **steps).train(until=1)
        second = make(root, tmp_path / "parts", **steps)
        assert second.step == 1
        second.train()
        for name, x in whole.network.state_dict().items():
            assert torch.equal(x, second.network.state_dict()[name]), name
        again = build_model(
            "r50_referformer", checkpoint=tmp_path / "whole" / "weights.safetensors", device="cpu", text_layers=1
        )
        assert torch.equal(again.query_embed.weight, whole.network.query_embed.weight)

    @pytest.mark.thorough
    def test_accumulation_equals_the_large_batch(self, tmp_path: Path) -> None:
        root = video_tree(tmp_path / "data")
        options = TrainerOptions(accumulate=2, progress=False)
        trainers = [
            make(root, tmp_path / name, options=own, dropout=0.0, optimizer="sgd", lr=1e-3)
            for name, own in (("large", None), ("parts", options))
        ]
        for trainer in trainers:
            trainer.network.text_encoder.eval()
            trainer.train(until=1)
        for (name, x), y in zip(trainers[0].network.named_parameters(), trainers[1].network.parameters(), strict=True):
            assert torch.allclose(x, y, atol=1e-5), name

    @pytest.mark.thorough
    def test_activation_checkpointing_changes_nothing(self, tmp_path: Path) -> None:
        root = video_tree(tmp_path / "data")
        kept, again = make(root, tmp_path / "kept"), make(root, tmp_path / "again")
        checkpoint_activations(again.network)
        for trainer in (kept, again):
            torch.manual_seed(0)
            trainer.train(until=1)
        for (name, x), y in zip(kept.network.named_parameters(), again.network.parameters(), strict=True):
            assert torch.allclose(x, y, atol=1e-5), name

    @pytest.mark.thorough
    def test_single_images_in_half_precision(self, tmp_path: Path) -> None:
        fields = {"datasets": ("refcoco",), "clip_length": 1, "total_steps": 2}
        options = TrainerOptions(amp="bf16", progress=False)
        trainer = make(image_tree(tmp_path / "data"), tmp_path / "out", options=options, **fields)
        trainer.train()
        assert (tmp_path / "out" / "ema.safetensors").exists()
        log = EventAccumulator(str(tmp_path / "out" / "log"))
        log.Reload()
        assert log.Images("clip")

    @pytest.mark.thorough
    def test_the_loss_of_one_clip_falls(self, tmp_path: Path) -> None:
        trainer = make(video_tree(tmp_path / "data"), tmp_path / "out", dropout=0.0, clip_norm=None, total_steps=12)
        trainer.network.text_encoder.eval()
        batch = next(trainer._batches(1))
        losses = []
        for step in range(12):
            trainer.step = step
            losses.append(trainer._train_step(batch)[0])
        assert min(losses[-3:]) < 0.8 * losses[0]


def test_networks_and_stages_belong_together() -> None:
    network = build_model("r50_referformer", device="cpu", text_layers=1)
    with pytest.raises(
        ValueError, match="R50ReferFormer takes text prompts, but Pre is a stage for models that take masks"
    ):
        build_objective(network, get_stage_config("pre"), 0)
    several = build_model("r50_referformer", device="cpu", text_layers=1, num_classes=65)
    with pytest.raises(ValueError, match="training needs a network with num_classes=1, not 65"):
        build_objective(several, get_stage_config("refer_ytvos"), 0)
    with pytest.raises(
        ValueError, match="AOTT takes masks, but ReferYouTubeVOS is a stage for models that take text prompts"
    ):
        build_objective(build_model("aott", device="cpu"), get_stage_config("refer_ytvos"), 0)


def test_roberta_s_own_file_fills_the_text_encoder(tmp_path: Path) -> None:
    own, other = build_roberta(1), build_roberta(1)
    state = {f"roberta.{k}": v.clone() for k, v in own.state_dict().items() if not k.startswith("pooler.")}
    state |= {"lm_head.bias": torch.zeros(5), "roberta.embeddings.position_ids": torch.arange(514)[None]}
    save_file(state, tmp_path / "model.safetensors")
    report = load_encoder(other, tmp_path / "model.safetensors")
    assert sorted(report.absent) == ["pooler.dense.bias", "pooler.dense.weight"]
    for name, x in own.state_dict().items():
        assert name.startswith("pooler.") or torch.equal(x, other.state_dict()[name])
