"""Archives that come out the same byte for byte, whenever and wherever they are written."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

from voskit.dataloaders.files import atomic_write

Members = Mapping[str, "Path | bytes"]

_TIME = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip file can state
_UNIX = 3
_MODE = 0o100644


def write_archive(path: Path, members: Members) -> None:
    """Write files into a zip: sorted by name, with fixed times and permissions, stored as they are.

    PNGs don't get smaller by compressing them again, and the output of a compressor depends on its version. The archive
    appears complete or not at all.

    Args:
        path: the archive; its folder is made when missing.
        members: file or content by name in the archive, with forward slashes.

    Raises:
        OSError: a file can't be read, or the archive can't be written; the error names the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, "the archive") as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            source = members[name]
            info = zipfile.ZipInfo(name, _TIME)
            info.create_system = _UNIX
            info.external_attr = _MODE << 16
            archive.writestr(info, source if isinstance(source, bytes) else source.read_bytes())


def write_file(path: Path, content: bytes) -> None:
    """Write one file, complete or not at all. Raises OSError, which names the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, "the archive") as temporary:
        temporary.write_bytes(content)
