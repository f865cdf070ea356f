"""Parameters of tests, some of which are run only with ``--all-cases``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def mark_thorough(values: Iterable[Any], thorough: Iterable[Any]) -> list[Any]:
    """Return the values as parameters, with those of ``thorough`` marked so."""
    chosen = list(thorough)
    marked = [pytest.param(value, marks=pytest.mark.thorough) if value in chosen else value for value in values]
    assert len(chosen) == sum(value in chosen for value in values), "a thorough value is none of the values"
    return marked
