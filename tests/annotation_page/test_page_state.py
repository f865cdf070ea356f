"""Curves, project, objects panel, exports, playback and fields after late answers and lost events."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from holding import Hold
from walking import TIMEOUT, Server, Walk, wait_until

pytestmark = pytest.mark.thorough


def test_curves_answered_late_do_not_replace_newer_ones(walk: Walk, server: Server, held) -> None:
    walk.choose("brush", 40)
    walk.stroke([(60, 80), (90, 80)])
    walk.saved()
    walk.page.wait_for_timeout(1500)
    walk.press("p")
    walk.wait("voskit.store.clip.masked[0]?.[1] >= 4")
    hold = Hold(walk, "**/api/clips/*/quality", count=1)
    walk.get("voskit.session.readQuality()")
    hold.wait()
    held.set()
    walk.wait("voskit.store.running === undefined && voskit.store.clip.masked[0]?.[1] === 47")
    walk.wait("voskit.store.quality?.objects['1']?.[47] != null && voskit.store.quality.next?.frame > 10")
    right = walk.get("voskit.store.quality.next")
    hold.release()
    walk.page.wait_for_timeout(1500)
    assert walk.get("voskit.store.quality.next") == right
    assert walk.get("voskit.store.quality.objects['1'].filter((v) => v !== null).length") >= 47


def test_the_project_answered_late_does_not_replace_a_newer_one(walk: Walk, server: Server) -> None:
    hold = Hold(walk, "**/api/project", count=1)
    model = server.workspace.segmenter
    before = model.state, model.error
    try:
        model._set("failed", "no such file")
        hold.wait()
        model._set("ready", None)
        walk.page.wait_for_timeout(800)
        assert walk.get("voskit.store.project.model.state") == "ready"
        hold.release()
        walk.page.wait_for_timeout(800)
        state, banner = walk.get("voskit.store.project.model.state"), walk.text("#banner")
    finally:
        model._set(*before)
        walk.page.wait_for_timeout(200)
    assert state == "ready", banner


def test_a_change_of_the_project_while_the_page_connects_is_seen(walk: Walk, server: Server) -> None:
    formats = server.workspace._formats
    assert formats
    server.workspace._formats = []  # as in the first second after a start
    hold = Hold(walk, "**/api/events", fetch=False, count=1)
    walk.page.reload(wait_until="commit")
    hold.wait()
    walk.wait("voskit?.store?.project != null")
    server.workspace._formats = formats
    server.workspace._project_changed()
    hold.release()
    walk.wait("voskit.store.clip !== null && voskit.stage.ids !== null")
    walk.page.wait_for_timeout(1000)
    assert walk.get("voskit.store.project.formats.export.length") > 0  # else nothing can be exported


def test_a_page_whose_first_request_fails_recovers(walk: Walk) -> None:
    walk.page.route("**/api/clips/*", lambda route: route.abort(), times=1)
    walk.page.reload()
    walk.page.wait_for_timeout(4000)
    assert walk.get("voskit.store.clip !== null")


def test_an_export_that_ends_while_the_page_is_disconnected_is_downloaded(
    walk: Walk, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from voskit.evaluators.annotation import workspace

    resume, original = threading.Event(), workspace.zip_folder

    def slow(*args):
        resume.wait(TIMEOUT)
        return original(*args)

    monkeypatch.setattr(workspace, "zip_folder", slow)
    walk.stroke([(60, 80), (90, 80)])
    walk.saved()
    walk.press("Control+e")
    walk.page.click("dialog .primary")
    walk.wait("voskit.store.running?.kind === 'export'")
    downloads = []
    walk.page.on("download", lambda one: downloads.append(one))
    hold = Hold(walk, "**/api/events", fetch=False, count=1)
    walk.page.reload(wait_until="commit")  # any loss of the event stream does, such as a proxy's time-out
    hold.wait()
    resume.set()
    wait_until(lambda: not server.call(f"clips/{server.call('project')['clips'][0]['id']}")["job"], "the export ends")
    hold.release()
    walk.wait("voskit?.store?.clip != null && voskit.stage.ids !== null")
    walk.page.wait_for_timeout(2500)
    assert downloads


def test_painting_while_the_overlay_video_is_written(
    walk: Walk, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from voskit.evaluators.clips import previews

    resume, began, original = threading.Event(), threading.Event(), previews.ClipPreviews.write

    def slow(self, frame, ids):
        if frame.index == 40:
            began.set()
            resume.wait(TIMEOUT)
        return original(self, frame, ids)

    monkeypatch.setattr(previews.ClipPreviews, "write", slow)
    walk.stroke([(60, 80), (90, 80)])
    walk.saved()
    downloads = []
    walk.page.on("download", lambda one: downloads.append(one))
    walk.press("Control+e")
    walk.page.click('dialog footer button:has-text("Overlay video")')
    walk.wait("voskit.store.running?.kind === 'overlay'")
    began.wait(TIMEOUT)
    walk.stroke([(60, 120), (90, 120)])
    walk.saved()
    resume.set()
    walk.wait("voskit.store.running === undefined")
    walk.page.wait_for_timeout(1000)
    job = walk.get("[...voskit.store.jobs.values()].at(-1)")
    assert job["state"] == "done" and downloads and Path(downloads[0].path()).stat().st_size > 1000, (
        job,
        walk.text("#messages"),
    )


@pytest.mark.parametrize("button", ["First frame", "Previous frame"])
def test_frame_buttons_work_during_playback(walk: Walk, button: str) -> None:
    walk.go(10)
    walk.press("Space")
    walk.wait("voskit.store.frame >= 13")
    walk.page.click(f'#transport [aria-label="{button}"]')
    walk.page.wait_for_timeout(100)
    first = walk.frame
    walk.page.wait_for_timeout(300)
    assert walk.frame == first, (first, walk.frame, walk.get("voskit.store.playing"))


def test_correct_next_stays_at_its_frame_during_playback(walk: Walk) -> None:
    walk.paint_two_objects()
    walk.press("p")
    walk.wait("voskit.store.frame === 47 && voskit.store.running === undefined")
    walk.wait("voskit.store.quality?.next != null")
    walk.go(2)
    walk.press("Space")
    walk.wait("voskit.store.frame >= 4")
    walk.press("c")
    walk.wait("document.querySelector('#messages').innerText.includes('confidence')")
    wanted = walk.get("voskit.store.quality.next.frame")
    walk.page.wait_for_timeout(600)
    assert walk.frame == wanted


def test_keys_work_after_the_speed_was_chosen(walk: Walk) -> None:
    walk.page.locator("select.speed").focus()
    walk.page.select_option("select.speed", "2")
    walk.press("ArrowRight")
    walk.page.wait_for_timeout(500)
    assert walk.frame == 1 and walk.get("document.querySelector('select.speed').value") == "2"


def test_the_frame_number_is_right_after_a_nonexistent_one(walk: Walk) -> None:
    walk.go(47)
    field = walk.page.locator(".frame-number")
    field.fill("999")
    field.press("Enter")
    walk.page.wait_for_timeout(500)
    assert field.input_value() == "47"


def test_clicking_a_name_selects_its_object(walk: Walk) -> None:
    walk.paint_two_objects()
    walk.page.click('[data-id="1"] .name')
    walk.wait("voskit.store.object === 1")
    walk.press("Escape")
    walk.page.wait_for_timeout(300)
    assert walk.get("document.querySelector('.object.current').dataset.id") == "1"


def test_a_click_after_a_name_was_typed_is_not_lost(walk: Walk) -> None:
    walk.paint_two_objects()
    walk.page.fill('[data-id="1"] .name', "cat")
    box = walk.page.locator('[data-id="2"] [aria-label="Lock"]').bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    walk.page.mouse.move(x, y)
    walk.page.mouse.down()
    walk.page.wait_for_timeout(80)
    walk.page.mouse.up()
    walk.page.wait_for_timeout(600)
    assert walk.get("voskit.store.objectOf(2).locked") is True


def test_deleting_the_object_that_is_shown_alone_shows_the_others(walk: Walk, server: Server) -> None:
    walk.paint_two_objects()
    walk.press("s")
    server.call(f"clips/{walk.clip_id}/objects/2", "DELETE")
    walk.wait("voskit.store.clip.objects.length === 1")
    walk.page.wait_for_timeout(300)
    walk.choose("brush", 20)
    walk.stroke([(60, 140), (90, 140)])
    walk.page.wait_for_timeout(500)
    assert walk.overlay_pixel(75, 80)[3] > 0 and walk.text("#messages") == ""


def test_a_new_object_with_a_reused_id_is_propagated(walk: Walk, server: Server) -> None:
    walk.paint_two_objects()
    walk.page.click('.chip:has-text("2")')
    server.call(f"clips/{walk.clip_id}/objects/2", "DELETE")
    walk.wait("voskit.store.clip.objects.length === 1")
    walk.press("n")
    walk.wait("voskit.store.object === 2")
    walk.page.wait_for_timeout(200)
    assert walk.get("[...document.querySelectorAll('.chip')].at(1).getAttribute('aria-pressed')") == "true"


def test_an_object_deleted_elsewhere_while_the_page_is_hidden_is_not_current(walk: Walk, server: Server) -> None:
    walk.paint_two_objects()
    show = "(hidden) => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true }); "
    show += "document.dispatchEvent(new Event('visibilitychange')); }"
    streams = server.workspace.hub._streams
    walk.page.evaluate(show, True)
    wait_until(lambda: not streams, "the page rests")
    server.call(f"clips/{walk.clip_id}/objects/2", "DELETE")
    walk.page.evaluate(show, False)
    walk.wait("voskit.store.clip.objects.length === 1")
    walk.page.wait_for_timeout(300)
    assert walk.get("voskit.store.object") == 1


def test_the_view_is_stored_in_order(walk: Walk, server: Server) -> None:
    walk.page.wait_for_timeout(600)
    hold = Hold(walk, "**/view", method="PUT", fetch=False, count=1)
    walk.go(5)
    hold.wait()
    walk.go(9)
    walk.page.wait_for_timeout(800)
    hold.release()
    walk.page.wait_for_timeout(500)
    assert server.call(f"clips/{walk.clip_id}")["view"]["frame"] == 9
