"""A local server in place of GitHub's releases and Google Drive, for tests of downloads."""

from __future__ import annotations

import contextlib
import http.server
import re
import threading
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

QUOTA_PAGE = """<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body>
<div id="uc-text"><p class="uc-error-caption">Sorry, you can&#39;t view or download this file at this time.</p>
<p class="uc-error-subcaption">Too many users have viewed or downloaded this file recently. Please try again later.</p>
</div></body></html>"""
LOGIN_PAGE = "<!doctype html>\n<html><head><title>Sign in - Google Accounts</title></head><body>Sign in</body></html>"
_CONFIRMATION_PAGE = """<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>
<p class="uc-warning-caption">Google Drive can't scan this file for viruses.</p>
<form id="download-form" action="https://drive.usercontent.google.com/download" method="get">\
<input type="submit" id="uc-download-link" value="Download anyway"/><input type="hidden" name="id" value="{id}">\
<input type="hidden" name="export" value="download"><input type="hidden" name="confirm" value="t">\
<input type="hidden" name="uuid" value="4b6bb6a2"></form></body></html>"""


def confirmation_page(file_id: str) -> str:
    """Return Google Drive's page about large files, whose form leads to the file."""
    return _CONFIRMATION_PAGE.replace("{id}", file_id)


@dataclass
class Request:
    """A request that the server received."""

    host: str
    path: str
    range: str | None


@dataclass
class WeightsHost:
    """The behavior of the hosts. ``files`` are their contents, by the path at GitHub or the id at Google Drive."""

    files: dict[str, bytes] = field(default_factory=dict)
    confirms: bool = True
    """Google Drive asks for a confirmation first."""
    resumes: bool = True
    """Answers requests with a Range by 206."""
    cuts: list[int] = field(default_factory=list)
    """For each of the next transfers, bytes after which the connection breaks."""
    stalls: bool = False
    """Sends headers and no content."""
    answer: tuple[int, str] | None = None
    """Status and page for all requests."""
    requests: list[Request] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def transfers(self) -> list[Request]:
        """Requests for contents, after redirects and confirmations."""
        ends = ("objects.githubusercontent.com", "download.pytorch.org")
        return [r for r in self.requests if r.host in ends or "confirm=t" in r.path]


def serve(host: WeightsHost, monkeypatch: pytest.MonkeyPatch) -> http.server.ThreadingHTTPServer:
    """Start a server, and send all that ``requests`` asks of any host to it."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"weights": host}))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    send = requests.adapters.HTTPAdapter.send

    def send_here(self: Any, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        local = request.copy()
        parts = urllib.parse.urlsplit(request.url)
        local.url = f"http://127.0.0.1:{server.server_port}{parts.path}?{parts.query}"
        local.headers["X-Host"] = parts.hostname
        response = send(self, local, *args, **{**kwargs, "proxies": {}})
        response.url = request.url
        return response

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send_here)
    return server


class _Handler(http.server.BaseHTTPRequestHandler):
    weights: WeightsHost
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        host = self.headers["X-Host"]
        self.weights.requests.append(Request(host, self.path, self.headers["Range"]))
        query = {k: v[0] for k, v in urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query).items()}
        path = urllib.parse.urlsplit(self.path).path
        if self.weights.answer is not None:
            self._page(*self.weights.answer)
        elif host == "github.com":
            self._redirect(f"https://objects.githubusercontent.com{path}?token=1")
        elif host == "drive.google.com":
            self._redirect(f"https://drive.usercontent.google.com/download?id={query['id']}&export=download")
        elif host == "drive.usercontent.google.com":
            if self.weights.confirms and (query.get("confirm"), query.get("uuid")) != ("t", "4b6bb6a2"):
                self._page(200, confirmation_page(query["id"]))
            else:
                self._file(query["id"])
        else:
            self._file(path)

    def _redirect(self, address: str) -> None:
        self.send_response(302)
        self.send_header("Location", address)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _page(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def _file(self, name: str) -> None:
        if name not in self.weights.files:
            self._page(404, "<html>Not Found</html>")
            return
        content = self.weights.files[name]
        match = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        start = int(match[1]) if match and self.weights.resumes else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Disposition", 'attachment; filename="weights.pth"')
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if self.weights.stalls:
            self.wfile.write(content[start : start + 10])
            self.wfile.flush()
            self.weights.released.wait(30)
        cut = self.weights.cuts.pop(0) if self.weights.cuts else len(content)
        with contextlib.suppress(OSError):  # the client has seen enough
            self.wfile.write(content[start:][:cut])
        if cut < len(content) - start or self.weights.stalls:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass
