"""Training of a model through one stage: initial weights, data, resuming, results."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from voskit.configs import ModelConfig, PropagationConfig, get_model_config
from voskit.configs.models.aot import IdentityBankConfig
from voskit.configs.stages import ReferringStageConfig, StageConfig, get_stage_config
from voskit.dataloaders.files import checksum, exclusive_lock
from voskit.dataloaders.training import TrainingData, build_training_data
from voskit.dataloaders.training.referring.datasets import ReferringData, build_referring_data
from voskit.networks import build_model, compile_network
from voskit.networks.devices import local_device
from voskit.networks.models.base import Network
from voskit.networks.weights import PRETRAINED, find_encoder, path_here
from voskit.trainers.activation_checkpointing import checkpoint_activations as recompute_activations
from voskit.trainers.checkpoints import find_states, load_state
from voskit.trainers.distributed import Processes, join_processes
from voskit.trainers.sampling import share_of_batch
from voskit.trainers.trainer import Trainer, TrainerOptions

logger = logging.getLogger(__name__)

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """State of a run when :func:`train` returns."""

    folder: Path
    """Folder of the run: ``checkpoints``, ``log`` for TensorBoard, and weights."""
    step: int
    """Number of steps trained so far."""
    finished: bool
    """True if the stage is complete. False if it was stopped: call ``train`` again to resume."""
    failed_validations: tuple[int, ...] = ()
    """Steps at which validation failed."""
    validation_due: bool = False
    """True if the last checkpoint still has to be validated, after a failure or a stop."""

    @property
    def stopped(self) -> bool:
        """True if a stop left out steps or the validation of the last checkpoint: call ``train`` again."""
        return not self.finished or (self.validation_due and self.step not in self.failed_validations)

    @property
    def messages(self) -> list[str]:
        """One line for each thing that is missing from a complete run."""
        lines = []
        if failed := self.failed_validations:
            again = "; run the command again to score the last one" if self.validation_due and self.finished else ""
            lines.append(f"validation failed at step {', '.join(map(str, failed))}{again}")
        if self.stopped:
            when = "before the last validation" if self.finished else f"at step {self.step}"
            lines.append(f"stopped {when}; run the command again to resume")
        return lines

    @property
    def weights(self) -> Path:
        """Averaged weights, the ones to evaluate. Written once the stage is complete."""
        return self.folder / "ema.safetensors"

    @property
    def last_weights(self) -> Path:
        """Weights of the last step, without averaging. Written once the stage is complete."""
        return self.folder / "weights.safetensors"

    @property
    def best_weights(self) -> Path:
        """Averaged weights with the best validation score. Written only with validation."""
        return self.folder / "best.safetensors"


def train(
    model: str,
    stage: str,
    data: PathLike | Mapping[str, PathLike] = "datasets",
    output: PathLike = "results",
    *,
    experiment: str = "default",
    checkpoint: PathLike | None = None,
    encoder_checkpoint: PathLike | None = None,
    stage_fields: Mapping[str, Any] | None = None,
    model_fields: Mapping[str, Any] | None = None,
    device: str | None = None,
    amp: bool | Literal["fp16", "bf16"] = False,
    accumulate: int = 1,
    compile: bool = False,
    checkpoint_activations: bool = False,
    seed: int = 0,
    progress: bool = True,
    validate: Callable[[Network], float] | None = None,
    processes: Processes | None = None,
) -> TrainingResult:
    """Train a model through one stage, or resume an interrupted run.

    ``<output>/<experiment>_<Model>/<STAGE>`` holds the run. Call ``train`` again with the same arguments to resume from
    the last checkpoint in that folder; the result then equals that of an uninterrupted run. SIGTERM stops the run after
    the current step with a checkpoint.

    >>> import voskit
    >>> voskit.train("aott", "pre", data="datasets", output="results", amp=True)
    >>> result = voskit.train("aott", "pre_ytb_dav", data="datasets", output="results", amp=True)
    >>> model = voskit.build_model("aott", checkpoint=result.weights)

    Args:
        model: name in the model zoo, see ``voskit.list_models()``.
        stage: name of a training stage, see ``voskit.configs.stages.list_stages()``.
        data: folder with the datasets of the stage, or a folder for each dataset by its name. See
            ``voskit.dataloaders.training.build_training_data`` for the layouts.
        output: folder of all runs.
        experiment: first part of the name of the run's folder. A stage looks for the weights of its previous stage in
            the same experiment.
        checkpoint: initial weights. Default: the averaged weights of the previous stage, or the ImageNet weights of the
            encoder for a first stage.
        encoder_checkpoint: ImageNet weights of the (image) encoder for a first stage; later stages don't read it.
            Default: the file that the model's config names, see ``voskit.networks.weights.find_encoder``, which
            downloads it. If no URL is known or VOSKIT_OFFLINE is set, the encoder starts from random weights, and a
            warning says so.
        stage_fields: fields of the stage's config to change, such as ``{"batch_size": 4}``.
        model_fields: fields of the model's config to change. They override those that the stage sets.
        device: cuda, mps or cpu. Default: the best one.
        amp: mixed precision. True: fp16 with loss scaling on CUDA, bf16 elsewhere.
        accumulate: number of equal parts into which each process splits its share of a batch, to save memory.
        compile: fuse operations with ``torch.compile``. The first steps take minutes.
        checkpoint_activations: recompute activations in the backward pass: less memory, a fifth to a quarter more time.
        seed: seed of initial weights, clips and augmentation.
        progress: show a progress bar, or log lines if there is no terminal.
        validate: called at each checkpoint with the network that has the averaged weights; returns a score. The weights
            with the highest score are kept in ``best.safetensors``. For a benchmark, use
            ``voskit.evaluators.benchmarks.validation.Validation``. An error, or a score that is not finite, doesn't end
            the training, see ``TrainingResult.failed_validations``.
        processes: the process group to train in. Default: the processes started by ``torchrun``, or this one alone.

    Returns:
        the folder, the state and the files of the run.

    Raises:
        ValueError: an unknown name or field (similar names are suggested), a batch that can't be
            shared among the processes, more objects than the identity bank holds, both kinds of initial weights, a
            folder in use by another process, or a folder that holds a run with other settings.
        FileNotFoundError: missing training data or weights.
        ConnectionError: the encoder's weights can't be downloaded, or another process was killed.
        FloatingPointError: the loss is not finite.
    """
    plan = get_stage_config(stage, **(stage_fields or {}))
    config = get_model_config(model, **plan.model).override(**(model_fields or {}))
    changes = config.present_names({**plan.model, **(model_fields or {})})  # aliases as fields: later ones win
    precision = None if amp is True else amp or None
    options = TrainerOptions(amp=precision, accumulate=accumulate, seed=seed, progress=progress)
    if is_first_stage := checkpoint is None and plan.previous is None:  # other files set the size of the bank
        _check_objects(plan, config)
    if checkpoint is not None and encoder_checkpoint is not None:
        raise ValueError(
            f"the checkpoint {checkpoint} holds the whole network: give it or the encoder checkpoint (--encoder_ckpt)"
        )
    folder = run_folder(output, experiment, model, stage)
    place = local_device(device)
    processes = join_processes(device) if processes is None else processes
    with contextlib.ExitStack() as stack:
        processes.attempt(lambda: stack.enter_context(exclusive_lock(folder)) if processes.is_first else None)

        def set_up() -> tuple[Any, TrainingData | ReferringData, dict[str, Path]]:
            """Return the network, the training data, and the files with the initial weights."""
            share_of_batch(plan.batch_size, processes.count, accumulate)
            # before encoders are downloaded; other files may have a config of their own
            clips = training_data(plan, config, data, seed) if is_first_stage else None
            files = _start_files(config, plan, folder, checkpoint, encoder_checkpoint)
            torch.manual_seed(seed)  # for weights that no file initializes
            weights = config.present_names(_start_weights(stage, plan, folder, files))
            network: Any = build_model(model, device=place, **{**weights, **changes})
            if isinstance(plan, ReferringStageConfig) and plan.reset_classes:
                network.reset_classifier()
            return network, clips or training_data(plan, network.config, data, seed), files

        network, clips, files = set_up() if processes.count == 1 else processes.attempt(set_up)
        plan = plan.for_data(len(clips))
        if amp is True:
            options = replace(options, amp="fp16" if next(network.parameters()).is_cuda else "bf16")
        if processes.is_first:
            logger.info("%s on %s: %s", model, next(network.parameters()).device, network.config)
            logger.info("%s: %d clips, %s", folder, len(clips), plan)
        if checkpoint_activations:
            recompute_activations(network)
        if compile:
            compile_network(network)
        trainer = Trainer(
            network,
            plan,
            clips,
            folder,
            processes=processes,
            options=options,
            validate=validate,
            start={name: checksum(path) if path.is_file() else None for name, path in files.items()},
        )
        with _stopped_by_sigterm(trainer):
            trainer.train()
    return TrainingResult(
        folder=folder,
        step=trainer.step,
        finished=trainer.step == plan.total_steps,
        failed_validations=tuple(trainer.failed_validations),
        validation_due=trainer.unscored,
    )


def run_folder(output: PathLike, experiment: str, model: str, stage: str) -> Path:
    """Return the folder of a run: ``<output>/<experiment>_<Model>/<STAGE>``.

    Raises:
        ValueError: an unknown model.
    """
    return Path(output) / f"{experiment}_{type(get_model_config(model)).__name__}" / stage.upper()


def training_data(
    stage: StageConfig, config: ModelConfig, data: PathLike | Mapping[str, PathLike], seed: int = 0
) -> TrainingData | ReferringData:
    """Return the training data of a stage, in the size and with the number of objects that a model takes.

    Raises:
        FileNotFoundError: a dataset is missing.
        ValueError: an unknown dataset or sampling, a dataset without training data, or more objects than the identity
            bank holds.
    """
    _check_objects(stage, config)
    if not isinstance(config, PropagationConfig):
        if isinstance(data, Mapping):
            raise ValueError(f"{type(stage).__name__} takes one folder with all datasets, not a folder for each")
        return build_referring_data(stage, data, seed=seed)
    return build_training_data(
        stage,
        data,
        crop=config.training_crop(stage.crop),
        max_objects=stage.max_objects or config.max_objects,
        augmentation=config.train_augmentation,
        seed=seed,
    )


def _check_objects(stage: StageConfig, config: ModelConfig) -> None:
    """Raise ValueError if clips of the stage can have more objects than the model's identity bank holds."""
    if isinstance(config, IdentityBankConfig) and (stage.max_objects or 0) > config.max_objects:
        raise ValueError(
            f"max_objects of {type(stage).__name__} is {stage.max_objects}, but the identity bank of "
            f"{type(config).__name__} holds {config.max_objects} objects: lower the stage's max_objects, or raise the "
            "model's"
        )


def _start_files(
    config: ModelConfig,
    plan: StageConfig,
    folder: Path,
    checkpoint: PathLike | None,
    encoder_checkpoint: PathLike | None,
) -> dict[str, Path]:
    """Return the files with the initial weights: a checkpoint, or encoders by the config fields that name them.

    Files may be missing, except those that the caller gives for a new run.
    """
    is_new = not find_states(folder / "checkpoints")
    if is_new:
        for name, path in (("checkpoint", checkpoint), ("encoder checkpoint", encoder_checkpoint)):
            if path is not None and not Path(path).exists():
                raise FileNotFoundError(f"{name} {path} does not exist")
    if checkpoint is not None:
        return {"checkpoint": Path(checkpoint)}
    if plan.previous is not None:
        return {"checkpoint": folder.parent / plan.previous.upper() / "ema.safetensors"}
    named = {} if encoder_checkpoint is None else {"encoder_weights": Path(encoder_checkpoint)}
    files = config.pretrained_files()
    return {name: named.get(name) or _pretrained_path(file, download=is_new) for name, file in files.items()} | named


def _pretrained_path(file: str, *, download: bool) -> Path:
    """Return the path of an encoder's weights, which may be missing, after downloading them if they are published."""
    if download:
        try:
            return find_encoder(file)
        except FileNotFoundError:  # no URL is known, or downloads are forbidden
            pass
    return path_here(file) or PRETRAINED / file


def _start_weights(stage: str, plan: StageConfig, folder: Path, files: Mapping[str, Path]) -> dict[str, Any]:
    """Return the arguments of ``build_model`` that load the initial weights.

    A run that is resumed can do without the files: its last checkpoint holds the weights and the model's config.
    """
    states = find_states(folder / "checkpoints")
    found = {name: path for name, path in files.items() if path.exists()}
    if "checkpoint" not in files:
        for name in () if states else files.keys() - found.keys():
            logger.warning("%s does not exist: this encoder starts from random weights", files[name])
        return {"encoder_checkpoint": found} if found else {}
    if found:
        return found
    if not states:
        raise ValueError(
            f"stage {stage} starts from stage {plan.previous}, but {files['checkpoint']} does not exist: train that "
            "stage first, or give other initial weights (--ckpt_path)"
        )
    return load_state(states[-1])["model"]


@contextlib.contextmanager
def _stopped_by_sigterm(trainer: Trainer) -> Iterator[None]:
    """Let SIGTERM end training after the current step. Only the main thread can set a signal handler."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: trainer.stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
