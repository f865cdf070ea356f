"""Segmentation of many videos with one call."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence

from voskit.evaluators.batch.engines import (
    WORKER,
    choose_engine,
    run_in_processes,
    run_on_ray,
    slurm_share,
)
from voskit.evaluators.batch.jobs import BatchJob, find_problems
from voskit.evaluators.batch.results import BatchResults, JobRecord
from voskit.evaluators.batch.worker import BatchWorker
from voskit.evaluators.parallel.work_queue import Share, WorkQueue

logger = logging.getLogger(__name__)

_SHOWN = 10


def run_batch(
    build: Callable[[], BatchWorker],
    jobs: Sequence[BatchJob],
    results: BatchResults,
    *,
    engine: str = "auto",
    workers: int = 1,
    resume: bool = True,
    command: Sequence[str] = (),
    threads: int | None = None,
    gpus: float | None = None,
) -> dict[str, JobRecord]:
    """Segment the videos of a batch that aren't done, and write its summary.

    Args:
        build: returns this process's worker; called once, and only if there is something to do.
        jobs: the videos, in the same order in all processes.
        results: their records.
        engine: see :func:`~voskit.evaluators.batch.engines.choose_engine`.
        workers: processes on this machine, or actors of Ray.
        resume: skip finished videos, and continue interrupted ones.
        command: the command of this process, which several processes on this machine repeat.
        threads, gpus: see :func:`~voskit.evaluators.batch.engines.run_in_processes` and ``run_on_ray``.

    Returns:
        the record of each video by its name: of a Slurm task, those of its share; of ranks other than 0 and of worker
        processes, none.

    Raises:
        ValueError: no video can be read, existing results are of other videos or settings, an engine can't be used, or
            a worker can't start.
        OSError: records can't be written.
    """
    if WORKER in os.environ:
        build().run_all(jobs, WorkQueue(), skip=("done", "failed"))
        return {}
    engine = choose_engine(engine)
    if workers > 1 and engine in ("torchrun", "slurm"):
        raise ValueError(f"with {engine}, start a rank or array task for each worker, and leave out --gpu_num")
    if workers > 1 and engine == "processes" and not command:
        raise ValueError("several workers on this machine need command, the command that they run")
    if resume:
        results.check(jobs)
    done = {job.name for job in jobs if resume and results.record(job).state == "done"}
    _report_problems([job for job in jobs if job.name not in done], results, all_pending=not done)
    results.update_summary(jobs)
    if engine == "torchrun":
        queue = WorkQueue()
        build().run_all(jobs, queue, skip=("done",) if resume else ())
        queue.wait_for_all()
        return results.summarize(jobs) if queue.rank == 0 else {}
    if engine == "slurm":
        share = slurm_share()
        own = [jobs[number] for number in share.items(len(jobs))]
        if not resume or any(results.record(job).state != "done" for job in own):
            build().run_all(jobs, share, skip=("done",) if resume else ())
        records = results.summarize(jobs)
        return {job.name: records[job.name] for job in own}
    results.reopen(jobs, all_of_them=not resume)
    if all(results.record(job).state == "done" for job in jobs):
        return results.summarize(jobs)
    try:
        if engine == "ray":
            run_on_ray(build, jobs, results, workers, gpus)
        elif workers == 1:
            build().run_all(jobs, Share())
        else:
            run_in_processes(command, jobs, results, workers, threads)
    finally:
        records = results.summarize(jobs)
    return records


def _report_problems(jobs: Sequence[BatchJob], results: BatchResults, *, all_pending: bool) -> None:
    """Log the pending videos that can't be segmented, before a model is loaded.

    Raises:
        ValueError: no video of the batch can be segmented; ``all_pending`` is False if some are done.
    """
    problems = find_problems(jobs, results.store)
    lines = [f"{name}: {problem}" for name, problem in problems.items()]
    if all_pending and lines and len(lines) == len(jobs):
        raise ValueError(lines[0] if len(lines) == 1 else f"none of {len(jobs)} videos can be segmented; {lines[0]}")
    if lines and int(os.environ.get("RANK", 0)) == 0:
        more = "" if len(lines) <= _SHOWN else f" (and {len(lines) - _SHOWN} more)"
        logger.warning(
            "%d of %d videos can't be segmented: %s%s", len(lines), len(jobs), "; ".join(lines[:_SHOWN]), more
        )
