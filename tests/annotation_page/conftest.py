"""A browser, an annotation server with a stand-in for a network, and a page that tests walk through.

The browser is the system's Chromium. Without it (or without playwright) these tests skip; with CI set they fail.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from walking import TIMEOUT, Server, Shifter, Walk, write_clip


@pytest.fixture(scope="module")
def browser(chromium: Callable[..., Any]) -> Any:
    """Chromium, started once."""
    return chromium()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of 48 frames of 320 x 192 pixels; a module may define its own."""
    return write_clip(tmp_path_factory.mktemp("clips") / "walk", frames=48, size=(192, 320))


@pytest.fixture(scope="module")
def server(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the module's clip."""
    with Server(tmp_path_factory.mktemp("results"), clip) as running:
        yield running


@pytest.fixture(scope="module")
def profile(browser: Any) -> Iterator[Any]:
    """A browser context whose cache lives as long as the module."""
    with browser.new_context(**Walk.WINDOW) as context:
        yield context


@pytest.fixture
def open_page(browser, server: Server) -> Iterator[Callable[..., Walk]]:
    """A function that opens the server's page in a new window; errors in the page's code fail the test."""
    opened: list[Walk] = []

    def open_one(at: Server | None = None, **options: object) -> Walk:
        walk = Walk(browser, at or server, **options)
        opened.append(walk)
        return walk

    yield open_one
    for walk in opened:
        walk.close()
    errors = [error for walk in opened for error in walk.errors]
    assert not errors, errors


@pytest.fixture
def walk(open_page: Callable[..., Walk], server: Server, profile: Any) -> Iterator[Walk]:
    """The page at frame 0 of a clip without masks; the browser remembers files, but no cookies and no storage."""
    server.empty()
    yield open_page(context=profile)
    profile.set_offline(False)
    for page in profile.pages:
        page.close()
    blank = profile.new_page()
    origin = {"origin": f"http://127.0.0.1:{server.port}", "storageTypes": "cookies,local_storage"}
    profile.new_cdp_session(blank).send("Storage.clearDataForOrigin", origin)
    blank.close()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Hold the stand-in at its sixth frame until the event is set."""
    resume = threading.Event()
    step = Shifter.step

    def wait_and_step(self: Shifter, *args: object, **options: object) -> np.ndarray:
        if self.steps == 5:
            resume.wait(TIMEOUT)
        return step(self, *args, **options)

    monkeypatch.setattr(Shifter, "step", wait_and_step)
    yield resume
    resume.set()


@pytest.fixture
def report(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """A function that prints a figure at the end of the run, also if several processes run the tests."""
    return lambda line: record_property("figure of the annotation page", line)


def pytest_terminal_summary(terminalreporter) -> None:
    """Print measured times, which no test asserts."""
    reports = terminalreporter.stats.get("passed", [])
    figures = [value for one in reports for name, value in one.user_properties if name.startswith("figure of")]
    if figures:
        terminalreporter.section("annotation page")
        for line in figures:
            terminalreporter.line(line)
