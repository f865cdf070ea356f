"""Objects of an annotated clip: names, colors, and whether they are shown and locked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from voskit.dataloaders import MAX_ID
from voskit.dataloaders.files import atomic_write_text, load_json
from voskit.dataloaders.masks.palette import bright_colors

MAX_NAME = 200
"""Maximum length of an object's name in characters."""


@dataclass(frozen=True)
class AnnotatedObject:
    """An object of a clip.

    Attributes:
        name: its name; empty if it has none.
        color: ``#rrggbb``.
        visible: it is shown.
        locked: propagations leave it as it is.
    """

    name: str
    color: str
    visible: bool = True
    locked: bool = False


class ObjectTable:
    """Objects by id, stored in a JSON file.

    Objects that were never changed have a color determined by their id and no name, and aren't in the file.

    Args:
        path: the file, which may not exist yet.
        names: names by id, for objects that aren't in the file.

    Raises:
        ValueError: the file is damaged.
    """

    def __init__(self, path: Path, names: Mapping[int, str] | None = None) -> None:
        self.path = path
        self._names = dict(names or {})
        self._objects: dict[int, AnnotatedObject] = {}
        self._load()

    def reload(self) -> None:
        """Reload the file after an undo, which doesn't affect ``visible`` and ``locked``."""
        before = self._objects
        self._load()
        objects = dict(self._objects)
        for i in before.keys() & objects:
            objects[i] = replace(objects[i], visible=before[i].visible, locked=before[i].locked)
        self._save(objects)

    def _load(self) -> None:
        self._objects = {}
        if self.path.exists():
            try:
                self._objects = {int(i): AnnotatedObject(**values) for i, values in load_json(self.path).items()}
            except (TypeError, AttributeError, ValueError) as error:
                raise ValueError(f"{self.path} is damaged ({error}): remove it; names and colors are lost") from None

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._objects))

    def __getitem__(self, object_id: int) -> AnnotatedObject:
        if object_id in self._objects:
            return self._objects[object_id]
        return AnnotatedObject(self._names.get(object_id, ""), color_of(object_id))

    def locked(self) -> set[int]:
        """Return the ids of the locked objects."""
        return {i for i, one in self._objects.items() if one.locked}

    def names(self) -> dict[int, str]:
        """Return the names of objects that have one."""
        named = {**self._names, **{i: one.name for i, one in self._objects.items()}}
        return {i: name for i, name in named.items() if name}

    def colors(self) -> dict[int, tuple[int, int, int]]:
        """Return the RGB colors, 0 to 255, of objects whose color the user chose."""
        return {i: tuple(bytes.fromhex(one.color[1:])) for i, one in self._objects.items()}  # type: ignore[misc]

    def change(self, object_id: int, /, **values: Any) -> None:
        """Set fields of an object, and save the table.

        Raises:
            ValueError: a field is unknown or a value invalid; nothing is changed.
            OSError: the file can't be written.
        """
        self._save({**self._objects, object_id: replace(self[object_id], **_checked(values))})

    def remove(self, object_id: int) -> None:
        """Remove an object, if it exists, and save the table."""
        if object_id in self._objects:
            self._save({i: one for i, one in self._objects.items() if i != object_id})

    def keep_names(self) -> None:
        """Save names that came from another file, which is about to be removed."""
        if new := {i: self[i] for i in self._names if i not in self._objects}:
            self._save({**self._objects, **new})

    def unused(self, used: Iterable[int]) -> int:
        """Return the smallest unused id.

        Raises:
            ValueError: all 65535 are used.
        """
        taken = {*used, *self._objects}
        for object_id in range(1, MAX_ID + 1):
            if object_id not in taken:
                return object_id
        raise ValueError(f"all {MAX_ID} object ids are in use")

    def _save(self, objects: dict[int, AnnotatedObject]) -> None:
        atomic_write_text(self.path, json.dumps({str(i): asdict(objects[i]) for i in sorted(objects)}) + "\n")
        self._objects = objects


def color_of(object_id: int) -> str:
    """Return the default color of an object, as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*bright_colors([object_id])[0])


def check_id(object_id: int) -> int:
    """Return an object's id; raises ValueError if it isn't from 1 to 65535."""
    if not 1 <= object_id <= MAX_ID:
        raise ValueError(f"an object's id must be from 1 to {MAX_ID}, not {object_id}")
    return object_id


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields of an object if all are valid; otherwise raise ValueError."""
    for name, value in values.items():
        if name not in AnnotatedObject.__dataclass_fields__:
            raise ValueError(f"an object has no {name!r}: it has name, color, visible, locked")
        if name in ("visible", "locked") and not isinstance(value, bool):
            raise ValueError(f"{name} must be true or false, not {value!r}")
        if name == "name" and not (isinstance(value, str) and len(value) <= MAX_NAME):
            raise ValueError(f"an object's name must be text of at most {MAX_NAME} characters")
        if name == "color" and not (isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", value)):
            raise ValueError(f"a color must be written as #rrggbb, not {value!r}")
    return dict(values)
