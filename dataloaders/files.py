"""What all that write files share: files that are whole, a folder with one program that writes, fingerprints."""

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
def atomic_write(path: Path, what: str = "it") -> Iterator[Path]:
    """A path beside a file, which what the body has written there replaces at its end: complete, or not at all.

    Raises:
        OSError: the body's, naming the file and not its temporary stand-in; ``what`` the file is called in it.
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
            raise OSError(error.errno, f"{what} cannot be written: {error.strerror}", str(path)) from error
        raise


def atomic_write_text(path: Path, text: str) -> None:
    """Write a small text file (UTF-8), complete or not at all. Raises OSError, which names it."""
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
    """Write to a folder, which is made, as the only program; its processes count as one.

    The lock goes with the process, however that ends. Windows has none.

    Raises:
        ValueError: another program is writing there.
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
        except OSError as error:  # some network disks have no locks
            logger.warning("%s can't be locked (%s): see that no other program writes there", folder, error.strerror)
        yield


def checksum(path: str | os.PathLike[str]) -> str:
    """The first 16 hex digits of a file's SHA-256: which checkpoint something is from."""
    sha = hashlib.sha256()
    with Path(path).open("rb") as f:
        while block := f.read(2**22):
            sha.update(block)
    return sha.hexdigest()[:16]


def load_json(path: Path) -> Any:
    """The content of a JSON file. Raises a one-line FileNotFoundError or ValueError."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: not a JSON file ({error})") from None
