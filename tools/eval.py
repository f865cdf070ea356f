"""Evaluate a model on a benchmark: masks, the server's archive, timing and, if the ground truth is there, scores.

    voskit eval --model aott --ckpt_path F --dataset davis2017 --data_root datasets/DAVIS --output_path O
    voskit eval ... --gpu_num 4
    torchrun --nnodes 2 --nproc_per_node 8 -m voskit eval ...        (all machines must see O)

Run it again to resume an evaluation that was stopped, at any time.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # python tools/eval.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from voskit.__main__ import main as voskit

    sys.exit(voskit(["eval", *sys.argv[1:]]))

import logging
import os
from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from voskit.tools.command import run_tool
from voskit.tools.model_args import ModelArgs


@dataclass(frozen=True, kw_only=True)
class Args(ModelArgs):
    """Evaluate a model on a benchmark."""

    dataset: str
    """A registered dataset, or a JSON file that describes your own."""
    split: str | None = None
    """A split of the dataset. Default: the first."""
    data_root: Annotated[Path | None, tyro.conf.arg(aliases=["--data-path"])] = None
    """Folder that holds the dataset."""
    output_path: Path = Path("results")
    """Folder of the results. One folder holds results of one setting."""
    exp_name: str = "default"
    """Experiment, for the archive's name."""
    stage: str | None = None
    """Training stage, for the archive's name, which also has the name of the checkpoint."""
    full_resolution: bool = False
    """DAVIS: read the frames at full resolution."""
    results_at: str = ""
    """With --full_resolution: resolution of the results, such as 480p. Default: that of the frames."""
    save_scores: bool = False
    """Also write the probabilities of all frames, for voskit merge."""
    frames: int = 5
    """A2D-Sentences and JHMDB-Sentences: length of the window around the annotated frame."""
    gpu_num: int = 1
    """Processes on this machine. With CUDA they share its GPUs, one GPU for each process if possible."""
    videos_at_once: int = 1
    """Videos that each process takes through the network as a batch, for GPUs that one video doesn't fill."""


def run(args: Args) -> int:
    """Evaluate; return 0 only if all videos were evaluated."""
    for flag in ("videos_at_once", "gpu_num"):
        if getattr(args, flag) < 1:
            raise ValueError(f"--{flag} must be at least 1, got {getattr(args, flag)}")
    if args.output_path.is_file():
        raise ValueError(f"--output_path {args.output_path} is a file: give a folder for the results")
    from voskit.evaluators.benchmarks.run import check_task, evaluate, open_benchmark
    from voskit.evaluators.metrics.report import summary_text
    from voskit.networks.devices import local_device

    options: dict[str, Any] = {"full_resolution": True} if args.full_resolution else {}
    if args.results_at:
        options["results_at"] = args.results_at
    dataset = open_benchmark(args.dataset, args.data_root, split=args.split, **options)
    check_task(dataset, args.model, args.task)
    device = local_device(args.device)
    referring = args.task == "referring"
    segmenter = (args.build_referring_segmenter if referring else args.build_segmenter)(device, dataset.name)
    scores = evaluate(
        segmenter,
        dataset,
        output=args.output_path,
        checkpoint=args.checkpoint(),
        experiment=args.exp_name,
        stage=args.stage,
        save_scores=args.save_scores,
        propagator=args.build_propagator(device),
        propagator_checkpoint=None if args.propagate is None else args.propagator_args().checkpoint(),
        frames=args.frames,
        num_processes=args.gpu_num,
        videos_at_once=args.videos_at_once,
    )
    if scores is not None:
        print(summary_text(scores))
    if os.environ.get("RANK", "0") == "0":
        print(f"results: {args.output_path}")
    return 0


def main() -> int:
    """Parse the command line and run."""
    level = logging.INFO if os.environ.get("RANK", "0") == "0" else logging.WARNING
    return run_tool(run, Args, __doc__, interrupted="interrupted; run it again to resume", level=level)
