"""Parameters of tests, some of which are run only with ``--all-cases``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def mark_thorough(values: Iterable[Any], thorough: Iterable[Any]) -> list[Any]:
    """Return the values (tuples for several arguments) as parameters, with those of ``thorough`` marked so."""
    values, chosen = list(values), list(thorough)
    assert all(value in values for value in chosen), "a thorough value is none of the values"
    parameters = [value if isinstance(value, tuple) else (value,) for value in values]
    marks = [[pytest.mark.thorough] if value in chosen else [] for value in values]
    return [pytest.param(*each, marks=mark) for each, mark in zip(parameters, marks, strict=True)]
