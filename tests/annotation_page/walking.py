"""A server of small clips for walks, a page with hands and eyes, and masks as they should be."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from PIL import Image

TIMEOUT = 60.0  # seconds until a wait fails: a busy machine is no fault of the page
Point = tuple[float, float]


def write_clip(folder: Path, frames: int, size: tuple[int, int], squares: int = 2) -> Path:
    """Write JPEG frames: a still pattern with bright squares that move by two pixels a frame."""
    folder.mkdir(parents=True)
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    ground = np.stack([rows * 120 // height, columns * 120 // width, (rows ^ columns) % 64], -1).astype(np.uint8)
    side = height // 4
    for number in range(frames):
        image = ground.copy()
        for i in range(squares):
            x = (width // 8 + 2 * number + i * width // 2) % (width - side)
            image[height // 3 : height // 3 + side, x : x + side] = (230, 60 + 120 * i, 40)
        Image.fromarray(image).save(folder / f"{number:05d}.jpg", quality=90)
    return folder


class Shifter:
    """A stand-in for a network: objects move by two pixels a frame, as the squares of ``write_clip`` do.

    It becomes less sure with each frame, and is least sure of the last object. A frame takes ``seconds``.
    """

    def __init__(self, seconds: float = 0.02) -> None:
        self.seconds = seconds
        self.reset()

    def reset(self) -> None:
        self.ids = np.zeros((1, 1), np.uint16)
        self.quality: dict[int, Any] = {}
        self.steps = 0

    def step(self, image: np.ndarray, mask: np.ndarray | None = None, complete: bool = False) -> np.ndarray:
        time.sleep(self.seconds)
        if mask is None:
            self.ids = shifted(self.ids, 1)
        else:
            self.ids, self.steps = mask.copy(), 0
        self.steps += 1
        for number in filter(None, np.unique(self.ids)):
            sure = max(0.1, 1 - 0.01 * self.steps - 0.1 * int(number))
            self.quality[int(number)] = SimpleNamespace(area=0.1, confidence=sure, margin=sure, present=True)
        return self.ids


def shifted(ids: np.ndarray, frames: int) -> np.ndarray:
    """Return a mask as the stand-in leaves it after some frames."""
    moved = np.zeros_like(ids)
    moved[:, 2 * frames :] = ids[:, : ids.shape[1] - 2 * frames]
    return moved


def wait_until(found: Callable[[], Any], what: str) -> Any:
    """Return the first true result."""
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        if result := found():
            return result
        time.sleep(0.02)
    raise AssertionError(f"not within {TIMEOUT} s: {what}")


class Server:
    """A server in a thread of this process."""

    def __init__(self, results: Path, *clips: Path, port: int = 0, build: Callable[[], Any] = Shifter, **access: Any):
        from voskit.evaluators.annotation.project import STATE
        from voskit.evaluators.annotation.security import Access, stored_token
        from voskit.evaluators.annotation.server import bind, build_app
        from voskit.evaluators.annotation.workspace import Workspace

        root = access.pop("root", None)
        self.results = results
        self.listener = bind("127.0.0.1", port)
        self.port = self.listener.getsockname()[1]
        self.workspace = Workspace(results, "stand-in", build, root=root)
        for clip in clips:
            self.workspace.project.add(clip)
        self.token = stored_token(results / STATE)
        cookie = f"voskit-{self.port}"
        self.app = build_app(self.workspace, Access(token=self.token, cookie=cookie, **access))

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/?token={self.token}"

    def __enter__(self) -> Server:
        import uvicorn

        config = uvicorn.Config(self.app, log_level="warning", timeout_graceful_shutdown=1)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]}, daemon=True)
        self.thread.start()
        wait_until(lambda: self.server.started, "the server starts")
        return self

    def __exit__(self, *_: object) -> None:
        self.workspace.hub.close()
        self.server.should_exit = True
        self.thread.join(TIMEOUT)
        self.workspace.close()

    def call(self, path: str, method: str = "GET", body: Any = None) -> Any:
        """Send a request with the token; return its JSON."""
        return call(self.port, self.token, path, method, body)

    def empty(self) -> None:
        """Remove all masks and objects of all clips, and what the page remembered."""
        for summary in self.call("project")["clips"]:
            if summary["state"] == "failed":
                self.call(f"clips/{summary['id']}", "DELETE")
                continue
            clip = wait_until(lambda c=summary: self._ready(c["id"]), "the clip is read")
            for job in [clip["job"]] if clip["job"] else []:
                with contextlib.suppress(urllib.error.HTTPError):
                    self.call(f"jobs/{job['id']}", "DELETE")
                wait_until(lambda c=summary: not self.call(f"clips/{c['id']}")["job"], "the job stops")
            for thing in self.call(f"clips/{summary['id']}")["objects"]:
                self.call(f"clips/{summary['id']}/objects/{thing['id']}", "DELETE")
            self.call(f"clips/{summary['id']}/view", "PUT", {})

    def _ready(self, clip: str) -> Any:
        answer = self.call(f"clips/{clip}")
        return answer if answer.get("state", "ready") == "ready" else None


class Program:
    """A server in a process of its own, which can be killed."""

    def __init__(self, results: Path, clip: Path) -> None:
        self.results, self.clip = results, clip
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.token = ""
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> Program:
        """Start it, or start it again at the same port."""
        command = [sys.executable, str(Path(__file__)), str(self.results), str(self.clip), str(self.port)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout is not None
        self.token = self.process.stdout.readline().strip()
        assert self.token, "the program ended"
        return self

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/?token={self.token}"

    def kill(self) -> None:
        """End it by SIGKILL."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
        self.process = None

    def call(self, path: str, method: str = "GET", body: Any = None) -> Any:
        """Send a request with the token; return its JSON."""
        return call(self.port, self.token, path, method, body)


def call(port: int, token: str, path: str, method: str, body: Any) -> Any:
    """Send a JSON request to a server; return its JSON, or None if it has none."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"token {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        text = answer.read()
    return json.loads(text) if text else None


class Walk:
    """A browser window with the page."""

    WINDOW: ClassVar[dict[str, Any]] = {"viewport": {"width": 1100, "height": 720}, "reduced_motion": "reduce"}

    def __init__(
        self,
        browser: Any,
        server: Server | Program,
        *,
        clip: bool = True,
        context: Any = None,
        **options: Any,
    ) -> None:
        self.server = server
        self.errors: list[str] = []
        self.own_context = context is None
        self.context = context or browser.new_context(**{**self.WINDOW, **options})
        self.page = self.context.new_page()
        self.page.set_default_timeout(1000 * TIMEOUT)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(server.address)
        if clip:
            self.wait("voskit.store.clip !== null && voskit.stage.ids !== null")

    def close(self) -> None:
        if self.own_context:
            self.context.close()

    # eyes ------------------------------------------------------------------------------------------------------------

    def get(self, expression: str) -> Any:
        """Evaluate JavaScript in the page."""
        return self.page.evaluate(expression)

    def wait(self, expression: str) -> None:
        """Wait until an expression is true."""
        self.page.wait_for_function(f"() => {expression}", timeout=1000 * TIMEOUT)

    @property
    def frame(self) -> int:
        return self.get("voskit.store.frame")

    @property
    def clip_id(self) -> str:
        return self.get("voskit.store.clip.id")

    @property
    def folder(self) -> Path:
        """Folder of the clip's results."""
        return self.server.results / self.get("voskit.store.clip.name")

    def text(self, selector: str) -> str:
        return self.page.inner_text(selector)

    def shown_ids(self) -> np.ndarray:
        """Ids that the page holds for the shown frame."""
        height, width = self.get("[voskit.stage.height, voskit.stage.width]")
        # as a text, since Playwright checks each element of a list
        text = self.get(
            """btoa(Array.from(new Uint8Array(Uint16Array.from(voskit.stage.ids).buffer),
            (byte) => String.fromCharCode(byte)).join(""))"""
        )
        return np.frombuffer(base64.b64decode(text), "<u2").reshape(height, width)

    def file_ids(self, frame: int, part: str = "masks") -> np.ndarray | None:
        """Ids in the file of a frame's mask; None: there is no file."""
        path = self.folder / part / f"{frame:05d}.png"
        return np.array(Image.open(path)) if path.exists() else None

    def files(self) -> dict[str, bytes]:
        """Content of all masks."""
        return {str(p.relative_to(self.folder)): p.read_bytes() for p in sorted(self.folder.glob("*/*.png"))}

    def saved(self) -> None:
        """Wait until everything is saved."""
        self.wait("!voskit.session.editor.unsaved && voskit.session.saver.clean")

    def overlay_pixel(self, x: float, y: float) -> list[int]:
        """RGBA of the overlay at a position of the image."""
        self.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return self.get(
            f"""(() => {{ const [x, y] = voskit.stage.toScreen([{x}, {y}]).map(Math.floor);
            return Array.from(voskit.stage.overlay.getImageData(x, y, 1, 1).data); }})()"""
        )

    # hands -----------------------------------------------------------------------------------------------------------

    def screen(self, point: Point) -> Point:
        """Whole CSS pixel nearest to a position of the image."""
        x, y = self.get(
            f"""(() => {{ const s = voskit.stage, b = s.root.getBoundingClientRect();
            const [x, y] = s.toScreen([{point[0]}, {point[1]}]);
            return [b.left + x / s.ratio, b.top + y / s.ratio]; }})()"""
        )
        return round(x), round(y)

    def image(self, x: float, y: float) -> Point:
        """Position in the image of a CSS pixel."""
        view = self.get(
            """(() => { const s = voskit.stage, b = s.root.getBoundingClientRect();
            return [b.left, b.top, s.ratio, s.view.x, s.view.y, s.view.scale]; })()"""
        )
        left, top, ratio, view_x, view_y, scale = view
        return ((x - left) * ratio - view_x) / scale, ((y - top) * ratio - view_y) / scale

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def choose(self, tool: str, brush: int | None = None) -> None:
        """Choose a tool, and the brush's diameter."""
        self.page.click(f'[data-tool="{tool}"]')
        if brush is not None:
            self.get(f"voskit.toolbox.resize({brush})")

    def stroke(self, points: Iterable[Point], button: str = "left") -> list[Point]:
        """Draw through positions of the image; return the positions that whole CSS pixels gave."""
        places = [self.screen(point) for point in points]
        mouse = self.page.mouse
        mouse.move(*places[0])
        mouse.down(button=button)
        for place in places[1:]:
            mouse.move(*place)
        mouse.up(button=button)
        return [self.image(*place) for place in places]

    def paint_two_objects(self) -> None:
        """Paint object 1 and object 2 in the shown frame."""
        self.choose("brush", 40)
        self.stroke([(60, 80), (90, 80)])
        self.press("n")
        self.wait("voskit.store.object === 2")
        self.stroke([(220, 80), (250, 80)])
        self.saved()

    def click(self, point: Point, button: str = "left") -> Point:
        return self.stroke([point], button)[0]

    def go(self, frame: int) -> None:
        """Go to a frame and wait until it is shown."""
        self.get(f"void voskit.session.visit({frame})")
        self.wait(f"voskit.store.frame === {frame} && voskit.editorFrame() === {frame}")

    def hold(self, key: str, count: int, seconds: float) -> None:
        """Press a key as a held one repeats."""
        for _ in range(count):
            self.page.keyboard.down(key)
            self.page.wait_for_timeout(1000 * seconds)
        self.page.keyboard.up(key)


def swept(size: tuple[int, int], points: list[Point], diameter: float) -> tuple[np.ndarray, np.ndarray]:
    """Pixels within a brush's stroke, and pixels so near to its edge that rounding decides."""
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    nearest = np.full(size, np.inf)
    for (ax, ay), (bx, by) in zip(points, points[1:] or points, strict=False):
        length = (bx - ax) ** 2 + (by - ay) ** 2
        along = ((columns - ax) * (bx - ax) + (rows - ay) * (by - ay)) / length if length else np.zeros(size)
        along = along.clip(0, 1)
        distance = np.hypot(columns - ax - along * (bx - ax), rows - ay - along * (by - ay))
        nearest = np.minimum(nearest, distance)
    return nearest <= diameter / 2, np.abs(nearest - diameter / 2) < 1e-6


def inside(size: tuple[int, int], points: list[Point]) -> np.ndarray:
    """Pixels whose centers lie in a polygon."""
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    found = np.zeros(size, bool)
    for (ax, ay), (bx, by) in zip(points, [*points[1:], points[0]], strict=True):
        if ay == by:
            continue
        crosses = (ay <= rows) != (by <= rows)
        found ^= crosses & (columns >= ax + (rows - ay) * (bx - ax) / (by - ay))
    return found


def main() -> None:
    """Serve until the process is killed; the token is the first line of the output."""
    results, clip, port = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    with Server(results, clip, port=port) as server:
        print(server.token, flush=True)
        server.thread.join()


if __name__ == "__main__":
    main()
