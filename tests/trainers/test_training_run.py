"""voskit.train: a stage in one call, resumed by the same call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_training import SMALL

import voskit
from voskit.dataloaders.masks.files import write_mask
from voskit.networks import save_weights
from voskit.trainers import run
from voskit.trainers.checkpoints import load_state
from voskit.trainers.run import TrainingResult

STAGE = {"total_steps": 2, "batch_size": 1, "crop": 33, "clip_length": 2, "workers": 0, "save_every": 1, "log_every": 1}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two static images with one object."""
    for number in range(2):
        for kind in ("JPEGImages", "Annotations"):
            (tmp_path / "data" / "Static" / kind / "set").mkdir(parents=True, exist_ok=True)
        mask = np.zeros((60, 70), np.uint8)
        mask[15:45, 15:50] = 1
        noise = np.random.default_rng(number).integers(0, 255, (60, 70, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "data" / "Static" / "JPEGImages" / "set" / f"{number}.jpg")
        write_mask(tmp_path / "data" / "Static" / "Annotations" / "set" / f"{number}.png", mask)
    return tmp_path / "data"


def train(data: Path, stage: str = "pre", output: str = "out", **options: Any) -> TrainingResult:
    stage_fields = {**STAGE, **options.pop("stage_fields", {})}
    options = {"model_fields": SMALL, "device": "cpu", "progress": False, **options}
    return voskit.train("aott", stage, data, data.parent / output, stage_fields=stage_fields, **options)


def state(result: TrainingResult) -> dict[str, torch.Tensor]:
    return load_state(result.folder / "checkpoints" / "step_00000002.pt")["weights"]


@pytest.mark.thorough
def test_a_run_that_was_stopped_is_resumed_by_the_same_call(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(data)
    assert whole == TrainingResult(folder=data.parent / "out" / "default_AOTT" / "PRE", step=2, finished=True)
    voskit.build_model("aott", checkpoint=whole.weights, device="cpu")
    assert whole.last_weights.exists() and not whole.best_weights.exists()

    def stop(_: Any) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(data, output="parts", validate=stop)
    folder = data.parent / "parts" / "default_AOTT" / "PRE"
    assert [p.name for p in (folder / "checkpoints").iterdir()] == ["step_00000001.pt"]
    resumed = train(data, output="parts")
    assert (resumed.step, resumed.finished) == (2, True)
    for name, x in state(whole).items():
        assert torch.equal(x, state(resumed)[name]), name


def test_the_next_stage_starts_from_the_averaged_weights_of_its_previous_one(data: Path) -> None:
    with pytest.raises(ValueError, match=r"starts from stage pre, but .*ema\.safetensors does not"):
        train(data, "pre_dav", stage_fields={"datasets": ("static",)})
    first = train(data)
    second = train(
        data, "pre_dav", stage_fields={"datasets": ("static",), "lr": 0.0, "min_lr_large": 0.0, "min_lr": 0.0}
    )
    start = voskit.build_model("aott", checkpoint=first.weights, device="cpu").state_dict()
    for name, x in state(second).items():
        assert torch.equal(x, start[name]), name


def test_the_best_weights_and_failures_of_validation_are_reported(data: Path) -> None:
    scores: list[Any] = [0.7, ValueError("no ground truth")]

    def validate(_: torch.nn.Module) -> float:
        if isinstance(score := scores.pop(0), Exception):
            raise score
        return score

    result = train(data, validate=validate)
    assert result.best_weights.exists()
    assert (result.failed_validations, result.validation_due) == ((2,), True)


def test_a_run_of_an_earlier_version_is_resumed(data: Path) -> None:
    """Checkpoints of former versions have other names of fields, and the stage's fields of the model as texts."""
    fields = {"model": {"freeze_backbone": True}}
    result = train(data, stage_fields=fields)
    path = result.folder / "checkpoints" / "step_00000001.pt"
    former = load_state(path)
    for now, before in (("lr", "rate"), ("min_lr", "least_rate"), ("merge_probability", "merge")):
        former["stage"][before] = former["stage"].pop(now)
    former["stage"]["model"] = ("freeze_backbone=true",)
    former["model"]["neighbours_apart"] = former["model"].pop("neighbors_apart")
    torch.save(former, path)
    (result.folder / "checkpoints" / "step_00000002.pt").unlink()
    assert train(data, stage_fields=fields).step == 2
    with pytest.raises(ValueError, match=r"lr was 0\.0004, is 0\.1"):
        train(data, stage_fields={**fields, "lr": 0.1})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stage": "prey"}, "unknown stage 'prey'"),
        ({"stage_fields": {"rate": 1e-4}}, "no field 'rate': it is now 'lr'"),
        (
            {"stage_fields": {"loss": "bootstraped_dice"}},
            "unknown loss 'bootstraped_dice': did you mean bootstrapped_dice",
        ),
        ({"stage_fields": {"sampling": "gap"}}, "unknown sampling 'gap': did you mean gaps"),
        ({"model_fields": {"neighbours_apart": True}}, "it is now 'neighbors_apart'"),
        ({"amp": "fp8"}, "amp must be one of fp16, bf16, got 'fp8'"),
        ({"accumulate": 0}, "accumulate must be at least 1, got 0"),
        ({"seed": 10**20}, r"seed must be from 0 to 10\*\*16, got 1000"),
    ],
)
def test_unknown_names_are_errors(data: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train(data, **options)


@pytest.mark.parametrize("model", ["aott", "deaott", "aost"])
def test_more_objects_than_the_identity_bank_holds_are_refused(data: Path, model: str) -> None:
    message = "max_objects of Pre is 20, but the identity bank of [A-Z]\\w+ holds 10 objects"
    fields = {**STAGE, "max_objects": 20}
    with pytest.raises(ValueError, match=message):
        voskit.train(model, "pre", data, data.parent / "out", stage_fields=fields, device="cpu", progress=False)
    assert not (data.parent / "out").exists()


def test_a_checkpoint_and_an_encoder_checkpoint_together_are_refused(data: Path) -> None:
    with pytest.raises(ValueError, match=r"the checkpoint whole\.pth holds the whole network"):
        train(data, checkpoint="whole.pth", encoder_checkpoint="encoder.pth")


def test_missing_data_is_found_before_encoders_are_downloaded(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "find_encoder", lambda file: pytest.fail(f"{file} is downloaded"))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        train(data.parent / "nowhere")


def test_the_size_of_the_identity_bank_is_that_of_the_initial_weights(data: Path) -> None:
    network = voskit.build_model("aott", device="cpu", **SMALL, max_objects=4)
    start = data.parent / "four.safetensors"
    save_weights(network, start)
    with pytest.raises(ValueError, match="max_objects of Pre is 5, but the identity bank of AOTT holds 4 objects"):
        train(data, checkpoint=start, stage_fields={"max_objects": 5})


def test_a_file_that_the_caller_names_must_exist(data: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"checkpoint none\.pth does not exist"):
        train(data, checkpoint="none.pth")
    with pytest.raises(FileNotFoundError, match=r"encoder checkpoint none\.pth does not exist"):
        train(data, encoder_checkpoint="none.pth")
