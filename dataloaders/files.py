"""File utilities: atomic writes, folder locks, Unicode names, checksums, and readers of text, JSON and CSV."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import logging
import os
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any
from unicodedata import normalize

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def atomic_write(path: Path, label: str = "the file") -> Iterator[Path]:
    """Write a file completely or not at all.

    The ``with`` block receives a temporary path in the folder of ``path`` and writes to it. At the end of the block,
    that file replaces ``path``. After an error, ``path`` is unchanged.

    Args:
        path: the file to write, in an existing folder.
        label: name of the file's content, for error messages.

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
    """Write a small UTF-8 text file completely or not at all. Raises OSError, which names the file."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_output_folder(folder: Path, label: str = "") -> None:
    """Check that neither an output folder nor one of its parents is a file. Nothing is created.

    Args:
        folder: the folder.
        label: prefix of the folder in the error message, such as ``"--output_path "``.

    Raises:
        ValueError: one of them is a file.
    """
    place = next((path for path in (folder, *folder.parents) if path.exists()), None)
    if place is not None and not place.is_dir():
        subject = f"{label}{folder}" if place == folder else f"{label}{folder}: {place}"
        raise ValueError(f"{subject} is a file: give a folder for the results")


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, if needed.

    Raises:
        OSError: a file is in the way, or the folder isn't writable; the error names it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, "A file is in the way of this folder", str(folder)) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "The folder is not writable", str(folder))


@contextlib.contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Hold an exclusive lock on a folder, creating it if needed. The processes of one run share the lock.

    The lock is released when the process ends, even if it is killed. The lock file is removed. On Windows, nothing is
    locked.

    Raises:
        ValueError: another program holds the lock.
    """
    if fcntl is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".lock"
    with _locked(path):
        try:
            yield
        finally:  # while still locked: a process that has already opened this file sees that it is gone, and retries
            path.unlink(missing_ok=True)


def _locked(path: Path) -> IO[str]:
    """Open and lock a file, which is guaranteed to exist under its name once it is locked."""
    while True:
        file = path.open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise ValueError(f"{path.parent}: another program is writing to it: wait, or give another folder") from None
        except OSError as error:  # some network file systems have no locks
            logger.warning(
                "%s can't be locked (%s): make sure that no other program writes there", path.parent, error.strerror
            )
            return file
        # the program that held the lock may have removed the file between the two calls
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return file
        file.close()


def in_existing_form(folder: Path, place: str) -> Path:
    """Return a path below a folder, in the Unicode form (NFC or NFD) of the file that exists there."""
    path = folder / place
    if place.isascii() or path.exists():
        return path
    forms = (folder / normalize(form, place) for form in ("NFC", "NFD"))  # zip files from macOS have decomposed accents
    return next((other for other in forms if other.exists()), path)


def checksum(path: str | os.PathLike[str]) -> str:
    """Return the first 16 hex digits of a file's SHA-256."""
    sha = hashlib.sha256()
    with Path(path).open("rb") as f:
        while block := f.read(2**22):
            sha.update(block)
    return sha.hexdigest()[:16]


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, or in UTF-16 or UTF-32, as saved by editors and spreadsheets on Windows.

    A byte order mark is removed. Line endings become ``\\n``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file has another encoding, such as an old Windows code page, or isn't text.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ValueError(f"{path} is a folder: give a text file") from None
    encoding = json.detect_encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}: line {line} is not {encoding.upper()} text: save the file as UTF-8") from None
    if "\0" in text:
        raise ValueError(f"{path}: not a text file (it has zero bytes): save it as UTF-8")
    if text.startswith("version https://git-lfs.github.com/"):
        raise ValueError(f"{path}: a Git LFS pointer, not the file itself: fetch it with git lfs pull")
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def load_json(path: Path) -> Any:
    """Read a JSON file. Raises FileNotFoundError or ValueError as :func:`read_text` does, also for invalid JSON."""
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # not only JSONDecodeError: Python limits the digits of integers
        if not text.strip():
            raise ValueError(f"{path}: the file is empty: copy it again") from None
        if text.lstrip().startswith("<?xml"):
            raise ValueError(f"{path}: an XML file, not a JSON file: export it as JSON") from None
        if text.lstrip().startswith("<"):
            raise ValueError(f"{path}: a web page, not a JSON file: download it again") from None
        raise ValueError(f"{path}: not a JSON file ({error})") from None


def read_csv(path: Path, columns: Iterable[str]) -> list[tuple[int, dict[str, str]]]:
    """Read a CSV file with a header, separated by commas, semicolons or tabs: the number of each line, and its values.

    Args:
        path: the file.
        columns: required columns.

    Raises:
        FileNotFoundError, ValueError: as :func:`read_text`, also if a column is missing or a row is too short.
    """
    text = read_text(path)
    columns = list(columns)
    header = text.partition("\n")[0]
    for delimiter in ",;\t":
        names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
        if set(columns) <= set(names):
            break
    else:
        got = repr(header.strip()) if header.strip() else "an empty line"
        raise ValueError(f"{path}: expected columns {', '.join(columns)}, got {got}")
    if twice := [name for name in names if name and names.count(name) > 1]:
        raise ValueError(f"{path}: two columns are named {twice[0]!r}: rename one")
    rows = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
    next(rows)
    table = []
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        if len(row) > len(names) or any(names.index(column) >= len(row) for column in columns):
            raise ValueError(
                f"{path}: line {rows.line_num} has {len(row)} columns, but the first line has {len(names)}: "
                "put values that contain the separator in quotation marks"
            )
        table.append((rows.line_num, dict(zip(names, row, strict=False))))
    return table
