"""Evaluate a model on a benchmark: masks, the server's archive, timing and, where the ground truth is there, scores.

    python tools/eval.py --model aott --ckpt_path F --dataset davis2017 --data_root datasets/DAVIS --output_path O
    python tools/eval.py ... --gpu_num 4
    torchrun --nnodes 2 --nproc_per_node 8 ... tools/eval.py ...        (O lies where all machines see it)

Run it again to go on after it was stopped, at whatever moment.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import tyro

from voskit.configs import get_model_config
from voskit.dataloaders.datasets import Dataset, open_dataset
from voskit.dataloaders.datasets.a2d import SENTENCE_SETS, open_sentences
from voskit.dataloaders.files import exclusive_lock
from voskit.evaluators import ReferringSegmenter, VideoSegmenter
from voskit.evaluators.benchmarks.a2d import FRAMES, SentenceEvaluation
from voskit.evaluators.benchmarks.folder import EvaluationFolder, settings_of, settings_of_model
from voskit.evaluators.benchmarks.propagation import Evaluation
from voskit.evaluators.benchmarks.referring import ReferringEvaluation
from voskit.evaluators.benchmarks.work_queue import WorkQueue
from voskit.evaluators.metrics.report import summary_text
from voskit.evaluators.submissions.pack import result_name
from voskit.tools.command import run_command
from voskit.tools.model_args import ModelArgs
from voskit.tools.processes import run_side_by_side

logger = logging.getLogger("eval")
CHILD = "VOS_EVAL_CHILD"


@dataclass(frozen=True, kw_only=True)
class Args(ModelArgs):
    """Evaluate a model on a benchmark."""

    dataset: str
    """A registered dataset, or the JSON file that describes one's own."""
    split: str | None = None
    """Default: the dataset's first."""
    data_root: Annotated[Path | None, tyro.conf.arg(aliases=["--data-path"])] = None
    """The folder that holds the dataset."""
    output_path: Path = Path("results")
    """Folder of the results. One folder holds results of one setting."""
    exp_name: str = "default"
    """For the archive's name."""
    stage: str = "PRE_YTB_DAV"
    """For the archive's name."""
    full_resolution: bool = False
    """DAVIS: read the frames at full resolution."""
    results_at: str = ""
    """With --full_resolution: the resolution that results have, such as 480p. Default: that of the frames."""
    save_scores: bool = False
    """Keep the probabilities of all frames, for tools/merge.py."""
    frames: int = FRAMES
    """A2D-Sentences and JHMDB-Sentences: frames that are seen around the annotated one."""
    gpu_num: int = 1
    """Processes on this machine: one a GPU (more of them share the GPUs), or so many on the CPU."""
    videos_at_once: int = 1
    """Videos that each process takes through the network side by side, for GPUs that one video doesn't fill."""


def open_it(args: Args) -> Dataset:
    """The dataset that is meant."""
    options: dict[str, Any] = {"full_resolution": True} if args.full_resolution else {}
    if args.results_at:
        options["results_at"] = args.results_at
    return open_dataset(args.dataset, args.data_root, split=args.split, **options)


def device_of(args: Args, local_rank: int) -> str | None:
    """The device of this process: with CUDA each one takes a GPU of its own."""
    if args.device in (None, "cuda") and torch.cuda.is_available():
        device = local_rank % torch.cuda.device_count()
        torch.cuda.set_device(device)  # else each process also holds a context on the first one
        return f"cuda:{device}"
    return args.device


def experiment_name(args: Args, segmenter: VideoSegmenter | ReferringSegmenter) -> str:
    """What the archive's name says of the model: ``default_AOTT``; where the depth can be chosen, that as ``_L2``."""
    name = f"{args.exp_name}_{type(get_model_config(args.model)).__name__}"
    if isinstance(segmenter, ReferringSegmenter):
        return name if args.propagate is None else f"{name}_{type(get_model_config(args.propagate)).__name__}"
    if segmenter.target_fps is not None:
        return f"{name}_{segmenter.target_fps:g}fps"
    return name if segmenter.depth is None else f"{name}_L{segmenter.depth}"


def prepare(
    args: Args, dataset: Dataset, rank: int
) -> tuple[VideoSegmenter | ReferringSegmenter, EvaluationFolder, Callable[[WorkQueue], None]]:
    """The segmenter, the folder of its results, and what a process does with its share of the videos."""
    device = device_of(args, rank)
    if args.task == "referring":
        referring, place = args.build_referring_segmenter(device, dataset.name)
        settings = settings_of(referring, dataset, args.model, args.checkpoint(), place)
        propagator = args.build_propagator(device)
        if propagator is not None:
            other = args.propagator_args()
            settings["propagation"] = settings_of_model(propagator, other.model, other.checkpoint(), place)
        by_sentences = ReferringEvaluation(dataset, args.output_path, settings)
        options: dict[str, Any] = {"propagator": propagator}
        return referring, by_sentences, lambda q: by_sentences.run(referring, q, progress=q.rank == 0, **options)
    segmenter, place = args.build_segmenter(device, dataset.name)
    settings = settings_of(segmenter, dataset, args.model, args.checkpoint(), place)
    evaluation = Evaluation(dataset, args.output_path, settings, save_scores=args.save_scores)
    options = {"videos_at_once": args.videos_at_once}
    return segmenter, evaluation, lambda q: evaluation.run(segmenter, q, progress=q.rank == 0, **options)


def run_sentences(args: Args) -> int:
    """Evaluate on A2D-Sentences or JHMDB-Sentences."""
    if args.task != "referring":
        raise ValueError(f"{args.dataset} has sentences and no masks: {args.model} can't be evaluated on it")
    if args.data_root is None:
        raise ValueError("--data_root is needed: the folder that holds the dataset")
    if args.gpu_num > 1:
        raise ValueError(f"--gpu_num: {args.dataset} runs in one process, or in those of torchrun")
    queue = WorkQueue()
    data = open_sentences(args.dataset, args.data_root)
    segmenter, device = args.build_referring_segmenter(device_of(args, queue.local_rank), args.dataset)
    settings = {**settings_of_model(segmenter, args.model, args.checkpoint(), device), "dataset": args.dataset}
    if args.propagate is not None:
        raise ValueError(f"--propagate: {args.dataset} asks for single frames")
    evaluation = SentenceEvaluation(data, args.output_path, settings, args.frames)
    evaluation.run(segmenter, queue, progress=queue.rank == 0)
    queue.wait_for_all()
    if queue.rank > 0:
        return 0
    if failures := evaluation.failures():
        logger.error("%d of %d videos failed: no scores", len(failures), len(data.images))
        return 1
    print(summary_text(evaluation.finish()))
    print(f"results: {args.output_path}")
    return 0


def run(args: Args) -> int:
    """Evaluate; the exit code says whether everything was done."""
    for flag in ("videos_at_once", "gpu_num"):
        if getattr(args, flag) < 1:
            raise ValueError(f"--{flag} is at least 1")
    if args.output_path.is_file():
        raise ValueError(f"--output_path {args.output_path}: a file is where the folder of the results should be")
    if args.dataset in SENTENCE_SETS:
        return run_sentences(args)
    dataset = open_it(args)
    child, under_torchrun = CHILD in os.environ, "RANK" in os.environ and CHILD not in os.environ
    queue = WorkQueue() if child or under_torchrun or args.gpu_num == 1 else None
    leads = not child and (queue is None or queue.rank == 0)
    with exclusive_lock(args.output_path) if leads else nullcontext():
        return evaluate(args, dataset, queue, leads=leads, child=child)


def evaluate(args: Args, dataset: Dataset, queue: WorkQueue | None, *, leads: bool, child: bool) -> int:
    """Do this process's share (without a queue start processes that do), and what one of them does in the end."""
    segmenter, evaluation, work = prepare(args, dataset, queue.local_rank if queue else 0)
    experiment = experiment_name(args, segmenter)
    if leads:
        device = next(segmenter.model.parameters()).device
        logger.info("%s on %s: %s", args.model, device, segmenter.config)
    if queue is None:
        del segmenter, work
        for rank, code in enumerate(run_side_by_side(__file__, args.gpu_num, CHILD, together=False)):
            if code:
                logger.error("process %d ended with code %d", rank, code)
    else:
        work(queue)
        if child:
            return 0
        queue.wait_for_all()
        if queue.rank > 0:
            return 0
    if failures := evaluation.failures():
        for name, reason in failures.items():
            logger.error("video %s: %s", name, reason)
        logger.error("%d of %d videos failed: no archive, no scores", len(failures), len(dataset))
        return 1
    name = result_name(dataset.name, dataset.split, experiment, args.stage, None, flip=args.flip, scales=args.ms)
    scores = evaluation.finish(name)
    if scores is not None:
        print(summary_text(scores))
    print(f"results: {args.output_path}")
    return 0


def main() -> int:
    """Parse and run."""
    args = tyro.cli(Args, description=__doc__)
    level = logging.INFO if os.environ.get("RANK", "0") == "0" else logging.WARNING
    return run_command(lambda: run(args), interrupted="interrupted; run it again to go on", level=level)


if __name__ == "__main__":
    sys.exit(main())
