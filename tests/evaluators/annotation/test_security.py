"""Access to the annotation server."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from voskit.evaluators.annotation.security import Access, Guard, TooLargeError, names_of, stored_token

TOKEN = "t" * 40


def client(**options: Any) -> TestClient:
    """A client of a guarded server that returns the size of a request's body."""

    async def size(request: Request) -> Response:
        return JSONResponse(len(await request.body()))

    async def too_large(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, 413)

    methods = ["GET", "POST", "PUT"]
    app = Starlette(
        routes=[Route(path, size, methods=methods) for path in ("/", "/api/x", "/api/clips")],
        middleware=[Middleware(Guard, access=Access(token=TOKEN, **options))],
        exception_handlers={TooLargeError: too_large},
    )
    return TestClient(app, base_url="http://127.0.0.1:7860", follow_redirects=False)


def known(**options: Any) -> TestClient:
    one = client(**options)
    one.headers["Authorization"] = f"token {TOKEN}"
    return one


def test_the_token_of_the_address_becomes_a_cookie_that_scripts_and_other_sites_can_t_use() -> None:
    browser = client()
    answer = browser.get(f"/?token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "./")
    assert "HttpOnly; SameSite=Strict" in answer.headers["set-cookie"]
    assert browser.get("/api/x").status_code == 200


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "token wrong"}, {"Cookie": "voskit=wrong"}, {"Cookie": "=;"}]
)
def test_without_the_token_nothing_is_shown(headers: dict[str, str]) -> None:
    answer = client().get("/api/x", headers=headers)
    assert answer.status_code == 403
    assert "missing or wrong" in answer.json()["error"]
    page = client().get("/", headers=headers)
    assert page.status_code == 403
    assert "Open the address that the terminal shows" in page.text
    assert client().get("/?token=wrong").status_code == 403
    assert client().get(f"/api/x?token={TOKEN}").status_code == 403  # addresses of files must not hold it


def test_a_password_grants_access_too() -> None:
    browser = client(password="open sesame")
    assert browser.post("/login", data={"password": "open sesam"}).status_code == 403
    assert browser.post("/login", data={"password": "open sesame"}).status_code == 303
    assert browser.get("/api/x").status_code == 200
    assert client().post("/login", data={"password": ""}).status_code == 403
    assert client().post("/login", data={"password": "x" * 5000}).status_code == 413


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "", "192.168.1.5", "[::2]:7860", "localhost.evil"],
)
def test_host_names_of_other_sites_are_refused_so_that_none_can_pose_as_this_one(host: str) -> None:
    assert known().get("/api/x", headers={"Host": host}).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9999", "LOCALHOST", "[::1]:7860", "127.0.0.1:1"])
def test_host_names_of_this_machine_are_accepted_with_any_port(host: str) -> None:
    assert known().get("/api/x", headers={"Host": host}).status_code == 200


def test_a_server_for_other_machines_accepts_its_addresses_and_names() -> None:
    hosts, any_address = names_of("0.0.0.0")
    everywhere = known(hosts=hosts | {"proxy.example"}, any_address=any_address)
    for host, status in (("192.168.1.5:7860", 200), ("proxy.example", 200), ("evil.example", 403)):
        assert everywhere.get("/api/x", headers={"Host": host}).status_code == status
    assert names_of("127.0.0.1")[1] is False


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "http://127.0.0.1:7860.evil.example"]
)
def test_requests_of_other_sites_are_refused(origin: str) -> None:
    assert known().post("/api/x", headers={"Origin": origin}).status_code == 403
    assert known().post("/api/x", headers={"Origin": "http://127.0.0.1:7860"}).status_code == 200


def test_bodies_are_limited_with_and_without_a_stated_length() -> None:
    server = known(body_limit=1000, upload_limit=5000)

    assert server.post("/api/x", content=b"x" * 1000).json() == 1000
    assert server.post("/api/x", content=b"x" * 1001).status_code == 413
    assert server.post("/api/x", content=(b"x" * 100 for _ in range(20))).status_code == 413
    multipart = {"Content-Type": "multipart/form-data; boundary=b"}
    assert server.post("/api/clips", content=b"x" * 4000, headers=multipart).json() == 4000
    assert server.post("/api/clips", content=b"x" * 4000).status_code == 413
    assert server.post("/api/clips", content=b"x" * 6000, headers=multipart).status_code == 413
    assert server.post("/api/x", content=b"x", headers={"Content-Length": "-1"}).status_code == 413


def test_pages_of_other_sites_can_t_frame_or_read_anything() -> None:
    headers = known().get("/api/x").headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers


def test_the_token_is_kept_so_that_an_open_page_finds_a_restarted_server(tmp_path: Path) -> None:
    token = stored_token(tmp_path)
    assert len(token) > 40
    assert stored_token(tmp_path) == token
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    (tmp_path / "token").write_text("short")
    assert stored_token(tmp_path) not in (token, "short")
