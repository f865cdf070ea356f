"""Common parts of all commands: flags, logging, one-line errors, exit codes."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import tyro
from tqdm.contrib.logging import logging_redirect_tqdm

from voskit.plugins import HELP as PLUGIN_HELP
from voskit.plugins import load_plugins, take_plugins

Args = TypeVar("Args")


def run_tool(run: Callable[[Args], int], args: type[Args], description: str | None, **options: Any) -> int:
    """Load plugins, parse the command line into ``args`` and run a command with it, see :func:`run_command`.

    Args:
        run: the command; returns the exit code.
        args: dataclass of the flags.
        description: text for ``--help``.
        **options: ``interrupted`` and ``level`` of ``run_command``.
    """
    try:
        plugins, sys.argv[1:] = take_plugins(sys.argv[1:])
        load_plugins(plugins)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    parsed = tyro.cli(args, description=f"{description or ''}\n\n{PLUGIN_HELP}")
    return run_command(lambda: run(parsed), **options)


def run_command(run: Callable[[], int], *, interrupted: str = "interrupted", level: int = logging.INFO) -> int:
    """Run a command; report user errors as one line on stderr instead of a traceback.

    Args:
        run: returns the exit code, 0 only if everything was done.
        interrupted: message after Ctrl-C or SIGTERM.
        level: lowest level of log messages to show.
    """
    logging.basicConfig(level=level, format="%(message)s")
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        with logging_redirect_tqdm():
            return run()
    except (ValueError, OSError, FloatingPointError, BrokenProcessPool) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return 130
    except _Terminated:
        print(interrupted, file=sys.stderr)
        return 128 + signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, before)


class _Terminated(BaseException):
    """SIGTERM as an exception, so that open files are closed and results are kept, as after Ctrl-C."""


def _terminate(*_: object) -> None:
    raise _Terminated
