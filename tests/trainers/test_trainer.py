"""The trainer on a tiny set: resuming, accumulation, several processes, errors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from small_training import Squares, in_two_processes, join, make, small_stage, weights
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from voskit.networks import build_model
from voskit.trainers import trainer as trainer_module
from voskit.trainers.activation_checkpointing import checkpoint_activations
from voskit.trainers.checkpoints import find_states, load_state
from voskit.trainers.distributed import Processes, join_processes
from voskit.trainers.sampling import StepBatches, identity_permutations
from voskit.trainers.trainer import TrainerOptions


def test_interrupted_and_resumed_is_the_same_run(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole", freeze_backbone=False)
    whole.train()
    first = make(tmp_path / "parts", freeze_backbone=False)
    first.train(until=6)
    torch.manual_seed(123)  # whatever happened in between
    second = make(tmp_path / "parts", freeze_backbone=False)
    assert second.step == 6
    second.train()
    for name, x in weights(whole).items():
        assert torch.equal(x, weights(second)[name]), name
    assert [p.name for p in find_states(tmp_path / "parts" / "checkpoints")] == ["step_00000006.pt", "step_00000008.pt"]
    for file in ("ema.safetensors", "checkpoints/step_00000008.pt"):
        model = build_model("aott", checkpoint=tmp_path / "parts" / file, device="cpu")  # it says how it was built
        assert torch.equal(model.decoder.conv_out.weight, second.average.weights["decoder.conv_out.weight"])


def test_a_run_that_is_asked_to_stop_ends_with_a_checkpoint(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole")
    whole.train()
    first = make(tmp_path / "parts")
    step = first._train_step

    def stop_in_the_fourth(*batch: Any) -> tuple[float, float]:
        if first.step == 3:
            first.stop()
        return step(*batch)

    first._train_step = stop_in_the_fourth  # type: ignore[method-assign]
    first.train()
    assert first.step == 4
    second = make(tmp_path / "parts")
    assert second.step == 4
    second.train()
    for name, x in weights(whole).items():
        assert torch.equal(x, weights(second)[name]), name


# AdamW divides by the gradient's size, which makes rounding errors of vanishing gradients as large as a step: so, SGD
def test_accumulation_equals_the_large_batch(tmp_path: Path) -> None:
    large = make(tmp_path / "large", drop_path=0, optimizer="sgd")
    parts = make(tmp_path / "parts", drop_path=0, optimizer="sgd", options=TrainerOptions(accumulate=2, progress=False))
    for trainer in (large, parts):
        trainer.train(until=3)
    for name, x in weights(large).items():
        assert torch.allclose(x, weights(parts)[name], atol=1e-5), name


def test_activation_checkpointing_changes_nothing(tmp_path: Path) -> None:
    kept, again = make(tmp_path / "kept"), make(tmp_path / "again")
    checkpoint_activations(again.network)
    for trainer in (kept, again):
        torch.manual_seed(0)
        trainer.train(until=2)
    for name, x in weights(kept).items():
        assert torch.allclose(x, weights(again)[name], atol=1e-6), name


def _train_in_process(rank: int, port: int, output: str) -> None:
    processes = join(rank, port)
    trainer = make(Path(output), drop_path=0, processes=processes, optimizer="sgd", sequential_start=0.2)
    trainer.train(until=3)
    if rank == 0:
        torch.save(weights(trainer), Path(output) / "result.pt")
    dist.destroy_process_group()


def _stop_one_process(rank: int, port: int, output: str) -> None:
    trainer = make(Path(output), processes=join(rank, port))
    if rank == 1:
        trainer.stop()
    trainer.train()
    assert trainer.step == 1
    dist.destroy_process_group()


@pytest.mark.thorough
def test_when_one_process_is_asked_to_stop_all_do(tmp_path: Path) -> None:
    in_two_processes(_stop_one_process, tmp_path)
    assert [p.name for p in find_states(tmp_path / "checkpoints")] == ["step_00000001.pt"]


def test_two_processes_equal_one(tmp_path: Path) -> None:
    one = make(tmp_path / "one", drop_path=0, optimizer="sgd", sequential_start=0.2)
    one.train(until=3)
    in_two_processes(_train_in_process, tmp_path / "two")
    two = torch.load(tmp_path / "two" / "result.pt")
    for name, x in weights(one).items():
        assert torch.allclose(x, two[name], atol=1e-5), name


@pytest.mark.parametrize("frozen", [("patch_wise_id_bank",), ()])
def test_identities_learn_from_predicted_masks_where_the_stage_does_not_freeze_them(tmp_path: Path, frozen) -> None:
    trainer = make(tmp_path, sequential_start=0.0, frozen_in_sequential=frozen)
    before = {k: v.clone() for k, v in trainer.network.state_dict().items() if "patch_wise_id_bank" in k}
    trainer.train(until=2)
    for name, x in before.items():
        assert torch.equal(x, trainer.network.state_dict()[name]) == bool(frozen), name


def test_the_loss_falls(tmp_path: Path) -> None:
    trainer = make(tmp_path, total_steps=16, save_every=16, drop_path=0, freeze_backbone=False)
    losses = []
    step = trainer._train_step
    trainer._train_step = lambda *a: losses.append(step(*a)) or losses[-1]  # type: ignore[method-assign]
    trainer.train()
    values = [loss for loss, _ in losses]
    assert np.mean(values[-5:]) < 0.8 * np.mean(values[:3])


def test_a_loss_that_is_not_finite_stops_before_the_step(tmp_path: Path) -> None:
    trainer = make(tmp_path, Squares(2, poison=1))
    before = {k: v.clone() for k, v in weights(trainer).items()}
    with pytest.raises(FloatingPointError, match=r"loss of step 0 is not finite; clips: .*clip 1"):
        trainer.train()
    assert all(torch.equal(x, before[k]) for k, x in weights(trainer).items())


def _stop_in_process(rank: int, port: int, output: str) -> None:
    trainer = make(Path(output), Squares(2, poison=1), processes=join(rank, port))
    before = {k: v.clone() for k, v in weights(trainer).items()}
    with pytest.raises(FloatingPointError, match="loss of step 0 is not finite"):
        trainer.train()
    assert all(torch.equal(x, before[k]) for k, x in weights(trainer).items())
    dist.destroy_process_group()


@pytest.mark.thorough
def test_a_loss_that_is_not_finite_in_one_process_stops_both(tmp_path: Path) -> None:
    in_two_processes(_stop_in_process, tmp_path)


def test_a_gradient_that_is_not_finite_stops_before_the_step(tmp_path: Path) -> None:
    trainer = make(tmp_path)
    trainer.network.decoder.conv_out.bias.register_hook(lambda gradient: gradient * float("inf"))
    before = {k: v.clone() for k, v in weights(trainer).items()}
    with pytest.raises(FloatingPointError, match="a gradient of step 0 is not finite; clips: clip"):
        trainer.train()
    assert all(torch.equal(x, before[k]) for k, x in weights(trainer).items())


def test_figures_and_pictures_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    trainer, losses = make(tmp_path, options=TrainerOptions()), []
    step = trainer._train_step
    trainer._train_step = lambda *a: losses.append(step(*a)) or losses[-1]  # type: ignore[method-assign]
    trainer.train(until=4)
    events = EventAccumulator(str(tmp_path / "log")).Reload()
    assert {"loss", "gradient_norm", "lr", "seconds_a_step", "waiting", "memory_GiB"} <= set(events.Tags()["scalars"])
    values = [loss for loss, _ in losses]
    assert [e.value for e in events.Scalars("loss")] == pytest.approx([np.mean(values[:2]), np.mean(values[2:])])
    assert [e.step for e in events.Images("clip")] == [3, 4]
    assert (events.Images("clip")[0].height, events.Images("clip")[0].width) == (2 * 49, 3 * 49)
    lines = [m for m in caplog.messages if m.startswith("step ")]
    pattern = r"step 2 of 8: loss \d\.\d+, [\d.]+ s per step \(\d+% waiting for data\), [\d.]+ GiB, \d+:\d\d:\d\d left"
    assert re.fullmatch(pattern, lines[0])


def test_other_settings_are_refused(tmp_path: Path) -> None:
    make(tmp_path).train(until=3)
    for changes, what in (
        ({"lr": 2e-3}, r"lr was 0\.\d+, is 0\.002"),
        ({"options": TrainerOptions(seed=7, progress=False)}, "seed was 0, is 7"),
        ({"data": Squares(9)}, r"clips was \d+, is 9"),
    ):
        with pytest.raises(ValueError, match=rf"belongs to a run with other settings \({what}\): use another folder"):
            make(tmp_path, **changes)


@pytest.mark.thorough
def test_similar_parameters_share_a_group_which_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequential = {"sequential_start": 0.2}
    few = make(tmp_path / "few", **sequential)
    few.train()
    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "merged", lambda groups, _: groups)
        patch.setattr(trainer_module, "regrouped", lambda saved, _: saved)
        many = make(tmp_path / "many", **sequential)
        many.train(until=3)
    assert len(few.optimizer.param_groups) < 8 < len(many.optimizer.param_groups)
    later = make(tmp_path / "many", **sequential)  # its checkpoint is of the older form, a group for each
    assert later.step == 3
    later.train()
    for name, x in weights(few).items():
        assert torch.equal(x, weights(later)[name]), name


def test_a_run_resumes_with_its_original_files_if_they_are_known(tmp_path: Path) -> None:
    make(tmp_path / "old").train(until=1)
    make(tmp_path / "old", start={"checkpoint": "1f"})
    make(tmp_path, start={"checkpoint": "1f"}).train(until=1)
    for start in ({"checkpoint": "1f"}, {"checkpoint": None}, None):
        assert make(tmp_path, start=start).step == 1
    for start, what in (
        ({"checkpoint": "2e"}, "initial checkpoint had checksum 1f, has 2e"),
        ({"encoder_weights": None}, "initial weights were checkpoint, are encoder_weights"),
    ):
        with pytest.raises(ValueError, match=rf"belongs to a run with other settings \({what}\)"):
            make(tmp_path, start=start)


def test_a_run_resumes_in_a_different_precision(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make(tmp_path).train(until=2)
    make(tmp_path)
    assert "trained in" not in caplog.text
    other = make(tmp_path, options=TrainerOptions(amp="fp16", progress=False))
    assert other.step == 2
    assert other.scaler.is_enabled()
    [message] = [m for m in caplog.messages if "trained in" in m]
    assert message.endswith("step_00000002.pt was trained in float32, training continues in fp16 (--amp)")
    path = find_states(tmp_path / "checkpoints")[-1]
    former = load_state(path)
    del former["amp"]  # as earlier versions wrote it
    torch.save(former, path)
    caplog.clear()
    make(tmp_path, options=TrainerOptions(amp="fp16", progress=False))
    assert "trained in" not in caplog.text


def test_all_processes_must_find_the_same_checkpoint(tmp_path: Path) -> None:
    class OneOfTwo(Processes):
        def gather(self, value: Any) -> list[Any]:
            return [value, "step_00000009.pt"]

    error = (
        "process 0 finds nothing, process 1 finds step_00000009.pt: use one folder on a disk that all processes share"
    )
    with pytest.raises(ValueError, match=error):
        make(tmp_path, processes=OneOfTwo())


def test_files_that_a_loader_process_can_t_read_are_one_line(tmp_path: Path) -> None:
    class Damaged(Squares):
        def __getitem__(self, index: int) -> Any:
            raise ValueError("0001.png: the file is cut short")

    with pytest.raises(ValueError, match=r"^0001\.png: the file is cut short$"):
        make(tmp_path, Damaged(), workers=1).train()


def test_leftovers_of_killed_processes_are_removed(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / ".step_00000001.pt.99.tmp").touch()
    make(tmp_path).train(until=2)
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step_00000002.pt"]


def test_a_batch_that_can_t_be_shared_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a batch of 2 clips can't be divided among 3 processes"):
        make(tmp_path / "out", processes=Processes(count=3))
    assert not (tmp_path / "out").exists()


def test_numbers_that_allow_no_training_are_refused() -> None:
    with pytest.raises(ValueError, match="accumulate must be at least 1, got 0"):
        TrainerOptions(accumulate=0)
    with pytest.raises(ValueError, match=r"seed must be from 0 to 10\*\*16, got -1"):
        TrainerOptions(seed=-1)
    with pytest.raises(ValueError, match="'warm_up_ratio' of Pre must be from 0 to 1"):
        small_stage(warm_up_ratio=2.0)
    for name, value in (("clip_norm", -1.0), ("min_lr", float("nan"))):  # a negative norm turned the gradient round
        with pytest.raises(ValueError, match=f"'{name}' of Pre must be at least 0"):
            small_stage(**{name: value})
    with pytest.raises(ValueError, match=r"'cycles' of .* must be at least 1"):
        small_stage(cycles=0)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    make(tmp_path).train(until=3)
    path = find_states(tmp_path / "checkpoints")[-1]
    for kept in (1000, 0):
        path.write_bytes(path.read_bytes()[:kept])
        with pytest.raises(ValueError, match=r"step_00000003\.pt is damaged \(.+\)"):
            make(tmp_path)


@pytest.mark.parametrize("content", [bytes(4096), b"<html>quota exceeded</html>"])
def test_files_that_are_not_checkpoints_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "step_00000003.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"step_00000003\.pt is damaged \(.+\): delete it to resume"):
        load_state(path)


def test_a_checkpoint_with_damaged_values_is_named(tmp_path: Path) -> None:
    path = tmp_path / "step_00000003.pt"
    torch.save({"weights": torch.zeros(3)}, path)
    content = path.read_bytes()
    stride = b"K\x01\x85"  # the tuple (1,) in the pickle
    assert stride in content
    path.write_bytes(content.replace(stride, b"h\x00\x85"))  # a tuple of another object
    with pytest.raises(ValueError, match=r"step_00000003\.pt is damaged \(.+\): delete it to resume"):
        load_state(path)


def test_batches_do_not_depend_on_the_number_of_processes() -> None:
    def steps(rank: int, count: int, start: int = 0) -> list:
        return list(StepBatches(10, 4, rank, count, start, 8, seed=3))

    halves = [a + b for a, b in zip(steps(0, 2), steps(1, 2), strict=True)]
    assert halves == steps(0, 1)
    assert steps(0, 1, 5) == steps(0, 1)[5:]
    flat = [key for batch in steps(0, 1) for key in batch]
    assert sorted(i for e, i in flat if e == 0) == list(range(10))
    with pytest.raises(ValueError, match="can't be divided among 3"):
        steps(0, 3)


def test_permutations_depend_on_the_position_of_a_clip() -> None:
    both = identity_permutations(0, range(4), 10)
    assert np.array_equal(both[2:], identity_permutations(0, range(2, 4), 10))
    assert all(sorted(row) == list(range(10)) for row in both.tolist())


def test_one_process_needs_no_environment() -> None:
    assert join_processes(torch.device("cpu")) == Processes()
