"""Worker processes for scoring, with progress."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any, TypeVar

import cv2

R = TypeVar("R")
Progress = Callable[[int, int], None]
"""Called with the units of work (mostly frames) done since the last call, and the total number of units."""

_CHUNK = 16  # frames per job: at most a second of work, but enough to make the transfer cheap


def default_workers() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_jobs(
    function: Callable[..., R],
    jobs: Sequence[tuple[Any, ...]],
    *,
    num_workers: int = 1,
    sizes: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> list[R]:
    """Compute ``[function(*job) for job in jobs]`` in several processes.

    Args:
        function: a module-level function, which can be pickled.
        jobs: arguments of each call.
        num_workers: number of processes; 1: run everything in this process.
        sizes: units of work in each job, for ``progress``. The largest jobs start first.
        progress: called after each job.

    Returns:
        The results in the order of ``jobs``.

    Raises:
        ValueError: ``num_workers`` is below 1.
        Exception: the first error of a job. Jobs that haven't started are canceled.
    """
    if num_workers < 1:
        raise ValueError(f"num_workers must be at least 1, got {num_workers}")
    sizes = [1] * len(jobs) if sizes is None else sizes
    report = progress or (lambda done, total: None)
    results: list[Any] = [None] * len(jobs)
    with _one_opencv_thread(), _without_main():
        if min(num_workers, len(jobs)) < 2:
            for index, job in enumerate(jobs):
                results[index] = function(*job)
                report(sizes[index], sum(sizes))
            return results
        context = multiprocessing.get_context(_start_method())
        executor = ProcessPoolExecutor(min(num_workers, len(jobs)), context, initializer=_begin_worker)
        with executor:
            order = sorted(range(len(jobs)), key=lambda index: -sizes[index])
            futures = {executor.submit(function, *jobs[index]): index for index in order}
            try:
                for future in as_completed(futures):
                    results[futures[future]] = future.result()
                    report(sizes[futures[future]], sum(sizes))
            except BaseException:
                executor.shutdown(cancel_futures=True)
                raise
    return results


def run_frames(
    function: Callable[[Any, Sequence[Any]], list[R]],
    sequences: Mapping[str, tuple[Any, Sequence[Any]]],
    *,
    num_workers: int = 1,
    progress: Progress | None = None,
) -> dict[str, list[R]]:
    """Apply ``function(rules, frames)``, which returns one result per frame, to the frames of many sequences.

    Long sequences are split, so that all processes stay busy.

    Args:
        function: a module-level function.
        sequences: (rules, frames) by name.
        num_workers: number of processes.
        progress: called after each part of a sequence.

    Returns:
        Results by name, in the order of the frames.
    """
    pieces = [
        (name, (rules, tuple(frames[start : start + _CHUNK])))
        for name, (rules, frames) in sequences.items()
        for start in range(0, len(frames), _CHUNK)
    ]
    jobs = [job for _, job in pieces]
    done = run_jobs(function, jobs, num_workers=num_workers, sizes=[len(job[1]) for job in jobs], progress=progress)
    results: dict[str, list[R]] = {name: [] for name in sequences}
    for (name, _), values in zip(pieces, done, strict=True):
        results[name].extend(values)
    return results


def _start_method() -> str:
    """Return ``fork``, which saves each process the import of torch, if it is safe; otherwise ``spawn``.

    Forking isn't safe alongside other Python threads (their locks stay locked in the child) or once CUDA is in use.
    """
    torch = sys.modules.get("torch")
    in_use = torch is not None and torch.cuda.is_initialized()
    return "fork" if sys.platform == "linux" and threading.active_count() == 1 and not in_use else "spawn"


@contextmanager
def _without_main() -> Iterator[None]:
    """Keep spawned workers from importing the user's script, which would run it again if it lacks a guard."""
    main = sys.modules["__main__"]
    kept = {name: getattr(main, name, None) for name in ("__spec__", "__file__")}
    try:
        for name in kept:
            setattr(main, name, None)
        yield
    finally:
        for name, value in kept.items():
            setattr(main, name, value)


def _begin_worker() -> None:
    """Limit OpenCV to one thread, and end the worker together with its parent, even if the parent is killed.

    Otherwise, an orphaned worker would wait for jobs forever and keep its memory.
    """
    cv2.setNumThreads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


@contextmanager
def _one_opencv_thread() -> Iterator[None]:
    """Limit OpenCV to one thread: its pool would compete with the worker processes and wouldn't survive a fork."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
