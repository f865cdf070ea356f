"""Help texts of command-line flags from dataclass docstrings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import docstring_parser
import tyro

Args = TypeVar("Args")

_METAVARS: Mapping[Any, str] = {str: "STR", int: "INT", float: "FLOAT", Path: "PATH"}


def parse_flags(args: type[Args], description: str) -> Args:
    """Parse the command line into a dataclass.

    tyro keeps the source's line breaks in help texts, shows ``{None}|STR`` for optional values, and adds
    ``(default: None)`` to texts that already describe the default. A subclass with annotated fields corrects this.
    """
    texts = _texts(args)
    hints = get_type_hints(args, include_extras=True)
    fields = [
        (field.name, _described(hints[field.name], texts.get(field.name, ""), field.default), _same_default(field))
        for field in dataclasses.fields(args)  # type: ignore[arg-type]
    ]
    described = dataclasses.make_dataclass(args.__name__, fields, bases=(args,), frozen=True, kw_only=True)
    parsed: Args = tyro.cli(described, description=description)
    return args(**{name: getattr(parsed, name) for name, *_ in fields})


def _texts(args: type) -> dict[str, str]:
    """Return the docstring of each field, on one line."""
    texts: dict[str, str] = {}
    for owner in args.__mro__:
        if dataclasses.is_dataclass(owner):
            for parameter in docstring_parser.parse_from_object(owner).params:
                texts.setdefault(parameter.arg_name, " ".join((parameter.description or "").split()))
    return texts


def _described(hint: Any, text: str, default: Any) -> Any:
    own = hint.__metadata__ if get_origin(hint) is Annotated else ()  # overrides the configuration below
    hint = hint.__origin__ if own else hint
    choices = get_args(hint)
    optional = len(choices) == 2 and choices[1] is type(None)
    unset = default is None or (default == () and tyro.conf.UseAppendAction not in own)
    config = tyro.conf.arg(
        help=text or None,
        help_behavior_hint="" if unset else None,
        metavar=_METAVARS.get(choices[0]) if optional else None,
    )
    parts = (hint, config, *own)
    return Annotated[parts]  # type: ignore[valid-type]


def _same_default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return dataclasses.field(default_factory=field.default_factory)
    return dataclasses.field(default=field.default)
