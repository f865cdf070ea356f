"""Clips of one frame, tiny and large ones, many objects, restarts."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from holding import Hold
from PIL import Image
from walking import Server, Walk, wait_until, write_clip

pytestmark = pytest.mark.thorough


def test_one_frame(tmp_path: Path, open_page) -> None:
    clip = write_clip(tmp_path / "one", frames=1, size=(96, 160))
    with Server(tmp_path / "out", clip) as server:
        walk = open_page(server)
        walk.choose("brush", 20)
        walk.stroke([(40, 40), (80, 40)])
        walk.saved()
        walk.press("p", "Shift+P", "a", "ArrowRight", "End", "Home", "c", "Space")
        walk.page.wait_for_timeout(500)
        walk.press("Space", ".", ",", "i", "o", "p", "x")
        walk.page.wait_for_timeout(500)
        assert walk.get("voskit.store.running === undefined") and walk.frame == 0
        box = walk.page.locator(".timeline-canvas").bounding_box()
        walk.page.mouse.move(box["x"] + 300, box["y"] + 40)
        walk.page.mouse.wheel(0, 300)
        walk.page.mouse.wheel(0, -300)
        walk.page.wait_for_timeout(200)
        for button in ("dialog .primary", 'dialog footer button:has-text("Overlay video")'):
            walk.press("Control+e")
            with walk.page.expect_download(timeout=8000):
                walk.page.click(button)
        walk.press("Control+z")
        walk.wait("voskit.store.clip.given.length === 0")
        walk.close()


def test_zooming_into_a_tiny_clip_enlarges_it(tmp_path: Path, open_page) -> None:
    clip = tmp_path / "tiny"
    clip.mkdir()
    for i in range(3):
        Image.fromarray(np.full((4, 6, 3), 40 * i, np.uint8)).save(clip / f"{i:05d}.png")
    with Server(tmp_path / "out", clip) as server:
        walk = open_page(server)
        walk.choose("brush", 1)
        walk.stroke([(1.5, 1.5), (4.5, 1.5)])
        walk.saved()
        assert np.count_nonzero(walk.file_ids(0)) == 4
        before = walk.get("voskit.stage.zoom")
        walk.press("+")
        after = walk.get("voskit.stage.zoom")
        walk.close()
        assert after >= before, (before, after)


def test_300_objects(tmp_path: Path, open_page) -> None:
    clip = write_clip(tmp_path / "many", frames=3, size=(96, 160))
    with Server(tmp_path / "out", clip) as server:
        walk = open_page(server)
        ids = np.zeros((96, 160), np.uint16)
        for i in range(300):
            ids[4 * (i // 30) : 4 * (i // 30) + 4, 5 * (i % 30) : 5 * (i % 30) + 5] = i + 1
        server.workspace.project.clips[0].opened.annotation.give(0, ids)
        walk.wait("voskit.store.clip.objects.length === 300")
        walk.wait("voskit.stage.ids.includes(300)")
        walk.get("voskit.session.selectObject(300)")
        walk.choose("brush", 10)
        walk.stroke([(40, 80), (80, 80)])
        walk.saved()
        assert walk.file_ids(0)[80, 60] == 300
        walk.press("ArrowUp")
        walk.wait("voskit.store.object === 299")
        shown = walk.get(
            """(() => { const [row, panel] = [".object.current", "#panel"].map((s) =>
            document.querySelector(s).getBoundingClientRect());
            return row.top >= panel.top && row.bottom <= Math.min(panel.bottom, innerHeight); })()"""
        )
        walk.press("p")
        walk.wait("voskit.store.clip.masked[0][1] === 2")
        assert walk.file_ids(1).max() == 300
        walk.close()
        assert shown, "the current object's row is out of sight"


def test_playback_of_large_frames_with_slow_masks(tmp_path: Path, open_page) -> None:
    clip = tmp_path / "large"
    clip.mkdir()
    for i in range(24):
        Image.fromarray(np.full((2160, 3840, 3), 8 * i, np.uint8)).save(clip / f"{i:05d}.jpg", quality=50)
    with Server(tmp_path / "out", clip) as server:
        walk = open_page(server)
        hold = Hold(walk, "**/api/clips/*/masks/*")
        walk.press("Space")
        walk.page.wait_for_timeout(5000)
        hold.release()
        walk.page.wait_for_timeout(3000)
        errors = list(walk.errors)
        walk.errors.clear()
        walk.close()
        assert not errors, errors


def test_a_frame_dropped_before_its_mask_arrived_is_shown(tmp_path: Path, open_page) -> None:
    clip = tmp_path / "large"
    clip.mkdir()
    for i in range(40):
        Image.fromarray(np.full((2160, 3840, 3), 200, np.uint8)).save(clip / f"{i:05d}.jpg", quality=50)
    with Server(tmp_path / "out", clip) as server:
        walk = open_page(server)
        hold = Hold(walk, "**/api/clips/*/masks/20")
        walk.get("void voskit.session.visit(20)")
        hold.wait()
        walk.wait("voskit.session.frames.pictures.values.has(20)")
        walk.get("voskit.session.frames.prefetch([21,22,23,24,25,26,27,28,29,30,31,32,33])")  # as playback does
        walk.wait("voskit.session.frames.pictures.coming.size === 0")
        hold.release()
        walk.wait("voskit.editorFrame() === 20")
        walk.page.wait_for_timeout(500)
        width = walk.get("voskit.stage.bitmap.width")
        errors = list(walk.errors)
        walk.errors.clear()
        walk.close()
        assert width == 3840 and not errors, errors


def test_a_polygon_is_not_lost_while_a_propagation_is_followed(walk: Walk, held) -> None:
    walk.choose("brush", 40)
    walk.stroke([(60, 80), (90, 80)])
    walk.press("p")
    walk.wait("voskit.store.frame >= 4")
    walk.choose("polygon")
    for point in ((150, 100), (190, 100), (190, 150)):
        walk.click(point)
    frame = walk.frame
    held.set()
    walk.wait("voskit.store.running === undefined")
    assert walk.get("voskit.toolbox.tool.points.length") == 3 and walk.frame == frame


def test_the_start_of_a_job_is_not_announced_after_its_end(
    walk: Walk, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request's thread is slow between reading the job's state and telling it."""
    from voskit.evaluators.annotation.jobs import Job

    walk.choose("brush", 40)
    walk.go(46)
    walk.stroke([(60, 80), (90, 80)])
    walk.saved()
    original, slowed = Job.to_json, []

    def slow(self):
        values = original(self)
        if not slowed and not threading.current_thread().name.startswith(("network", "results")):
            slowed.append(1)
            time.sleep(1)
        return values

    monkeypatch.setattr(Job, "to_json", slow)
    walk.press("p")
    wait_until(lambda: walk.file_ids(47) is not None, "propagated")
    walk.page.wait_for_timeout(2500)
    assert walk.get("voskit.store.running === undefined"), walk.text(".working")


def test_navigation_while_a_restarted_server_reads_the_clip_shows_no_error(walk: Walk) -> None:
    walk.page.route(
        "**/api/clips/*/view", lambda r: r.fulfill(status=409, json={"error": "walk is being opened: wait a moment"})
    )
    walk.go(3)
    walk.page.wait_for_timeout(900)
    assert walk.text("#messages") == ""


def test_leaving_during_an_upload_asks_for_confirmation(walk: Walk, tmp_path: Path) -> None:
    video = tmp_path / "video.mp4"
    video.write_bytes(bytes(100_000))
    Hold(walk, "**/api/clips", fetch=False, method="POST")
    walk.click((300, 180))  # a page that was used may ask
    walk.saved()
    walk.press("Control+o")
    walk.page.set_input_files("dialog .drop input", video)
    walk.page.wait_for_timeout(300)
    asked = []
    walk.page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    walk.page.close(run_before_unload=True)
    time.sleep(0.1)
    with contextlib.suppress(Exception):
        walk.page.wait_for_timeout(700)
    assert asked


def test_keys_do_not_act_on_the_clip_behind_the_start_page(walk: Walk, server: Server) -> None:
    walk.stroke([(60, 60), (120, 60)])
    walk.saved()
    walk.get("voskit.store.opening = {id: 'x', name: 'long', state: 'opening', done: 0.2}")
    walk.get("voskit.store.emit('project')")
    assert walk.page.is_visible("#welcome")
    walk.press("Delete")
    walk.page.wait_for_timeout(800)
    assert walk.file_ids(0) is not None
