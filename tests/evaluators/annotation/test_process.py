"""The annotation server as a process: killed, restarted, stopped."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from moving_clip import H, W
from standin import mask_of, write_clip

FRAMES = 20
TIMEOUT = 60.0


class Server:
    """A running server and a client of it."""

    def __init__(self, clip: Path, results: Path, port: int = 0, seconds: float = 0.05) -> None:
        program = [
            sys.executable,
            str(Path(__file__).with_name("serve.py")),
            str(clip),
            str(results),
            str(port),
            str(seconds),
        ]
        self.process = subprocess.Popen(program, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self.lines: list[str] = []
        for line in self.process.stderr:
            self.lines.append(line)
            if found := re.search(r"(http://\S+)/\?token=(\S+)", line):
                break
        else:
            raise AssertionError("".join(self.lines))
        self.client = httpx.Client(
            base_url=found[1], headers={"Authorization": f"token {found[2]}"}, timeout=TIMEOUT, trust_env=False
        )
        self.clip = f"/api/clips/{self.client.get('/api/project').json()['first']}"
        self.wait(lambda: self.client.get(self.clip).json()["state"] == "ready")

    @property
    def port(self) -> int:
        return self.client.base_url.port or 0

    def wait(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + TIMEOUT
        while not done():
            assert time.monotonic() < end, "it takes too long"
            time.sleep(0.02)

    def paint(self, frame: int, ids: np.ndarray) -> Any:
        revision = self.client.get(f"{self.clip}/masks/{frame}").headers["etag"]
        body = ids.astype("<u2").tobytes()
        return self.client.put(f"{self.clip}/masks/{frame}", content=body, headers={"If-Match": revision})

    def masks(self) -> list[bytes]:
        return [self.client.get(f"{self.clip}/masks/{frame}").content for frame in range(FRAMES)]

    def end(self, number: signal.Signals) -> int:
        self.client.close()
        self.process.send_signal(number)
        assert self.process.stderr is not None
        self.lines += self.process.stderr.readlines()
        return self.process.wait(TIMEOUT)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip", FRAMES)


@pytest.fixture
def servers(clip: Path, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def start(clip: Path = clip, **options: Any) -> Server:
        started.append(Server(clip, tmp_path / "out", **options))
        return started[-1]

    yield start
    for server in started:
        server.process.kill()
        server.process.wait(TIMEOUT)


def test_a_second_clip_of_the_command_line_is_the_first_of_the_page(
    servers: Callable[..., Server], tmp_path: Path
) -> None:
    servers().end(signal.SIGINT)
    server = servers(write_clip(tmp_path / "another", FRAMES))
    project = server.client.get("/api/project").json()
    assert [clip["name"] for clip in project["clips"]] == ["clip", "another"]
    assert project["first"] == project["clips"][1]["id"]


@pytest.mark.thorough
def test_a_kill_during_a_propagation_loses_no_answered_frame(servers: Callable[..., Server]) -> None:
    server = servers()
    assert server.paint(0, mask_of(1, 7)).status_code == 204
    assert server.client.post(
        f"{server.clip}/jobs", json={"kind": "propagate", "first": 0, "last": FRAMES - 1}
    ).is_success
    server.wait(lambda: server.client.get(f"{server.clip}/masks/5").status_code == 200)
    answer = server.paint(15, mask_of(3))  # while it runs
    assert answer.status_code == 204
    before = server.masks()
    server.end(signal.SIGKILL)
    server = servers(port=server.port)  # the open page's token and address hold
    after = server.masks()
    assert all(new == old for new, old in zip(after, before, strict=True) if old)
    assert server.client.get(f"{server.clip}/masks/15").headers["etag"] == answer.headers["etag"]
    state = server.client.get(server.clip).json()
    assert state["job"] is None
    assert state["given"] == [0, 15]
    while server.client.get(server.clip).json()["undo"] is not None:
        assert server.client.post(f"{server.clip}/undo").is_success
    assert server.client.get(server.clip).json()["masked"] == []
    while server.client.get(server.clip).json()["redo"] is not None:
        assert server.client.post(f"{server.clip}/redo").is_success
    assert server.masks() == after


def test_kills_at_any_moment_leave_complete_masks_and_a_usable_journal(servers: Callable[..., Server]) -> None:
    rng = np.random.default_rng(0)
    server = servers(seconds=0.0)
    for _ in range(3):
        saved: dict[int, bytes] = {}
        end = time.monotonic() + rng.uniform(0.05, 0.3)
        while time.monotonic() < end:
            frame = int(rng.integers(FRAMES))
            ids = rng.integers(0, 300, (H, W)).astype("<u2")
            if server.paint(frame, ids).status_code == 204:
                saved[frame] = ids.tobytes()
        server.process.kill()
        server.end(signal.SIGKILL)
        server = servers(port=server.port, seconds=0.0)
        for frame, ids in saved.items():
            assert server.client.get(f"{server.clip}/masks/{frame}").content == ids
    assert server.client.post(f"{server.clip}/undo").is_success


def test_a_job_continues_without_a_page_and_every_new_page_sees_it(servers: Callable[..., Server]) -> None:
    server = servers(seconds=0.03)
    server.paint(0, mask_of(1))
    with server.client.stream("GET", "/api/events") as first:
        assert next(first.iter_lines()) == "event: connected"
        job = server.client.post(
            f"{server.clip}/jobs", json={"kind": "propagate", "first": 0, "last": FRAMES - 1}
        ).json()["id"]
    with server.client.stream("GET", "/api/events") as second:  # the first page was closed
        states, revisions = [], {}
        for line in second.iter_lines():
            if line.startswith("data: "):
                values = json.loads(line.removeprefix("data: "))
                revisions |= values.get("revisions", {})
                if values.get("kind") == "propagate":
                    states.append(values)
                    if values["state"] != "running":
                        break
    assert states[0]["id"] == job
    assert states[-1]["state"] == "done"
    assert any(state["fps"] and state["left_s"] is not None for state in states)
    assert server.client.get(server.clip).json()["masked"] == [[0, FRAMES - 1]]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly_with_pages_open_and_a_job_running(servers: Callable[..., Server], number: int) -> None:
    server = servers()
    server.paint(0, mask_of(1))
    server.client.post(f"{server.clip}/jobs", json={"kind": "propagate", "first": 0, "last": FRAMES - 1})
    with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT) as page:
        token = server.client.headers["Authorization"]
        page.sendall(f"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {token}\r\n\r\n".encode())
        assert b"200 OK" in page.recv(100)
        server.end(signal.Signals(number))
    text = "".join(server.lines)
    assert "ASGI" not in text
    assert "Traceback" not in text


def test_foreign_names_missing_tokens_and_slow_clients_of_a_real_server(servers: Callable[..., Server]) -> None:
    server = servers()
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Authorization": "token no"}):
        assert server.client.get("/api/project", headers=headers).status_code == 403
    for path in ("/..%2f..%2fsetup.py", "/static/../../session.py", "/%2e%2e/%2e%2e/session.py", "/session.py"):
        assert server.client.get(path).status_code == 404
    head = f"PUT {server.clip}/masks/0 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {2**40}\r\n"
    token = server.client.headers["Authorization"]
    with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT) as connection:
        connection.sendall(f"{head}Authorization: {token}\r\n\r\n".encode())
        assert b"413" in connection.recv(100)
    slow = [socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT) for _ in range(60)]
    for connection in slow:
        connection.sendall(
            f"PUT {server.clip}/masks/0 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {token}\r\n".encode()
        )
        connection.sendall(b"If-Match: 0\r\nContent-Length: 1000\r\n\r\nx")
    assert server.paint(0, mask_of(1)).status_code == 204
    for connection in slow:
        connection.close()
    assert server.client.get(f"{server.clip}/masks/0").content == mask_of(1).tobytes()


def test_a_port_in_use_is_reported_before_anything_is_read(
    servers: Callable[..., Server], clip: Path, tmp_path: Path
) -> None:
    server = servers()
    with pytest.raises(AssertionError, match=f"--port {server.port} is in use"):
        Server(clip, tmp_path / "other", port=server.port)
    assert not (tmp_path / "other").exists()
