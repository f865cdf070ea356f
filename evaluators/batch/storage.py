"""Local folders and object storage (fsspec URLs such as ``s3://bucket/videos``) for batches."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

import fsspec
from fsspec.implementations.local import LocalFileSystem

from voskit.dataloaders.files import atomic_write_text, checksum, make_folder
from voskit.evaluators.clips.clip_writer import is_result

_STREAMS = ("rtsp", "rtmp", "rtmps", "udp", "tcp", "srt", "http", "https")


def is_remote(path: str) -> bool:
    """Return True for a URL that fsspec reads. PyAV reads those of streams and web servers."""
    protocol = path.partition("://")[0]
    return "://" in path and protocol not in _STREAMS


def is_stream(path: str) -> bool:
    """Return True for a video that is read only once: an address of a stream or of a web server."""
    return "://" in path and path.partition("://")[0] in _STREAMS


@contextmanager
def local_copy(path: str, folder: Path | None = None) -> Iterator[Path]:
    """Yield a local path of a file or folder, downloaded to a temporary folder if it is a URL.

    Args:
        path: a path or a URL.
        folder: where the temporary folder is made; None: the system's.

    Raises:
        FileNotFoundError: there is nothing at this URL.
        ValueError: the URL needs a package that is missing, or its protocol is unknown.
    """
    if not is_remote(path):
        yield Path(path)
        return
    if folder is not None:
        make_folder(folder)
    files, place = _open(path)
    if not files.exists(place):
        raise FileNotFoundError(f"{path}: no such file or folder")
    prefix = f"voskit-{os.getpid()}-{platform.node()}-"
    with tempfile.TemporaryDirectory(prefix=prefix, dir=folder) as scratch:
        target = Path(scratch) / PurePosixPath(place.rstrip("/")).name
        if files.isdir(place):
            for name in files.find(place):
                copy = target / PurePosixPath(name).relative_to(place.rstrip("/"))
                copy.parent.mkdir(parents=True, exist_ok=True)
                files.get_file(name, str(copy))
        else:
            files.get_file(place, str(target))
        yield target


def remove_dead_downloads(folder: Path) -> None:
    """Remove the temporary folders that killed processes of this machine left in a folder of :func:`local_copy`."""
    for path in folder.glob("voskit-*"):
        name = re.fullmatch(r"voskit-(\d+)-(.*)-[^-]+", path.name)
        if name is not None and name[2] == platform.node() and not _is_alive(int(name[1])):
            shutil.rmtree(path, ignore_errors=True)


def _is_alive(process: int) -> bool:
    """Return False if no process has this id; True on Windows, which can't tell."""
    if os.name == "nt":  # os.kill would send Ctrl+C
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        pass
    return True


def remove_empty_folders(folder: Path) -> None:
    """Remove the empty folders below a folder, and the folder itself if nothing is left in it."""
    for path in (*sorted(folder.rglob("*"), reverse=True), folder):
        if path.is_dir() and not path.is_symlink():
            with suppress(OSError):  # it holds a file
                path.rmdir()


def fingerprint(video: str, masks: str) -> str:
    """Return a text that changes with a video's size and with the content of its masks.

    For files in object storage it changes with what the storage reports: size, date, ETag. It is empty for streams, and
        if the files can't be examined: reading them later raises the error.
    """
    try:
        parts = [*_parts(video, lambda path: str(path.stat().st_size))]
        parts += [*_parts(masks, checksum)] if parts else []
    except Exception:  # each file system of fsspec has its own
        return ""
    return hashlib.sha256("\n".join(parts).encode(errors="surrogateescape")).hexdigest()[:16] if parts else ""


def _parts(path: str, describe: Callable[[Path], str]) -> Iterator[str]:
    """Yield a line for each file at a path or URL: its name and a description."""
    if is_remote(path):
        files, place = _open(path)
        yield from (f"{name} {files.ukey(name)}" for name in sorted(files.find(place)))
    elif path and "://" not in path:
        own = sorted(Path(path).rglob("*")) if Path(path).is_dir() else [Path(path)]
        yield from (f"{p.name} {describe(p)}" for p in own if not p.is_dir())


def _open(path: str) -> tuple[fsspec.AbstractFileSystem, str]:
    try:
        return fsspec.core.url_to_fs(path)
    except (ImportError, ValueError) as error:
        raise ValueError(f"{path}: this URL can't be opened: {error}") from None


class OutputStore:
    """The output of a batch: a local folder, or a URL with a local folder for work in progress.

    Args:
        output: path or URL.
        scratch: local folder for work in progress of a URL; None: one below the system's temporary folder, whose name
            depends on the URL, so that a batch resumes on the same machine.

    Raises:
        ValueError: see :func:`local_copy`, or ``scratch`` is the output itself.
        OSError: a local folder can't be made.
    """

    def __init__(self, output: str, scratch: Path | None = None) -> None:
        self.output = output
        self.remote = is_remote(output)
        if self.remote:
            self._files, self._place = _open(output)
            digest = hashlib.sha256(output.encode()).hexdigest()[:12]
            self.local = scratch or Path(tempfile.gettempdir()) / f"voskit-batch-{digest}"
            if isinstance(self._files, LocalFileSystem) and Path(self._place).resolve() == self.local.resolve():
                raise ValueError(f"{output}: work in progress can't be in the same folder: give another scratch folder")
        else:
            self.local = Path(output)
        make_folder(self.local)

    def holds(self, path: str, folder: str) -> bool:
        """Return True if a path or URL is, or lies in, a folder of the output."""
        local = "://" not in path
        files, place = _open(str(Path(path).resolve()) if local else path)
        own, own_place = (self._files, self._place) if self.remote else _open(str(self.local.resolve()))
        inside = f"{place.rstrip('/')}/".startswith(f"{own_place.rstrip('/')}/{folder}/")
        return type(files) is type(own) and inside

    def read_text(self, name: str) -> str | None:
        """Return the content of a small file; None: there is none."""
        try:
            if self.remote:
                return self._files.cat_file(f"{self._place}/{name}").decode()
            return (self.local / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def write_text(self, name: str, text: str) -> None:
        """Write a small file, completely or not at all."""
        if self.remote:  # object storage shows a file when it is complete
            self._files.makedirs(str(PurePosixPath(f"{self._place}/{name}").parent), exist_ok=True)
            self._files.pipe_file(f"{self._place}/{name}", text.encode())
        else:
            path = self.local / name
            make_folder(path.parent)
            atomic_write_text(path, text)

    def upload(self, folder: str) -> None:
        """Make the folder of a video at the output's URL equal to the local one; do nothing for a local output.

        Results of an earlier run that the local folder lacks are removed from the URL; all other files stay.
        """
        if not self.remote:
            return
        own = [p for p in sorted((self.local / folder).rglob("*")) if p.is_file() and not p.name.startswith(".")]
        targets = {f"{self._place}/{path.relative_to(self.local).as_posix()}": path for path in own}
        self._files.invalidate_cache()  # listings may be older
        there = f"{self._place}/{folder}"
        for old in self._files.find(there) if self._files.exists(there) else ():
            if old not in targets and is_result(PurePosixPath(old[len(there) :].lstrip("/"))):
                self._files.rm_file(old)
        for target, path in targets.items():  # last: a storage may list names in a different form, such as lower case
            self._files.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._files.put_file(str(path), target)
