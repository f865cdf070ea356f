"""Journal of the annotation: undo and redo of changes to files, also when they were broken off."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from voskit.evaluators.annotation.storage import journal as module
from voskit.evaluators.annotation.storage.journal import Journal


def write(root: Path, name: str, text: str) -> None:
    """Replace a file as a whole."""
    temporary = root / "new"
    temporary.write_text(text)
    temporary.replace(root / name)


def change(journal: Journal, name: str, text: str | None) -> None:
    entry = journal.begin(f"{name} {text}")
    journal.keep(entry, name)
    if text is None:
        (journal.root / name).unlink()
    else:
        write(journal.root, name, text)


def contents(root: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in root.iterdir() if path.is_file()}


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path, tmp_path / "journal")


def reopened(journal: Journal) -> Journal:
    return Journal(journal.root, journal.folder)


def test_every_change_can_be_undone_and_redone_even_after_a_restart(journal: Journal) -> None:
    states = [contents(journal.root)]
    for name, text in (("a", "1"), ("a", "2"), ("b", "3"), ("a", None)):
        change(journal, name, text)
        states.append(contents(journal.root))
    for state in reversed(states[:-1]):
        journal = reopened(journal)
        assert journal.undo() is not None
        assert contents(journal.root) == state
    assert reopened(journal).undo() is None
    for state in states[1:]:
        journal = reopened(journal)
        assert journal.redo() is not None
        assert contents(journal.root) == state
    assert journal.redo() is None
    assert (journal.undo_text, journal.redo_text) == ("a None", None)


def test_a_change_after_an_undo_discards_the_redo_history(journal: Journal) -> None:
    change(journal, "a", "1")
    change(journal, "a", "2")
    journal.undo()
    change(journal, "a", "3")
    assert journal.redo() is None
    journal.undo()
    assert contents(journal.root) == {"a": "1"}


@pytest.mark.parametrize("killed_after", [0, 1, 2])
@pytest.mark.parametrize("direction", ["undo", "redo"])
def test_an_undo_interrupted_by_a_kill_is_completed_at_the_next_start(
    journal: Journal, direction: str, killed_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        write(journal.root, name, "old")
    entry = journal.begin("all")
    journal.keep(entry, "a", "b", "c")
    for name in "abc":
        write(journal.root, name, "new")
    if direction == "redo":
        journal.undo()
    restored: list[Path] = []
    link = module._link

    def dies(source: Path, target: Path, *, replace: bool) -> None:
        if target.parent == journal.root:
            if len(restored) == killed_after:
                raise KeyboardInterrupt
            restored.append(target)
        link(source, target, replace=replace)

    monkeypatch.setattr(module, "_link", dies)
    with pytest.raises(KeyboardInterrupt):
        getattr(journal, direction)()
    monkeypatch.undo()
    journal = reopened(journal)
    assert set(contents(journal.root).values()) == {"old" if direction == "undo" else "new"}
    getattr(journal, "redo" if direction == "undo" else "undo")()
    assert set(contents(journal.root).values()) == {"new" if direction == "undo" else "old"}


def test_an_undo_that_failed_is_completed_by_the_next_one(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    change(journal, "a", "1")
    change(journal, "a", "2")
    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(OSError, match="No space left"):
        journal.undo()
    monkeypatch.undo()
    assert journal.undo() is not None
    assert contents(journal.root) == {"a": "1"}
    journal.redo()
    assert contents(journal.root) == {"a": "2"}


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_lines_truncated_by_a_full_disk_name_no_file(journal: Journal) -> None:
    write(journal.root, "a", "1")
    entry = journal.begin("x")
    with (entry.folder / "paths").open("a") as file:
        file.write('\n"a')
    journal.keep(entry, "b")
    write(journal.root, "b", "2")
    assert entry.paths() == ["b"]
    journal.undo()
    assert contents(journal.root) == {"a": "1"}


def test_without_hard_links_files_are_copied_with_their_times(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    write(journal.root, "a", "1")
    os.utime(journal.root / "a", ns=(10**18, 10**18))
    change(journal, "a", "2")
    journal.undo()
    assert contents(journal.root) == {"a": "1"}
    assert (journal.root / "a").stat().st_mtime_ns == 10**18


def test_entries_without_a_change_are_forgotten_at_the_next_start(journal: Journal) -> None:
    change(journal, "a", "1")
    journal.begin("killed before anything was kept")
    (journal.folder / "00000099").mkdir()
    journal = reopened(journal)
    assert journal.undo_text == "a 1"
    assert len(list(journal.folder.iterdir())) == 1


def test_the_oldest_changes_are_forgotten(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ENTRIES", 3)
    for number in range(5):
        change(journal, "a", str(number))
    while journal.undo() is not None:
        pass
    assert contents(journal.root) == {"a": "1"}
