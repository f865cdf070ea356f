"""Train a model through a stage.

    voskit train --model aott --stage pre --amp --exp_name default --data_path datasets
    torchrun --nnodes 2 --nproc_per_node 8 -m voskit train ...

Files go to <output_path>/<exp_name>_<Model>/<STAGE>. Run the same command again to resume. On SIGTERM, which cluster
schedulers send before they end a job, training stops after the current step, saves a checkpoint and exits with code
143.
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

from voskit.tools.command import run_tool
from voskit.tools.flags.training import TrainArgs

logger = logging.getLogger("train")
CHILD = "VOSKIT_TRAIN_CHILD"
STOPPED = 128 + signal.SIGTERM


def run(args: TrainArgs) -> int:
    """Train and return the exit code."""
    options = args.options
    if args.gpu_num > 1 and CHILD not in os.environ and "RANK" not in os.environ:
        from voskit.evaluators.parallel.processes import run_processes

        command = [sys.executable, "-m", "voskit", "train", *sys.argv[1:]]
        codes = run_processes(command, args.gpu_num, together=True, environment={CHILD: "1"})
        # a process that has just stopped may get a second SIGTERM after its handler is gone
        stopped = STOPPED in codes and set(codes) <= {STOPPED, -signal.SIGTERM}
        return STOPPED if stopped else int(any(codes))
    from voskit.networks.devices import local_device
    from voskit.trainers.distributed import FailedTogether, join_processes
    from voskit.trainers.run import train

    device = local_device(args.device)
    processes = join_processes(device)
    try:
        validate = args.build_validation(processes)
        result = train(args.model, args.stage, device=device, validate=validate, processes=processes, **options)
    except FailedTogether as error:
        if processes.is_first:
            print(f"error: {error}", file=sys.stderr)
        processes.barrier()  # a process that fails ends the others, so report this error first
        if isinstance(cause := error.__cause__, Exception) and not isinstance(cause, (ValueError, OSError)):
            raise cause from None  # not a user error, so with a traceback
        return 1
    if processes.is_first:
        for message in result.messages:
            logger.warning(message)
        if result.finished:
            print(f"results: {result.weights}")
    return STOPPED if result.stopped else int(bool(result.failed_validations))


def main() -> int:
    """Parse the flags and train."""
    return run_tool(
        run,
        TrainArgs,
        __doc__,
        interrupted="interrupted; run the command again to resume",
        less_memory="Use --amp, --accumulate, --checkpoint_activations, or a smaller crop",
    )
