"""Files: atomic writes, folder locks, checksums, and JSON."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def atomic_write(path: Path, label: str = "the file") -> Iterator[Path]:
    """Write a file completely or not at all.

    The body of the ``with`` block writes to the temporary path that it gets, in the folder of ``path``. When the body
    ends, that file replaces ``path``. After an error ``path`` is as it was before.

    Args:
        path: the file to write, in an existing folder.
        label: name of the file's content in error messages.

    Raises:
        OSError: the file can't be written. The error names ``path``, not the temporary file.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        if error.filename in (None, str(temporary), temporary):
            raise OSError(error.errno, f"{label} cannot be written: {error.strerror}", str(path)) from error
        raise


def atomic_write_text(path: Path, text: str) -> None:
    """Write a small UTF-8 text file, completely or not at all. Raises OSError, which names the file."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def make_folder(folder: Path) -> None:
    """Make a folder and its parents.

    Raises:
        OSError: a file is in the way, or the folder is not writable; the error names it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, "A file is where a folder is expected", str(folder)) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "The folder is not writable", str(folder))


@contextlib.contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Hold an exclusive lock on a folder, creating it if needed. The processes of one run share the lock.

    The lock is released when the process ends, even if it is killed. On Windows nothing is locked.

    Raises:
        ValueError: another program holds the lock.
    """
    if fcntl is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{folder}: another program is writing there: wait, or give another folder") from None
        except OSError as error:  # some network file systems have no locks
            logger.warning(
                "%s can't be locked (%s): make sure that no other program writes there", folder, error.strerror
            )
        yield


def checksum(path: str | os.PathLike[str]) -> str:
    """Return the first 16 hex digits of a file's SHA-256."""
    sha = hashlib.sha256()
    with Path(path).open("rb") as f:
        while block := f.read(2**22):
            sha.update(block)
    return sha.hexdigest()[:16]


def load_json(path: Path) -> Any:
    """Read a JSON file. Raises FileNotFoundError or ValueError, each in one line that names the file."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: not a JSON file ({error})") from None
