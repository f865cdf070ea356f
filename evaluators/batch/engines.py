"""Engines of a batch: processes on this machine, ranks of torchrun, a Slurm array, Ray."""

from __future__ import annotations

import logging
import os
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from voskit.evaluators.batch.jobs import BatchJob
from voskit.evaluators.batch.results import BatchResults, JobRecord
from voskit.evaluators.batch.worker import BatchWorker
from voskit.evaluators.parallel.processes import python_path, run_processes
from voskit.evaluators.parallel.work_queue import Share

logger = logging.getLogger(__name__)

WORKER = "VOSKIT_BATCH_WORKER"
"""Environment variable that is set in worker processes of :func:`run_in_processes`."""
ENGINES = ("auto", "processes", "torchrun", "slurm", "ray")
_KILLS = 10
"""Number of times that a video's workers may be killed. Another kill means that the video needs too much memory."""
_STALLS = 3
"""Number of rounds in a row in which all workers are killed before they begin a video."""
_INTERRUPTS = {-signal.SIGTERM, -signal.SIGINT, 128 + signal.SIGTERM, 128 + signal.SIGINT}


def choose_engine(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return an engine; ``auto`` chooses by the variables that torchrun and Slurm set.

    Raises:
        ValueError: an unknown engine, or one whose variables are missing.
    """
    if name not in ENGINES:
        raise ValueError(f"--engine {name}: known: {', '.join(ENGINES)}")
    if name == "auto":
        if "RANK" in environment:
            return "torchrun"
        return "slurm" if "SLURM_ARRAY_TASK_ID" in environment else "processes"
    for engine, variable, start in (
        ("torchrun", "RANK", "torchrun --nproc_per_node 2 -m voskit batch ..."),
        ("slurm", "SLURM_ARRAY_TASK_ID", "sbatch --array, see docs/batch.md"),
    ):
        if name == engine and variable not in environment:
            raise ValueError(f"--engine {name}: {variable} is not set: start the command with {start}")
    return name


def slurm_share(environment: Mapping[str, str] = os.environ) -> Share:
    """Return the share of this task of a Slurm array, whose numbers are consecutive.

    Raises:
        ValueError: an array with gaps, such as ``--array=0-6:2``.
    """
    task = int(environment["SLURM_ARRAY_TASK_ID"])
    count = int(environment.get("SLURM_ARRAY_TASK_COUNT", 1))
    first = int(environment.get("SLURM_ARRAY_TASK_MIN", task))
    if int(environment.get("SLURM_ARRAY_TASK_STEP", 1)) != 1 or task - first >= count:
        raise ValueError("the numbers of a Slurm array must be consecutive: use a range such as --array=0-7")
    return Share(task - first, count)


def run_in_processes(
    command: Sequence[str], jobs: Sequence[BatchJob], results: BatchResults, workers: int, threads: int | None = None
) -> None:
    """Run worker processes of a command until every video is finished. Killed workers are replaced.

    Args:
        command: a worker, which gets the environment of :class:`~voskit.evaluators.parallel.work_queue.WorkQueue`
            and ``WORKER``.
        jobs: the videos.
        results: their records.
        workers: number of processes.
        threads: CPU threads of each worker; None: the cores are divided among them.

    Raises:
        ValueError: a worker ended with an error, which it has printed; the output exists only in this process's memory;
            or workers are killed again and again while their model loads.
        KeyboardInterrupt: this process was interrupted.
    """
    kills: Counter[str] = Counter()
    environment = {WORKER: "1"}
    if threads is None and "OMP_NUM_THREADS" not in os.environ:
        environment["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // workers))
    stalls = 0
    waiting = _unfinished(jobs, results)
    while waiting:
        codes = run_processes(command, min(workers, len(waiting)), together=False, environment=environment)
        if _INTERRUPTS & set(codes):
            raise KeyboardInterrupt
        if wrong := [code for code in codes if code > 0]:
            raise ValueError(f"a worker exited with code {wrong[0]}, see above; finished videos are kept")
        left = _unfinished(waiting, results)
        if not any(codes) and len(left) == len(waiting):
            raise ValueError(f"{results.store.output}: worker processes can't see this output: use --gpu_num 1")
        begun = [job for job, record in left.items() if record.state == "running" and record != waiting[job]]
        stalls = 0 if begun or len(left) < len(waiting) else stalls + 1
        if stalls == _STALLS:
            raise ValueError(
                f"workers were killed {stalls} times in a row while their model loaded, perhaps for lack of memory: "
                "use fewer workers (--gpu_num) or a smaller model"
            )
        for job in begun:
            kills[job.name] += 1
            if not _record_kill(job, kills, results):
                del left[job]
        waiting = left


def _unfinished(jobs: Iterable[BatchJob], results: BatchResults) -> dict[BatchJob, JobRecord]:
    """Return the records of the videos that are neither done nor failed."""
    records = {job: results.record(job) for job in jobs}
    return {job: record for job, record in records.items() if record.state in ("open", "running")}


def _record_kill(job: BatchJob, kills: Counter[str], results: BatchResults) -> bool:
    """Log that a video's worker was killed; return True if the video may be retried."""
    if kills[job.name] <= _KILLS:
        logger.warning("%s: its worker was killed: another worker resumes it", job.name)
        return True
    reason = f"its workers were killed {kills[job.name]} times, perhaps for lack of memory"
    logger.error("%s: %s", job.name, reason)
    results.save(job, "failed", error=reason, inputs=results.record(job).inputs)
    return False


def run_on_ray(
    build: Callable[[], BatchWorker],
    jobs: Sequence[BatchJob],
    results: BatchResults,
    workers: int,
    gpus: float | None = None,
) -> None:
    """Run workers as Ray actors until every video is finished. Killed actors are replaced.

    Without a running cluster, one is started on this machine; ``RAY_ADDRESS`` names a different cluster.

    Args:
        build: returns a worker; run in each actor, so it must be picklable.
        jobs: the videos.
        results: their records, which the workers write.
        workers: number of actors.
        gpus: fraction of a GPU that each actor takes; 0.5 puts two on a GPU. None: 1 if the cluster has GPUs.

    Raises:
        ValueError: Ray isn't installed, or a worker can't be built.
    """
    try:
        import ray
    except ModuleNotFoundError:
        raise ValueError("--engine ray needs the package ray: pip install 'voskit[ray]'") from None
    started_here = not ray.is_initialized()
    if started_here:
        variables = {name: value for name, value in os.environ.items() if name.startswith("VOSKIT_")}
        variables["PYTHONPATH"] = os.pathsep.join(python_path())
        ray.init(include_dashboard=False, runtime_env={"env_vars": variables})
    try:
        if gpus is None:
            gpus = float(ray.cluster_resources().get("GPU", 0) > 0)
        _RayPool(ray, build, results, gpus).run(jobs, workers)
    finally:
        if started_here:
            ray.shutdown()


class _Actor:
    """A batch worker as a Ray actor."""

    def __init__(self, build: Callable[[], BatchWorker]) -> None:
        self._worker = build()

    def ready(self) -> bool:
        """Return True when the model is loaded."""
        return True

    def run(self, job: BatchJob) -> None:
        """Segment a video."""
        self._worker.run(job)


class _RayPool:
    """A pool of actors that take videos from one list."""

    def __init__(self, ray: Any, build: Callable[[], BatchWorker], results: BatchResults, gpus: float) -> None:
        self._ray, self._build, self._results = ray, build, results
        self._actor = ray.remote(num_cpus=1, num_gpus=gpus)(_Actor)

    def _new_actor(self) -> Any:
        actor = self._actor.remote(self._build)
        try:
            self._ray.get(actor.ready.remote())
        except self._ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None) or error
            line = [line for line in str(cause).splitlines() if line.strip()][-1].strip()
            raise ValueError(f"--engine ray: a worker can't start: {line}") from error
        return actor

    def run(self, jobs: Sequence[BatchJob], workers: int) -> None:
        """Segment all videos that aren't done."""
        waiting = deque(job for job in jobs if self._results.record(job).state in ("open", "running"))
        kills: Counter[str] = Counter()
        running: dict[Any, tuple[Any, BatchJob]] = {}

        def start(actor: Any) -> None:
            if waiting:
                job = waiting.popleft()
                running[actor.run.remote(job)] = actor, job

        for _ in range(min(workers, len(waiting))):
            start(self._new_actor())
        while running:
            (done, *_), _ = self._ray.wait(list(running), num_returns=1)
            actor, job = running.pop(done)
            try:
                self._ray.get(done)
            except self._ray.exceptions.RayActorError:
                kills[job.name] += 1
                if _record_kill(job, kills, self._results):
                    waiting.append(job)
                if waiting:
                    start(self._new_actor())
                continue
            record = self._results.record(job)
            logger.info("%s: %s", job.name, record.error or f"{record.frames} frames, {record.objects} objects")
            self._results.update_summary(jobs)
            start(actor)
