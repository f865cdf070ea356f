"""Resumable downloads of weights from Google Drive and other hosts."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
import urllib.parse
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from voskit.dataloaders.files import atomic_write_text, checksum, exclusive_lock

logger = logging.getLogger(__name__)

_TIMEOUT = (10.0, 30.0)  # seconds to connect, and between two blocks
_RETRIES = 2  # after a lost connection, each resuming at the last byte received
_PATIENCE = 120.0  # seconds until the first byte of content
_POLL = 0.5  # seconds between checks of another process's lock


def download(url: str, path: Path, digest: str = "") -> None:
    """Download a weights file. It gets its final name only once it is complete and verified.

    A download that was cut off is resumed by the next call: the partial file is in the folder ``.partial`` next to it.
    Processes that want the same file wait for the first of them.

    Args:
        url: URL of the file, or a Google Drive link.
        path: file to write.
        digest: first hex digits of the file's SHA-256; "": those that its first download recorded, if any.

    Raises:
        ConnectionError: the host can't be reached, refuses, or sends a web page (quota exceeded, login required).
        ValueError: the server sent something other than a checkpoint, or one with a different digest.
        OSError: the file can't be stored: no permission, a full disk.
    """
    partial = path.parent / ".partial" / path.name
    try:
        partial.mkdir(parents=True, exist_ok=True)
        with _exclusive(partial):
            if path.is_file():  # another process has finished it
                return
            complete = partial / path.name
            _fetch(url, complete)
            try:
                _check_format(complete, url)
                _check_digest(complete, path, url, digest)
            except (ValueError, ConnectionError):
                complete.unlink()
                raise
            atomic_write_text(_record(path), checksum(complete))
            complete.replace(path)
    except ConnectionError:
        raise
    except OSError as error:
        text = f"{error.strerror or error}; free some space, or set VOSKIT_HOME to another folder"
        raise OSError(error.errno, f"cannot be stored: {text}", str(path)) from error


def verify(path: Path) -> None:
    """Compare a file with the digest recorded when it was downloaded.

    Raises:
        ValueError: the file has changed since.
    """
    record = _record(path)
    if record.is_file() and (found := checksum(path)) != (recorded := record.read_text(encoding="utf-8").strip()):
        raise ValueError(
            f"{path} has changed since its download (SHA-256 {found}..., recorded {recorded}...): "
            "delete it to download it again"
        )


def _record(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


@contextlib.contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, after waiting for other processes to release it."""
    with contextlib.ExitStack() as stack:
        waited = False
        while True:
            try:
                stack.enter_context(exclusive_lock(folder))
                break
            except ValueError:
                if not waited:
                    logger.info("%s: another process is downloading it, waiting", folder.name)
                waited = True
                time.sleep(_POLL)
        yield


def _fetch(url: str, target: Path) -> None:
    """Download a file, resuming from its ``*.part``; start over if the server can't resume."""
    import gdown  # slow to import, and most programs find their weights locally
    import requests

    host = urllib.parse.urlsplit(url).hostname
    for can_start_over in (True, False):
        try:
            _transfer(url, target)
            return
        except gdown.exceptions.FileURLRetrievalError as error:
            raise ConnectionError(f"{host} refuses {target.name} ({_quoted(error)})") from error
        except gdown.exceptions.DownloadError as error:
            if error.__cause__ is not None:
                raise ConnectionError(f"{target.name}: {_reason(error.__cause__, host)}") from error
            if not can_start_over:
                reason = str(error).partition(";")[0]
                raise ConnectionError(f"{target.name}: download from {host} failed twice: {reason}") from error
            # the server ignores the Range header or can't resume from the partial file
            for part in target.parent.glob("*.part"):
                part.unlink()
        except gdown.exceptions.DownloadCancelled as error:
            raise ConnectionError(f"{target.name}: {host} keeps asking for confirmation") from error
        except requests.RequestException as error:
            raise ConnectionError(f"{target.name}: {_reason(error, host)}") from error
        except (AssertionError, KeyError) as error:  # raised by gdown's parser on unknown pages
            raise ConnectionError(f"{target.name}: {host} sent an unexpected page") from error


def _transfer(url: str, target: Path) -> None:
    """Download a file with a progress bar, over one or several connections."""
    import gdown

    no_content = threading.Event()  # gdown follows confirmation pages forever
    timer = threading.Timer(_PATIENCE, no_content.set)
    timer.daemon = True
    timer.start()

    def show(received: int, total: int | None) -> None:
        timer.cancel()
        bar.total = total
        if bar.n == 0:
            bar.initial = received  # resumed bytes don't count for the speed
        bar.update(received - bar.n)

    try:
        with tqdm(desc=target.name, unit="B", unit_scale=True, disable=None) as bar:
            gdown.download(
                url,
                str(target),
                quiet=True,
                use_cookies=False,
                resume=True,
                timeout=_TIMEOUT,
                retries=_RETRIES,
                progress=show,
                cancel=no_content,
            )
    finally:
        timer.cancel()


def _reason(error: BaseException, host: str | None) -> str:
    """Return a short description of a network error."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"{host} returned {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"{host} does not respond"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return f"{host} closed the connection; try again to resume"
    if isinstance(error, requests.ConnectionError):
        return f"no connection to {host}"
    return f"download from {host} failed: {' '.join(str(error).split())[:200]}"


def _quoted(error: Exception) -> str:
    """Extract Google Drive's sentence from gdown's message, without tags and gdown's own advice."""
    text = re.sub(r"<[^>]*>", "", str(error))
    match = re.search(r"url:\s+(.*?)\s+You may still be able", text, re.DOTALL)
    return " ".join((match[1] if match else text).split())[:300]


def _check_format(path: Path, url: str) -> None:
    """Raise an error unless a file looks like a PyTorch or safetensors checkpoint."""
    size = path.stat().st_size
    with path.open("rb") as f:
        head = f.read(64)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise ConnectionError(
            f"{url} sent a web page instead of {path.name}: its download quota is used up, or it needs a login"
        )
    is_safetensors = head[8:9] == b"{" and int.from_bytes(head[:8], "little") < size
    if not (is_safetensors or head.startswith((b"PK", b"\x80"))):
        raise ValueError(f"{url} sent {size} bytes that are not a checkpoint instead of {path.name}")
    if head.startswith(b"PK") and not zipfile.is_zipfile(path):
        raise ValueError(f"{url} sent an incomplete {path.name} ({size} bytes)")


def _check_digest(complete: Path, path: Path, url: str, digest: str) -> None:
    """Raise an error unless a download has the digest in its name, or the one recorded by an earlier download."""
    record = _record(path)
    found, hint = checksum(complete), "the name carries"
    if not digest and record.is_file():
        digest, hint = record.read_text(encoding="utf-8").strip(), f"{record} has"
    if not found.startswith(digest):
        raise ValueError(f"{url} sent a different {path.name} (SHA-256 {found}..., {hint} {digest}...)")
