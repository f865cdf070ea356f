"""Registry of named entries (models, stages, datasets, losses, ...) whose errors suggest similar names."""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


def suggest(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message about an unknown name: similar names, or all names if none is similar."""
    known = sorted(set(known))
    near = difflib.get_close_matches(name.lower().replace("-", "_"), known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"


class Registry(Generic[T]):
    """A table of named entries of one kind.

    Args:
        kind: term for an entry in error messages, e.g. ``"model"``.
        modules: names of modules that register entries on import. They are imported one by one until a name is found,
            and all of them when names are listed. Entries are listed in the order of their modules.
    """

    def __init__(self, kind: str, modules: Iterable[str] = ()) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}
        self._modules = tuple(modules)
        self._pending = list(modules)

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers its argument under ``name``.

        Raises:
            ValueError: the name is already registered, or can't be chosen by a flag.
        """
        if not isinstance(name, str) or not re.fullmatch(r"[^\s:,=]+", name):
            raise ValueError(
                f"{self.kind} {name!r}: register() takes the name of the entry, a text without spaces, colons, commas "
                "and equals signs"
            )

        def add(entry: T) -> T:
            own = getattr(entry, "__module__", None) in self._modules  # otherwise, check against all modules' names
            if name in (self._entries if own else self):
                raise ValueError(f"{self.kind} {name!r} is registered twice ({self._entries[name]!r} and {entry!r})")
            self._entries[name] = entry
            return entry

        return add

    def names(self) -> list[str]:
        """Return all names, in the order of their modules."""
        self._load()
        place = {module: i for i, module in enumerate(self._modules)}
        homes = {name: getattr(entry, "__module__", "") for name, entry in self._entries.items()}
        return sorted(homes, key=lambda name: place.get(homes[name], len(place)))

    def get(self, name: str) -> T:
        """Return the entry named ``name``.

        Raises:
            ValueError: no such entry; similar names are suggested.
        """
        if name not in self:
            raise ValueError(f"unknown {self.kind} {name!r}: {suggest(str(name), self.names())}")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        self._load(until=name)
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def _load(self, until: object = None) -> None:
        """Import pending modules, stopping at the one that registers ``until``."""
        while until not in self._entries and self._pending:
            importlib.import_module(self._pending.pop(0))
