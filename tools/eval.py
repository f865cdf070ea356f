"""Evaluate a model on a benchmark: masks, the server's archive, timing and, if there is ground truth, scores.

    voskit eval --model aott --ckpt_path F --dataset davis2017 --data_root datasets/DAVIS --output_path O
    voskit eval ... --gpu_num 4
    torchrun --nnodes 2 --nproc_per_node 8 -m voskit eval ...        (all machines must see O)

Run it again to resume an interrupted evaluation.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # python tools/eval.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from voskit.__main__ import main as voskit

    sys.exit(voskit(["eval", *sys.argv[1:]]))

from voskit.tools.command import on_first_rank, run_tool
from voskit.tools.flags.evaluation import EvalArgs


def run(args: EvalArgs) -> int:
    """Evaluate; return 0 only if all videos were evaluated."""
    dataset = args.open_benchmark()
    if args.task != "referring":
        args.check_mask_flags()
        args.check_values()
    checkpoint = args.checkpoint()
    from voskit.evaluators.benchmarks.run import evaluate
    from voskit.evaluators.metrics.report import summary_text
    from voskit.networks.devices import local_device

    device = local_device(args.device)
    build = args.build_referring_segmenter if args.task == "referring" else args.build_segmenter
    scores = evaluate(
        build(device, dataset.name),
        dataset,
        output=args.output_path,
        checkpoint=checkpoint,
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
    if on_first_rank():
        print(f"results: {args.output_path}")
    return 0


def main() -> int:
    """Parse the command line and run."""
    return run_tool(run, EvalArgs, __doc__, interrupted="interrupted; run it again to resume")
