"""Watchdog that ends worker processes when their parent process is gone."""

from __future__ import annotations

import os
import signal
import threading
import time

PARENT = "VOSKIT_PARENT"
"""Environment variable of a worker process: the process id of the command that started it."""
GRACE = 60.0
"""Seconds between SIGTERM and the forced end of a process, to close files and write checkpoints."""
_INTERVAL = 0.5


def end_with_parent() -> None:
    """End this worker when its parent is gone, even if that was killed: SIGTERM, then an exit a minute later.

    Does nothing in a process that no command of voskit started. ``PARENT`` is removed from the environment, since the
    processes that this one starts aren't its parent's workers.
    """
    if (parent := os.environ.pop(PARENT, None)) is None:
        return

    def watch() -> None:
        while os.getppid() == int(parent):
            time.sleep(_INTERVAL)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE)
        os._exit(128 + signal.SIGTERM)  # SIGTERM doesn't reach Python while it waits for a connection

    threading.Thread(target=watch, daemon=True, name="end with parent").start()
