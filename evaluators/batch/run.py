"""Segmentation of many videos by one call."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from voskit.evaluators.batch.engines import (
    PARENT,
    StaticShare,
    choose_engine,
    run_in_processes,
    run_on_ray,
    slurm_share,
)
from voskit.evaluators.batch.jobs import BatchJob
from voskit.evaluators.batch.results import BatchResults, JobRecord
from voskit.evaluators.batch.worker import BatchWorker, end_with_parent
from voskit.evaluators.benchmarks.work_queue import WorkQueue


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
        resume: skip finished videos, and continue those that were broken off.
        command: the command of this process, which several processes on this machine repeat.
        threads, gpus: see :func:`~voskit.evaluators.batch.engines.run_in_processes` and ``run_on_ray``.

    Returns:
        the record of each video by its name: of a Slurm task, those of its share; of ranks other than 0 and of worker
        processes, none.

    Raises:
        ValueError: results so far are of other videos or settings, an engine can't be used, or a worker can't start.
        OSError: records can't be written.
    """
    if PARENT in os.environ:
        end_with_parent(int(os.environ[PARENT]))
        build().run_all(jobs, WorkQueue(), skip=("done", "failed"))
        return {}
    engine = choose_engine(engine)
    if workers > 1 and engine in ("torchrun", "slurm"):
        raise ValueError(f"with {engine}, several workers are several ranks or array tasks: leave out --gpu_num")
    if workers > 1 and engine == "processes" and not command:
        raise ValueError("several workers on this machine need the command that they run")
    if resume:
        results.check(jobs)
    if engine == "torchrun":
        queue = WorkQueue()
        build().run_all(jobs, queue, skip=("done",) if resume else ())
        queue.wait_for_all()
        return results.summarize(jobs) if queue.rank == 0 else {}
    if engine == "slurm":
        share = slurm_share()
        own = [jobs[number] for number in share.items(len(jobs))]
        if not resume or any(results.record(job).state != "done" for job in own):
            build().run_all(own, StaticShare(0, 1), skip=("done",) if resume else ())
        records = results.summarize(jobs)
        return {job.name: records[job.name] for job in own}
    results.reopen(jobs, all_of_them=not resume)
    if all(results.record(job).state == "done" for job in jobs):
        return results.summarize(jobs)
    try:
        if engine == "ray":
            run_on_ray(build, jobs, results, workers, gpus)
        elif workers == 1:
            build().run_all(jobs, StaticShare(0, 1))
        else:
            run_in_processes(command, jobs, results, workers, threads)
    finally:
        records = results.summarize(jobs)
    return records
