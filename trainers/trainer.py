"""Trainer: one stage of one model on one or several devices, resumable from every checkpoint."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
import logging
import math
import multiprocessing.synchronize
import os
import signal
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from voskit.configs import model_name
from voskit.configs.stages import ReferringStageConfig, StageConfig
from voskit.dataloaders.training import collate
from voskit.dataloaders.training.referring.clip import collate_referring
from voskit.networks import save_weights
from voskit.networks.inference import AMP_TYPES
from voskit.networks.memory_usage import peak_memory
from voskit.networks.models.base import Network
from voskit.trainers.checkpoints import find_states, load_state, save_state
from voskit.trainers.distributed import FailedTogether, Processes
from voskit.trainers.ema import AveragedWeights
from voskit.trainers.objectives import build_objective
from voskit.trainers.parameter_groups import merged, parameter_groups, regrouped, set_rates
from voskit.trainers.sampling import ByEpoch, StepBatches, share_of_batch
from voskit.trainers.schedule import Schedule
from voskit.trainers.tensorboard_images import clip_preview, log_examples

logger = logging.getLogger(__name__)

_FREE = ("workers", "save_every", "keep", "log_every")  # fields that may change when a run is resumed


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainerOptions:
    """Options of a run that don't belong to the stage."""

    amp: str | None = None
    """Mixed precision: fp16 (with loss scaling) or bf16. None: float32."""
    accumulate: int = 1
    """Number of equal parts into which a process splits its share of a batch."""
    seed: int = 0
    """Seed of clips, augmentation and dropout, 0 to 10**16."""
    progress: bool = True
    """Show a progress bar, or log lines if there is no terminal."""

    def __post_init__(self) -> None:
        if self.accumulate < 1:
            raise ValueError(f"accumulate must be at least 1, got {self.accumulate}")
        if not 0 <= self.seed <= 10**16:  # PyTorch takes 64 bits
            raise ValueError(f"seed must be from 0 to 10**16, got {self.seed}")
        if self.amp is not None and self.amp not in AMP_TYPES:
            raise ValueError(f"amp must be one of {', '.join(AMP_TYPES)}, got {self.amp!r}")


class Trainer:
    """Training loop of one network through one stage.

    A run resumes from the last checkpoint in its folder and then gives the result of an uninterrupted run. The folder
    holds ``checkpoints/step_*.pt`` (the complete state), ``weights.safetensors`` and ``ema.safetensors`` (the result),
    and ``log`` for TensorBoard: metrics, and at each checkpoint a clip with true and predicted masks.

    Args:
        network: a network on its device, see :mod:`voskit.trainers.objectives` for the calls that the loss makes.
        stage: the stage.
        dataset: has ``set_epoch`` and items of :class:`~voskit.dataloaders.training.TrainClip`, or ``ReferringClip``
            for text prompts.
        output: folder of the run.
        processes: the processes that train together.
        options: options of the run.
        validate: returns a score of the network with the averaged weights. It is called at each checkpoint on all
            processes, and the score of the first process counts; the best weights are kept in ``best.safetensors``. It
            may synchronize processes only by ``processes.agree``. If it fails or that score is not finite, training
            continues, and ``failed_validations`` lists the step. Its attribute ``examples``, if it has one, goes to
            TensorBoard, see :func:`~voskit.trainers.tensorboard_images.log_examples`.
        start: checksums of the files with the initial weights, by their role. None for a missing file. A run resumes
            only with the same files; files that are missing now or were missing then are not compared.

    Raises:
        ValueError: the batch can't be divided among the processes; or a checkpoint in the folder is damaged, belongs to
            a run with other settings, or is not visible to all processes.
    """

    def __init__(
        self,
        network: Network,
        stage: StageConfig,
        dataset: Any,
        output: Path,
        *,
        processes: Processes | None = None,
        options: TrainerOptions | None = None,
        validate: Callable[[Network], float] | None = None,
        start: Mapping[str, str | None] | None = None,
    ) -> None:
        self.network, self.stage, self.dataset, self.output = network, stage, dataset, output
        self.processes = processes or Processes()
        self.options = options or TrainerOptions()
        self.validate = validate
        self.start = start
        self.device = next(network.parameters()).device
        share_of_batch(stage.batch_size, self.processes.count, self.options.accumulate)
        torch.manual_seed(self.options.seed * 1000 + self.processes.rank)
        network.train()
        large = stage.min_lr_large
        self.schedule = Schedule(
            base=stage.lr,
            least=stage.min_lr if large is None or network.has_mobile_encoder else large,
            total_steps=stage.total_steps,
            warm_up_ratio=stage.warm_up_ratio,
            power=stage.power,
            cosine=stage.cosine,
            cycles=stage.cycles,
            milestones=stage.milestones,
            gamma=stage.gamma,
        )
        self.objective = build_objective(network, stage, self.options.seed)
        self.loss: nn.Module = self.objective
        if self.processes.count > 1:
            devices = [self.device] if self.device.type == "cuda" else None
            # once predicted masks enter the memory, a frozen identity bank has no gradient; in clips of two frames,
            # neither have the layers that update the sensory memory or the objects' tokens
            unused = (stage.sequential_start < 1 and bool(stage.frozen_in_sequential)) or stage.clip_length == 2
            self.loss = DistributedDataParallel(self.loss, devices, find_unused_parameters=unused)
            self.loss.broadcast_buffers = False  # the constructor's argument is deprecated
        text_ratio = stage.text_lr_ratio if isinstance(stage, ReferringStageConfig) else 1.0
        groups = parameter_groups(network, stage.weight_decay, stage.encoder_lr_ratio, stage.decay_all, text_ratio)
        groups = merged(groups, stage.frozen_in_sequential)
        fused: dict[str, Any] = {"fused": True} if self.device.type == "cuda" else {}
        self.optimizer: torch.optim.Optimizer
        if stage.optimizer == "adamw":
            self.optimizer = torch.optim.AdamW(groups, lr=stage.lr, **fused)
        else:
            self.optimizer = torch.optim.SGD(groups, lr=stage.lr, momentum=stage.momentum)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.options.amp == "fp16")
        self.average = AveragedWeights(network, stage.total_steps, stage.ema_ratio)
        self.step = 0
        self.best = -math.inf
        self.unscored = False
        """True if the current step still has to be validated, after a stop or a failure."""
        self.failed_validations: list[int] = []
        self._stop_wanted = self._stopping = False
        self._over = torch.multiprocessing.get_context().Event()
        self._resume()

    def stop(self) -> None:
        """Stop all processes after the current step, with a checkpoint to resume from."""
        self._stop_wanted = True

    def train(self, until: int | None = None) -> None:
        """Train to the end of the stage, or until a step.

        Args:
            until: number of steps after which to return. None: all steps of the stage.

        Raises:
            FloatingPointError: the loss of a process is not finite. The weights are those before that step.
            ConnectionError: another process was killed, or ended with an error.
        """
        stop = self.stage.total_steps if until is None else min(until, self.stage.total_steps)
        first = self.processes.is_first
        with self.processes.connected(), contextlib.ExitStack() as stack:
            log = None
            if first:
                again = self.step + 1 if self.step else None  # steps after the checkpoint are repeated
                log = SummaryWriter(str(self.output / "log"), purge_step=again)
                stack.callback(log.close)
            has_bar = first and self.options.progress and sys.stderr.isatty()
            steps = tqdm(total=self.stage.total_steps, initial=self.step, disable=not has_bar, unit="step")
            bar = stack.enter_context(steps)
            self._over.clear()
            batches = stack.enter_context(contextlib.closing(self._batches(stop)))
            stack.callback(self._over.set)
            self._train_until(stop, batches, log, bar)
        finished = self.step == self.stage.total_steps
        self.processes.attempt(lambda: self._save_weights() if finished and first else None)

    def _train_until(self, stop: int, batches: Iterator[Any], log: SummaryWriter | None, bar: tqdm) -> None:
        if self.unscored:
            self._validate(log)
        waited, begin = 0.0, time.perf_counter()
        losses: deque[float] = deque(maxlen=self.stage.log_every)
        while self.step < stop and not self._stopping:
            start = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - start
            loss, norm = self._train_step(batch)
            losses.append(loss)
            self.step += 1
            bar.update()
            if self.step % self.stage.log_every == 0 and log is not None:
                passed = time.perf_counter() - begin
                self._log(self._metrics(statistics.mean(losses), norm, passed / len(losses), waited / passed), log, bar)
                waited, begin = 0.0, time.perf_counter()
            if self.step % self.stage.save_every == 0 or self.step == stop or self._stopping:
                paused = time.perf_counter()
                due = self.step % self.stage.save_every == 0 or self.step == stop
                self.unscored = due and self.validate is not None
                self._save()
                if self.unscored and not self._stopping:
                    self._validate(log)
                if log is not None and (clip := self.objective.preview(batch)) is not None:
                    tail = slice(-len(clip.predicted), None)
                    image = clip_preview(clip.frames[tail], clip.labels[tail], clip.predicted)
                    log.add_image("clip", image, self.step, dataformats="HWC")
                begin += time.perf_counter() - paused

    def _log(self, metrics: dict[str, float], log: SummaryWriter, bar: tqdm) -> None:
        """Write metrics to TensorBoard and to the progress bar, or to the log if there is no bar."""
        for name, value in metrics.items():
            log.add_scalar(name, value, self.step)
        bar.set_postfix_str(_as_line(metrics), refresh=False)
        if bar.disable and self.options.progress:
            total = self.stage.total_steps
            left = timedelta(seconds=round((total - self.step) * metrics["seconds_a_step"]))
            logger.info("step %d of %d: %s, %s left", self.step, total, _as_line(metrics), left)

    def _metrics(self, loss: float, norm: float, seconds: float, waiting: float) -> dict[str, float]:
        """Return the metrics since the last log entry. ``waiting`` is the fraction of time spent waiting for data."""
        return {
            "loss": loss,
            "gradient_norm": norm,
            "lr": self.schedule.lr(self.step - 1),
            "seconds_a_step": seconds,
            "waiting": waiting,
            "memory_GiB": peak_memory(self.device) / 2**30,
        }

    def _batches(self, stop: int) -> Generator[Any, None, None]:
        """Yield batches up to a step. Errors of a loader process are raised as one line."""
        workers = self.stage.workers
        sampler = StepBatches(
            len(self.dataset),
            self.stage.batch_size,
            self.processes.rank,
            self.processes.count,
            self.step,
            stop,
            self.options.seed,
        )
        self._sampler = sampler
        if workers:  # leftover video readers have threads, which a forked loader process could not clean up
            gc.collect()
        loader = DataLoader(
            ByEpoch(self.dataset),
            batch_sampler=sampler,
            num_workers=workers,
            collate_fn=collate_referring if isinstance(self.stage, ReferringStageConfig) else collate,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=functools.partial(_leave_stopping_to_the_trainer, self._over),
            generator=torch.Generator(),  # the default one would draw from the random state that is resumed
        )
        try:
            yield from loader
        except (ValueError, OSError) as error:
            text = str(error)
            if not text.startswith("Caught "):
                raise
            # without frames, which would keep the loader's iterator: as part of a cycle it ends its processes after 5 s
            raise type(error)(text.strip().splitlines()[-1].partition(": ")[2]) from error.with_traceback(None)

    def _train_step(self, batch: Any) -> tuple[float, float]:
        """Run one optimizer step. Return the loss of the whole batch, and the norm of the gradient before clipping."""
        stage, count = self.stage, self.options.accumulate
        frozen = stage.frozen_in_sequential if self.step >= stage.sequential_start * stage.total_steps else ()
        set_rates(self.optimizer.param_groups, self.schedule, self.step, frozen)
        places = self._sampler.places(self.step)
        parts = self.objective.parts(batch.to(self.device), places, count, self.processes)
        total = torch.zeros((), device=self.device)
        self.optimizer.zero_grad(set_to_none=True)
        for part, arguments in enumerate(parts):
            shared = self.processes.count > 1 and part < count - 1
            assert not shared or isinstance(self.loss, DistributedDataParallel)
            with self.loss.no_sync() if shared else contextlib.nullcontext():  # type: ignore[operator]
                with self._precision():
                    loss = self.loss(*arguments, self.step) / count
                self.scaler.scale(loss).backward()
            total += loss.detach()
        wanted = total.new_tensor(float(self._stop_wanted))
        mean, stopping = self.processes.mean(torch.stack((total, wanted))).tolist()
        self._stopping = stopping > 0
        if not math.isfinite(mean):
            raise FloatingPointError(f"the loss of step {self.step} is not finite; clips: {', '.join(batch.names)}")
        self.scaler.unscale_(self.optimizer)
        trained = [p for p in self.network.parameters() if p.requires_grad]
        most = None if stage.clip_only_amp and self.options.amp is None else stage.clip_norm
        norm = float(nn.utils.clip_grad_norm_(trained, most or math.inf))
        # loss scaling skips such a step by itself; the gradient is the same on all processes
        if not (math.isfinite(norm) or self.scaler.is_enabled()):
            raise FloatingPointError(f"a gradient of step {self.step} is not finite; clips: {', '.join(batch.names)}")
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.average.update(self.network)
        return mean, norm

    def _precision(self) -> contextlib.AbstractContextManager:
        if self.options.amp is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, AMP_TYPES[self.options.amp])

    def _save(self) -> None:
        """Write a checkpoint."""
        random = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state(self.device)
        elif self.device.type == "mps":
            random["mps"] = torch.mps.get_rng_state()
        randoms = self.processes.gather(random)
        if not self.processes.is_first:
            return
        state = {
            "step": self.step,
            "stage": self.stage.to_dict(),
            "model": self.network.config.to_dict(),
            "model_name": model_name(self.network.config),
            "weights": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "random": randoms,
            "best": self.best,
            "unscored": self.unscored,
            "failed_validations": self.failed_validations,
            "data": {"seed": self.options.seed, "clips": len(self.dataset)},
            "amp": self.options.amp,
            "start": None if self.start is None else dict(self.start),
        }
        save_state(self.output / "checkpoints", self.step, state, self.stage.keep)

    def _validate(self, log: SummaryWriter | None) -> None:
        """Score the averaged weights of the current step, and keep them if they are the best so far.

        The step's checkpoint is already written, since validation can take long and fail. A stop that is requested
        during validation takes effect at its end, on all processes.
        """
        try:
            score = self.processes.attempt(self._score)
        except FailedTogether as error:
            if self.step not in self.failed_validations:
                self.failed_validations.append(self.step)
            cause = error.__cause__
            traceback = None if isinstance(cause, (ValueError, OSError)) else cause  # their messages say what to do
            logger.error("step %d: validation failed, training continues: %s", self.step, error, exc_info=traceback)
        else:
            self.unscored = False
            self.failed_validations = [step for step in self.failed_validations if step != self.step]
            if self.processes.is_first:
                logger.info("step %d: validation %.4f (best %.4f)", self.step, score, max(self.best, score))
                if log is not None:
                    log.add_scalar("validation", score, self.step)
                    log_examples(log, getattr(self.validate, "examples", ()), self.step)
                if score > self.best:
                    self.best = score
                    self._save_average(self.output / "best.safetensors")
            self._save()
        self._stopping = any(self.processes.gather(self._stop_wanted))

    def _resume(self) -> None:
        found = find_states(self.output / "checkpoints")
        last = self.processes.gather(found[-1].name if found else "nothing")
        if len(set(last)) > 1:
            each = ", ".join(f"process {rank} finds {name}" for rank, name in enumerate(last))
            raise ValueError(
                f"{self.output / 'checkpoints'}: {each}: use one folder on a disk that all processes share"
            )
        if not found:
            return
        state = load_state(found[-1])
        if differences := self._differences(state):
            raise ValueError(f"{found[-1]} belongs to a run with other settings ({differences}): use another folder")
        before = state.get("amp", self.options.amp)  # checkpoints of earlier versions lack it
        if before != self.options.amp and self.processes.is_first:
            names = before or "float32", self.options.amp or "float32"
            logger.warning("%s was trained in %s, training continues in %s (--amp)", found[-1], *names)
        self.step, self.best = state["step"], state["best"]
        self.unscored = self.validate is not None and state.get("unscored", False)
        self.failed_validations = state.get("failed_validations", [])
        self.network.load_state_dict(state["weights"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(regrouped(state["optimizer"], self.optimizer.state_dict()))
        if state["scaler"]:  # empty if loss scaling was off
            self.scaler.load_state_dict(state["scaler"])
        if len(state["random"]) == self.processes.count:
            random = state["random"][self.processes.rank]
            torch.set_rng_state(random["cpu"])
            if "cuda" in random and self.device.type == "cuda":
                torch.cuda.set_rng_state(random["cuda"], self.device)
            elif "mps" in random and self.device.type == "mps":
                torch.mps.set_rng_state(random["mps"])
        else:
            logger.warning("%s: the number of processes has changed, so random states start from the seed", found[-1])
        logger.info("resuming from %s", found[-1])

    def _differences(self, state: dict[str, Any]) -> str:
        """Describe the settings of a checkpoint that differ from those of this run. Empty: none differ."""
        config = self.network.config
        # checkpoints of earlier versions lack newer fields, "data" and "start"
        before = {**type(self.stage).from_dict(state["stage"]).to_dict(), **state.get("data", {})}
        before |= {f"model's {k}": v for k, v in type(config).from_dict(state["model"]).to_dict().items()}
        now = {**self.stage.to_dict(), "seed": self.options.seed, "clips": len(self.dataset)}
        now |= {f"model's {k}": v for k, v in config.to_dict().items()}
        other = [k for k in before if k not in _FREE and before[k] != now[k]]
        texts = [f"{k} was {before[k]}, is {now[k]}" for k in other]
        return ", ".join(texts + _other_start(state.get("start"), self.start))

    def _score(self) -> float:
        """Score the averaged weights.

        Raises:
            ValueError: the score of the first process is not finite.
        """
        assert self.validate is not None
        with self._averaged():
            self.network.eval()
            try:
                score = self.validate(self.network)
            finally:
                self.network.train()
        if self.processes.is_first and not math.isfinite(score):
            raise ValueError(f"the score is {score}, which is not finite")
        return score

    def _save_average(self, path: Path) -> None:
        with self._averaged():
            save_weights(self.network, path)

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """Give the network the averaged weights within a ``with`` block."""
        own = {k: v.clone() for k, v in self.network.state_dict().items()}
        self.network.load_state_dict(self.average.weights)
        try:
            yield
        finally:
            self.network.load_state_dict(own)

    def _save_weights(self) -> None:
        """Write the results of the stage: the last and the averaged weights."""
        save_weights(self.network, self.output / "weights.safetensors")
        self._save_average(self.output / "ema.safetensors")


def _other_start(before: Mapping[str, str | None] | None, now: Mapping[str, str | None] | None) -> list[str]:
    """Describe known differences between the initial weights of a checkpoint and those of this run."""
    if before is None or now is None:
        return []
    if before.keys() != now.keys():
        return [f"initial weights were {', '.join(before) or 'random'}, are {', '.join(now) or 'random'}"]
    known = [k for k in before if before[k] is not None and now[k] is not None and before[k] != now[k]]
    return [f"initial {k} had checksum {before[k]}, has {now[k]}" for k in known]


def _leave_stopping_to_the_trainer(over: multiprocessing.synchronize.Event, _: int) -> None:
    """Ignore SIGTERM in a loader process until training is over, so that the current step can finish."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0) if over.is_set() else None)


def _as_line(metrics: dict[str, float]) -> str:
    return (
        f"loss {metrics['loss']:.3f}, {metrics['seconds_a_step']:.2f} s per step ({metrics['waiting']:.0%} waiting for "
        f"data), {metrics['memory_GiB']:.1f} GiB"
    )
