"""Going from frame to frame: nothing changes unasked, and the view stays."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from thorough import mark_thorough
from walking import Walk, swept

SIZE = (192, 320)


@pytest.fixture
def filled(walk: Walk) -> Walk:
    """A page whose frames all have a mask of their own, every sixth one given."""
    annotation = walk.server.workspace.project.clips[0].opened.annotation
    for number in range(48):
        mask = np.zeros(SIZE, np.uint16)
        mask[20:60, 2 * number : 2 * number + 40] = 1
        mask[100:150, 60 : 70 + number] = 2
        annotation.give(number, mask)
    walk.page.reload()
    walk.wait("voskit.store.clip?.given.length === 48 && voskit.stage.ids !== null")
    return walk


@pytest.mark.parametrize(
    ("seconds", "count"),
    mark_thorough([(0.033, 50), (0.015, 60), (0.1, 20), (0.3, 8)], [(0.015, 60), (0.1, 20), (0.3, 8)]),
)
def test_held_arrows_change_nothing(filled: Walk, seconds: float, count: int) -> None:
    before, revisions = filled.files(), filled.server.call(f"clips/{filled.clip_id}")["revisions"]
    filled.hold("ArrowRight", count, seconds)
    filled.wait(f"voskit.store.frame === {min(47, count)}")
    filled.hold("ArrowLeft", count, seconds)
    filled.wait("voskit.store.frame === 0 && voskit.editorFrame() === 0")
    filled.saved()
    after = filled.server.call(f"clips/{filled.clip_id}")
    assert filled.files() == before
    assert after["revisions"] == revisions and after["undo"] is not None


def test_each_frame_shows_its_own_mask(filled: Walk) -> None:
    filled.hold("ArrowRight", 20, 0.02)
    filled.wait("voskit.store.frame === 20 && voskit.editorFrame() === 20")
    assert np.array_equal(filled.shown_ids(), filled.file_ids(20))


def test_dragging_on_the_timeline_changes_nothing(filled: Walk) -> None:
    before = filled.files()
    box = filled.page.locator(".timeline-canvas").bounding_box()
    mouse = filled.page.mouse
    mouse.move(box["x"] + 40, box["y"] + 30)
    mouse.down()
    for x in range(40, 1000, 60):
        mouse.move(box["x"] + x, box["y"] + 30)
    mouse.up()
    filled.wait("voskit.store.frame > 40 && voskit.editorFrame() === voskit.store.frame")
    filled.saved()
    assert filled.files() == before


def test_a_stroke_followed_at_once_by_the_next_frame(walk: Walk) -> None:
    walk.choose("brush", 10)
    wanted = {}
    for frame in range(5):
        x = 50 + 20 * frame
        wanted[frame] = swept(SIZE, walk.stroke([(x, 60), (x + 40, 90)]), 10)
        walk.press("ArrowRight")
        walk.wait(f"voskit.store.frame === {frame + 1}")
    walk.saved()
    for frame, (painted, unsure) in wanted.items():
        ids = walk.file_ids(frame, "given")
        assert ids is not None and np.array_equal(ids[~unsure], painted.astype(int)[~unsure])
    assert walk.file_ids(5) is None


def test_a_frame_stays_while_a_stroke_lasts(walk: Walk) -> None:
    mouse = walk.page.mouse
    mouse.move(*walk.screen((60, 60)))
    mouse.down()
    walk.press("ArrowRight", "ArrowRight")
    mouse.move(*walk.screen((120, 80)))
    assert walk.frame == 0
    mouse.up()
    walk.wait("voskit.store.frame === 2")
    walk.saved()
    assert walk.file_ids(0).any() and walk.file_ids(1) is None and walk.file_ids(2) is None


def test_shortcuts_do_not_act_in_number_fields(walk: Walk) -> None:
    walk.stroke([(60, 60), (120, 60)])
    walk.saved()
    before = walk.files()
    walk.press("n")
    walk.wait("voskit.store.object === 2")
    field = walk.page.locator(".frame-number")
    field.click()
    field.press("Control+a")
    field.type("17")
    assert walk.get("voskit.store.object") == 2  # digits choose no object here
    field.press("Control+z")
    field.press("Delete")
    assert walk.files() == before and walk.frame == 0
    field.press("Control+a")
    field.type("17")
    field.press("Enter")
    walk.wait("voskit.store.frame === 17")
    walk.press("1")
    assert walk.get("voskit.store.object") == 1


def test_shortcuts_do_not_act_in_names_and_dialogs(walk: Walk) -> None:
    name = walk.page.locator('[data-id="1"] .name')
    name.click()
    name.type("bee p")
    name.press("Enter")
    walk.press("?")
    assert walk.page.locator("dialog .shortcut").count() > 40
    walk.press("ArrowRight", "e")
    walk.press("Escape")
    walk.wait("document.querySelector('dialog') === null")
    assert walk.frame == 0 and walk.get("voskit.store.tool") == "brush"
    assert walk.get("voskit.store.running") is None


def test_zoom_and_position_persist_across_frames_and_a_reload(walk: Walk) -> None:
    walk.page.mouse.move(*walk.screen((100, 60)))
    walk.page.mouse.wheel(0, -400)
    walk.page.keyboard.down("Space")
    walk.page.mouse.down()
    walk.page.mouse.move(*walk.screen((130, 90)), steps=3)
    walk.page.mouse.up()
    walk.page.keyboard.up("Space")
    place = walk.get("[voskit.stage.zoom, ...voskit.stage.center]")
    assert place[0] > 2 * walk.get("voskit.stage.fitScale / voskit.stage.ratio")
    walk.press("ArrowRight", "ArrowRight")
    walk.wait("voskit.store.frame === 2")
    assert walk.get("[voskit.stage.zoom, ...voskit.stage.center]") == place
    assert not walk.get("voskit.store.playing")  # the space key moved the picture
    walk.page.wait_for_timeout(700)
    walk.page.reload()
    walk.wait("voskit.store.frame === 2 && voskit.stage.ids !== null")
    assert walk.get("[voskit.stage.zoom, ...voskit.stage.center]") == pytest.approx(place, rel=0.01)


def test_keys_jump_between_given_frames(walk: Walk) -> None:
    for frame in (4, 9):
        walk.go(frame)
        walk.stroke([(60, 60), (120, 60)])
    walk.wait("voskit.store.clip.given.length === 2")
    walk.go(0)
    walk.press(".")
    walk.wait("voskit.store.frame === 4")
    assert walk.text(".frame-state") == "given"
    walk.press(".")
    walk.wait("voskit.store.frame === 9")
    walk.press(",")
    walk.wait("voskit.store.frame === 4")


def test_playback_shows_frames_in_order_with_masks_and_a_stroke_stops_it(filled: Walk) -> None:
    filled.get("(window.seen = [], voskit.store.on('frame', () => seen.push(voskit.store.frame)))")
    filled.press("i")
    filled.go(12)
    filled.press("o")
    filled.press("Space")
    filled.wait("seen.filter((f) => f === 2).length > 1")  # the range begins again
    seen = filled.get("seen.slice(seen.indexOf(0))")
    assert max(seen) == 12 and seen.count(0) >= 2
    assert all(b > a or b == 0 for a, b in pairwise(seen))
    filled.stroke([(200, 100), (220, 100)])
    assert not filled.get("voskit.store.playing")


def test_views(filled: Walk) -> None:
    inside, outside = (15, 40), (300, 20)

    def colors(mode: str) -> tuple[list[int], list[int]]:
        filled.page.click(f'[data-mode="{mode}"]')
        return filled.overlay_pixel(*inside), filled.overlay_pixel(*outside)

    color = filled.get("voskit.store.objectOf(1).color").lstrip("#")
    rgb = [int(color[i : i + 2], 16) for i in (0, 2, 4)]
    within, ground = colors("overlay")
    assert 100 < within[3] < 160 and ground[3] == 0
    within, ground = colors("outline")
    assert within[3] == 0 and ground[3] == 0
    within, ground = colors("mask")
    assert within == [*rgb, 255] and ground == [0, 0, 0, 255]
    within, ground = colors("cutout")
    assert within[3] == 0 and ground[3] == 255
    within, ground = colors("original")
    assert within[3] == 0 and ground[3] == 0


def test_dark_and_light(walk: Walk) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    walk.page.emulate_media(color_scheme="dark")
    dark = walk.get(ground)
    walk.page.emulate_media(color_scheme="light")
    assert walk.get(ground) != dark
    walk.page.click('[aria-label="Theme"]')
    assert walk.get(ground) == dark  # the user's choice wins over the system's
