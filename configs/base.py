"""The base of all config classes: frozen, keyword-only, readable from and writable to JSON."""

from __future__ import annotations

import dataclasses
import inspect
import json
import types
import typing
from collections.abc import Mapping
from typing import Any, ClassVar

from voskit.configs.registry import suggest

if typing.TYPE_CHECKING:
    from typing_extensions import Self, dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Any:
        """Stand-in for the type checker's decorator, which Python 3.10 doesn't have."""
        return lambda cls: cls


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Config:
    """A frozen, keyword-only dataclass; every subclass becomes one by deriving.

    A subclass changes a default by plain assignment, so that a family of models reads like a table::

        class R50AOTL(AOTL):
            encoder = "resnet50"
    """

    renamed: ClassVar[Mapping[str, str]] = {}
    """Former names of fields to their present ones, for files that an earlier version wrote."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # resolved types, not texts: a subclass in another module need not import what its base's annotations name
        bases = [base for base in reversed(cls.__mro__[1:]) if issubclass(base, Config) and base is not Config]
        inherited = {name: hint for base in bases for name, hint in base.field_types().items()}
        annotations = dict(inspect.get_annotations(cls))
        for name in cls.__dict__:
            if name in inherited and name not in annotations:
                annotations[name] = inherited[name]
        cls.__annotations__ = annotations
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)

    @classmethod
    def field_types(cls) -> dict[str, Any]:
        """Names of the fields and their types, in order."""
        hints = typing.get_type_hints(cls)
        return {f.name: hints[f.name] for f in _own_fields(cls)}

    def override(self, **changes: Any) -> Self:
        """Return a copy with some fields changed.

        Raises:
            ValueError: a field that doesn't exist (near names are listed) or a value of the wrong type.
        """
        types_ = self.field_types()
        for name, value in changes.items():
            if name not in types_:
                hint = f"it is now {self.renamed[name]!r}" if name in self.renamed else suggest(name, types_)
                raise ValueError(f"{type(self).__name__} has no field {name!r}: {hint}")
            if not _fits(value, types_[name]):
                raise ValueError(f"field {name!r} of {type(self).__name__} is {_show(types_[name])}, got {value!r}")
        # JSON and command lines have lists where fields are tuples
        fixed = {k: tuple(v) if isinstance(v, list) else v for k, v in changes.items()}
        return dataclasses.replace(typing.cast(Any, self), **fixed)

    def override_from_text(self, *assignments: str) -> Self:
        """Apply ``name=value`` texts as a command line gives them, see :meth:`changes_from_text`."""
        return self.override(**self.changes_from_text(*assignments))

    @classmethod
    def changes_from_text(cls, *assignments: str) -> dict[str, Any]:
        """Read ``name=value`` texts; values are JSON, or plain text where that fails.

        A tuple's values may also stand side by side with commas: ``datasets=static,davis2017``.

        Raises:
            ValueError: no ``=``; unknown fields and values of the wrong type are :meth:`override`'s to refuse.
        """
        changes, types_ = {}, cls.field_types()
        for text in assignments:
            name, sign, value = text.partition("=")
            if not sign:
                raise ValueError(f"{text!r} is not of the form name=value")
            name = name.strip().replace("-", "_")
            parsed = _parsed(value)
            hint = types_.get(name)
            is_tuple = any(typing.get_origin(h) is tuple for h in (hint, *typing.get_args(hint)))
            if is_tuple and parsed is not None and not isinstance(parsed, list):
                parsed = [_parsed(each) for each in value.split(",")]
            changes[name] = parsed
        return changes

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain JSON types."""
        return {f.name: getattr(self, f.name) for f in _own_fields(type(self))}

    def differences(self) -> dict[str, Any]:
        """Return the fields whose values differ from the defaults of the class, with their values."""
        default = type(self)().to_dict()
        return {name: value for name, value in self.to_dict().items() if value != default[name]}

    def __str__(self) -> str:
        """Name the class and the fields that differ from its defaults, for logs; ``repr`` has all fields."""
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.differences().items())})"

    def to_json(self) -> str:
        """All fields as JSON text."""
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build from the output of ``to_dict``, also of an earlier version.

        Absent fields take their defaults; unknown ones are a ``ValueError``.
        """
        return cls().override(**cls.present_names(values))

    @classmethod
    def present_names(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Replace former names of fields by their present ones."""
        return {cls.renamed.get(name, name): value for name, value in values.items()}


_PYTHON = {"None": None, "True": True, "False": False}


def _parsed(text: str) -> Any:
    try:
        return _PYTHON[text] if text in _PYTHON else json.loads(text)
    except json.JSONDecodeError:
        return text


def _own_fields(cls: type) -> tuple[dataclasses.Field, ...]:
    return dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()


def _fits(value: Any, hint: Any) -> bool:
    """Whether ``value`` may stand in a field of this type (int stands for float, a list for a tuple)."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, a) for a in args)
    if origin is typing.Literal:
        return value in args
    if origin is tuple:
        if not isinstance(value, (tuple, list)):
            return False
        wanted = args[:1] * len(value) if args[1:] == (Ellipsis,) else args
        return len(wanted) == len(value) and all(_fits(v, a) for v, a in zip(value, wanted, strict=True))
    if hint is Any:
        return True
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool)
    return isinstance(value, hint)


def _show(hint: Any) -> str:
    return getattr(hint, "__name__", str(hint)) if not typing.get_args(hint) else str(hint).replace("typing.", "")
