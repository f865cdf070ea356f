"""Base class of configs: frozen keyword-only dataclasses with JSON serialization and command-line overrides."""

from __future__ import annotations

import ast
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
        """Stand-in for the type checker's decorator, which Python 3.10 lacks."""
        return lambda cls: cls


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Config:
    """A frozen, keyword-only dataclass. Subclasses become dataclasses without a decorator.

    A subclass changes a default by plain assignment, so a family of models reads like a table::

        class R50AOTL(AOTL):
            encoder = "resnet50"

    ``str(config)`` shows the fields that differ from the defaults, ``repr(config)`` shows all of them.
    """

    renamed: ClassVar[Mapping[str, str]] = {}
    """Current field names by former ones, for reading files of earlier versions."""
    aliases: ClassVar[Mapping[str, str]] = {}
    """Field names by alias. An alias is accepted wherever a field can be set."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # resolved types, not strings: a subclass's module may not import the names in its base's annotations
        bases = [base for base in reversed(cls.__mro__[1:]) if issubclass(base, Config) and base is not Config]
        inherited = {name: hint for base in bases for name, hint in base.field_types().items()}
        annotations = dict(inspect.get_annotations(cls))
        for alias, name in cls.aliases.items():
            if alias in cls.__dict__ and not isinstance(cls.__dict__[alias], property):
                setattr(cls, name, cls.__dict__[alias])
                delattr(cls, alias)
                annotations.pop(alias, None)
        for name, value in list(cls.__dict__.items()):
            if name in inherited and name not in annotations:
                annotations[name] = inherited[name]
            if name in annotations:
                setattr(cls, name, _frozen(value))
        cls.__annotations__ = annotations
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)

    @classmethod
    def field_types(cls) -> dict[str, Any]:
        """Return the types of the fields by name, in order."""
        hints = typing.get_type_hints(cls)
        return {f.name: hints[f.name] for f in _own_fields(cls)}

    def override(self, **changes: Any) -> Self:
        """Return a copy with some fields changed.

        Args:
            **changes: new values by field name or alias. Lists are accepted for tuples, integers for floats.

        Raises:
            ValueError: a field is unknown (similar names are suggested), a value has the wrong type, or a field and its
                alias have different values.
        """
        types_ = self.field_types()
        values: dict[str, Any] = {}
        for given, value in changes.items():
            name = self.aliases.get(given, given)
            if name not in types_:
                known = [*types_, *self.aliases]
                hint = f"it is now {self.renamed[name]!r}" if name in self.renamed else suggest(name, known)
                raise ValueError(f"{type(self).__name__} has no field {name!r}: {hint}")
            check_type(f"field {given!r} of {type(self).__name__}", value, types_[name])
            if given != name and name in changes and changes[name] != value:
                raise ValueError(
                    f"{given} ({value}) and {name} ({changes[name]}) are two names of one field: give only one"
                )
            values[name] = _frozen(value)
        return dataclasses.replace(typing.cast(Any, self), **values)

    def override_from_text(self, *assignments: str) -> Self:
        """Return a copy changed by ``name=value`` strings, see :meth:`changes_from_text`."""
        return self.override(**self.changes_from_text(*assignments))

    @classmethod
    def changes_from_text(cls, *assignments: str) -> dict[str, Any]:
        """Parse ``name=value`` strings from a command line.

        Values are JSON, Python literals as logs show them, or else plain strings. Tuples can also be comma-separated
        (``datasets=static,davis2017``), and mappings written as ``model=train_long_term_gap=2,freeze_backbone=true``.

        Raises:
            ValueError: a string has no ``=``. Unknown fields and wrong types are reported by :meth:`override`.
        """
        changes, types_ = {}, cls.field_types()
        for text in assignments:
            name, value = _split(text)
            parsed = parse_value(value)
            hint = types_.get(cls.aliases.get(name, name))
            kinds = {typing.get_origin(h) for h in (hint, *typing.get_args(hint))}
            if Mapping in kinds and isinstance(parsed, (str, list)):
                parsed = mapping_from_text(parsed if isinstance(parsed, list) else value.split(","))
            elif tuple in kinds and parsed is not None and not isinstance(parsed, (list, tuple)):
                parsed = [parse_value(each.strip()) for each in value.split(",")]
            changes[name] = parsed
        return changes

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain Python values, for JSON and ``torch.save``."""
        values = {f.name: getattr(self, f.name) for f in _own_fields(type(self))}
        return {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}

    def differences(self) -> dict[str, Any]:
        """Return the fields that differ from the defaults of the class, with their values."""
        default = type(self)().to_dict()
        return {name: value for name, value in self.to_dict().items() if value != default[name]}

    def __str__(self) -> str:
        """Return the class name with the fields that differ from its defaults."""
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.differences().items())})"

    def to_json(self) -> str:
        """Return all fields as JSON text."""
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build a config from the output of :meth:`to_dict`, including that of earlier versions.

        Missing fields get their defaults.

        Raises:
            ValueError: a field is unknown, or a value has the wrong type.
        """
        return cls().override(**cls.present_names(values))

    @classmethod
    def present_names(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Replace former names and aliases of fields with their current names."""
        present = {**cls.aliases, **cls.renamed}
        return {present.get(name, name): value for name, value in values.items()}


class _FrozenDict(dict[str, Any]):
    """A hashable dictionary, which dataclasses accept as a default value. It must not be changed."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self))


def parse_value(text: str) -> Any:
    """Parse a value from a command line: JSON, a Python literal as logs show it, or else a plain string."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def mapping_from_text(assignments: typing.Iterable[str]) -> dict[str, Any]:
    """Parse ``name=value`` strings into a dictionary; empty strings are skipped.

    Raises:
        ValueError: a string has no ``=``.
    """
    pairs = (_split(text) for text in assignments if text)
    return {name: parse_value(value) for name, value in pairs}


def _split(assignment: str) -> tuple[str, str]:
    name, sign, value = assignment.partition("=")
    if not sign:
        raise ValueError(f"{assignment!r} is not of the form name=value")
    return name.strip().replace("-", "_"), value


def _frozen(value: Any) -> Any:
    """Return a hashable copy of a list or mapping, as JSON and command lines produce them; other values as they are."""
    if isinstance(value, list):
        return tuple(value)
    return _FrozenDict(value) if isinstance(value, Mapping) else value


def _own_fields(cls: type) -> tuple[dataclasses.Field, ...]:
    return dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()


def check_type(what: str, value: Any, hint: Any) -> None:
    """Raise a ValueError that starts with ``what`` unless a value fits a type, see ``Config.override``."""
    if not _fits(value, hint):
        raise ValueError(f"{what} must be {_show(hint)}, got {value!r}")


def _fits(value: Any, hint: Any) -> bool:
    """Return True if a field of this type can hold ``value``; ints count as floats and lists as tuples."""
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
    return isinstance(value, origin or hint)


def _show(hint: Any) -> str:
    """Format a type for an error message."""
    if not typing.get_args(hint):
        return getattr(hint, "__name__", str(hint))
    return str(hint).replace("typing.", "").replace("collections.abc.", "")
