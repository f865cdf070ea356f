"""Strokes, undo, masks and clicks whose answers are late."""

from __future__ import annotations

import numpy as np
import pytest
from holding import Hold
from walking import Server, Walk, wait_until

pytestmark = pytest.mark.thorough


def test_undo_in_the_middle_of_a_stroke_leaves_no_unsaved_pixels(walk: Walk) -> None:
    mouse = walk.page.mouse
    a, b, c = (walk.screen(p) for p in ((60, 60), (120, 60), (200, 60)))
    mouse.move(*a)
    mouse.down()
    mouse.move(*b, steps=5)
    walk.press("Control+z")
    mouse.move(*c, steps=5)
    mouse.up()
    walk.page.wait_for_timeout(800)
    walk.saved()
    shown, stored = walk.shown_ids(), walk.file_ids(0)
    assert np.array_equal(shown, np.zeros_like(shown) if stored is None else stored), (np.count_nonzero(shown), stored)


@pytest.mark.parametrize("key", ["Control+s", "k"])
def test_a_key_in_the_middle_of_a_stroke_loses_none_of_it(walk: Walk, key: str) -> None:
    mouse = walk.page.mouse
    a, b, c = (walk.screen(p) for p in ((60, 60), (120, 60), (200, 60)))
    mouse.move(*a)
    mouse.down()
    mouse.move(*b, steps=5)
    walk.press(key)
    mouse.move(*c, steps=5)
    mouse.up()
    walk.page.wait_for_timeout(800)
    walk.saved()
    shown, stored = walk.shown_ids(), walk.file_ids(0)
    assert np.array_equal(shown, stored), (np.count_nonzero(shown), np.count_nonzero(stored))


def test_a_mask_answered_after_a_newer_one_is_not_shown(walk: Walk, server: Server) -> None:
    annotation = server.workspace.project.clips[0].opened.annotation
    hold = Hold(walk, "**/api/clips/*/masks/30", method="GET")
    walk.get("void voskit.session.visit(30)")
    hold.wait()  # the answer says that frame 30 has no mask
    ids = np.zeros((192, 320), np.uint16)
    ids[50:90, 50:90] = 1
    annotation.give(30, ids)  # another tab, or a propagation
    walk.wait("voskit.store.clip.given.includes(30)")
    hold.release()
    walk.wait("voskit.editorFrame() === 30")
    walk.page.wait_for_timeout(1000)
    assert np.array_equal(walk.shown_ids(), ids)


def test_undo_of_a_click_that_is_not_answered_yet(walk: Walk) -> None:
    walk.choose("prompt")
    walk.stroke([(32, 56), (60, 90), (96, 120)])
    walk.wait("voskit.stage.ids.some((id) => id > 0)")
    walk.saved()
    hold = Hold(walk, "**/api/clips/*/prompt")
    walk.click((250, 80))
    hold.wait()
    walk.press("Control+z")
    walk.page.wait_for_timeout(500)
    undone = walk.shown_ids()
    hold.release()
    walk.page.wait_for_timeout(800)
    walk.saved()
    assert np.array_equal(walk.shown_ids(), undone), walk.get("voskit.store.clip.undo")


def test_the_undo_button_reverts_a_click_as_its_key_does(walk: Walk) -> None:
    walk.choose("prompt")
    walk.click((60, 80))
    walk.wait("voskit.toolbox.prompt.points.length === 1 && !voskit.toolbox.prompt.waiting")
    walk.saved()
    walk.page.click('#topbar [aria-label="Undo"]')
    walk.wait("voskit.store.clip.redo !== null")
    walk.page.wait_for_timeout(300)
    assert walk.get("voskit.toolbox.prompt.points.length") == 0


def test_the_undo_button_removes_a_polygon_s_point(walk: Walk) -> None:
    walk.stroke([(60, 60), (120, 60)])
    walk.saved()
    walk.choose("polygon")
    for point in ((50, 100), (90, 100), (90, 150)):
        walk.click(point)
    walk.page.click('#topbar [aria-label="Undo"]')
    walk.page.wait_for_timeout(500)
    assert walk.get("voskit.toolbox.tool.points.length") == 2 and walk.file_ids(0) is not None


def test_a_save_whose_answer_is_lost_is_no_conflict(walk: Walk) -> None:
    calls = []

    def lose(route) -> None:
        if route.request.method != "PUT":
            return route.continue_()
        calls.append(1)
        if len(calls) > 1:
            return route.continue_()
        route.fetch()  # the server has it
        route.abort("connectionreset")  # its answer doesn't come: the connection or the server ended
        return None

    walk.page.route("**/api/clips/*/masks/0", lose)
    walk.stroke([(60, 60), (120, 60)])
    walk.wait("voskit.session.saver.idle && !voskit.session.editor.unsaved")
    walk.page.wait_for_timeout(2500)
    assert walk.file_ids(0) is not None
    assert walk.get("voskit.session.saver.drafts.size") == 0, walk.text("#banner")


def test_a_stroke_after_a_removal_whose_answer_is_lost_is_no_conflict(walk: Walk) -> None:
    walk.stroke([(60, 60), (120, 60)])
    walk.saved()

    def lose(route) -> None:
        if route.request.method == "DELETE":
            route.fetch()  # the server has removed the mask
            route.abort("connectionreset")
            walk.page.unroute("**/api/clips/*/masks/0")
        else:
            route.continue_()

    walk.page.route("**/api/clips/*/masks/0", lose)
    walk.press("Delete")
    walk.stroke([(60, 100), (120, 100)])
    walk.wait("voskit.session.saver.idle && !voskit.session.editor.unsaved")
    assert walk.get("voskit.session.saver.drafts.size") == 0, walk.text("#banner")
    assert walk.file_ids(0)[100, 90] and not walk.file_ids(0)[60, 90]


def test_strokes_while_the_mask_is_read_again_are_no_conflict(walk: Walk) -> None:
    walk.stroke([(60, 60), (120, 60)])
    walk.saved()
    walk.page.wait_for_timeout(300)
    hold = Hold(walk, "**/masks/0", method="GET")
    walk.get("voskit.session.clipChanged({ clip: voskit.store.clip.id, revisions: { 0: 1 } })")  # a late event
    hold.wait()
    for y in (100, 140):
        walk.stroke([(60, y), (120, y)])
        walk.wait("voskit.session.saver.idle && !voskit.session.editor.unsaved")
    hold.release()
    assert walk.get("voskit.session.saver.drafts.size") == 0, walk.text("#banner")
    assert all(walk.file_ids(0)[y, 90] for y in (60, 100, 140))


@pytest.mark.parametrize("cause", ["another frame changes", "the connection breaks"])
def test_an_unsaved_stroke_survives_a_step_away_and_back(walk: Walk, server: Server, cause: str) -> None:
    walk.stroke([(60, 60), (120, 60)])
    walk.saved()
    walk.page.wait_for_timeout(300)
    reading = Hold(walk, "**/masks/0", method="GET", count=1)
    saving = Hold(walk, "**/masks/0", method="PUT", fetch=False)
    walk.get("voskit.session.clipChanged({ clip: voskit.store.clip.id, revisions: { 0: 1 } })")  # a late event
    reading.wait()
    walk.stroke([(60, 100), (120, 100)])
    walk.get("void voskit.session.visit(5)")
    saving.wait()
    if cause == "another frame changes":
        server.workspace.project.clips[0].opened.annotation.give(5, np.ones((192, 320), np.uint16))
        walk.wait("voskit.store.clip.given.includes(5)")
        reading.release()
    else:
        reading.held.pop()[0].abort("connectionreset")
    walk.wait("voskit.editorFrame() === 5")
    walk.go(0)
    walk.stroke([(60, 140), (120, 140)])
    walk.page.wait_for_timeout(500)
    saving.release()
    walk.saved()
    assert all(walk.file_ids(0)[y, 90] for y in (60, 100, 140))


def test_a_mask_changed_while_its_frame_loads_is_shown_in_its_latest_state(walk: Walk, server: Server) -> None:
    ids = np.zeros((192, 320), np.uint16)
    ids[50:90, 50:90] = 1
    hold = Hold(walk, "**/frames/30.jpg")
    with walk.page.expect_response("**/masks/30"):
        walk.get("void voskit.session.visit(30)")
    hold.wait()
    walk.get("void voskit.session.visit(40)")
    server.workspace.project.clips[0].opened.annotation.give(30, ids)  # another tab, or a propagation
    walk.wait("voskit.store.clip.given.includes(30)")
    walk.get("void voskit.session.visit(30)")
    hold.release()
    walk.wait("voskit.editorFrame() === 30 && !voskit.session.navigator.busy")
    assert np.array_equal(walk.shown_ids(), ids)


def test_a_mask_changed_during_a_reverted_stroke_is_shown_in_its_latest_state(walk: Walk, server: Server) -> None:
    walk.page.mouse.move(*walk.screen((60, 60)))
    walk.page.mouse.down()
    walk.page.mouse.move(*walk.screen((120, 60)), steps=5)
    ids = np.zeros((192, 320), np.uint16)
    ids[50:90, 50:90] = 1
    server.workspace.project.clips[0].opened.annotation.give(0, ids)  # another tab
    walk.wait("voskit.store.clip.given.includes(0)")
    walk.press("Control+z")
    walk.page.mouse.up()
    walk.page.wait_for_timeout(500)
    walk.wait("!voskit.session.navigator.busy")
    assert np.array_equal(walk.shown_ids(), ids)


def test_a_new_object_that_arrives_late_does_not_affect_a_stroke(walk: Walk) -> None:
    walk.stroke([(20, 20), (30, 20)])
    walk.saved()
    hold = Hold(walk, "**/api/clips/*/objects", method="POST")
    walk.press("n")
    hold.wait()
    mouse = walk.page.mouse
    a, b = walk.screen((60, 100)), walk.screen((200, 100))
    mouse.move(*a)
    mouse.down()
    mouse.move(*b, steps=5)
    hold.release()
    walk.page.wait_for_timeout(600)
    mouse.up()
    walk.wait("voskit.store.object === 2")
    walk.saved()
    assert walk.shown_ids()[100, 130] > 0


def test_two_new_objects_at_once(walk: Walk, server: Server) -> None:
    walk.press("n", "n")
    wait_until(lambda: len(server.call(f"clips/{walk.clip_id}")["objects"]) == 3, "the one that was shown, and two")


def test_keeping_a_frame_without_a_mask_does_nothing(walk: Walk) -> None:
    walk.press("k")
    walk.page.wait_for_timeout(800)
    assert walk.file_ids(0, "given") is None


def test_a_refused_removal_is_reported(walk: Walk, server: Server) -> None:
    """A mask is removed in a tab while it changes elsewhere."""
    walk.stroke([(60, 60), (120, 60)])
    walk.saved()
    annotation = server.workspace.project.clips[0].opened.annotation
    hold = Hold(walk, "**/api/clips/*/masks/0", method="DELETE", fetch=False)
    walk.press("Delete")
    hold.wait()
    ids = np.zeros((192, 320), np.uint16)
    ids[50:90, 50:90] = 1
    annotation.give(0, ids)
    hold.release()
    walk.page.wait_for_timeout(1000)
    assert walk.file_ids(0) is not None
    assert walk.text("#messages") or walk.text("#banner")
