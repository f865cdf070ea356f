"""Background executor: write jobs in threads, with bounded memory and errors that reach the caller."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)


class BackgroundWriter:
    """A thread pool for write jobs, with a bounded queue.

    At most ``max_pending`` jobs wait or run at any time; ``submit`` blocks until there is room. The caller must not
    change arrays after passing them to a job. With one worker, jobs run in the order of submission.

    If a job fails, the next ``submit`` or ``close`` raises its error: the same exception object, with the file's name
    (the job's first positional argument that is a path or a string) added to its message if missing. After an error no
    further job starts.

    As a context manager it closes at the end of the body. If the body raises, waiting jobs are dropped, running ones
    are waited for, and the exception propagates. If the program ends without ``close``, submitted jobs still run at
    the interpreter's exit and their error is logged.

    Args:
        workers: number of threads.
        max_pending: maximum number of jobs that wait or run.

    Raises:
        ValueError: a number below 1.
    """

    def __init__(self, workers: int = 2, max_pending: int = 8) -> None:
        for name, value in (("workers", workers), ("max_pending", max_pending)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        # At the interpreter's exit the executor empties its queue and joins its threads.
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="background-writer")
        self._max_pending = max_pending
        self._room = threading.Semaphore(max_pending)
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        self._error_raised = False
        self._dropping = False
        self._closed = False
        atexit.register(self._log_unraised_error)

    def submit(self, job: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Queue ``job(*args, **kwargs)``; block while ``max_pending`` jobs wait or run.

        Raises:
            ValueError: the writer is closed.
            BaseException: the error of an earlier job; this job is not queued then.
        """
        self._check_open()
        self._room.acquire()
        try:
            self._check_open()  # the state may have changed while this call was blocked
            self._pool.submit(self._run, job, args, kwargs)
        except BaseException:
            self._room.release()
            raise

    def flush(self) -> None:
        """Wait until all jobs so far have run. Raise the first error of a job, if any."""
        for _ in range(self._max_pending):
            self._room.acquire()
        self._room.release(self._max_pending)
        self._raise_error()

    def close(self) -> None:
        """Wait until all jobs have run and the threads have ended. Raise the first error of a job, if any."""
        try:
            self._join()
        except BaseException:  # interrupted from the keyboard: don't make the exit wait for the rest
            self._dropping = True
            raise
        self._raise_error()

    def cancel(self) -> None:
        """Drop waiting jobs, wait for running ones and end the threads. Log an error that hasn't been raised yet."""
        self._dropping = True
        self._join()
        self._log_unraised_error()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.cancel()

    def _run(self, job: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            if not self._dropping:
                job(*args, **kwargs)
        except BaseException as error:
            with self._lock:
                if self._error is None:
                    self._dropping = True
                    self._error = _with_file_name(error, args)
        finally:
            self._room.release()

    def _check_open(self) -> None:
        self._raise_error()
        if self._closed:
            raise ValueError("the BackgroundWriter is closed")

    def _raise_error(self) -> None:
        if self._error is not None:
            self._error_raised = True
            raise self._error

    def _join(self) -> None:
        self._closed = True
        self._pool.shutdown(wait=True)
        atexit.unregister(self._log_unraised_error)

    def _log_unraised_error(self) -> None:
        if self._error is not None and not self._error_raised:
            self._error_raised = True
            logger.error("Background write failed: %s: %s", type(self._error).__name__, self._error)


def _with_file_name(error: BaseException, args: tuple[Any, ...]) -> BaseException:
    """Return ``error`` with the name of the job's file added to its message, if possible."""
    path = next((os.fspath(arg) for arg in args if isinstance(arg, (str, os.PathLike))), None)
    if path is None or str(path) in str(error):
        return error
    if isinstance(error, OSError) and error.errno is not None:
        if error.filename is None:
            error.filename = path
    elif len(error.args) <= 1:
        error.args = (f"{path}: {error}",)
    return error
