"""Journal of changes to files: undo and redo that survive a kill at any moment."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from voskit.dataloaders.files import atomic_write_text, load_json, make_folder

_BEFORE, _AFTER, _PATHS, _ABOUT = "before", "after", "paths", "entry.json"
_UNDONE, _UNDOING, _REDOING = "undone", "undoing", "redoing"
MAX_ENTRIES = 1000
"""Maximum number of changes that can be undone; older ones are dropped."""


@dataclass(frozen=True)
class Entry:
    """A change in the journal.

    Attributes:
        folder: its folder.
        text: its description, for the user.
    """

    folder: Path
    text: str

    def paths(self) -> list[str]:
        """Return the files that the entry changed, relative to the journal's root, in order."""
        paths: dict[str, None] = {}
        for line in (self.folder / _PATHS).read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):  # cut short on a full disk or by a kill: that file was not changed
                paths[json.loads(line)] = None
        return list(paths)


class Journal:
    """Changes to the files in a folder, each with the files as they were before.

    Call :meth:`begin`, then :meth:`keep` for each file before it is replaced. Old files are kept as hard links, so an
    entry takes no further space. Files must be replaced as a whole, never written in place. An undo or redo that was
    interrupted by a crash is completed when the journal is opened again.

    Not thread-safe: the caller must hold a lock.

    Args:
        root: folder of the files.
        folder: folder of the journal, on the same disk.

    Raises:
        OSError: the folder can't be created.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root
        self.folder = folder
        make_folder(folder)
        self._entries: list[Entry] = []
        self._undone: list[Entry] = []  # the next one to redo comes last
        for path in sorted(folder.iterdir()):
            self._open(path)
        self._undone.sort(key=lambda entry: entry.folder.name, reverse=True)
        numbers = [int(entry.folder.name) for entry in (*self._entries, *self._undone)]
        self._next = max(numbers, default=0) + 1

    @property
    def undo_text(self) -> str | None:
        """Description of the change that :meth:`undo` reverts; None: there is none."""
        return self._entries[-1].text if self._entries else None

    @property
    def redo_text(self) -> str | None:
        """Description of the change that :meth:`redo` restores; None: there is none."""
        return self._undone[-1].text if self._undone else None

    @property
    def last(self) -> Entry | None:
        """The latest change that isn't undone."""
        return self._entries[-1] if self._entries else None

    def begin(self, text: str) -> Entry:
        """Start an entry, after which earlier undone changes can't be redone."""
        self._complete()
        entry = Entry(self.folder / f"{self._next:08d}", text)
        entry.folder.mkdir()
        try:
            (entry.folder / _BEFORE).mkdir()
            (entry.folder / _PATHS).touch()
            atomic_write_text(entry.folder / _ABOUT, json.dumps({"text": text}) + "\n")
        except BaseException:
            shutil.rmtree(entry.folder, ignore_errors=True)
            raise
        self._next += 1
        for undone in self._undone:
            shutil.rmtree(undone.folder, ignore_errors=True)
        self._undone.clear()
        self._entries.append(entry)
        while len(self._entries) > MAX_ENTRIES:
            shutil.rmtree(self._entries.pop(0).folder, ignore_errors=True)
        return entry

    def keep(self, entry: Entry, *paths: str) -> None:
        """Keep files as they are now, before they are replaced or removed.

        Args:
            entry: a started entry. Files that it already has are not kept again.
            paths: files relative to the root; a missing file is recorded as missing.

        Raises:
            OSError: the disk is full, for example; the files must not be changed in this case.
        """
        for path in paths:
            _link(self.root / path, entry.folder / _BEFORE / path, replace=False)
        with (entry.folder / _PATHS).open("a", encoding="utf-8") as file:
            file.write("".join(f"\n{json.dumps(path)}" for path in paths))  # a line cut short ends here

    def drop(self, entry: Entry) -> None:
        """Drop an entry that changed nothing."""
        self._entries.remove(entry)
        shutil.rmtree(entry.folder, ignore_errors=True)

    def revert(self, entry: Entry) -> None:
        """Restore the files of an entry that failed halfway, and drop the entry.

        Raises:
            OSError: a file can't be restored; the entry is then kept, to be undone later.
        """
        self._restore(entry, _BEFORE)
        self.drop(entry)

    def undo(self) -> Entry | None:
        """Undo the last change and return it; None: there is none.

        Raises:
            OSError: the disk is full, for example. The next call, or the next start, completes the undo.
        """
        if not self._entries:
            return None
        entry = self._entries[-1]
        if not (entry.folder / _UNDOING).exists():  # otherwise, a failed undo is completed
            for path in entry.paths():
                _link(self.root / path, entry.folder / _AFTER / path, replace=True)
            (entry.folder / _UNDOING).touch()
        self._restore(entry, _BEFORE)
        (entry.folder / _UNDOING).rename(entry.folder / _UNDONE)
        self._undone.append(self._entries.pop())
        return entry

    def redo(self) -> Entry | None:
        """Redo the change that was undone last and return it; None: there is none."""
        if not self._undone:
            return None
        entry = self._undone[-1]
        if not (entry.folder / _REDOING).exists():
            (entry.folder / _UNDONE).rename(entry.folder / _REDOING)
        self._restore(entry, _AFTER)
        (entry.folder / _REDOING).unlink()
        self._entries.append(self._undone.pop())
        return entry

    def _complete(self) -> None:
        """Complete an undo or redo that failed."""
        if self._entries and (self._entries[-1].folder / _UNDOING).exists():
            self.undo()
        if self._undone and (self._undone[-1].folder / _REDOING).exists():
            self.redo()

    def _restore(self, entry: Entry, part: str) -> None:
        for path in entry.paths():
            _link(entry.folder / part / path, self.root / path, replace=True)

    def _open(self, folder: Path) -> None:
        """Load an entry of an earlier session, and complete an interrupted undo or redo."""
        if not folder.name.isdecimal():
            return
        try:
            entry = Entry(folder, str(load_json(folder / _ABOUT)["text"]))
            paths = entry.paths()
        except (OSError, ValueError, KeyError, TypeError):  # killed while it was created: nothing was changed yet
            paths = []
        if not paths:
            shutil.rmtree(folder, ignore_errors=True)
            return
        if (folder / _UNDOING).exists():
            self._restore(entry, _BEFORE)
            (folder / _UNDOING).rename(folder / _UNDONE)
        elif (folder / _REDOING).exists():
            self._restore(entry, _AFTER)
            (folder / _REDOING).unlink()
        (self._undone if (folder / _UNDONE).exists() else self._entries).append(entry)


def _link(source: Path, target: Path, *, replace: bool) -> None:
    """Replace ``target`` atomically with a hard link to ``source``, or remove it if ``source`` is missing."""
    if not source.exists():
        if replace:
            target.unlink(missing_ok=True)
        return
    if target.exists() and not replace:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.link")
    temporary.unlink(missing_ok=True)
    try:
        with _copied_without_links(source, temporary):
            os.link(source, temporary)
        temporary.replace(target)  # does nothing if both are the same file
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _copied_without_links(source: Path, target: Path) -> Iterator[None]:
    """Copy the file, with its time, if the body can't link it because the file system has no links."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError:
        shutil.copy2(source, target)
