"""Quick keys, several requests at once, answers for a clip that isn't shown any more."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from holding import Hold
from PIL import Image
from walking import Server, Walk, wait_until, write_clip

pytestmark = pytest.mark.thorough


def test_p_twice_propagates_once(walk: Walk, server: Server, held) -> None:
    walk.choose("brush", 40)
    walk.stroke([(60, 80), (90, 80)])
    walk.saved()
    walk.press("p", "p", "p")
    walk.page.wait_for_timeout(1000)
    jobs = [job.state for job in server.workspace.jobs if job.active]
    messages = walk.text("#messages")
    for job in server.workspace.jobs:
        job.stop.set()
    held.set()
    wait_until(lambda: not any(job.active for job in server.workspace.jobs), "jobs end")
    assert len(jobs) == 1, (jobs, messages)


def test_escape_just_after_p_stops_it(walk: Walk, server: Server, held) -> None:
    walk.choose("brush", 40)
    walk.stroke([(60, 80), (90, 80)])
    walk.saved()
    walk.press("p", "Escape")
    walk.page.wait_for_timeout(500)
    held.set()
    wait_until(lambda: not any(job.active for job in server.workspace.jobs), "the job ends")
    assert [job.state for job in server.workspace.jobs][-1] == "stopped"


def test_actions_without_a_connection_are_not_repeated_later(walk: Walk, server: Server) -> None:
    walk.choose("brush", 40)
    walk.stroke([(60, 80), (90, 80)])
    walk.saved()
    walk.context.set_offline(True)
    walk.stroke([(60, 120), (90, 120)])
    walk.wait("document.querySelector('.banner') !== null")
    walk.press("p")
    walk.page.wait_for_timeout(300)
    walk.press("p")
    walk.page.wait_for_timeout(300)
    said = walk.text("#messages")
    before = len(list(server.workspace.jobs))
    walk.context.set_offline(False)
    walk.saved()
    walk.page.wait_for_timeout(3500)
    started = len(list(server.workspace.jobs)) - before
    wait_until(lambda: not any(job.active for job in server.workspace.jobs), "jobs end")
    assert started <= 1, (started, said)


def test_the_banner_disappears_when_the_connection_is_back(walk: Walk) -> None:
    """The request by which the page asks why no events come fails after the events came back."""
    held = []
    walk.page.route("**/api/project", lambda route: held.append(route) if not held else route.continue_())
    walk.get("void voskit.session.lost()")
    wait_until(lambda: walk.page.wait_for_timeout(20) or held, "the request")
    walk.get("voskit.session.connected(true)")
    walk.page.wait_for_timeout(500)
    held[0].abort("connectionfailed")
    walk.page.wait_for_timeout(2000)
    assert walk.text("#banner") == ""


def test_the_banner_disappears_after_a_refused_save(walk: Walk, server: Server) -> None:
    ids = np.zeros((192, 320), np.uint16)
    ids[50:90, 50:90] = 1
    walk.context.set_offline(True)
    walk.stroke([(60, 80), (90, 80)])
    walk.wait("document.querySelector('.banner') !== null")
    server.workspace.project.clips[0].opened.annotation.give(0, ids)
    walk.context.set_offline(False)
    walk.wait("document.querySelector('.conflict') !== null")
    walk.page.wait_for_timeout(3000)
    assert "No connection" not in walk.text("#banner")


def test_correct_next_answered_after_another_clip_was_opened(tmp_path: Path, open_page) -> None:
    clips = [write_clip(tmp_path / name, frames=20, size=(96, 160)) for name in ("first", "second")]
    with Server(tmp_path / "out", *clips) as server:
        walk = open_page(server)
        walk.choose("brush", 20)
        walk.stroke([(40, 40), (80, 40)])
        walk.press("p")
        walk.wait("voskit.store.clip.masked[0]?.[1] === 19 && voskit.store.running === undefined")
        walk.wait("voskit.store.quality?.next != null")
        walk.go(0)
        walk.page.wait_for_timeout(4000)
        hold = Hold(walk, "**/api/clips/*/quality", count=1)
        walk.press("c")
        hold.wait()
        other = walk.get("voskit.store.project.clips.find((c) => c.name === 'second').id")
        walk.get(f"void voskit.session.open('{other}')")
        walk.wait("voskit.store.clip?.name === 'second' && !voskit.session.navigator.busy")
        walk.page.wait_for_timeout(1500)
        hold.release()
        walk.page.wait_for_timeout(800)
        result = walk.frame, walk.get("Object.keys(voskit.store.quality?.objects ?? {})"), walk.text("#messages")
        walk.close()
        assert result[0] == 0 and result[1] == [], result


def test_undo_answered_after_another_clip_was_opened(tmp_path: Path, open_page) -> None:
    clips = [write_clip(tmp_path / name, frames=20, size=(96, 160)) for name in ("first", "second")]
    with Server(tmp_path / "out", *clips) as server:
        walk = open_page(server)
        walk.go(7)
        walk.stroke([(40, 40), (80, 40)])
        walk.saved()
        hold = Hold(walk, "**/api/clips/*/undo", count=1)
        walk.press("Control+z")
        hold.wait()
        other = walk.get("voskit.store.project.clips.find((c) => c.name === 'second').id")
        walk.get(f"void voskit.session.open('{other}')")
        walk.wait("voskit.store.clip?.name === 'second' && !voskit.session.navigator.busy")
        hold.release()
        walk.page.wait_for_timeout(800)
        frame = walk.frame
        walk.close()
        assert frame == 0


@pytest.fixture
def two_clips(tmp_path: Path, open_page) -> Iterator[tuple[Walk, Server, list[str]]]:
    """The page of two open clips, with a stroke in frame 5 of both, and their ids; it shows the first."""
    clips = [write_clip(tmp_path / name, frames=20, size=(96, 160)) for name in ("first", "second")]
    with Server(tmp_path / "out", *clips) as server:
        walk = open_page(server)
        ids = [clip["id"] for clip in server.call("project")["clips"]]
        for one in (ids[1], ids[0]):
            walk.get(f"voskit.session.open('{one}')")
            walk.wait(f"voskit.store.clip.id === '{one}'")
            walk.go(5)
            walk.stroke([(40, 40), (80, 40)])
            walk.saved()
        yield walk, server, ids
        walk.close()


def answer_after_the_other_clip_is_opened(walk: Walk, hold: Hold, other: str) -> None:
    hold.wait()
    walk.get(f"void voskit.session.open('{other}')")
    walk.wait(f"voskit.store.clip.id === '{other}' && !voskit.session.navigator.busy")
    hold.release()
    walk.page.wait_for_timeout(1000)


def test_the_second_of_two_undos_stays_in_its_clip(two_clips) -> None:
    walk, server, (first, second) = two_clips
    walk.stroke([(40, 70), (80, 70)])
    walk.saved()
    hold = Hold(walk, "**/undo", count=1)
    walk.press("Control+z", "Control+z")
    answer_after_the_other_clip_is_opened(walk, hold, second)
    assert [server.call(f"clips/{clip}")["given"] for clip in (first, second)] == [[], [5]]


def test_a_new_object_stays_in_its_clip(two_clips) -> None:
    walk, server, (first, second) = two_clips
    hold = Hold(walk, f"**/api/clips/{first}", method="GET", count=1)
    walk.press("n")
    answer_after_the_other_clip_is_opened(walk, hold, second)
    assert [len(server.call(f"clips/{clip}")["objects"]) for clip in (first, second)] == [2, 1]


def test_a_propagation_both_ways_does_not_continue_in_another_clip(two_clips) -> None:
    walk, server, (first, second) = two_clips
    hold = Hold(walk, "**/jobs", method="POST", count=1)
    walk.press("a")
    answer_after_the_other_clip_is_opened(walk, hold, second)
    wait_until(lambda: not any(job.active for job in server.workspace.jobs), "jobs end")
    assert [job.clip for job in server.workspace.jobs] == [first]


def test_a_stroke_after_several_undos_is_complete_and_stays(walk: Walk) -> None:
    for frame in (3, 11):
        walk.go(frame)
        walk.stroke([(60, 60), (200, 60)])
    walk.saved()
    hold = Hold(walk, "**/undo", count=1)
    walk.press("Control+z", "Control+z")
    hold.wait()
    walk.go(30)
    mouse = walk.page.mouse
    mouse.move(*walk.screen((60, 100)))
    mouse.down()
    mouse.move(*walk.screen((120, 100)), steps=5)
    hold.release()
    walk.page.wait_for_timeout(500)
    mouse.move(*walk.screen((200, 100)), steps=5)
    mouse.up()
    walk.wait("voskit.store.clip.given.length === 1")
    walk.saved()
    assert walk.file_ids(30)[100, 60:200].all() and walk.get("voskit.store.clip.undo") == "paint, frame 30"


def test_import_of_several_masks(walk: Walk, tmp_path: Path) -> None:
    ids = np.zeros((192, 320), np.uint8)
    ids[10:40, 20:60] = 3
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in ("00003", "00005"):
            Image.fromarray(ids).save(tmp_path / f"{name}.png")
            archive.write(tmp_path / f"{name}.png", f"{name}.png")
    (tmp_path / "masks.zip").write_bytes(data.getvalue())
    for files in ([tmp_path / "masks.zip"], [tmp_path / "00003.png", tmp_path / "00005.png"]):
        walk.page.click('button:has-text("Import")')
        walk.page.set_input_files("dialog input[type=file]", files)
        walk.page.wait_for_timeout(1500)
        if walk.page.is_visible("dialog"):
            note = walk.text("dialog .note")
            walk.press("Escape")
            raise AssertionError(note)
        assert walk.get("voskit.store.clip.given") == [3, 5]
        walk.press("Control+z")
        walk.wait("voskit.store.clip.given.length === 0")


@pytest.mark.parametrize("form", ["png", "coco"])
def test_an_export_can_be_imported(walk: Walk, server: Server, tmp_path: Path, form: str) -> None:
    for frame in (3, 5):
        walk.go(frame)
        walk.stroke([(60, 40), (200, 40)])
    walk.saved()
    walk.go(0)
    walk.press("Control+e")
    for box in walk.page.locator(".format input").all():
        box.set_checked(box.input_value() == form)
    with walk.page.expect_download() as download:
        walk.page.click("dialog .primary")
    download.value.save_as(tmp_path / "export.zip")
    for frame in (3, 5):
        walk.go(frame)
        walk.press("Delete")
    walk.wait("!voskit.store.clip.given.includes(3) && !voskit.store.clip.given.includes(5)")
    walk.saved()
    walk.go(0)
    walk.page.click('button:has-text("Import")')
    walk.page.set_input_files("dialog input[type=file]", tmp_path / "export.zip")
    walk.page.wait_for_timeout(2000)
    note = ""
    if walk.page.is_visible("dialog"):
        note = walk.text("dialog .note")
        walk.press("Escape")
    assert walk.get("voskit.store.clip.given.filter((f) => f === 3 || f === 5)") == [3, 5], (
        note,
        walk.get("voskit.store.clip.given"),
    )
