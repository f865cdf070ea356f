"""Train a model through a stage.

    python tools/train.py --model aott --stage pre --amp --exp_name default --data_path datasets
    python tools/train.py ... --gpu_num 4
    torchrun --nnodes 2 --nproc_per_node 8 ... tools/train.py ...

Run it again to go on after it was stopped. SIGTERM, which cluster schedulers send before they end a job, stops it after
the present step with a checkpoint, and the exit code is 143. Results are in <output_path>/<exp_name>_<Model>/<STAGE>.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import tyro

from voskit.configs import ModelConfig, PropagationConfig, get_model_config
from voskit.configs.stages import ReferringStageConfig, StageConfig, get_stage_config
from voskit.dataloaders.datasets import open_dataset
from voskit.dataloaders.files import checksum, exclusive_lock
from voskit.dataloaders.training import TrainingData, build_training_data
from voskit.dataloaders.training.referring.datasets import ReferringData, build_referring_data
from voskit.evaluators.benchmarks.validation import Share, Validation
from voskit.networks import build_model, checkpoint_activations, compile_network
from voskit.tools.command import run_command
from voskit.tools.processes import run_side_by_side
from voskit.trainers.checkpoints import find_states, load_state
from voskit.trainers.distributed import Processes, join_processes
from voskit.trainers.trainer import Trainer, TrainerOptions

logger = logging.getLogger("train")
CHILD = "VOS_TRAIN_CHILD"
STOPPED = 128 + signal.SIGTERM
PRETRAINED = Path(__file__).resolve().parents[1] / "pretrain_models"


@dataclass(frozen=True, kw_only=True)
class Args:
    """Train a model through a stage."""

    model: str = "aott"
    """A model of the zoo."""
    stage: str = "pre"
    """A training stage."""
    exp_name: str = "default"
    """Names the folder of the run."""
    data_path: Annotated[Path, tyro.conf.arg(aliases=["--data-root"])] = Path("datasets")
    """The folder that holds the training data."""
    output_path: Path = Path("results")
    """Folder of all runs."""
    ckpt_path: Path | None = None
    """Weights to start from. Default: those of the stage before in the same experiment, else the encoder's."""
    encoder_ckpt: Path | None = None
    """ImageNet weights of the (image) encoder. Default: the config's files in pretrain_models/, if they are there."""
    gpu_num: int = 1
    """Processes on this machine: one a GPU, or so many on the CPU."""
    device: str | None = None
    """cuda, mps, cpu; default: the best there is."""
    amp: bool = False
    """Half precision: fp16 with loss scaling on CUDA, bf16 elsewhere."""
    accumulate: int = 1
    """Parts in which each process works off its share of a batch."""
    compile: bool = False
    """Fuse operations with torch.compile; the first steps take minutes."""
    checkpoint_activations: bool = False
    """Compute activations again for the gradient instead of keeping them: less memory, more time."""
    seed: int = 0
    val_dataset: str | None = None
    """Score the averaged weights on this dataset at each checkpoint and keep the best: a name, or a JSON file."""
    val_split: str | None = None
    """Its split. Default: the dataset's first."""
    val_root: Path | None = None
    """The folder that holds it."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """Fields of the stage's config to change, such as batch_size=4."""
    set_model: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """Fields of the model's config to change."""


def start_files(args: Args, stage: StageConfig) -> dict[str, Path]:
    """The files whose weights a training begins with: a checkpoint, or encoders' by the config's fields that name them.

    They need not be there.
    """
    if args.ckpt_path is not None:
        return {"checkpoint": args.ckpt_path}
    if stage.previous is not None:
        return {"checkpoint": run_folder(args, stage.previous) / "ema.safetensors"}
    fields = get_model_config(args.model).to_dict()
    files = {name: PRETRAINED / value for name, value in fields.items() if name.endswith("encoder_weights") and value}
    if args.encoder_ckpt is not None:
        files["encoder_weights"] = args.encoder_ckpt
    return files


def start_weights(args: Args, stage: StageConfig, files: dict[str, Path], last: Path | None) -> dict[str, Any]:
    """What ``build_model`` is told of the files, without which a run can go on from its ``last`` checkpoint."""
    if "checkpoint" in files:
        path = files["checkpoint"]
        if path.exists() or (last is None and args.ckpt_path is not None):
            return {"checkpoint": path}
        if last is not None:
            return load_state(last)["model"]  # the file would say more of the network than its name does
        raise ValueError(
            f"stage {args.stage} starts from stage {stage.previous}, whose {path} is not there: train it, or give "
            "--ckpt_path"
        )
    needed = args.encoder_ckpt if last is None else None
    found = {name: path for name, path in files.items() if path.exists() or path == needed}
    for name in () if last is not None else files.keys() - found.keys():
        logger.warning("%s is not there: this encoder starts from random weights", files[name])
    return {"encoder_checkpoint": found} if found else {}


def run_folder(args: Args, stage: str) -> Path:
    """Folder of a stage of the experiment."""
    return args.output_path / f"{args.exp_name}_{type(get_model_config(args.model)).__name__}" / stage.upper()


def training_data(args: Args, stage: StageConfig, config: ModelConfig) -> TrainingData | ReferringData:
    """The stage's data, as the model sees them."""
    if not isinstance(config, PropagationConfig):
        return build_referring_data(stage, args.data_path, seed=args.seed)
    return build_training_data(
        stage,
        args.data_path,
        crop=config.training_crop(stage.crop),
        max_objects=stage.max_objects or config.max_objects,
        augmentation=config.train_augmentation,
        seed=args.seed,
    )


def run(args: Args) -> int:
    """Train; the exit code says whether the stage was finished."""
    if args.gpu_num < 1:
        raise ValueError(f"--gpu_num is the number of processes, at least 1, got {args.gpu_num}")
    if args.gpu_num > 1 and CHILD not in os.environ and "RANK" not in os.environ:
        codes = run_side_by_side(__file__, args.gpu_num, CHILD, together=True)
        # one that has just stopped may be told to end a second time, when it doesn't listen any more
        stopped = STOPPED in codes and set(codes) <= {STOPPED, -signal.SIGTERM}
        return STOPPED if stopped else int(any(codes))
    stage = get_stage_config(args.stage).override_from_text(*args.set)
    output = run_folder(args, args.stage)
    on_cuda = torch.cuda.is_available() and str(args.device or "cuda").startswith("cuda")
    device = args.device
    if on_cuda and device in (None, "cuda"):
        device = f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % torch.cuda.device_count()}"
        torch.cuda.set_device(device)
    processes = join_processes(torch.device("cuda" if on_cuda else "cpu"))
    with contextlib.ExitStack() as stack:
        processes.attempt(lambda: stack.enter_context(exclusive_lock(output)) if processes.is_first else None)
        return train(args, stage, output, device, processes)


def train(args: Args, stage: StageConfig, output: Path, device: str | None, processes: Processes) -> int:
    """Train as one of some processes, in a folder that is theirs."""
    states = find_states(output / "checkpoints")
    files = start_files(args, stage)
    changes = {**stage.model, **get_model_config(args.model).changes_from_text(*args.set_model)}
    torch.manual_seed(args.seed)  # of the weights that no file gives
    weights = start_weights(args, stage, files, states[-1] if states else None)
    network = build_model(args.model, device=device, **{**weights, **changes})
    place = next(network.parameters()).device
    config: ModelConfig = network.config  # type: ignore[assignment]
    if isinstance(stage, ReferringStageConfig) and stage.reset_classes:
        network.reset_classes()  # type: ignore[operator]
    data = training_data(args, stage, config)
    stage = stage.for_data(len(data))
    if processes.is_first:
        logger.info("%s on %s: %s", args.model, place, config)
        logger.info("%s: %d clips, %s", output, len(data), stage)
    validate = None
    if args.val_dataset is not None:
        dataset = open_dataset(args.val_dataset, args.val_root, split=args.val_split)
        share = Share(processes.rank, processes.count)
        validate = Validation(dataset, output / "validation", share, processes.agree, config=config)
    if args.checkpoint_activations:
        checkpoint_activations(network)
    if args.compile:
        compile_network(network)
    options = TrainerOptions(
        amp=("fp16" if place.type == "cuda" else "bf16") if args.amp else None,
        accumulate=args.accumulate,
        seed=args.seed,
    )
    start = {name: checksum(path) if path.is_file() else None for name, path in files.items()}
    trainer = Trainer(
        network, stage, data, output, processes=processes, options=options, validate=validate, start=start
    )
    before = signal.signal(signal.SIGTERM, lambda *_: trainer.stop())
    try:
        trainer.train()
    finally:
        signal.signal(signal.SIGTERM, before)
    return ending(trainer)


def ending(trainer: Trainer) -> int:
    """Say how a training ended -> the exit code."""
    first, failed = trainer.processes.is_first, trainer.failed_validations
    finished = trainer.step == trainer.stage.total_steps
    if first and finished:
        print(f"results: {trainer.output / 'ema.safetensors'}")
    if first and failed:
        again = ": run it again to score the last one" if trainer.unscored and finished else ""
        logger.error("validation failed at step %s%s", ", ".join(map(str, failed)), again)
    if not finished or (trainer.unscored and trainer.step not in failed):
        if first:
            what = "before the last validation" if finished else f"at step {trainer.step}"
            logger.warning("stopped %s; run it again to go on", what)
        return STOPPED
    return int(bool(failed))


def main() -> int:
    """Parse and run."""
    args = tyro.cli(Args, description=__doc__)
    level = logging.INFO if os.environ.get("RANK", "0") == "0" else logging.WARNING
    return run_command(lambda: run(args), interrupted="interrupted; run it again to go on", level=level)


if __name__ == "__main__":
    sys.exit(main())
