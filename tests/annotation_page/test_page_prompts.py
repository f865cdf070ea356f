"""Clicks and boxes in the page, with GrabCut."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from holding import Hold
from walking import TIMEOUT, Server, Walk, wait_until


def square(number: int = 0) -> tuple[slice, slice]:
    """Rows and columns of the first bright square of a frame."""
    return slice(64, 112), slice(40 + 2 * number, 88 + 2 * number)


def overlap(ids: np.ndarray, number: int = 0) -> float:
    """IoU of the mask and the square."""
    wanted = np.zeros(ids.shape, bool)
    wanted[square(number)] = True
    return (wanted & (ids > 0)).sum() / (wanted | (ids > 0)).sum()


def test_a_box_gives_the_objects_mask(walk: Walk) -> None:
    walk.choose("prompt")
    walk.stroke([(32, 56), (60, 90), (96, 120)])
    walk.wait("voskit.stage.ids.some((id) => id > 0)")
    walk.saved()
    assert overlap(walk.file_ids(0)) > 0.9
    walk.wait("voskit.store.clip.undo?.includes('box')")


def test_clicks_add_and_remove_and_undo_reverts_one(walk: Walk) -> None:
    walk.choose("prompt")
    walk.stroke([(32, 56), (60, 90), (96, 120)])
    walk.wait("voskit.stage.ids.some((id) => id > 0)")
    walk.saved()
    first = walk.shown_ids()
    walk.click((60, 80))
    walk.wait("voskit.toolbox.prompt.points.length === 1 && !voskit.toolbox.prompt.waiting")
    walk.click((250, 30), button="right")
    walk.wait("voskit.toolbox.prompt.points.length === 2 && !voskit.toolbox.prompt.waiting")
    assert walk.get("voskit.toolbox.prompt.points.map((p) => p[2])") == [1, 0]
    walk.press("Escape")
    assert walk.get("voskit.toolbox.prompt.points.length") == 0
    walk.saved()
    assert walk.shown_ids()[80, 60] == 1 and walk.shown_ids()[30, 250] == 0
    while walk.get("voskit.store.clip.undo?.startsWith('click')"):
        text = walk.get("voskit.store.clip.redo")
        walk.press("Control+z")
        walk.wait(f"voskit.store.clip.redo !== {text!r}" if text else "voskit.store.clip.redo !== null")
    walk.wait("voskit.session.navigator.busy === false")
    assert np.array_equal(walk.shown_ids(), first)


def test_other_objects_and_frames_are_unchanged(walk: Walk) -> None:
    walk.choose("brush", 20)
    walk.stroke([(64, 88), (70, 88)])
    walk.saved()
    first = walk.file_ids(0)
    walk.press("n")
    walk.wait("voskit.store.object === 2")
    walk.press("d")  # a locked object's pixels stay, so lock the first one
    walk.press("d")
    walk.page.click('[data-id="1"] [aria-label="Lock"]')
    walk.wait("voskit.store.objectOf(1).locked")
    walk.choose("prompt")
    walk.stroke([(32, 56), (60, 90), (96, 120)])
    walk.wait("voskit.stage.ids.includes(2)")
    walk.saved()
    ids = walk.file_ids(0)
    assert np.array_equal(ids == 1, first == 1) and (ids == 2).any()
    assert walk.file_ids(1) is None


def test_clicks_superseded_by_a_later_one_are_not_computed(walk: Walk, server: Server) -> None:
    resume, boxes = threading.Event(), []

    class Slow:
        def segment(self, image, points, box, mask):
            boxes.append(box)
            resume.wait(TIMEOUT)
            return np.zeros(image.shape[:2], bool)

    server.workspace._prompters["grabcut"], before = Slow(), server.workspace._prompters.get("grabcut")
    try:
        walk.choose("prompt")
        for x in range(40, 90, 10):
            walk.stroke([(x, 56), (x + 50, 120)])
        wait_until(lambda: boxes, "the first one is being computed")
        walk.page.wait_for_timeout(500)  # the server hears that the others were given up
        resume.set()
        walk.wait("!voskit.toolbox.prompt.waiting")
        assert len(boxes) == 2 and boxes[1][0] == pytest.approx(80, abs=1)
    finally:
        if before is None:
            server.workspace._prompters.pop("grabcut")
        else:
            server.workspace._prompters["grabcut"] = before


def test_a_click_answered_after_its_object_was_locked_changes_nothing(walk: Walk) -> None:
    walk.choose("brush", 20)
    walk.stroke([(64, 88), (70, 88)])
    walk.saved()
    before = walk.shown_ids()
    walk.choose("prompt")
    hold = Hold(walk, "**/prompt", fetch=False)
    walk.stroke([(32, 56), (60, 90), (96, 120)])
    hold.wait()
    walk.press("d")
    hold.held.pop()[0].fulfill(body=b"\1" * 192 * 320)  # the object is the whole frame
    walk.wait("!voskit.toolbox.prompt.waiting")
    walk.saved()
    assert np.array_equal(walk.shown_ids(), before) and np.array_equal(walk.file_ids(0), before)
