"""Jobs of the annotation server, which continue when the browser is closed."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

_KEPT = 50  # finished jobs that are kept


class JobStoppedError(Exception):
    """The user has stopped a job."""


@dataclass(eq=False)
class Job:
    """A job and its progress.

    Attributes:
        id: its number.
        clip: id of the clip.
        kind: ``"propagate"``, ``"overlay"`` or ``"export"``.
        total: number of steps.
        state: ``"waiting"``, ``"running"``, ``"done"``, ``"stopped"`` or ``"failed"``.
        done: number of steps done.
        frame: the last finished frame.
        error: why it failed.
        file: its result, if it is a file.
        since: the clip's last change at the start of the job, if that matters.
    """

    id: int
    clip: str
    kind: str
    total: int
    state: str = "waiting"
    done: int = 0
    frame: int | None = None
    error: str | None = None
    file: Path | None = None
    since: object = None
    stop: threading.Event = field(default_factory=threading.Event)
    started: float = 0.0
    """Time at which the first step was done. Earlier work, such as loading weights, doesn't count for the rate."""

    def __post_init__(self) -> None:
        self._changed: Callable[[Job], None] = lambda job: None

    def step(self, frame: int) -> None:
        """Count a step after a frame is finished.

        Raises:
            JobStoppedError: the user has stopped the job.
        """
        if not self.done:
            self.started = time.monotonic()
        self.done += 1
        self.frame = frame
        self._changed(self)
        self.check()

    def check(self) -> None:
        """Raise JobStoppedError if the user has stopped the job."""
        if self.stop.is_set():
            raise JobStoppedError

    @property
    def active(self) -> bool:
        """True while the job waits or runs."""
        return self.state in ("waiting", "running")

    def to_json(self) -> dict[str, Any]:
        """Return the job's state for the page; rates are in steps per second, times in seconds."""
        elapsed = time.monotonic() - self.started
        rate = (self.done - 1) / elapsed if self.done > 1 and self.state == "running" and elapsed > 0 else None
        return {
            "id": self.id,
            "clip": self.clip,
            "kind": self.kind,
            "state": self.state,
            "done": self.done,
            "total": self.total,
            "fps": None if rate is None else round(rate, 2),
            "left_s": None if not rate else round((self.total - self.done) / rate, 1),
            "frame": self.frame,
            "error": self.error,
            "file": self.file is not None and self.state == "done",
            "name": self.file.name if self.file is not None else None,
        }


class Jobs:
    """Jobs in server threads: at any time, at most one that uses the network and one that writes results.

    Args:
        changed: called with a job after each change of its state, in the job's thread.
    """

    def __init__(self, changed: Callable[[Job], None]) -> None:
        self._changed = changed
        self._jobs: dict[int, Job] = {}
        self._numbers = itertools.count(time.time_ns() // 1_000_000)  # a page may still show jobs of an earlier server
        self._lock = threading.Lock()
        self._threads = {name: ThreadPoolExecutor(1, thread_name_prefix=name) for name in ("network", "results")}

    def __iter__(self) -> Iterator[Job]:
        with self._lock:
            return iter(list(self._jobs.values()))

    def __getitem__(self, number: int) -> Job:
        return self._jobs[number]

    def active(self, clip: str, kind: str | None = None) -> list[Job]:
        """Return the waiting and running jobs of a clip, of one kind or all kinds, in the order of their start."""
        return [job for job in self if job.active and job.clip == clip and kind in (None, job.kind)]

    def start(self, clip: str, kind: str, total: int, work: Callable[[Job], None], since: object = None) -> Job:
        """Start a job.

        Args:
            clip: id of the clip.
            kind: see :class:`Job`.
            total: number of steps.
            work: does the work, and calls the job's ``step`` after each frame.
            since: see :class:`Job`.
        """
        with self._lock:
            job = Job(next(self._numbers), clip, kind, total, since=since)
            job._changed = self._changed
            self._jobs[job.id] = job
            ended = [number for number, one in self._jobs.items() if not one.active]
            for number in ended[:-_KEPT]:
                del self._jobs[number]
        self._changed(job)  # before it can end
        self._threads["network" if kind == "propagate" else "results"].submit(self._run, job, work)
        return job

    def stop(self, number: int) -> None:
        """Stop a job after its current step, along with jobs of the same kind and clip that wait for it.

        Raises:
            KeyError: there is no job with this number.
        """
        stopped = self._jobs[number]
        for job in self:
            if job is stopped or (job.state == "waiting" and (job.clip, job.kind) == (stopped.clip, stopped.kind)):
                job.stop.set()
                self._end_waiting(job)

    def _end_waiting(self, job: Job) -> None:
        with self._lock:
            if job.state != "waiting":
                return
            job.state = "stopped"
        self._changed(job)

    def close(self) -> None:
        """Stop all jobs and wait for their current steps."""
        for job in self:
            job.stop.set()
            self._end_waiting(job)
        for thread in self._threads.values():
            thread.shutdown(wait=True)

    def _run(self, job: Job, work: Callable[[Job], None]) -> None:
        with self._lock:
            if job.state != "waiting":  # it was stopped
                return
            job.state = "running"
        self._changed(job)
        state = "done"
        try:
            work(job)
        except JobStoppedError:
            state = "stopped"
        except Exception as error:
            if not isinstance(error, (ValueError, OSError)):
                logger.exception("%s of clip %s", job.kind, job.clip)
            job.error = str(error) or type(error).__name__
            state = "failed"
        job.state = state
        self._changed(job)
