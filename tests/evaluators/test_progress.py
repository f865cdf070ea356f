"""Progress bars in terminals and in log files."""

from __future__ import annotations

import io
import sys
import time

import pytest

from voskit.evaluators.progress import progress_bar


class Stream(io.StringIO):
    """Stream that is a terminal or a file."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return self._is_terminal


@pytest.mark.parametrize(("is_terminal", "least", "most"), [(True, 5, 100), (False, 2, 2)])
def test_a_log_file_gets_few_updates(is_terminal: bool, least: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream := Stream(is_terminal=is_terminal))
    with progress_bar(total=30, unit="frame") as bar:
        for _ in range(30):
            time.sleep(0.03)
            bar.update()
    assert least <= stream.getvalue().count("/30 [") <= most
    assert "30/30" in stream.getvalue()


def test_a_hidden_bar_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream := Stream(is_terminal=True))
    assert list(progress_bar(range(5), shown=False)) == [0, 1, 2, 3, 4]
    assert stream.getvalue() == ""
