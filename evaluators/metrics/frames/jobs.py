"""Work over frames in several processes."""

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
"""Called with the units of work (frames, mostly) done since the last call, and with all there are."""

_CHUNK = 16  # frames: a second of work or less, and enough to make handing it over cheap


def default_workers() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_jobs(
    function: Callable[..., R],
    jobs: Sequence[tuple[Any, ...]],
    *,
    num_workers: int = 1,
    sizes: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> list[R]:
    """``[function(*job) for job in jobs]`` in several processes.

    Args:
        function: a function of a module, so that it can be sent to a process however that was started.
        num_workers: processes; 1 runs everything in this one.
        sizes: units of work in each job, for ``progress``; the largest jobs are started first.

    Raises:
        ValueError: ``num_workers`` below 1.
        Exception: the first that a job raised; jobs that were not begun are dropped.
    """
    if num_workers < 1:
        raise ValueError(f"num_workers must be at least 1, got {num_workers}")
    sizes = [1] * len(jobs) if sizes is None else sizes
    report = progress or (lambda done, total: None)
    results: list[Any] = [None] * len(jobs)
    with _one_opencv_thread():
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
    """Apply ``function(rules, frames)``, which returns a result a frame, to the frames of many sequences.

    Long sequences are cut, so that all processes are busy to the end.

    Args:
        sequences: name to (rules, frames).

    Returns:
        Name to results in the order of the frames.
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
    """``fork`` where that is safe, as it spares each process the import of torch; else ``spawn``.

    Not safe beside other Python threads (a lock one of them holds stays locked in the child) or once CUDA is in use.
    """
    torch = sys.modules.get("torch")
    in_use = torch is not None and torch.cuda.is_initialized()
    return "fork" if sys.platform == "linux" and threading.active_count() == 1 and not in_use else "spawn"


def _begin_worker() -> None:
    """One thread for OpenCV, and an end with the process that wanted the results, also where that was killed.

    Else a worker would wait for jobs for ever, with all its memory.
    """
    cv2.setNumThreads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_it() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_it, daemon=True).start()


@contextmanager
def _one_opencv_thread() -> Iterator[None]:
    """One thread for OpenCV: its pool would compete with our processes, and wouldn't survive a fork."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
