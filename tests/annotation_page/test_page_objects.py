"""The list of objects: names, colors, eye, lock, solo, deletion, merging."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from holding import Hold
from walking import Walk, wait_until


@pytest.fixture
def two(walk: Walk) -> Walk:
    """A page with two objects, given in frames 0 and 3."""
    mask = np.zeros((192, 320), np.uint16)
    mask[50:70, 50:130] = 1
    mask[110:130, 50:130] = 2
    for frame in (3, 0):
        walk.server.workspace.project.clips[0].opened.annotation.give(frame, mask)
    walk.page.reload()
    walk.wait("voskit.store.clip?.given.length === 2 && voskit.stage.ids !== null")
    walk.press("2")
    return walk


def test_name_color_lock_and_visibility_survive_a_reload(two: Walk) -> None:
    name = two.page.locator('[data-id="2"] .name')
    name.fill("cup")
    name.press("Enter")
    two.page.locator('[data-id="2"] .swatch').evaluate(
        "(e) => { e.value = '#12ab34'; e.dispatchEvent(new Event('change')); }"
    )
    two.page.click('[data-id="2"] [aria-label="Lock"]')
    two.page.click('[data-id="2"] [aria-label="Hide"]')
    two.wait("!voskit.store.objectOf(2).visible && voskit.store.objectOf(2).locked")
    two.page.wait_for_timeout(200)
    two.page.reload()
    two.wait("voskit.store?.clip != null && voskit.stage.ids !== null")
    kept = two.get("voskit.store.objectOf(2)")
    assert (kept["name"], kept["color"], kept["visible"], kept["locked"]) == ("cup", "#12ab34", False, True)
    assert two.page.input_value('[data-id="2"] .name') == "cup"


def test_changes_reach_the_server_in_order_and_earlier_events_revert_none(two: Walk) -> None:
    held: list[Any] = []

    def hold_first(route: Any) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    two.page.route("**/objects/2", hold_first)
    two.press("2", "d", "d", "d")
    wait_until(lambda: two.get("1") and held, "the first change is sent")
    two.server.call(f"clips/{two.clip_id}/objects/1", "PUT", {"name": "cup"})
    two.wait("voskit.store.clip.undo === 'name or color of object 1'")  # its event has come, with object 2 unlocked
    assert two.get("voskit.store.objectOf(2).locked")
    held[0].continue_()
    two.wait("voskit.session.changing === 0 && voskit.store.nameOf(1) === 'cup'")
    states = [one["locked"] for one in two.server.call(f"clips/{two.clip_id}")["objects"]]
    assert states == [False, True] and two.get("voskit.store.objectOf(2).locked")


def test_a_refused_change_is_reverted(two: Walk) -> None:
    two.page.route("**/objects/2", lambda route: route.fulfill(status=507, json={"error": "no space left"}))
    two.press("2", "d")
    two.wait("document.querySelector('#messages').innerText.includes('no space left')")
    two.wait("!voskit.store.objectOf(2).locked")


def test_solo_shows_one_object(two: Walk) -> None:
    two.press("s")
    assert two.overlay_pixel(90, 120)[3] > 0 and two.overlay_pixel(90, 60)[3] == 0
    two.press("s")
    assert two.overlay_pixel(90, 60)[3] > 0


def test_given_frames_are_counted(two: Walk) -> None:
    assert [two.text(f'[data-id="{i}"] .count') for i in (1, 2)] == ["2", "2"]


def test_deleting_asks_for_confirmation_and_can_be_undone(two: Walk) -> None:
    before = {frame: two.file_ids(frame) for frame in (0, 3)}
    two.page.click('[data-id="2"] [aria-label="Delete from all frames"]', force=True)
    assert "all frames" in two.text("dialog")
    two.page.click("dialog footer button:not(.danger)")
    assert two.get("voskit.store.objects.length") == 2
    two.page.click('[data-id="2"] [aria-label="Delete from all frames"]', force=True)
    two.page.click("dialog .danger")
    two.wait("voskit.store.objects.length === 1 && !voskit.stage.ids.includes(2)")
    for frame in (0, 3):
        assert np.array_equal(two.file_ids(frame), np.where(before[frame] == 2, 0, before[frame]))
    two.press("Control+z")
    two.wait("voskit.store.objects.length === 2 && voskit.stage.ids.includes(2)")
    assert all(np.array_equal(two.file_ids(frame), before[frame]) for frame in (0, 3))


def test_merging(two: Walk) -> None:
    before = {frame: two.file_ids(frame) for frame in (0, 3)}
    two.press("2")
    two.page.click('[aria-label="Merge two objects"]')
    two.page.click("dialog .primary")
    two.wait("voskit.store.objects.length === 1")
    for frame in (0, 3):
        assert np.array_equal(two.file_ids(frame), (before[frame] > 0).astype(int))
    two.press("Control+z")
    two.wait("voskit.store.objects.length === 2")
    assert np.array_equal(two.file_ids(0), before[0])


def test_names_are_not_interpreted_as_html(two: Walk) -> None:
    name = two.page.locator('[data-id="1"] .name')
    name.fill("<img src=x onerror=window.hit=1>")
    name.press("Enter")
    two.wait("voskit.store.nameOf(1).startsWith('<img')")
    two.press("1")
    two.page.click('[data-id="1"] [aria-label="Delete from all frames"]', force=True)
    two.page.click("dialog footer button:not(.danger)")
    assert two.get("window.hit") is None


def test_a_late_event_does_not_revert_a_change_of_an_object(walk: Walk) -> None:
    walk.stroke([(60, 60), (200, 60)])
    walk.saved()
    walk.page.route("**/api/events", lambda route: route.abort())
    walk.page.reload()
    walk.wait("voskit.stage?.ids != null")
    late = "({ clip: voskit.store.clip.id, objects: voskit.store.objects, changes: voskit.store.clip.changes })"
    walk.get(f"window.late = structuredClone{late}")  # the state before the change
    hold = Hold(walk, "**/api/clips/*", method="GET")
    walk.page.click('[data-id="1"] [aria-label="Hide"]')
    hold.wait()  # the change is made, and the list of objects is on its way
    walk.get("voskit.session.clipChanged(late)")
    assert not walk.get("voskit.store.isVisible(1)")
    hold.release()


def test_an_object_locked_just_before_a_propagation_stays_unchanged(two: Walk) -> None:
    hold = Hold(two, "**/objects/2", fetch=False)
    two.press("d")
    hold.wait()
    two.press("p")
    two.page.wait_for_timeout(500)
    hold.release()
    two.wait("voskit.store.clip.masked[0]?.[1] === 47 && voskit.store.running === undefined")
    assert set(np.unique(two.file_ids(20))) == {0, 1}


def test_undo_just_after_a_change_of_color_reverts_it(two: Walk) -> None:
    hold = Hold(two, "**/objects/2", fetch=False)
    two.page.locator('[data-id="2"] .swatch').evaluate(
        "(e) => { e.value = '#12ab34'; e.dispatchEvent(new Event('change')); }"
    )
    hold.wait()
    two.press("Control+z")
    two.page.wait_for_timeout(500)
    hold.release()
    two.wait("voskit.store.clip.redo === 'name or color of object 2'")
    assert two.get("voskit.store.clip.given") == [0, 3]


@pytest.mark.parametrize(
    ("action", "method", "path", "text"),
    [
        ("new", "POST", "objects", "new object 3"),
        ("delete", "DELETE", "objects/2", "deletion of object 2"),
        ("merge", "POST", "objects/merge", "merging of object 2 into 1"),
    ],
)
def test_undo_just_after_an_action_reverts_it(two: Walk, action: str, method: str, path: str, text: str) -> None:
    hold = Hold(two, f"**/{path}", fetch=False, method=method)
    if action == "new":
        two.press("n")
    elif action == "delete":
        two.page.click('[data-id="2"] [aria-label="Delete from all frames"]', force=True)
        two.page.click("dialog .danger")
    else:
        two.page.click('[aria-label="Merge two objects"]')
        two.page.click("dialog .primary")
    hold.wait()
    two.press("Control+z")
    two.page.wait_for_timeout(500)
    hold.release()
    two.wait(f"voskit.store.clip.redo === '{text}'")
    assert two.get("voskit.store.clip.given") == [0, 3]


def test_undo_just_after_a_start_leaves_the_mask_that_is_propagated(two: Walk, held) -> None:
    hold = Hold(two, "**/jobs", fetch=False, method="POST")
    two.press("p")
    hold.wait()
    two.press("Control+z")
    two.page.wait_for_timeout(500)
    hold.release()
    two.wait("document.querySelector('#messages').innerText.includes('stop it first')")
    assert two.get("voskit.store.clip.given") == [0, 3]
    held.set()
    two.wait("voskit.store.running === undefined")
