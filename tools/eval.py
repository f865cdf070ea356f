"""Evaluate a model on a benchmark: masks, the server's archive, timing and, where the ground truth is there, scores.

    python tools/eval.py --model aott --ckpt_path F --dataset davis2017 --data_root datasets/DAVIS --output_path O
    python tools/eval.py ... --gpu_num 4
    torchrun --nnodes 2 --nproc_per_node 8 ... tools/eval.py ...        (O lies where all machines see it)

Run it again to go on after it was stopped, at whatever moment.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import tyro
from tqdm.contrib.logging import logging_redirect_tqdm

from configs import get_model_config
from dataloaders.datasets import Dataset, open_dataset
from evaluators import VideoSegmenter
from evaluators.benchmark import Evaluation, settings_of
from evaluators.metrics.report import summary_text
from evaluators.submission import result_name
from evaluators.work_queue import WorkQueue, serve_queue
from networks import build_model

logger = logging.getLogger("eval")
CHILD = "VOS_EVAL_CHILD"


@dataclass(frozen=True)
class Args:
    """Evaluate a model on a benchmark."""

    dataset: str
    """A registered dataset, or the JSON file that describes one's own."""
    ckpt_path: Path
    """The checkpoint: the authors' or one of ours."""
    model: str = "aott"
    """A model of the zoo."""
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
    gpu_num: int = 1
    """Processes on this machine: one a GPU, or so many on the CPU."""
    device: str | None = None
    """cuda, mps, cpu; default: the best there is. With several GPUs each process takes its own."""
    amp: bool = False
    """Run the network in half precision (fp16 on CUDA, bf16 elsewhere)."""
    flip: bool = False
    """Average over horizontally flipped copies."""
    ms: tuple[float, ...] = (1.0,)
    """Test scales to average over."""
    max_resolution: float | None = None
    """The long edge is scaled down to 800/480 times this. Default: the model's."""
    long_term_mem_gap: int | None = None
    """Frames between two that enter the long-term memory. Default: the model's."""
    short_term_mem_skip: int | None = None
    """Which earlier frame is the short-term memory. Default: the model's."""
    max_memory_frames: int | Literal["unbounded"] = "unbounded"
    """Most frames in the long-term memory; the published results have no bound."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """Fields of the model's config to change."""


def open_it(args: Args) -> Dataset:
    """The dataset that is meant."""
    options: dict[str, Any] = {"full_resolution": True} if args.full_resolution else {}
    return open_dataset(args.dataset, args.data_root, split=args.split, **options)


def build_segmenter(args: Args, local_rank: int) -> tuple[VideoSegmenter, torch.device]:
    """The model on this process's device."""
    default = get_model_config(args.model)
    config = default.override_from_text(*args.set)
    changed = {k: v for k, v in config.to_dict().items() if v != getattr(default, k)}
    device = args.device
    if device in (None, "cuda") and torch.cuda.is_available():
        device = f"cuda:{local_rank % torch.cuda.device_count()}"
    model = build_model(args.model, checkpoint=args.ckpt_path, device=device, **changed)
    place = next(model.parameters()).device
    segmenter = VideoSegmenter(
        model,
        scales=args.ms,
        flip=args.flip,
        amp=("fp16" if place.type == "cuda" else "bf16") if args.amp else None,
        max_long_edge=None if args.max_resolution is None else round(args.max_resolution * 800 / 480),
        long_term_gap=args.long_term_mem_gap,
        short_term_skip=args.short_term_mem_skip,
        max_memory_frames=None if args.max_memory_frames == "unbounded" else args.max_memory_frames,
    )
    return segmenter, place


def run_processes(count: int) -> None:
    """Run this program so many times side by side; failures of single processes show in the results."""
    store, environments = serve_queue(count)
    children = [
        subprocess.Popen([sys.executable, __file__, *sys.argv[1:]], env={**os.environ, **e, CHILD: "1"})
        for e in environments
    ]
    try:
        codes = [child.wait() for child in children]
    except BaseException:
        for child in children:
            child.terminate()
        raise
    del store
    for rank, code in enumerate(codes):
        if code:
            logger.error("process %d ended with code %d", rank, code)


def run(args: Args) -> int:
    """Evaluate; the exit code says whether everything was done."""
    dataset = open_it(args)
    child, under_torchrun = CHILD in os.environ, "RANK" in os.environ and CHILD not in os.environ
    queue = WorkQueue() if child or under_torchrun or args.gpu_num == 1 else None
    segmenter, device = build_segmenter(args, queue.local_rank if queue else 0)
    settings = settings_of(segmenter, dataset, args.model, args.ckpt_path, device)
    evaluation = Evaluation(dataset, args.output_path, settings)
    if queue is None:
        logger.info("%s on %s: %s", args.model, device, segmenter.config)
        del segmenter
        run_processes(args.gpu_num)
    else:
        if queue.rank == 0 and not child:
            logger.info("%s on %s: %s", args.model, device, segmenter.config)
        evaluation.run(segmenter, queue, progress=queue.rank == 0)
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
    experiment = f"{args.exp_name}_{type(get_model_config(args.model)).__name__}"
    name = result_name(dataset.name, dataset.split, experiment, args.stage, None, flip=args.flip, scales=args.ms)
    scores = evaluation.finish(name)
    if scores is not None:
        print(summary_text(scores))
    print(f"results: {args.output_path}")
    return 0


def main() -> int:
    """Parse, run, and make errors one line."""
    args = tyro.cli(Args, description=__doc__)
    level = logging.INFO if os.environ.get("RANK", "0") == "0" else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s")
    try:
        with logging_redirect_tqdm():
            return run(args)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run it again to go on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
