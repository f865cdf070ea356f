"""Atomic writes, locks of folders, and readers of text, JSON and CSV files."""

from __future__ import annotations

import codecs
import errno
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from media_files import one_line

import voskit
from voskit.dataloaders.files import (
    atomic_write,
    atomic_write_text,
    check_output_folder,
    checksum,
    exclusive_lock,
    load_json,
    read_csv,
    read_text,
)


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


def test_an_interrupted_write_leaves_the_file_unchanged(tmp_path: Path) -> None:
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


def test_text_is_utf_8_regardless_of_the_system_encoding(tmp_path: Path) -> None:
    atomic_write_text(tmp_path / "a.txt", "Straße 雪\n")
    assert (tmp_path / "a.txt").read_bytes() == "Straße 雪\n".encode()
    with pytest.raises(OSError, match=r"the file cannot be written: .*nowhere/a\.txt"):
        atomic_write_text(tmp_path / "nowhere" / "a.txt", "")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_a_lock_is_released_when_its_program_is_killed(tmp_path: Path) -> None:
    code = (
        f"import time; from pathlib import Path\nfrom voskit.dataloaders.files import exclusive_lock\n"
        f"with exclusive_lock(Path({str(tmp_path)!r})): print('here', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"here\n"
        with (
            pytest.raises(ValueError, match="another program is writing to it: wait, or give another folder"),
            exclusive_lock(tmp_path),
        ):
            pass
    finally:
        other.kill()
        other.communicate()
    with exclusive_lock(tmp_path):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
class TestLockFile:
    def test_it_is_gone_after_the_run(self, tmp_path: Path) -> None:
        with exclusive_lock(tmp_path / "new"):
            assert [p.name for p in (tmp_path / "new").iterdir()] == [".lock"]
        assert not list((tmp_path / "new").iterdir())

    def test_it_is_gone_after_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="bad"), exclusive_lock(tmp_path):
            raise ValueError("bad")
        assert not list(tmp_path.iterdir())

    def test_a_folder_left_by_a_killed_program_is_taken_over(self, tmp_path: Path) -> None:
        (tmp_path / ".lock").write_text("")
        with exclusive_lock(tmp_path):
            pass
        assert not list(tmp_path.iterdir())

    def test_a_refused_program_leaves_the_lock_of_the_other(self, tmp_path: Path) -> None:
        with exclusive_lock(tmp_path):
            with pytest.raises(ValueError, match="another program is writing to it"), exclusive_lock(tmp_path):
                pass
            with pytest.raises(ValueError, match="another program is writing to it"), exclusive_lock(tmp_path):
                pass

    def test_a_lock_on_a_file_removed_in_the_meantime_is_ignored(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another program may remove its file after this one has opened it, and before this one has locked it."""
        import fcntl

        real, calls = fcntl.flock, []

        def flock(file: object, how: int) -> None:
            if not calls:
                (tmp_path / ".lock").unlink()
            calls.append(file)
            real(file, how)  # type: ignore[arg-type]

        monkeypatch.setattr("voskit.dataloaders.files.fcntl.flock", flock)
        with exclusive_lock(tmp_path):
            assert len(calls) == 2 and (tmp_path / ".lock").is_file()
            with pytest.raises(ValueError, match="another program"), exclusive_lock(tmp_path):
                pass

    def test_never_two_at_once(self, tmp_path: Path) -> None:
        inside, most, runs = 0, 0, 0

        def work() -> None:
            nonlocal inside, most, runs
            for _ in range(200):
                try:
                    with exclusive_lock(tmp_path):
                        inside += 1
                        most = max(most, inside)
                        runs += 1
                        inside -= 1
                except ValueError:
                    pass

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (most, inside) == (1, 0) and runs >= 200
        assert not list(tmp_path.iterdir())


ENCODINGS = {
    "UTF-8": "bär\nhund\n".encode(),
    "UTF-8 with a byte order mark": codecs.BOM_UTF8 + "bär\nhund\n".encode(),
    "UTF-16 of Notepad": codecs.BOM_UTF16_LE + "bär\r\nhund\r\n".encode("utf-16-le"),
    "UTF-16, big-endian": codecs.BOM_UTF16_BE + "bär\nhund\n".encode("utf-16-be"),
    "UTF-16 without a mark": "bär\nhund\n".encode("utf-16-le"),
    "UTF-32": codecs.BOM_UTF32_LE + "bär\nhund\n".encode("utf-32-le"),
    "line ends of Windows": "bär\r\nhund\r\n".encode(),
    "line ends of an old Mac": "bär\rhund\r".encode(),
}


@pytest.mark.parametrize("data", ENCODINGS.values(), ids=ENCODINGS)
def test_text_of_any_unicode_encoding_is_read(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "list.txt").write_bytes(data)
    assert read_text(tmp_path / "list.txt") == "bär\nhund\n"


NOT_TEXT = {
    "the encoding of an old Windows": (
        "ok\nbär\n".encode("cp1252"),
        "line 2 is not UTF-8 text: save the file as UTF-8",
    ),
    "a picture": (b"\x89PNG\r\n\x1a\n\x00\x00", "is not UTF-8 text"),
    "zero bytes": (b"bear\n\x00\x00", "not a text file (it has zero bytes)"),
    "half of a UTF-16 character": (codecs.BOM_UTF16_LE + b"b\x00a", "is not UTF-16 text"),
    "a pointer of Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
}


@pytest.mark.parametrize(("data", "message"), NOT_TEXT.values(), ids=NOT_TEXT)
@pytest.mark.parametrize("reader", [read_text, load_json])
def test_other_files_are_refused_in_one_line(tmp_path: Path, reader, data: bytes, message: str) -> None:
    (tmp_path / "list.txt").write_bytes(data)
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        reader(tmp_path / "list.txt")
    one_line(error)
    assert str(error.value).startswith(str(tmp_path / "list.txt"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_json_of_any_unicode_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.json").write_bytes('{"bär": 1}'.encode(encoding))
    assert load_json(tmp_path / "a.json") == {"bär": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty: copy it again"),
        (" \n", "the file is empty: copy it again"),
        ("<!DOCTYPE html><html>", "a web page, not a JSON file: download it again"),
        ('<?xml version="1.0"?><annotations/>', "an XML file, not a JSON file: export it as JSON"),
        ('{"a": 1', "not a JSON file (Expecting"),
        ("[" * 100_000, "not a JSON file ("),
    ],
)
def test_damaged_json_is_refused_in_one_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / 'a.json'}: {message}")) as error:
        load_json(tmp_path / "a.json")
    one_line(error)


@pytest.mark.parametrize("reader", [read_text, load_json])
def test_missing_files_and_folders(tmp_path: Path, reader) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere: no such file"):
        reader(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="is a folder"):
        reader(tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        b'video,text\na,"red, big"\n',
        b'video, text\na, "red, big"\n\n',
        codecs.BOM_UTF8 + b'video;text\r\na;"red, big"\r\n',  # of a spreadsheet in German
        codecs.BOM_UTF16_LE + "video\ttext\na\tred, big\n".encode("utf-16-le"),  # of a spreadsheet's Unicode text
        b'id,text,video\n7,"red, big",a\n',
    ],
)
def test_csv_files_of_any_spreadsheet_program_are_read(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(data)
    ((line, row),) = read_csv(tmp_path / "a.csv", ("video", "text"))
    assert (line, row["video"], row["text"]) == (2, "a", "red, big")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected columns video, text, got an empty line"),
        ("name,text\na,b\n", "expected columns video, text, got 'name,text'"),
        ("video,text\na\n", "line 2 has 1 columns, but the first line has 2"),
        (
            "video,text\na,b\nc,red, big\n",
            "line 3 has 3 columns, but the first line has 2: put values that contain the separator in",
        ),
    ],
)
def test_csv_that_would_be_misread_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(ValueError, match=re.escape(message)):
        read_csv(tmp_path / "a.csv", ("video", "text"))


OWN_READERS = {
    "dataloaders/files.py": "the readers",
    "evaluators/annotation/security.py": "a token of its own",
    "evaluators/annotation/storage/journal.py": "records of its own",
    "evaluators/annotation/storage/mask_index.py": "records of its own",
    "evaluators/batch/results.py": "records of its own",
    "evaluators/batch/storage.py": "records of its own",
    "evaluators/compare/datasets.py": "a list of the generated Probe set",
    "networks/downloads.py": "records of its own",
    "networks/weights.py": "a file of the package",
    "networks/memory_usage.py": "/proc",
    "tools/flags/onnx.py": "a card of the package",
    "tools/bfloat16.py": "/proc",
    "tools/threads.py": "/proc",
    "voskit/runtime/graphs.py": "a manifest of voskit export",
}
"""Files with text readers of their own, for what the project or the system wrote; networks import no dataloaders."""
READING = re.compile(
    r"\.read_text\(|json\.load\(|json\.loads\([^)]*read_|csv\.(Dict)?[rR]eader\(|[.\s]open\((mode=)?[\"']r?t?[\"']"
)


def test_text_json_and_csv_are_read_in_one_place_only() -> None:
    """All go through ``dataloaders/files.py``, which knows encodings and byte order marks."""
    root = Path(voskit.__file__).resolve().parents[1]
    rooms = ("configs", "dataloaders", "evaluators", "networks", "tools", "trainers", "voskit")
    files = [path for room in rooms for path in (root / room).rglob("*.py")]
    assert len(files) > 150
    found = {str(path.relative_to(root)) for path in files if READING.search(path.read_text(encoding="utf-8"))}
    assert found == set(OWN_READERS)


@pytest.mark.parametrize(
    "line",
    [
        "path.read_text()",
        "json.load(f)",
        "json.loads(path.read_bytes())",
        "csv.DictReader(f)",
        'path.open("r")',
        " open('r')",
    ],
)
def test_a_planted_reader_is_found(line: str) -> None:
    assert READING.search(line)


def test_a_digest_depends_on_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert checksum(tmp_path / "a") == "ba7816bf8f01cfea"


def test_a_file_in_place_of_the_results_folder_is_named(tmp_path: Path) -> None:
    check_output_folder(tmp_path / "new" / "results")
    file = tmp_path / "file"
    file.touch()
    for folder, message in ((file, f"--out {file} is a file"), (file / "x", f"--out {file}/x: {file} is a file")):
        with pytest.raises(ValueError, match=re.escape(message)):
            check_output_folder(folder, "--out ")
    assert sorted(tmp_path.iterdir()) == [file]
