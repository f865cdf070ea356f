"""Registry: a table of named entries (models, stages, datasets, losses, ...) with near names in its errors."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


def suggest(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message about an unknown name: near names, or all names if none is near."""
    known = sorted(known)
    near = difflib.get_close_matches(name.lower().replace("-", "_"), known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"


class Registry(Generic[T]):
    """A table of named entries of one kind.

    Args:
        kind: the word for an entry in error messages, e.g. ``"model"``.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that enters its argument under ``name``.

        Raises:
            ValueError: the name is taken.
        """

        def add(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice ({self._entries[name]!r} and {entry!r})")
            self._entries[name] = entry
            return entry

        return add

    def names(self) -> list[str]:
        """Return all names, in the order of registration."""
        return list(self._entries)

    def get(self, name: str) -> T:
        """Return the entry called ``name``.

        Raises:
            ValueError: no such entry; the message lists near names.
        """
        if name not in self._entries:
            raise ValueError(f"unknown {self.kind} {name!r}: {suggest(name, self._entries)}")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
