"""What all command lines do alike: logging, one-line errors, exit codes."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool

from tqdm.contrib.logging import logging_redirect_tqdm


def run_command(run: Callable[[], int], *, interrupted: str = "interrupted", level: int = logging.INFO) -> int:
    """Run a program and make what a person can mend one line on standard error.

    Args:
        run: gives the exit code; 0 only if everything was done.
        interrupted: what is said after Ctrl-C.
        level: of messages that are shown.
    """
    logging.basicConfig(level=level, format="%(message)s")
    before = signal.signal(signal.SIGTERM, _end)
    try:
        with logging_redirect_tqdm():
            return run()
    except (ValueError, OSError, FloatingPointError, BrokenProcessPool) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return 130
    except _Ended:
        print(interrupted, file=sys.stderr)
        return 128 + signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, before)


class _Ended(BaseException):
    """SIGTERM, which ends a program as Ctrl-C does: what was begun is closed, so that what was done is kept."""


def _end(*_: object) -> None:
    raise _Ended
