"""A plain registry: names to things, with errors that help."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


def suggest(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message about an unknown name: near names if there are any, else all of them."""
    known = sorted(known)
    near = difflib.get_close_matches(name.lower().replace("-", "_"), known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"


class Registry(Generic[T]):
    """Named entries of one kind (models, stages, datasets, ...).

    Args:
        kind: what the entries are called in error messages, e.g. ``"model"``.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that files its argument under ``name``; a second entry of that name is a ``ValueError``."""

        def add(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice ({self._entries[name]!r} and {entry!r})")
            self._entries[name] = entry
            return entry

        return add

    def names(self) -> list[str]:
        """All names in the order of registration."""
        return list(self._entries)

    def get(self, name: str) -> T:
        """Return the entry called ``name``.

        Raises:
            ValueError: no such entry; the message lists near names.
        """
        if name not in self._entries:
            raise ValueError(f"unknown {self.kind} {name!r}: {suggest(name, self._entries)}")
        return self._entries[name]
