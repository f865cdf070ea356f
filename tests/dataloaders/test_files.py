"""Atomic writes and locks of folders."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from media_files import one_line

from voskit.dataloaders.files import atomic_write, atomic_write_text, checksum, exclusive_lock


def test_a_file_is_replaced_at_the_end_of_the_body(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("before")
    with atomic_write(path) as temporary:
        temporary.write_text("after")
        assert path.read_text() == "before"
        assert temporary.parent == tmp_path
        assert list(tmp_path.glob("*.json")) == [path]  # no partial file has this name
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


def test_what_breaks_off_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("before")
    with pytest.raises(OSError, match=r"the report cannot be written: no room: '.*/report\.json'") as error:  # noqa: SIM117
        with atomic_write(path, "the report") as temporary:
            temporary.write_text("half")
            raise OSError(errno.ENOSPC, "no room")
    one_line(error)
    assert error.value.errno == errno.ENOSPC
    with (
        pytest.raises(FileNotFoundError, match=r"picture\.png"),
        atomic_write(path),
    ):  # another file's error stays its own
        (tmp_path / "picture.png").read_bytes()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_text_is_utf_8_whatever_the_system_s_encoding(tmp_path: Path) -> None:
    atomic_write_text(tmp_path / "a.txt", "Straße 雪\n")
    assert (tmp_path / "a.txt").read_bytes() == "Straße 雪\n".encode()
    with pytest.raises(OSError, match=r"the file cannot be written: .*nowhere/a\.txt"):
        atomic_write_text(tmp_path / "nowhere" / "a.txt", "")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_a_folder_is_free_again_when_its_program_is_killed(tmp_path: Path) -> None:
    code = (
        f"import time; from pathlib import Path\nfrom voskit.dataloaders.files import exclusive_lock\n"
        f"with exclusive_lock(Path({str(tmp_path)!r})): print('here', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"here\n"
        with (
            pytest.raises(ValueError, match="another program is writing there: wait, or give another folder"),
            exclusive_lock(tmp_path),
        ):
            pass
    finally:
        other.kill()
        other.communicate()
    with exclusive_lock(tmp_path):
        pass


def test_a_digest_is_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert checksum(tmp_path / "a") == "ba7816bf8f01cfea"
