"""Fingers and pens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from walking import Server, Walk


@pytest.fixture
def phone(open_page: Callable[..., Walk], server: Server) -> Walk:
    server.empty()
    return open_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, device_scale_factor=2)


class Fingers:
    """Touches of a page."""

    def __init__(self, walk: Walk) -> None:
        self.session: Any = walk.context.new_cdp_session(walk.page)

    def send(self, kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_one_finger_paints(phone: Walk) -> None:
    fingers = Fingers(phone)
    start, end = phone.screen((80, 60)), phone.screen((200, 60))
    fingers.send("touchStart", start)
    for part in (0.3, 0.6, 1.0):
        fingers.send("touchMove", (start[0] + part * (end[0] - start[0]), start[1]))
    fingers.send("touchEnd")
    phone.saved()
    ids = phone.file_ids(0)
    assert ids is not None and ids[60, 140] == 1


def test_two_fingers_zoom_and_paint_nothing(phone: Walk) -> None:
    fingers = Fingers(phone)
    zoom = phone.get("voskit.stage.zoom")
    x, y = phone.screen((160, 96))
    fingers.send("touchStart", (x - 30, y))
    fingers.send("touchStart", (x - 30, y), (x + 30, y))
    for reach in (50, 80, 110):
        fingers.send("touchMove", (x - reach, y), (x + reach, y))
    fingers.send("touchEnd")
    phone.wait(f"voskit.stage.zoom > {2 * zoom}")
    phone.saved()
    assert not phone.shown_ids().any() and phone.file_ids(0) is None


PEN = """([places, button, buttons]) => {
    const root = voskit.stage.root;
    root.setPointerCapture = () => {};
    const send = (type, [x, y], now) => root.dispatchEvent(new PointerEvent(type, {
        clientX: x, clientY: y, button: type === "pointermove" ? -1 : button, buttons: now, pointerId: 7,
        pointerType: "pen", pressure: 0.3, bubbles: true }));
    send("pointerdown", places[0], buttons);
    for (const place of places.slice(1)) send("pointermove", place, buttons);
    send("pointerup", places.at(-1), 0);
}"""


def test_a_pen_paints_and_its_eraser_erases(walk: Walk) -> None:
    walk.choose("brush", 20)
    walk.page.evaluate(PEN, [[walk.screen((60, 60)), walk.screen((200, 60))], 0, 1])
    walk.saved()
    assert walk.file_ids(0)[60, 60] == walk.file_ids(0)[60, 130] == 1
    walk.page.evaluate(PEN, [[walk.screen((120, 60)), walk.screen((140, 60))], 5, 32])
    walk.saved()
    assert walk.file_ids(0)[60, 130] == 0 and walk.file_ids(0)[60, 60] == 1


def test_everything_is_within_reach_on_a_phone(phone: Walk) -> None:
    width = phone.get("document.documentElement.scrollWidth")
    assert width <= 390
    for selector in ("#stage", "#timeline", '[data-tool="brush"]', "#panel-toggle", ".play"):
        assert phone.page.locator(selector).is_visible(), selector
    phone.page.tap("#panel-toggle")
    assert phone.page.locator(".objects li").is_visible()
    assert phone.page.locator('#propagation button:has-text("Forward")').is_visible()
