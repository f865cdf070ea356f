"""Propagation in the page: live, stoppable, and the server's own business."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from walking import Server, Shifter, Walk, shifted, wait_until

from voskit.evaluators.annotation.session import Annotation


def masked(server: Server, walk: Walk) -> int:
    """Number of frames with masks, as the server counts them."""
    return sum(last - first + 1 for first, last in server.call(f"clips/{walk.clip_id}")["masked"])


def test_the_main_view_follows_a_propagation(walk: Walk, server: Server, held: threading.Event) -> None:
    walk.choose("brush", 40)
    walk.stroke([(60, 80), (90, 80)])
    walk.get("(window.seen = [], window.blank = [])")
    walk.get(
        "voskit.store.on('frame', () => (voskit.stage.ids.some((id) => id) ? seen : blank).push(voskit.store.frame))"
    )
    walk.press("p")
    walk.wait("voskit.store.running !== undefined")
    assert walk.page.is_visible(".working .stop")
    walk.wait("seen.includes(4)")  # the last frame that is finished
    held.set()
    walk.wait("voskit.store.frame === 47 && voskit.store.running === undefined")
    assert walk.get("blank") == []
    assert masked(server, walk) == 48
    assert walk.get("voskit.store.clip.given") == [0]
    for frame in (1, 20, 47):
        assert np.array_equal(walk.file_ids(frame), shifted(walk.file_ids(0), frame))
    assert np.array_equal(walk.shown_ids(), walk.file_ids(47))


@pytest.mark.parametrize("order", [("clipChanged", "jobChanged"), ("jobChanged", "clipChanged")])
def test_it_follows_whatever_the_order_of_events(walk: Walk, order: tuple[str, str]) -> None:
    events = {
        "clipChanged": "{clip: voskit.store.clip.id, revisions: {7: 1}}",
        "jobChanged": "{id: 99, clip: voskit.store.clip.id, kind: 'propagate', state: 'running', frame: 7}",
    }
    walk.get("void (voskit.session.following = true)")
    for event in order:
        walk.get(f"void voskit.session.{event}({events[event]})")
    walk.wait("voskit.store.frame === 7")


def test_one_undo_reverts_a_propagation(walk: Walk, server: Server) -> None:
    walk.go(40)
    walk.choose("brush", 40)
    walk.stroke([(60, 80), (90, 80)])
    walk.press("p")
    walk.wait("voskit.store.frame === 47 && voskit.store.running === undefined")
    walk.press("Control+z")
    wait_until(lambda: masked(server, walk) == 1, "only the given mask is left")
    walk.press("Control+y")
    wait_until(lambda: masked(server, walk) == 8, "the propagated masks are back")


def test_stop_keeps_all_masks_so_far(walk: Walk, server: Server, held: threading.Event) -> None:
    walk.choose("brush", 40)
    walk.stroke([(60, 80), (90, 80)])
    walk.press("p")
    walk.wait("voskit.store.frame >= 2")
    with walk.page.expect_response(lambda answer: answer.request.method == "DELETE"):
        walk.press("Escape")
    held.set()
    walk.wait("voskit.store.running === undefined")
    assert 3 <= masked(server, walk) < 48


def test_backwards_within_the_range(walk: Walk, server: Server) -> None:
    walk.go(30)
    walk.press("i")
    walk.go(36)
    walk.choose("brush", 40)
    walk.stroke([(60, 80), (90, 80)])
    assert "6 back" in walk.text(".range")
    walk.press("Shift+P")
    walk.wait("voskit.store.frame === 30 && voskit.store.running === undefined")
    assert server.call(f"clips/{walk.clip_id}")["masked"] == [[30, 36]]


def test_viewing_other_frames_stops_following_and_strokes_there_are_kept(walk: Walk, held: threading.Event) -> None:
    walk.choose("brush", 40)
    walk.stroke([(60, 80), (90, 80)])
    walk.press("p")
    walk.wait("voskit.store.frame >= 1")
    walk.go(45)
    walk.stroke([(200, 100), (230, 100)])
    walk.saved()
    painted = walk.shown_ids()
    held.set()
    assert walk.frame == 45
    walk.wait("voskit.store.running === undefined")
    assert walk.frame == 45 and np.array_equal(walk.file_ids(45), painted)
    assert np.array_equal(walk.file_ids(45, "given"), painted)


def test_only_chosen_objects_are_propagated_and_locked_ones_stay(walk: Walk) -> None:
    walk.paint_two_objects()
    walk.go(3)
    walk.choose("brush", 16)
    walk.stroke([(150, 150), (170, 150)])  # object 2, given in frame 3
    walk.saved()
    given = walk.file_ids(3)
    walk.go(0)
    walk.page.click('.chip:has-text("2")')
    walk.get("void (voskit.store.markOut = 6)")
    walk.press("p")
    walk.wait("voskit.store.running !== undefined || voskit.store.frame === 6")
    walk.wait("voskit.store.running === undefined && voskit.store.frame === 6")
    assert np.array_equal(walk.file_ids(3), given)
    first = walk.file_ids(0)
    assert np.array_equal(walk.file_ids(2), shifted(np.where(first == 1, first, 0), 2))


def test_a_propagation_survives_a_reload(walk: Walk, server: Server) -> None:
    walk.choose("brush", 40)
    walk.stroke([(60, 80), (90, 80)])
    walk.press("p")
    walk.wait("voskit.store.frame >= 1")
    walk.page.reload()
    walk.wait("voskit.store?.clip != null && voskit.stage.ids !== null")
    walk.wait("voskit.store.running !== undefined || voskit.store.clip.masked[0]?.[1] === 47")
    wait_until(lambda: masked(server, walk) == 48, "the job ends")
    walk.wait("voskit.store.running === undefined")


@pytest.mark.parametrize("late", ["clips/*", "events"])
def test_a_job_that_ends_while_the_page_loads_is_not_shown_as_running(
    walk: Walk, server: Server, held: threading.Event, late: str
) -> None:
    """The answer about the clip is from before its end and comes after the event, or the connection comes too late."""
    walk.choose("brush", 40)
    walk.stroke([(60, 80), (90, 80)])
    walk.press("p")
    walk.wait("voskit.store.frame >= 1")
    clip = walk.clip_id

    def delay(route: Any) -> None:
        answer = None if late == "events" else route.fetch()
        held.set()
        wait_until(lambda: not server.call(f"clips/{clip}")["job"], "the job ends")
        time.sleep(0.5)  # in which the event of its end arrives
        route.fulfill(response=answer) if answer else route.continue_()

    walk.page.route(f"**/api/{late}", delay, times=1)
    walk.page.reload()
    walk.wait("voskit.store?.clip != null && voskit.stage.ids !== null")
    walk.wait("voskit.store.running === undefined && voskit.store.clip.masked[0]?.[1] === 47")


def fail(*_: object, **__: object) -> None:
    raise ValueError("the network is tired")


def test_a_failure_is_reported_once_even_after_a_reload(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Annotation, "make_previews", fail)
    walk.get("void voskit.session.startJob({kind: 'overlay'})")
    walk.wait("document.querySelector('#messages').innerText.includes('tired')")
    walk.page.wait_for_timeout(1500)  # in which it is read
    walk.page.reload()
    walk.wait("[...(voskit.store?.jobs.values() ?? [])].some((job) => job.state === 'failed')")
    walk.wait("voskit.store.clip !== null && voskit.stage.ids !== null")
    assert "tired" not in walk.text("#messages")


def test_a_failure_while_the_page_loads_is_reported(
    walk: Walk, server: Server, held: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk.choose("brush", 40)
    walk.stroke([(60, 80), (90, 80)])
    walk.press("p")
    walk.wait("voskit.store.frame >= 1")
    clip = walk.clip_id

    def end(route: Any) -> None:
        monkeypatch.setattr(Shifter, "step", fail)
        held.set()
        wait_until(lambda: not server.call(f"clips/{clip}")["job"], "the job ends")
        route.continue_()

    walk.page.route("**/api/events", end, times=1)
    walk.page.reload()
    walk.wait("document.querySelector('#messages').innerText.includes('tired')")


def test_a_propagation_survives_its_closed_tab(open_page: Callable[..., Walk], walk: Walk, server: Server) -> None:
    worker = open_page()
    worker.choose("brush", 40)
    worker.stroke([(60, 80), (90, 80)])
    worker.press("p")
    worker.wait("voskit.store.frame >= 1")
    worker.page.close()
    wait_until(lambda: masked(server, walk) == 48, "the job ends without its tab")
    walk.wait("voskit.store.clip.masked[0]?.[1] === 47")


def test_confidence_curves_and_correct_next(walk: Walk) -> None:
    walk.paint_two_objects()
    walk.press("p")
    walk.wait("voskit.store.frame === 47 && voskit.store.running === undefined")
    walk.wait("voskit.store.quality?.objects['2']?.[47] != null && voskit.store.quality.next !== null")
    walk.wait("voskit.store.quality.objects['1'].filter((value) => value !== null).length >= 47")
    walk.go(0)
    walk.press("1", "c")
    walk.wait("document.querySelector('#messages').innerText.includes('confidence')")
    frame, number = walk.get("[voskit.store.quality.next.frame, voskit.store.quality.next.object]")
    assert (walk.frame, walk.get("voskit.store.object")) == (frame, number)
    assert number == 2 and frame > 30  # the stand-in is least sure of the second object, late in the clip


def test_both_ways(walk: Walk, server: Server) -> None:
    walk.go(24)
    walk.choose("brush", 40)
    walk.stroke([(60, 80), (90, 80)])
    walk.press("a")
    wait_until(lambda: masked(server, walk) == 48, "both propagations end")
    walk.wait("voskit.store.running === undefined && voskit.store.frame === 24")  # back where they began
    assert np.array_equal(walk.file_ids(47), shifted(walk.file_ids(24), 23))
    assert np.array_equal(walk.file_ids(10), shifted(walk.file_ids(24), 14))


def test_keeping_a_propagated_mask(walk: Walk) -> None:
    walk.go(44)
    walk.choose("brush", 40)
    walk.stroke([(60, 80), (90, 80)])
    walk.press("p")
    walk.wait("voskit.store.frame === 47 && voskit.store.running === undefined")
    walk.go(46)
    walk.wait("document.querySelector('.frame-state').innerText === 'propagated'")
    walk.wait("voskit.stage.ids.some((id) => id > 0) && !voskit.session.navigator.busy")
    walk.press("k")
    walk.wait("voskit.store.clip.given.includes(46)")
    assert np.array_equal(walk.file_ids(46), walk.file_ids(46, "given"))
