"""Access control of the annotation server: token, host names, origins and request sizes."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import html
import ipaddress
import json
import re
import secrets
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from voskit.dataloaders.files import atomic_write

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_MAX_FORM = 4096  # bytes of the login form
_MAX_IMPORT = 2**30  # bytes of mask files, which are kept in memory
_PATIENCE = 60.0  # seconds without receiving a byte of a body
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # no-referrer makes browsers send "Origin: null" with the login form
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
}
_LOGIN = """<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>voskit annotate</title><style>body{font:16px system-ui;display:grid;place-items:center;height:90vh;
background:#17181c;color:#e6e7eb}form{display:grid;gap:12px;width:320px}input,button{font:inherit;padding:8px 10px;
border-radius:6px;border:1px solid #444;background:#222428;color:inherit}button{background:#3b6ef0;border:0}</style>
<form method="post" action="login"><b>voskit annotate</b><span>%s</span>
<input name="password" type="password" autofocus autocomplete="current-password" aria-label="Token or password">
<button>Open</button></form>"""
_ASKED = "Open the address that the terminal shows, or enter its token or the password."


class TooLargeError(ValueError):
    """The body of a request is larger than allowed."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """Access to the server: token, password, allowed hosts.

    Attributes:
        token: secret in the URL that the terminal shows.
        password: secret chosen by the user, accepted in addition to the token; None: no password.
        cookie: name of the cookie; servers on one machine need different names, since cookies are shared across ports.
        hosts: host names that requests may use.
        any_address: allow any IP address as host, since the server listens on all of them.
        body_limit: maximum size in bytes of a request body other than an upload.
        upload_limit: maximum size in bytes of an upload.
        uploads: suffixes of the paths that accept uploads.
    """

    token: str
    password: str | None = None
    cookie: str = "voskit"
    hosts: frozenset[str] = LOCAL
    any_address: bool = False
    body_limit: int = 2**20
    upload_limit: int = 8 * 2**30
    uploads: tuple[str, ...] = field(default=("/clips", "/import"))

    def knows(self, secret: str | None) -> bool:
        """Return True for the token and the password."""
        if not secret:
            return False
        known = [self.token, *([self.password] if self.password else [])]
        return any(hmac.compare_digest(secret.encode(), one.encode()) for one in known)

    def allows_host(self, host: str) -> bool:
        """Return True if a ``Host`` header names this server, which rules out DNS rebinding."""
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        name = name.strip("[]").lower().rstrip(".")
        if name in self.hosts:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self.any_address or address.is_loopback


def names_of(host: str) -> tuple[frozenset[str], bool]:
    """Return the allowed host names of a server at ``host``, and whether any IP address is allowed."""
    try:
        everywhere = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        everywhere = False
    own = {name.lower() for name in (socket.gethostname(), socket.getfqdn()) if name}
    return LOCAL | {host.lower()} | (own | {f"{name}.local" for name in own} if everywhere else set()), everywhere


def stored_token(folder: Path) -> str:
    """Return the project's token, creating it on the first call. It persists, so open pages survive a restart."""
    path = folder / "token"
    with contextlib.suppress(FileNotFoundError):
        if re.fullmatch(r"[\w-]{32,}", found := path.read_text(encoding="ascii").strip()):
            path.chmod(0o600)
            return found
    token = secrets.token_urlsafe(32)
    with atomic_write(path, "the token") as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(f"{token}\n", encoding="ascii")
    return token


class Guard:
    """ASGI middleware that lets only allowed requests through.

    Args:
        app: the application.
        access: who may use it.
    """

    def __init__(self, app: App, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        send = _with_headers(send)
        access, path = self._access, scope["path"]
        host = headers.get("host", "")
        if not access.allows_host(host):
            await _answer(
                send,
                403,
                f"{host or 'an empty host'} is not a name of this server: open the address that the "
                "terminal shows, or add the name with --allowed_hosts",
            )
            return
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            await _answer(send, 403, "requests from other sites are not allowed")
            return
        if path == "/login" and scope["method"] == "POST":
            await self._login(receive, send)
            return
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        if path == "/" and "token" in query:
            if access.knows(query["token"][0]):
                await self._welcome(send)
            else:
                await _form(send, "This is not the server's token: copy it from the address that the terminal shows.")
            return
        if not self._is_known(headers):
            if path == "/" or path == "/login":
                await _form(send, _ASKED)
            else:
                await _answer(send, 403, "the token is missing or wrong: open the address that the terminal shows")
            return
        await self._limited(scope, receive, send, headers)

    def _is_known(self, headers: dict[str, str]) -> bool:
        scheme, _, secret = headers.get("authorization", "").partition(" ")
        if scheme.lower() in ("token", "bearer") and self._access.knows(secret.strip()):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self._access.cookie)
        except CookieError:
            return False
        return cookie is not None and self._access.knows(cookie.value)

    async def _welcome(self, send: Send) -> None:
        # URL and cookie are relative to the folder that the browser sees, which may be a subpath of a proxy
        cookie = f"{self._access.cookie}={self._access.token}; HttpOnly; SameSite=Strict; Max-Age=31536000"
        headers = [(b"location", b"./"), (b"set-cookie", cookie.encode()), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def _login(self, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if message["type"] != "http.request" or len(body) > _MAX_FORM:
                await _answer(send, 413, "the form is too large")
                return
            if not message.get("more_body"):
                break
        secret = parse_qs(body.decode("utf-8", "replace")).get("password", [""])[0]
        if self._access.knows(secret):
            await self._welcome(send)
        else:
            await asyncio.sleep(1.0)  # slows down guessing
            await _form(send, "That is neither the token nor the password.")

    async def _limited(self, scope: Scope, receive: Receive, send: Send, headers: dict[str, str]) -> None:
        """Call the application with a size limit on the request body."""
        access = self._access
        upload = scope["path"].endswith(access.uploads) and headers.get("content-type", "").startswith("multipart/")
        limit = access.upload_limit if upload else scope.get("body_limit", access.body_limit)
        if upload and scope["path"].endswith("/import"):
            limit = min(limit, _MAX_IMPORT)
        if "/masks/" in scope["path"]:
            limit = max(limit, 2**28)  # checked again against the frames' size
        text = f"the request is larger than {limit // 2**20} MB"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > limit:
            await _answer(send, 413, text)
            return
        received, complete = 0, False

        async def counted() -> MutableMapping[str, Any]:
            nonlocal received, complete
            try:
                message = await asyncio.wait_for(receive(), None if complete else _PATIENCE)
            except asyncio.TimeoutError:
                return {"type": "http.disconnect"}
            received += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if received > limit:
                raise TooLargeError(text)
            return message

        await self._app(scope, counted, send)


async def _form(send: Send, text: str) -> None:
    await _answer(send, 403, _LOGIN % html.escape(text), "text/html; charset=utf-8")


async def _answer(send: Send, status: int, text: str, kind: str = "application/json") -> None:
    body = (json.dumps({"error": text}) if kind == "application/json" else text).encode()
    headers = [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),  # the rest of a rejected body isn't read
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _with_headers(send: Send) -> Send:
    """Add headers to each response that keep other sites out."""

    async def sender(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message.get("headers", [])}
            extra = [(n.encode(), v.encode()) for n, v in _HEADERS.items() if n.encode() not in present]
            message = {**message, "headers": [*message.get("headers", []), *extra]}
        await send(message)

    return sender
