"""Time to annotate a video in the browser: a simulated user traces objects, propagates them and corrects frames.

    python benchmarks/annotation.py --data_root D --videos dog --screenshots shots

``voskit annotate`` serves the page to Chromium. The user works with mouse and keyboard only:

1. In the first frame, the largest ``--objects`` are traced with the lasso along the outlines of their true masks.
   Holes are cut out with the right button. ``N`` adds the next object. ``S`` hides the other objects, so that the lasso
   doesn't take their pixels.
2. ``P`` propagates to the end.
3. ``C`` goes to the frame around which the network is least sure. Objects whose J is below ``--target`` there are
   erased with a right-button loop and traced again, and ``A`` propagates both ways. If there are none, ``K`` keeps the
   mask. This is repeated until the mean J of all frames and objects reaches the target.

Machine seconds are measured, from a key press to the end of the work that it starts. User seconds are modeled:
``--action`` for each key, click and drag, plus the length of the drags divided by ``--speed``. The simulated user knows
the true masks, follows them to about a pixel and never looks around, so people take longer. ``minutes`` is the sum of
both; ``by hand`` is the modeled time for tracing all objects in all frames.
"""

from __future__ import annotations

from common import ROOT, Table, VideoArgs, region, save, true_mask  # isort: skip  (makes the project importable)

import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import tyro
from tqdm import tqdm

from voskit.dataloaders.datasets import Video
from voskit.dataloaders.masks.files import read_mask

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
START_S = 120.0
"""Time limit for starting the server."""
LONGEST_S = 3600.0
"""Time limit for a propagation."""
SMALLEST = 16
"""Parts and holes with fewer pixels are not traced."""
SPACING = 4.0
"""Largest distance between two mouse positions, in screen pixels."""
VIEW = """() => { const s = voskit.stage, box = s.root.getBoundingClientRect();
return [box.left + s.view.x / s.ratio, box.top + s.view.y / s.ratio, s.zoom]; }"""
"""Left and top edge of the image on the screen, and its zoom."""
ENDED = "[...voskit.store.jobs.values()].filter(job => !['running', 'waiting'].includes(job.state))"


@dataclass(frozen=True, kw_only=True)
class Args(VideoArgs):
    """Time the annotation of videos in the browser."""

    objects: int | None = 3
    """Number of objects to annotate: the largest of the first frame. None: all."""
    target: float = 0.9
    """Mean J of all frames and objects at which a video is finished; also the J below which an object is retraced."""
    most: int = 12
    """Maximum number of frames to correct in a video."""
    frames: int | None = None
    """Use the first frames only. Default: all."""
    action: float = 1.2
    """User seconds for each key, click and drag."""
    speed: float = 400.0
    """Speed of a drag in screen pixels per second."""
    window: tuple[int, int] = (1920, 1080)
    """Width and height of the browser window."""
    screenshots: Path | None = None
    """Folder for screenshots of the page: after the first frame is traced, and at the end."""


@dataclass
class Work:
    """Effort spent on annotating a clip.

    Attributes:
        strokes: number of clicks and drags.
        keys: number of key presses.
        path: length of all drags in screen pixels.
        machine: seconds from key presses to the end of the work that they started.
        corrected: numbers of the frames in which objects were traced again, in the order of correction.
        kept: numbers of the frames whose masks were kept unchanged.
        curve: mean J after each propagation.
    """

    strokes: int = 0
    keys: int = 0
    path: float = 0.0
    machine: float = 0.0
    corrected: list[int] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    curve: list[float] = field(default_factory=list)

    def drag(self, places: Sequence[tuple[int, int]]) -> None:
        """Count a drag through screen positions."""
        self.strokes += 1
        self.path += float(np.linalg.norm(np.diff(places, axis=0), axis=1).sum())

    def user_seconds(self, args: Args) -> float:
        """Return the modeled user seconds."""
        return args.action * (self.strokes + self.keys) + self.path / args.speed


def outlines(mask_HW: np.ndarray, tolerance: float = 1.0) -> list[tuple[np.ndarray, bool]]:
    """Return closed polygons around the parts of a mask and around its holes, outer ones first.

    Args:
        mask_HW: bool.
        tolerance: largest distance of a polygon from the outline, in pixels.

    Returns:
        For each polygon, N x 2 positions (x, y) in the image, with (0.5, 0.5) as the center of the first pixel, and
        True if it surrounds a hole.
    """
    fine = mask_HW.astype(np.uint8).repeat(2, 0).repeat(2, 1)  # so that outlines run between pixel centers
    contours, tree = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    found = []
    for contour, links in zip(contours, [] if tree is None else tree[0], strict=True):
        polygon = cv2.approxPolyDP(contour, 2 * tolerance, True)[:, 0]
        if cv2.contourArea(contour) >= 4 * SMALLEST and len(polygon) > 2:
            found.append((cv2.contourArea(contour), (polygon + 0.5) / 2, bool(links[3] >= 0)))
    found.sort(key=lambda one: -one[0])  # a part inside a hole comes after the hole
    return [(polygon, hole) for _, polygon, hole in found]


def mouse_path(polygon: np.ndarray) -> list[tuple[int, int]]:
    """Return integer screen positions along a closed polygon, at least 2 and about ``SPACING`` pixels apart."""
    places: list[tuple[int, int]] = []
    for begin, end in zip(polygon, np.roll(polygon, -1, 0), strict=True):
        steps = max(1, int(np.ceil(np.linalg.norm(end - begin) / SPACING)))
        for at in np.rint(np.linspace(begin, end, steps, endpoint=False)).astype(int):
            if not places or np.hypot(*(at - places[-1])) >= 2:
                places.append((int(at[0]), int(at[1])))
    return places


class Clip:
    """Frames of a video, copied to a folder, and their true masks, with ids 1, 2, ... from the largest object down.

    Args:
        video: a video of image files with a true mask for every frame.
        folder: folder for the frames and the results.
        args: sets the number of frames and of objects.

    Raises:
        ValueError: a frame has no true mask, the frames aren't image files, or the first frame has no objects.
    """

    def __init__(self, video: Video, folder: Path, args: Args) -> None:
        self.name, self.folder = video.name, folder / "clips" / video.name
        self.results = folder / "results"
        names = video.frame_names[: args.frames]
        if missing := [name for name in names if name not in video.truth_frames]:
            raise ValueError(f"video {video.name}: frame {missing[0]} has no true mask")
        if not video.files or len(names) < 2:
            raise ValueError(f"video {video.name}: the benchmark needs at least two frames, as image files")
        self.folder.mkdir(parents=True)
        for name in names:
            shutil.copy(video.files[name], self.folder)
        self.stems = [video.files[name].stem for name in names]
        masks = [true_mask(video, name) for name in names]
        ids, sizes = np.unique(masks[0][masks[0] > 0], return_counts=True)
        chosen = ids[np.argsort(-sizes, kind="stable")][: args.objects]
        if not len(chosen):
            raise ValueError(f"video {video.name}: the first frame shows no object")
        table = np.zeros(max(int(mask.max()) for mask in masks) + 1, np.uint16)
        table[chosen] = np.arange(1, len(chosen) + 1)
        self.truth = [table[mask] for mask in masks]
        self.ids = range(1, len(chosen) + 1)

    def masks(self, number: int) -> np.ndarray:
        """Read the current ids of a frame from the results, H x W."""
        path = self.results / self.name / "masks" / f"{self.stems[number]}.png"
        return read_mask(path) if path.exists() else np.zeros_like(self.truth[number])

    def accuracy(self, number: int) -> dict[int, float]:
        """Return the J of each object in a frame."""
        ids, true = self.masks(number), self.truth[number]
        return {k: region(ids == k, true == k) for k in self.ids}

    def mean_accuracy(self) -> float:
        """Return the mean J of all frames and objects."""
        return statistics.fmean(j for number in range(len(self.truth)) for j in self.accuracy(number).values())


class User:
    """Simulated user with mouse and keyboard, and a count of the actions.

    Args:
        page: the annotation page, showing the clip's first frame.
        clip: the clip.
    """

    def __init__(self, page: Page, clip: Clip) -> None:
        self.page, self.clip, self.work = page, clip, Work()
        self.alone = False

    # seeing ---------------------------------------------------------------------------------------------------------

    def see(self, expression: str) -> Any:
        """Evaluate JavaScript in the page."""
        return self.page.evaluate(expression)

    def wait(self, expression: str, seconds: float = START_S) -> None:
        """Wait until an expression is true; it is polled rarely, because that takes time from the network."""
        self.page.wait_for_function(f"() => {expression}", timeout=1000 * seconds, polling=100)

    # acting ---------------------------------------------------------------------------------------------------------

    def press(self, key: str) -> None:
        """Press a key."""
        self.page.keyboard.press(key)
        self.work.keys += 1

    def drag(self, polygon: np.ndarray, button: Any = "left") -> None:
        """Draw a lasso along image positions."""
        left, top, zoom = self.see(VIEW)
        places = mouse_path(np.array([left, top]) + zoom * polygon)
        if len(places) < 3:
            return
        mouse = self.page.mouse
        mouse.move(*places[0])
        mouse.down(button=button)
        for place in places[1:]:
            mouse.move(*place)
        mouse.up(button=button)
        self.work.drag(places)
        if len(places) < 10:  # too short for a lasso: the page may take it as polygon clicks
            self.press("Enter")

    def choose(self, object_id: int) -> None:
        """Select an object."""
        if self.see("voskit.store.object") == object_id:
            return
        if object_id < 10:
            self.press(str(object_id))
        else:
            self.page.click(f'[data-id="{object_id}"] .count')
            self.work.strokes += 1
        self.wait(f"voskit.store.object === {object_id}")

    def add(self, object_id: int) -> None:
        """Add an object, which is then selected."""
        self.press("n")
        self.wait(f"voskit.store.object === {object_id}")

    def trace(self, mask_HW: np.ndarray) -> None:
        """Trace the selected object, with the others hidden so that they keep their pixels."""
        if len(self.clip.ids) > 1:
            self.press("s")
            self.alone = True
        for polygon, hole in outlines(mask_HW):
            self.drag(polygon, "right" if hole else "left")

    def erase(self, mask_HW: np.ndarray) -> None:
        """Erase the selected object with a loop around its pixels."""
        rows, columns = np.nonzero(mask_HW)
        if len(rows):
            height, width = mask_HW.shape
            (x0, x1), (y0, y1) = [(max(at.min() - 8, 0), at.max() + 9) for at in (columns, rows)]
            x1, y1 = min(x1, width), min(y1, height)
            self.drag(np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], float), "right")

    def propagate(self, key: str, jobs: int) -> None:
        """Press a key that starts propagations, and wait for them.

        Raises:
            RuntimeError: a propagation failed.
        """
        if self.alone:
            self.press("s")
            self.alone = False
        count, begin = self.see(f"{ENDED}.length"), time.perf_counter()
        self.press(key)
        self.wait(f"{ENDED}.length >= {count + jobs} && !voskit.store.running", LONGEST_S)
        self.work.machine += time.perf_counter() - begin
        if failed := self.see(f"{ENDED}.filter(job => job.state !== 'done').map(job => job.error ?? job.state)"):
            raise RuntimeError(f"video {self.clip.name}: propagation failed: {failed[0]}")
        self.work.curve.append(self.clip.mean_accuracy())

    def correct_next(self) -> int | None:
        """Go to the frame that "Correct next" chooses, and return its number; None if there is none."""
        self.see("document.querySelectorAll('.message').forEach(old => old.classList.add('old'))")
        begin = time.perf_counter()
        self.press("c")
        text = self.page.locator(".message:not(.old)").first.inner_text(timeout=1000 * START_S)
        self.work.machine += time.perf_counter() - begin
        if (found := re.match(r"Frame (\d+):", text)) is None:
            return None
        self.wait(f"voskit.editorFrame() === {found[1]}")
        return int(found[1])

    def correct(self, number: int, bad: Sequence[int]) -> None:
        """Trace objects of the shown frame again, and propagate."""
        ids, true = self.clip.masks(number), self.clip.truth[number]
        for object_id in bad:  # erase all first, so that none covers another's true pixels
            self.choose(object_id)
            self.erase(ids == object_id)
        for object_id in bad:
            self.choose(object_id)
            self.trace(true == object_id)
        self.work.corrected.append(number)
        self.propagate("a", 1 if number in (0, len(self.clip.truth) - 1) else 2)

    def keep(self, number: int) -> None:
        """Keep the shown frame's mask as it is."""
        self.press("k")
        self.wait("voskit.session.saver.clean")
        self.work.kept.append(number)


def annotate(user: User, args: Args) -> None:
    """Annotate a clip until the target or the maximum number of corrections is reached."""
    clip, work = user.clip, user.work
    user.press("l")
    for object_id in clip.ids:
        if object_id > 1:
            user.add(object_id)
        user.trace(clip.truth[0] == object_id)
    shoot(user, args, "first")
    user.propagate("p", 1)
    while work.curve[-1] < args.target and len(work.corrected) < args.most:
        number = user.correct_next()
        if number is None:
            break
        if bad := [object_id for object_id, j in clip.accuracy(number).items() if j < args.target]:
            user.correct(number, bad)
        else:
            user.keep(number)
    shoot(user, args, "end")


def by_hand(clip: Clip, zoom: float) -> Work:
    """Return the work of tracing all objects in all frames, with a key press for each frame and each object."""
    work = Work()
    for true in clip.truth:
        work.keys += 1 + len(clip.ids)
        for object_id in clip.ids:
            for polygon, _ in outlines(true == object_id):
                work.drag(mouse_path(zoom * polygon))
    return work


def shoot(user: User, args: Args, when: str) -> None:
    """Take a screenshot of the page, if ``--screenshots`` is set."""
    if args.screenshots is not None:
        args.screenshots.mkdir(parents=True, exist_ok=True)
        user.page.screenshot(path=args.screenshots / f"{user.clip.name}_{when}.png")


@contextmanager
def served(clip: Clip, args: Args) -> Iterator[str]:
    """Serve the annotation page of a clip in a new process, and yield its URL.

    Raises:
        RuntimeError: the server didn't start.
    """
    flags = {"--output_path": clip.results, "--port": 0, "--model": args.model, "--device": args.device}
    flags |= {"--threads": args.threads, "--ckpt_path": args.ckpt_path, "--short_edge": args.short_edge}
    command = [sys.executable, "-m", "voskit", "annotate", str(clip.folder), "--no_open_browser"]
    for flag, value in flags.items():
        if value is not None:
            command += [flag, str(value.resolve() if isinstance(value, Path) else value)]
    log = clip.folder.with_suffix(".log")
    with log.open("w") as written, subprocess.Popen(command, cwd=ROOT, stdout=written, stderr=written) as process:
        try:
            end = time.monotonic() + START_S
            while (found := re.search(r"http://\S+", log.read_text())) is None:
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"video {clip.name}: the server didn't start: {log.read_text()}")
                time.sleep(0.1)
            yield found[0]
        finally:
            process.terminate()


def measure(video: Video, browser: Browser, args: Args) -> dict[str, Any]:
    """Annotate a video, and return its row of the table."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        clip = Clip(video, Path(folder), args)
        address = stack.enter_context(served(clip, args))
        width, height = args.window
        context = stack.enter_context(browser.new_context(viewport={"width": width, "height": height}))
        page = context.new_page()
        user = User(page, clip)
        page.goto(address)
        ready = "voskit.store.project?.model.state === 'ready'"
        user.wait(f"window.voskit && voskit.store.clip !== null && voskit.stage.ids !== null && {ready}")
        annotate(user, args)
        work, seconds = user.work, user.work.user_seconds(args)
        return {
            "video": video.name,
            "frames": len(clip.truth),
            "objects": len(clip.ids),
            "J traced": statistics.fmean(clip.accuracy(0).values()),
            "J at first": work.curve[0],
            "corrected": len(work.corrected),
            "kept": len(work.kept),
            "J at end": work.curve[-1],
            "strokes": work.strokes,
            "keys": work.keys,
            "user s": seconds,
            "machine s": work.machine,
            "minutes": (seconds + work.machine) / 60,
            "by hand": by_hand(clip, user.see("voskit.stage.zoom")).user_seconds(args) / 60,
            "work": asdict(work),
        }


def main(args: Args) -> None:
    """Annotate all videos."""
    from playwright.sync_api import sync_playwright

    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        raise FileNotFoundError("no Chromium is installed: apt-get install chromium-headless-shell")
    columns = {"J at first": ".3f", "corrected": "d", "kept": "d", "J at end": ".3f", "strokes": "d", "keys": "d"}
    columns |= {"user s": ".0f", "machine s": ".0f", "minutes": ".1f", "by hand": ".1f"}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        table = Table(video="", frames="d", objects="d", **columns)
        for video in tqdm(args.open_videos(), unit="video"):
            table.add(measure(video, browser, args))
        browser.close()
    save("annotation", args, rows=table.rows)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
