"""Train a model through a stage.

    voskit train --model aott --stage pre --amp --exp_name default --data_path datasets
    voskit train ... --gpu_num 4
    torchrun --nnodes 2 --nproc_per_node 8 -m voskit train ...

The run is in <output_path>/<exp_name>_<Model>/<STAGE>. Run the same command again to resume it. SIGTERM, which cluster
schedulers send before they end a job, stops it after the current step with a checkpoint and exit code 143.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # python tools/train.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from voskit.__main__ import main as voskit

    sys.exit(voskit(["train", *sys.argv[1:]]))

import logging
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from voskit.configs import get_model_config
from voskit.configs.stages import get_stage_config
from voskit.tools.command import run_tool

if TYPE_CHECKING:
    from voskit.evaluators.benchmarks.validation import Validation
    from voskit.trainers.distributed import Processes
    from voskit.trainers.run import TrainingResult

logger = logging.getLogger("train")
CHILD = "VOS_TRAIN_CHILD"
STOPPED = 128 + signal.SIGTERM


@dataclass(frozen=True, kw_only=True)
class Args:
    """Train a model through a stage."""

    model: str = "aott"
    """Model of the zoo."""
    stage: str = "pre"
    """Training stage."""
    exp_name: str = "default"
    """Experiment: the first part of the name of the run's folder."""
    data_path: Annotated[Path, tyro.conf.arg(aliases=["--data-root"])] = Path("datasets")
    """Folder with the training data."""
    output_path: Path = Path("results")
    """Folder of all runs."""
    ckpt_path: Path | None = None
    """Initial weights. Default: those of the previous stage of the experiment, else the encoder's ImageNet weights."""
    encoder_ckpt: Path | None = None
    """ImageNet weights of the (image) encoder. Default: the model's files, downloaded once
    (see voskit weights)."""
    gpu_num: int = 1
    """Number of processes on this machine: one for each GPU, or several on the CPU."""
    device: str | None = None
    """cuda, mps or cpu. Default: the best one."""
    amp: bool = False
    """Mixed precision: fp16 with loss scaling on CUDA, bf16 elsewhere."""
    accumulate: int = 1
    """Number of parts into which each process splits its share of a batch, to save memory."""
    compile: bool = False
    """Fuse operations with torch.compile. The first steps take minutes."""
    checkpoint_activations: bool = False
    """Recompute activations in the backward pass: less memory, more time."""
    seed: int = 0
    """Seed of initial weights, clips and augmentation."""
    val_dataset: str | None = None
    """Dataset (a name or a JSON file) on which to score the averaged weights at each checkpoint, to keep the best."""
    val_split: str | None = None
    """Split of that dataset. Default: its first one."""
    val_root: Path | None = None
    """Folder with that dataset."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """Fields of the stage's config to change, such as batch_size=4."""
    set_model: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """Fields of the model's config to change."""


def run(args: Args) -> int:
    """Train and return the exit code."""
    if args.gpu_num < 1:
        raise ValueError(f"--gpu_num is the number of processes, at least 1, got {args.gpu_num}")
    if args.gpu_num > 1 and CHILD not in os.environ and "RANK" not in os.environ:
        from voskit.evaluators.benchmarks.processes import run_processes

        command = [sys.executable, "-m", "voskit", "train", *sys.argv[1:]]
        codes = run_processes(command, args.gpu_num, together=True, environment={CHILD: "1"})
        # a process that has just stopped may get a second SIGTERM when it no longer handles it
        stopped = STOPPED in codes and set(codes) <= {STOPPED, -signal.SIGTERM}
        return STOPPED if stopped else int(any(codes))
    from voskit.networks.devices import local_device
    from voskit.trainers.distributed import join_processes
    from voskit.trainers.run import train

    stage_fields = get_stage_config(args.stage).changes_from_text(*args.set)
    model_fields = get_model_config(args.model).changes_from_text(*args.set_model)
    device = local_device(args.device)
    processes = join_processes(device)
    result = train(
        args.model,
        args.stage,
        args.data_path,
        args.output_path,
        experiment=args.exp_name,
        checkpoint=args.ckpt_path,
        encoder_checkpoint=args.encoder_ckpt,
        stage_fields=stage_fields,
        model_fields=model_fields,
        device=device,
        amp=args.amp,
        accumulate=args.accumulate,
        compile=args.compile,
        checkpoint_activations=args.checkpoint_activations,
        seed=args.seed,
        validate=build_validation(args, processes),
        processes=processes,
    )
    return report(result, processes)


def build_validation(args: Args, processes: Processes) -> Validation | None:
    """Build the validation that ``--val_dataset`` asks for."""
    if args.val_dataset is None:
        return None
    from voskit.dataloaders.datasets import open_dataset
    from voskit.evaluators.benchmarks.validation import Share, Validation
    from voskit.trainers.run import run_folder

    dataset = open_dataset(args.val_dataset, args.val_root, split=args.val_split)
    folder = run_folder(args.output_path, args.exp_name, args.model, args.stage) / "validation"
    share = Share(processes.rank, processes.count)
    return Validation(dataset, folder, share, processes.agree, config=get_model_config(args.model))


def report(result: TrainingResult, processes: Processes) -> int:
    """Print the state of the run and return the exit code."""
    failed = result.failed_validations
    interrupted = result.validation_due and result.step not in failed
    if processes.is_first:
        if result.finished:
            print(f"results: {result.weights}")
        if failed:
            again = "; run the command again to score the last one" if result.validation_due and result.finished else ""
            logger.error("validation failed at step %s%s", ", ".join(map(str, failed)), again)
        if not result.finished or interrupted:
            when = "before the last validation" if result.finished else f"at step {result.step}"
            logger.warning("stopped %s; run the command again to resume", when)
    return STOPPED if not result.finished or interrupted else int(bool(failed))


def main() -> int:
    """Parse the flags and train."""
    level = logging.INFO if os.environ.get("RANK", "0") == "0" else logging.WARNING
    return run_tool(run, Args, __doc__, interrupted="interrupted; run the command again to resume", level=level)
