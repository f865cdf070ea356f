"""Worker process of an evaluation, started by ``voskit.evaluators.benchmarks.run``."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import torch

from voskit.evaluators.benchmarks.run import unpacked
from voskit.evaluators.parallel.parent import end_with_parent
from voskit.evaluators.parallel.work_queue import WorkQueue
from voskit.networks.devices import local_device


def main(path: Path, device: str) -> int:
    """Run the job in a file on a device until the queue is empty; return an exit code."""
    end_with_parent()
    queue = WorkQueue()
    # The file was written by the parent process, to a folder that nobody else can read.
    job = torch.load(path, map_location=local_device(device), weights_only=False)
    logging.basicConfig(
        level=job["level"] if queue.rank == 0 else max(job["level"], logging.WARNING), format="%(message)s"
    )
    torch.set_num_threads(job["threads"])
    options = {name: unpacked(value) for name, value in job["options"].items()}
    try:
        job["evaluation"].run(
            unpacked(job["segmenter"]), queue, progress=job["progress"] and queue.rank == 0, **options
        )
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
