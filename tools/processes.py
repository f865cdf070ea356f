"""Running a program in several processes on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from evaluators.work_queue import serve_queue


def run_side_by_side(program: str, count: int, mark: str, *, together: bool) -> list[int]:
    """Run a program with this one's arguments in ``count`` processes that find each other by their environment.

    SIGTERM is passed on to them.

    Args:
        program: its file.
        count: processes.
        mark: a variable that is set for them, by which they know that they are such processes.
        together: they depend on each other, so when one fails the others are ended.

    Returns:
        their exit codes, in order of rank.
    """
    store, environments = serve_queue(count)
    children = [
        subprocess.Popen([sys.executable, program, *sys.argv[1:]], env={**os.environ, **e, mark: "1"})
        for e in environments
    ]

    def end_children(*_: object) -> None:
        for child in children:
            if child.poll() is None:
                child.terminate()

    before = signal.signal(signal.SIGTERM, end_children)
    try:
        while any(child.poll() is None for child in children):
            if together and any(child.poll() for child in children):
                break
            time.sleep(0.1)
    finally:
        end_children()
    codes = [child.wait() for child in children]
    signal.signal(signal.SIGTERM, before)
    del store
    return codes
