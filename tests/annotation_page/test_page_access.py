"""The page behind its token."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from walking import Server, Walk


def test_the_token_is_removed_from_the_url_and_a_reload_works(walk: Walk, server: Server) -> None:
    assert server.token not in walk.page.url
    walk.page.reload()
    walk.wait("voskit.stage?.ids != null")


def test_without_the_token_nothing_is_shown(browser, server: Server) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{server.port}/")
    assert page.locator("#stage").count() == 0
    answer = page.request.get(f"http://127.0.0.1:{server.port}/api/project")
    assert answer.status in (401, 403)
    context.close()


def test_the_login_form_opens_the_page(browser, server: Server) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.port}/")
        page.fill("input[name=password]", server.token)
        page.click("button")
        page.wait_for_selector("#stage")


def test_the_page_works_below_the_path_of_a_proxy(browser, clip: Path, tmp_path: Path) -> None:
    server = Server(tmp_path / "out", clip)
    server.app = below("/user/ann/proxy", server.app)
    with server, browser.new_context() as context:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.port}/user/ann/proxy/")
        page.fill("input[name=password]", server.token)
        page.click("button")
        page.wait_for_function("() => window.voskit?.stage?.ids != null")
        assert page.url.startswith(f"http://127.0.0.1:{server.port}/user/ann/proxy/#")
        page.goto(f"http://127.0.0.1:{server.port}/user/ann/proxy/?token={server.token}")
        page.wait_for_function("() => window.voskit?.stage?.ids != null")
        assert {cookie["path"] for cookie in context.cookies()} == {"/user/ann/proxy"}


def below(prefix: str, app: Callable[..., Any]) -> Callable[..., Any]:
    """Return an app that serves another one below a path, as a proxy that removes the path does."""

    async def serve(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert scope["path"].startswith(f"{prefix}/")
        await app({**scope, "path": scope["path"].removeprefix(prefix)}, receive, send)

    return serve


def test_a_foreign_name_of_the_server_is_refused(browser, server: Server, walk: Walk) -> None:
    cookies = walk.context.cookies()
    context = browser.new_context()
    context.add_cookies(cookies)
    page = context.new_page()
    answer = page.request.get(
        f"http://127.0.0.1:{server.port}/api/project", headers={"Host": f"evil.example:{server.port}"}
    )
    assert answer.status in (400, 403, 421)
    context.close()


def test_a_page_with_an_outdated_token_says_so(open_page: Callable[..., Walk], walk: Walk) -> None:
    walk.context.clear_cookies()
    walk.stroke([(60, 60), (120, 60)])
    walk.wait("document.querySelector('.banner') !== null")
    assert "open the address" in walk.text("#banner")
    assert walk.text(".saved") == "Not saved"


def test_nothing_is_loaded_from_other_hosts(open_page: Callable[..., Walk], server: Server) -> None:
    walk = open_page()
    addresses = walk.get("performance.getEntriesByType('resource').map((e) => e.name)")
    assert len(addresses) > 20
    assert all(address.startswith(f"http://127.0.0.1:{server.port}/") for address in addresses)
