"""Launcher of several processes of one command on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import voskit
from voskit.evaluators.parallel.parent import GRACE, PARENT
from voskit.evaluators.parallel.work_queue import serve_queue


def run_processes(
    command: Sequence[str], count: int, *, together: bool, environment: Mapping[str, str] | None = None
) -> list[int]:
    """Run ``count`` processes of a command, which find each other through their environment, as under ``torchrun``.

    SIGTERM is passed on to them. When this process is interrupted, or one of processes that depend on each other ends
    with an error, the others get SIGTERM, and SIGKILL a minute later. Programs that call
    :func:`~voskit.evaluators.parallel.parent.end_with_parent` also end when this process is killed.

    Args:
        command: a program and its arguments. Python programs can import the modules that this process can.
        count: number of processes.
        together: the processes depend on each other: if one fails, the others are ended.
        environment: additional environment variables for the processes.

    Returns:
        the exit codes in order of rank.
    """
    store, ranks = serve_queue(count)
    shared = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(python_path()),
        PARENT: str(os.getpid()),
        **(environment or {}),
    }
    children = [subprocess.Popen(command, env={**shared, **rank}) for rank in ranks]

    def terminate(*_: object) -> None:
        for child in children:
            if child.poll() is None:
                child.terminate()

    with _sigterm_handler(terminate):
        try:
            while any(child.poll() is None for child in children):
                if together and any(child.poll() for child in children):
                    break
                time.sleep(0.1)
        finally:
            terminate()
            end = time.monotonic() + GRACE
            while any(child.poll() is None for child in children) and time.monotonic() < end:
                time.sleep(0.1)
            for child in children:
                child.kill()  # a process that waits for one that has ended may not react to SIGTERM
    codes = [child.wait() for child in children]
    del store
    return codes


def python_path() -> list[str]:
    """Return the ``PYTHONPATH`` entries with which another process can import the same modules as this one."""
    return [str(Path(voskit.__file__).resolve().parents[1]), *filter(None, sys.path)]


@contextmanager
def _sigterm_handler(handler: Callable[..., None]) -> Iterator[None]:
    """Call ``handler`` on SIGTERM within a ``with`` block. Only the main thread can set handlers of signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
