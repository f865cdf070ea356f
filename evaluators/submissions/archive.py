"""Reproducible zip archives: identical contents give identical bytes."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

from voskit.dataloaders.files import atomic_write

Members = Mapping[str, "Path | bytes"]

_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip file can store
_UNIX = 3
_MODE = 0o100644


def write_archive(path: Path, members: Members) -> None:
    """Write files to a zip archive, sorted by name, uncompressed, with fixed times and permissions.

    Compression wouldn't shrink PNGs, and the output of a compressor depends on its version. The archive is written
    completely or not at all.

    Args:
        path: the archive; its folder is created if needed.
        members: file or content by name in the archive, with forward slashes.

    Raises:
        OSError: a file can't be read, or the archive can't be written; the error names the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, "the archive") as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            source = members[name]
            archive.writestr(archive_member(name), source if isinstance(source, bytes) else source.read_bytes())


def archive_member(name: str) -> zipfile.ZipInfo:
    """Return the header for a file in an archive, with a fixed time and fixed permissions."""
    info = zipfile.ZipInfo(name, _TIME)
    info.create_system = _UNIX
    info.external_attr = _MODE << 16
    return info


def write_file(path: Path, content: bytes) -> None:
    """Write one file completely or not at all. Raises OSError, which names the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, "the archive") as temporary:
        temporary.write_bytes(content)
