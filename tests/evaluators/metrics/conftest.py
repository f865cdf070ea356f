"""Goldens of scoring, and their comparison."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

METRICS = Path(__file__).resolve().parents[4] / "shared" / "conformance" / "metrics"


@pytest.fixture(scope="session")
def goldens() -> Path:
    """Folder of the miniature benchmarks with the figures of the published scorers."""
    if not METRICS.is_dir():
        pytest.skip(f"scoring goldens are not at {METRICS}")
    return METRICS


@pytest.fixture(scope="session")
def differences(goldens: Path) -> Callable[[Any, Any], list[Any]]:
    """Return the figures of an expected tree that are missing or differ by more than 1e-9."""
    spec = importlib.util.spec_from_file_location("check_scores", goldens / "check_scores.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda want, got: list(module.differences(want, got))


@pytest.fixture
def run_score(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run ``voskit score`` in this process, and return its exit code and stderr."""
    from voskit.tools import score

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["score.py", *map(str, arguments)])
        try:
            code = score.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        return code, capsys.readouterr().err

    return run
