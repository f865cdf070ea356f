"""An exported folder, served, and Chromium that runs its page.

The browser is the system's Chromium, and onnxruntime-web comes from npm. Without them, or without playwright, these
tests skip and say why. With CI set they fail if Chromium is missing, or if npm is there and fails.
"""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from packages import require
from small_exports import exported_bundled

from voskit.evaluators.web.onnxruntime_web import fetch
from voskit.evaluators.web.page import write_page, write_readme, write_runtime

require("onnxscript", "onnxruntime")
WAIT_S = 60.0


def skip(problem: str, fails_in_ci: bool = True) -> None:
    """Skip, or fail with CI set."""
    if os.environ.get("CI") and fails_in_ci:
        pytest.fail(f"{problem}; with CI set this is a failure")
    pytest.skip(f"THE PAGE IN THE BROWSER IS NOT TESTED: {problem}")


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The npm package onnxruntime-web."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("VOSKIT_OFFLINE")  # npm's own cache has it after the first time
        try:
            return fetch(tmp_path_factory.mktemp("npm"))
        except FileNotFoundError as error:
            skip(str(error), fails_in_ci=shutil.which("npm") is not None)
            raise


@pytest.fixture(scope="session")
def folder(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model as ``voskit export --format web`` writes it, for small frames."""
    from voskit.evaluators.web.check import write_check

    target = tmp_path_factory.mktemp("web") / "page"
    shutil.copytree(exported_bundled(tmp_path_factory), target)
    write_check(target)
    write_page(target)
    write_runtime(target, runtime / "dist")
    write_readme(target, "deaott", "its own", "1.30.0")
    return target


class Handler(http.server.SimpleHTTPRequestHandler):
    """A handler that doesn't log. ``isolated`` sends the headers that permit threads."""

    isolated = False

    def log_message(self, *args: object) -> None:
        pass

    def end_headers(self) -> None:
        if self.isolated:
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()


class IsolatedHandler(Handler):
    isolated = True


@contextmanager
def serving(folder: Path, handler: type[Handler]) -> Iterator[str]:
    """Give the address of a server of a folder."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def served_page(folder: Path) -> Iterator[str]:
    """Address of the folder on a server without special headers."""
    with serving(folder, Handler) as address:
        yield address


@pytest.fixture
def isolated_page(folder: Path) -> Iterator[str]:
    """Address of the folder on a server whose pages may run threads."""
    with serving(folder, IsolatedHandler) as address:
        yield address


class Visit:
    """A page, the addresses that it asked for, and the errors of its code."""

    def __init__(self, page: Any, address: str, folder: Path) -> None:
        self.page, self.address, self.folder = page, address, folder
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.context.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def wait(self, condition: str) -> Any:
        """Return the first true value of an expression. (The page's policy forbids playwright's own waiting.)"""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            if value := self.page.evaluate(
                f"(() => {{ const x = {condition}; return x instanceof Object ? true : x }})()"
            ):
                return value
            time.sleep(0.03)
        raise AssertionError(f"not within {WAIT_S} s: {condition}")

    def start(self) -> None:
        """Open the start page and wait for the network."""
        self.page.goto(self.address)
        self.wait("voskit.network.manifest")

    def open(self, paths: list[Path]) -> None:
        """Choose files."""
        self.page.set_input_files("#welcome input[accept]", [str(path) for path in paths])

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return the position on the screen of a position in the image."""
        script = """([x, y]) => {
            const { stage } = voskit, box = stage.root.getBoundingClientRect(), [a, b] = stage.toScreen([x, y]);
            return [box.left + a / stage.ratio, box.top + b / stage.ratio];
        }"""
        a, b = self.page.evaluate(script, [x, y])
        return a, b

    def stroke(self, *points: tuple[float, float]) -> None:
        """Draw through positions of the image."""
        self.page.mouse.move(*self.at(*points[0]))
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*self.at(*point), steps=3)
        self.page.mouse.up()


WEBGPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan")
"""Flags with which Chromium offers WebGPU without a graphics card."""


@pytest.fixture
def visit(chromium: Callable[..., Any], served_page: str, folder: Path) -> Iterator[Callable[..., Visit]]:
    """A function that opens a new window; errors in the page's code, and requests to other hosts, fail the test."""
    opened: list[Visit] = []

    def open_one(address: str = served_page, webgpu: bool = False) -> Visit:
        browser = chromium(*WEBGPU) if webgpu else chromium()
        context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
        opened.append(Visit(context.new_page(), address, folder))
        return opened[-1]

    yield open_one
    for one in opened:
        one.page.context.close()
        assert not one.errors, one.errors
        assert all(url.startswith((one.address, "blob:", "data:")) for url in one.requests), one.requests
