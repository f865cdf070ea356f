"""Undo of everything, several tabs, lost connections: no work is lost, and none is overwritten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from holding import Hold
from walking import Walk, wait_until


def test_undo_and_redo_of_strokes_one_by_one(walk: Walk) -> None:
    states = [walk.shown_ids()]
    for y in (40, 80, 120):
        walk.stroke([(60, y), (200, y)])
        states.append(walk.shown_ids())
    for wanted in states[-2::-1]:
        walk.press("Control+z")
        walk.wait(f"voskit.stage.ids.reduce((n, id) => n + (id > 0), 0) === {np.count_nonzero(wanted)}")
        assert np.array_equal(walk.shown_ids(), wanted)
    for wanted in states[1:]:
        walk.press("Control+Shift+Z")
        walk.wait(f"voskit.stage.ids.reduce((n, id) => n + (id > 0), 0) === {np.count_nonzero(wanted)}")
    walk.saved()
    assert np.array_equal(walk.file_ids(0), states[-1])


def test_undo_goes_to_the_frame_that_changes(walk: Walk) -> None:
    for frame in (3, 11):
        walk.go(frame)
        walk.stroke([(60, 60), (200, 60)])
    walk.saved()
    walk.go(30)
    walk.press("Control+z")
    walk.wait("voskit.store.frame === 11")
    walk.press("Control+z")
    walk.wait("voskit.store.frame === 3")
    walk.saved()
    assert walk.file_ids(3) is None and walk.file_ids(11) is None
    walk.press("Control+y")
    walk.press("Control+y")
    walk.wait("voskit.store.frame === 11 && voskit.stage.ids.some((id) => id > 0)")
    assert walk.file_ids(3).any() and walk.file_ids(11).any()


def test_the_frame_of_the_last_of_several_redos_is_shown(walk: Walk) -> None:
    for frame in (3, 11):
        walk.go(frame)
        walk.stroke([(60, 60), (200, 60)])
    walk.saved()
    for frame in (11, 3):
        walk.press("Control+z")
        walk.wait(f"voskit.store.frame === {frame} && !voskit.stage.ids.some((id) => id > 0)")
    held = Hold(walk, "**/redo", count=1)
    walk.press("Control+y", "Control+y")
    held.wait()
    walk.page.wait_for_timeout(500)
    held.release()
    walk.wait("voskit.store.clip.redo === null && voskit.store.frame === 11 && voskit.stage.ids.some((id) => id > 0)")


def test_a_removed_mask_comes_back(walk: Walk) -> None:
    walk.stroke([(60, 60), (200, 60)])
    walk.saved()
    painted = walk.file_ids(0)
    walk.press("Delete")
    walk.wait("voskit.store.clip.given.length === 0")
    assert walk.file_ids(0) is None and not walk.shown_ids().any()
    walk.press("Control+z")
    walk.wait("voskit.store.clip.given.length === 1 && voskit.stage.ids.some((id) => id > 0)")
    assert np.array_equal(walk.file_ids(0), painted)


def test_a_stroke_in_one_tab_appears_in_the_other(open_page: Callable[..., Walk], walk: Walk) -> None:
    other = open_page()
    walk.stroke([(60, 60), (200, 60)])
    other.wait("voskit.stage.ids.some((id) => id > 0)")
    assert np.array_equal(other.shown_ids(), walk.shown_ids())


def test_two_tabs_do_not_overwrite_each_other(open_page: Callable[..., Walk], walk: Walk) -> None:
    other = open_page()
    other.page.route("**/api/events", lambda route: route.abort())  # this tab hears nothing of the other's stroke
    other.page.reload()
    other.wait("voskit.stage?.ids != null")
    walk.stroke([(60, 60), (120, 60)])
    walk.saved()
    first = walk.file_ids(0)
    other.stroke([(200, 120), (260, 120)])
    other.wait("document.querySelector('.conflict') !== null")
    assert "changed elsewhere" in other.text(".conflict")
    assert np.array_equal(walk.file_ids(0), first)  # nothing was overwritten
    count = np.count_nonzero(first)
    other.wait(f"voskit.stage.ids.reduce((n, id) => n + (id > 0), 0) === {count}")  # the frame as it is now
    assert np.array_equal(other.shown_ids(), first)
    assert other.text(".saved") == "Not saved"
    other.page.click(".conflict .primary")
    other.wait("voskit.session.saver.clean")
    both = walk.file_ids(0)
    assert both[60, 90] == 1 and both[120, 230] == 1
    walk.wait(f"voskit.stage.ids.reduce((n, id) => n + (id > 0), 0) === {np.count_nonzero(both)}")


def test_a_refused_stroke_can_be_discarded(open_page: Callable[..., Walk], walk: Walk) -> None:
    other = open_page()
    other.page.route("**/api/events", lambda route: route.abort())
    other.page.reload()
    other.wait("voskit.stage?.ids != null")
    walk.stroke([(60, 60), (120, 60)])
    walk.saved()
    first = walk.file_ids(0)
    other.stroke([(200, 120), (260, 120)])
    other.page.click(".conflict button:not(.primary)")
    other.wait("voskit.session.saver.clean && document.querySelector('.conflict') === null")
    assert np.array_equal(walk.file_ids(0), first)


def test_strokes_are_kept_while_the_connection_is_lost(walk: Walk) -> None:
    walk.context.set_offline(True)
    walk.stroke([(60, 60), (120, 60)])
    walk.stroke([(60, 100), (120, 100)])
    walk.wait("document.querySelector('.banner') !== null && voskit.store.saving === 'unsaved'")
    assert "No connection" in walk.text("#banner")
    assert walk.file_ids(0) is None
    painted = walk.shown_ids()
    walk.context.set_offline(False)
    walk.saved()
    walk.wait("document.querySelector('.banner') === null")
    assert np.array_equal(walk.file_ids(0), painted)


def test_a_mask_read_before_a_stroke_doesn_t_hide_it(walk: Walk) -> None:
    walk.stroke([(60, 60), (120, 60)])
    walk.saved()
    held: list[Any] = []
    walk.page.route("**/masks/0", lambda route: held.append(route) if len(held) < 2 else route.continue_())
    walk.get("void (voskit.session.frames.masks.drop(0), voskit.session.navigator.reload())")
    wait_until(lambda: walk.get("1") and held, "the mask is read again")
    walk.stroke([(60, 100), (120, 100)])
    wait_until(lambda: walk.get("1") and len(held) == 2, "the stroke is on its way")
    painted = walk.shown_ids()
    held[0].continue_()  # the mask without the stroke, which hasn't reached the server
    walk.wait("!voskit.session.navigator.busy")
    assert np.array_equal(walk.shown_ids(), painted)
    walk.stroke([(60, 140), (120, 140)])
    held[1].continue_()
    walk.saved()
    assert np.array_equal(walk.file_ids(0), walk.shown_ids())
    assert all(walk.file_ids(0)[y, 90] for y in (60, 100, 140))


def test_leaving_with_unsaved_work_asks_for_confirmation(walk: Walk) -> None:
    walk.context.set_offline(True)
    walk.stroke([(60, 60), (120, 60)])
    asked = []
    walk.page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    walk.page.close(run_before_unload=True)
    walk.page.wait_for_timeout(500)
    assert asked == ["beforeunload"]
    walk.context.set_offline(False)
    walk.saved()
    assert walk.file_ids(0).any()


def test_a_full_disk_keeps_the_strokes(walk: Walk) -> None:
    full = {"status": 507, "body": '{"error": "the disk is full: make room"}', "content_type": "application/json"}
    walk.page.route(
        "**/masks/0", lambda route: route.fulfill(**full) if route.request.method == "PUT" else route.continue_()
    )
    walk.stroke([(60, 60), (120, 60)])
    walk.wait("document.querySelector('.banner') !== null")
    assert "disk is full" in walk.text("#banner") and walk.text(".saved") == "Not saved"
    painted = walk.shown_ids()
    walk.page.unroute("**/masks/0")
    walk.saved()
    assert np.array_equal(walk.file_ids(0), painted)
