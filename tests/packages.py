"""Optional packages of the tests."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


def require(*names: str) -> None:
    """Skip a module's tests if a package is missing.

    Unlike ``pytest.importorskip``, it doesn't import the package, which would take seconds in every worker that
    collects the tests.
    """
    for name in names:
        if find_spec(name) is None:
            pytest.skip(f"{name} is not installed", allow_module_level=True)
