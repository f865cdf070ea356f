"""Painting in the browser: the file holds exactly what was painted, at any zoom."""

from __future__ import annotations

import numpy as np
import pytest
from thorough import mark_thorough
from walking import Walk, inside, swept

SIZE = (192, 320)


def expect(walk: Walk, wanted: np.ndarray, frame: int = 0, unsure: np.ndarray | None = None) -> None:
    """Check the page's ids and both files, pixel for pixel."""
    walk.saved()
    same = np.ones(SIZE, bool) if unsure is None else ~unsure
    for ids in (walk.shown_ids(), walk.file_ids(frame), walk.file_ids(frame, "given")):
        assert ids is not None
        assert np.array_equal(ids[same], wanted[same])


@pytest.mark.parametrize("zoom", mark_thorough([0.6, 1.0, 2.7, 9.0], [1.0, 9.0]))
def test_the_file_holds_the_painted_mask(walk: Walk, zoom: float) -> None:
    walk.get(f"voskit.stage.place({zoom}, 161.3, 97.7)")
    walk.choose("brush", 11)
    reach = min(60.0, 150 / zoom)
    points = [(160 - reach, 90.0), (160.0, 90 - reach / 3), (160 + reach, 100.0), (150.0, 100 + reach / 4)]
    wanted, unsure = swept(SIZE, walk.stroke(points), 11)
    assert wanted.sum() > 300
    expect(walk, wanted.astype(int), unsure=unsure)


@pytest.mark.parametrize("diameter", [1, 2, 40])
def test_brushes_of_all_sizes(walk: Walk, diameter: int) -> None:
    walk.get("voskit.stage.place(3, 160, 96)")
    walk.choose("brush", diameter)
    points = walk.stroke([(100, 60), (180, 120)])
    if diameter == 1:  # a thin line has no gaps, and lies on the line
        walk.saved()
        ids = walk.file_ids(0)
        assert ids is not None
        near, _ = swept(SIZE, points, 2.0)
        rows, columns = np.nonzero(ids)
        assert not ids[~near].any() and set(columns) >= set(range(101, 180)) and set(rows) >= set(range(61, 120))
    else:
        wanted, unsure = swept(SIZE, points, diameter)
        expect(walk, wanted.astype(int), unsure=unsure)


def test_the_eraser_erases_the_current_object_or_all(walk: Walk) -> None:
    walk.choose("brush", 20)
    first, _ = swept(SIZE, walk.stroke([(60, 60), (200, 60)]), 20)
    walk.press("n")
    walk.wait("voskit.store.object === 2")
    second, _ = swept(SIZE, walk.stroke([(60, 85), (200, 85)]), 20)
    wanted = np.where(second, 2, first)
    walk.choose("eraser", 30)
    gone, unsure = swept(SIZE, walk.stroke([(120, 70), (140, 70)]), 30)
    wanted[gone & (wanted == 2)] = 0
    expect(walk, wanted, unsure=unsure)
    walk.press("Shift+E")
    gone, unsure = swept(SIZE, walk.stroke([(180, 70), (190, 70)]), 30)
    wanted[gone] = 0
    expect(walk, wanted, unsure=unsure)


def test_the_right_button_erases(walk: Walk) -> None:
    walk.choose("brush", 20)
    painted, _ = swept(SIZE, walk.stroke([(60, 60), (200, 60)]), 20)
    gone, unsure = swept(SIZE, walk.stroke([(100, 60), (120, 60)], button="right"), 20)
    expect(walk, (painted & ~gone).astype(int), unsure=unsure)


def test_locked_and_hidden_objects_keep_their_pixels(walk: Walk) -> None:
    walk.choose("brush", 20)
    first, _ = swept(SIZE, walk.stroke([(60, 60), (200, 60)]), 20)
    walk.press("n")
    walk.wait("voskit.store.object === 2")
    walk.page.click('[data-id="1"] [aria-label="Lock"]')
    walk.wait("voskit.store.objectOf(1).locked")
    second, unsure = swept(SIZE, walk.stroke([(100, 40), (100, 80)]), 20)
    wanted = np.where(first, 1, np.where(second, 2, 0))
    expect(walk, wanted, unsure=unsure)
    walk.page.click('[data-id="1"] [aria-label="Unlock"]')
    walk.page.click('[data-id="1"] [aria-label="Hide"]')
    walk.wait("!voskit.store.objectOf(1).locked && !voskit.store.objectOf(1).visible")
    third, unsure = swept(SIZE, walk.stroke([(160, 40), (160, 80)]), 20)
    expect(walk, np.where(first, 1, np.where(second | third, 2, 0)), unsure=unsure)


def test_a_locked_object_is_not_painted_and_the_page_says_so(walk: Walk) -> None:
    walk.stroke([(60, 60), (100, 60)])
    walk.saved()
    before = walk.files()
    walk.press("d")
    walk.wait("voskit.store.objectOf(1).locked")
    walk.stroke([(60, 90), (100, 90)])
    assert "locked" in walk.text("#messages")
    walk.saved()
    assert walk.files() == before


def test_fill_covers_a_connected_region(walk: Walk) -> None:
    walk.choose("brush", 8)
    ring, _ = swept(SIZE, walk.stroke([(60, 40), (200, 40), (200, 140), (60, 140), (60, 40)]), 8)
    walk.choose("fill")
    walk.click((130, 90))
    walk.saved()
    ids = walk.file_ids(0)
    assert ids is not None
    hole = inside(SIZE, [(60, 40), (200, 40), (200, 140), (60, 140)])
    assert np.array_equal(ids == 1, ring | hole)


def test_polygon_by_clicks(walk: Walk) -> None:
    walk.choose("polygon")
    corners = [walk.click(point) for point in [(50, 40), (220, 50), (180, 150), (140, 90), (70, 160)]]
    walk.press("Backspace")
    corners = [*corners[:-1], walk.click((60, 140))]
    walk.press("Enter")
    expect(walk, inside(SIZE, corners).astype(int))


def test_lasso_by_dragging_and_cutting_out(walk: Walk) -> None:
    walk.choose("polygon")
    path = [(100 + 60 * np.cos(a), 90 + 50 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 40)]
    outer = inside(SIZE, walk.stroke(path))
    walk.saved()
    path = [(100 + 20 * np.cos(a), 90 + 15 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 30)]
    inner = inside(SIZE, walk.stroke(path, button="right"))
    walk.saved()
    ids = walk.file_ids(0)
    assert ids is not None
    # a lasso leaves out points nearer than two pixels of the screen, so its edge may differ by a pixel
    assert (ids.astype(bool) ^ (outer & ~inner)).sum() < 40
    assert ids[90, 45] == 1 and ids[90, 100] == 0


def test_escape_cancels_an_unfinished_stroke(walk: Walk) -> None:
    walk.choose("brush", 20)
    mouse = walk.page.mouse
    mouse.move(*walk.screen((60, 60)))
    mouse.down()
    mouse.move(*walk.screen((120, 60)))
    walk.press("Escape")
    mouse.up()
    walk.saved()
    assert not walk.shown_ids().any() and walk.file_ids(0) is None


def test_brush_size_by_keys_and_wheel(walk: Walk) -> None:
    walk.choose("brush", 10)
    walk.press("]", "]", "[", "]")
    size = walk.get("voskit.store.brush")
    assert size == 14
    walk.page.mouse.move(*walk.screen((100, 100)))
    walk.page.keyboard.down("Shift")
    walk.page.mouse.wheel(0, -120)
    walk.page.keyboard.up("Shift")
    walk.wait(f"voskit.store.brush > {size}")


def test_shift_click_draws_a_straight_line(walk: Walk) -> None:
    walk.choose("brush", 9)
    start = walk.click((60, 60))
    walk.page.keyboard.down("Shift")
    end = walk.click((220, 130))
    walk.page.keyboard.up("Shift")
    wanted, unsure = swept(SIZE, [start, end], 9)
    expect(walk, wanted.astype(int), unsure=unsure)
