"""Validation while a network is trained: steps are safe before it, and it can be put off and fail."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from PIL import Image
from small_training import in_two_processes, join, make, weights
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from voskit.trainers.checkpoints import find_states
from voskit.trainers.distributed import FailedTogether, Processes
from voskit.trainers.trainer import Trainer


class Scores:
    """A validation that gives one score after the other, and fails where there is an error in place of one."""

    def __init__(self, trainer: Trainer, *scores: float | Exception) -> None:
        self.trainer, self.scores, self.steps = trainer, list(scores), []
        self.saved: list[list[str]] = []

    def __call__(self, network: Any) -> float:
        assert not network.training
        self.steps.append(self.trainer.step)
        self.saved.append([p.name for p in find_states(self.trainer.output / "checkpoints")])
        score = self.scores.pop(0)
        if isinstance(score, Exception):
            raise score
        return score


def scored(output: Path, *scores: float | Exception, **changes: Any) -> tuple[Trainer, Scores]:
    trainer = make(output, **changes)
    trainer.validate = Scores(trainer, *scores)
    return trainer, trainer.validate


def test_the_best_weights_are_kept(tmp_path: Path) -> None:
    trainer, _ = scored(tmp_path, 0.2, 0.9, 0.5, total_steps=9)
    trainer.train()
    assert trainer.best == 0.9
    assert (tmp_path / "best.safetensors").exists()
    assert make(tmp_path, total_steps=9).best == 0.9


class Pictured:
    """A validation with one example."""

    def __init__(self) -> None:
        frame, ids = np.full((30, 90, 3), 100, np.uint8), np.eye(30, 90, dtype=np.uint16)
        self.examples = [
            SimpleNamespace(
                name="bear", frames=[frame, frame], labels=[ids, ids], predicted=[0 * ids, ids],
                captions=["00001: 1 0.20", "00002: 1 0.90"], figures={"confidence": 0.55, "J": 0.5},
            )
        ]  # fmt: skip

    def __call__(self, network: Any) -> float:
        return 0.5


def test_examples_of_a_validation_are_in_tensorboard(tmp_path: Path) -> None:
    trainer = make(tmp_path, validate=Pictured(), total_steps=3)
    trainer.train()
    events = EventAccumulator(str(tmp_path / "log")).Reload()
    (picture,) = events.Images("validation/bear")
    assert (picture.step, picture.height, picture.width) == (3, 2 * 30 + 16, 2 * 90)
    assert [event.value for event in events.Scalars("validation_confidence/bear")] == pytest.approx([0.55])
    assert [event.value for event in events.Scalars("validation_J/bear")] == [0.5]
    pixels = np.asarray(Image.open(io.BytesIO(picture.encoded_image_string)))
    assert (pixels[:30, :90] != 100).any() and (pixels[30:60, :90] == 100).all()  # truth above, prediction below
    assert (pixels[30:60, 90:] != 100).any() and pixels[60:].max() > 200


def test_steps_are_safe_before_their_validation(tmp_path: Path) -> None:
    trainer, scores = scored(tmp_path, 0.1, 0.2, 0.3)
    trainer.train()
    assert scores.steps == [3, 6, 8]
    assert [saved[-1] for saved in scores.saved] == [f"step_0000000{step}.pt" for step in scores.steps]


def test_a_validation_that_fails_does_not_end_the_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = make(tmp_path / "whole")
    whole.train()
    trainer, scores = scored(tmp_path / "run", ValueError("video a: no mask"), 0.2, RuntimeError("out of memory"))
    trainer.train()
    assert scores.steps == [3, 6, 8]
    assert trainer.failed_validations == [3, 8]
    assert "step 3: validation failed, training continues: video a: no mask" in caplog.messages
    assert trainer.best == 0.2
    for name, x in weights(whole).items():
        assert torch.equal(x, weights(trainer)[name]), name


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_not_finite_is_a_failed_validation(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, score: float
) -> None:
    trainer, _ = scored(tmp_path, score, 0.2, total_steps=2, save_every=1)
    trainer.train()
    assert trainer.failed_validations == [1]
    text = f"step 1: validation failed, training continues: the score is {score}, which is not finite"
    assert text in caplog.messages
    assert trainer.best == 0.2
    assert (tmp_path / "best.safetensors").exists()


def test_one_that_failed_before_a_stop_is_reported_after_resuming(tmp_path: Path) -> None:
    trainer, _ = scored(tmp_path, ValueError("no mask"), 0.2)
    trainer.train(until=6)
    again = make(tmp_path, validate=lambda _: 0.7)
    assert again.failed_validations == [3]


@pytest.mark.parametrize(("second", "failed"), [(0.1, []), (ValueError("still no mask"), [3])])
def test_one_that_failed_is_repeated_when_training_continues(tmp_path: Path, second, failed: list[int]) -> None:
    trainer, scores = scored(tmp_path, ValueError("no mask"), second, 0.2)
    trainer.train(until=3)
    assert trainer.failed_validations == [3]
    trainer.train(until=4)
    assert scores.steps[:2] == [3, 3]
    assert trainer.failed_validations == failed


@pytest.mark.thorough
def test_one_that_failed_at_the_end_is_repeated_when_the_run_is_called_again(tmp_path: Path) -> None:
    trainer, _ = scored(tmp_path, 0.1, 0.2, ValueError("the disk is away"))
    trainer.train()
    again = make(tmp_path, validate=lambda _: 0.7)
    again.train()
    assert (again.step, again.best, again.failed_validations, again.unscored) == (8, 0.7, [], False)


@pytest.mark.thorough
def test_a_stop_postpones_validation_until_the_run_resumes(tmp_path: Path) -> None:
    whole, _ = scored(tmp_path / "whole", 0.5, 0.2, 0.1)
    whole.train()
    first, scores = scored(tmp_path / "parts", total_steps=8)
    step = first._train_step

    def stop_in_the_third(*batch: Any) -> tuple[float, float]:
        if first.step == 2:
            first.stop()
        return step(*batch)

    first._train_step = stop_in_the_third  # type: ignore[method-assign]
    first.train()
    assert (first.step, scores.steps) == (3, [])
    second = make(tmp_path / "parts", validate=lambda _: 0.0)
    second.validate = later = Scores(second, 0.5, 0.2, 0.1)
    second.train()
    assert later.steps == [3, 6, 8]
    assert second.best == whole.best == 0.5
    for name, x in weights(whole).items():
        assert torch.equal(x, weights(second)[name]), name


@pytest.mark.thorough
def test_a_stop_during_a_validation_takes_effect_at_its_end(tmp_path: Path) -> None:
    trainer = make(tmp_path)
    steps = []

    def stop(_: Any) -> float:
        steps.append(trainer.step)
        trainer.stop()
        return 0.5

    trainer.validate = stop
    trainer.train()
    assert (trainer.step, steps) == (3, [3])
    assert make(tmp_path).best == 0.5


def _validate_in_process(rank: int, port: int, output: str) -> None:
    processes = join(rank, port)
    trainer = make(Path(output), processes=processes)

    def validate(_: Any) -> float:
        processes.agree()
        if trainer.step == 3 and rank == 1:
            raise OSError("no room on the disk of the second")
        processes.agree()
        if trainer.step == 6 and rank == 0:
            raise ValueError("no scores")
        if trainer.step == 8 and rank == 1:
            trainer.stop()
        return 0.5 if rank == 0 else float("nan")

    trainer.validate = validate
    trainer.train()
    assert trainer.step == 8
    assert trainer.failed_validations == [3, 6]
    assert not trainer.unscored
    assert trainer._stopping
    dist.destroy_process_group()


@pytest.mark.thorough
def test_processes_stay_in_step_when_one_fails(tmp_path: Path) -> None:
    in_two_processes(_validate_in_process, tmp_path)
    assert (tmp_path / "best.safetensors").exists()


def test_a_failure_in_one_process_keeps_its_reason() -> None:
    with pytest.raises(FailedTogether, match="no such file"):
        Processes().attempt(lambda: (_ for _ in ()).throw(OSError("no such file")))
    assert Processes().attempt(lambda: 3) == 3


def test_a_lost_process_is_named_without_hiding_other_errors() -> None:
    def fail(text: str) -> None:
        raise RuntimeError(text)

    lost = "[third_party/gloo/gloo/transport/tcp/pair.cc:545] Read error: Connection reset by peer"
    with pytest.raises(ConnectionError, match="process 1 lost the connection"), Processes(1, 2).connected():
        fail(lost)
    for processes, text in ((Processes(), lost), (Processes(1, 2), "sizes differ")):
        with pytest.raises(RuntimeError, match=text.split()[-1]), processes.connected():
            fail(text)
