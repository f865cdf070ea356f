"""Running a program in several processes on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from voskit.evaluators.benchmarks.work_queue import serve_queue

_GRACE = 60.0  # seconds that processes which are told to end have for it


def run_side_by_side(program: str, count: int, mark: str, *, together: bool) -> list[int]:
    """Run a program with this one's arguments in ``count`` processes that find each other by their environment.

    SIGTERM is passed on to them, and when it has ended one of those that depend on each other, or one has failed, the
    others are told to end and, a minute later, are killed.

    Args:
        program: its file.
        count: processes.
        mark: a variable that is set for them, by which they know that they are such processes.
        together: they depend on each other.

    Returns:
        their exit codes, in order of rank.
    """
    store, environments = serve_queue(count)
    children = [
        subprocess.Popen([sys.executable, program, *sys.argv[1:]], env={**os.environ, **e, mark: "1"})
        for e in environments
    ]

    def tell_to_end(*_: object) -> None:
        for child in children:
            if child.poll() is None:
                child.terminate()

    before = signal.signal(signal.SIGTERM, tell_to_end)
    try:
        while any(child.poll() is None for child in children):
            if together and any(child.poll() for child in children):
                break
            time.sleep(0.1)
    finally:
        tell_to_end()
        end = time.monotonic() + _GRACE
        while any(child.poll() is None for child in children) and time.monotonic() < end:
            time.sleep(0.1)
        for child in children:
            child.kill()  # one that waits for a process that is no more doesn't hear anything else
        signal.signal(signal.SIGTERM, before)
    codes = [child.wait() for child in children]
    del store
    return codes
