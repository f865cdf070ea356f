"""The server is killed and started again: the page keeps its frame, its strokes and its history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from holding import Hold
from walking import Program, Server, Walk, wait_until


@pytest.fixture(scope="module")
def program(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    running = Program(tmp_path_factory.mktemp("results"), clip).start()
    yield running
    running.kill()


@pytest.fixture
def page(open_page: Callable[..., Walk], program: Program) -> Walk:
    """The page on the program, with no masks."""
    walk = open_page(program)
    for number in walk.get("voskit.store.clip.objects.map((o) => o.id)"):
        program.call(f"clips/{walk.clip_id}/objects/{number}", "DELETE")
    walk.wait("voskit.store.clip.given.length === 0")
    walk.go(0)
    walk.wait("voskit.stage.ids.every((id) => id === 0)")  # the mask without the objects, which strokes build upon
    return walk


@pytest.mark.thorough
def test_a_stale_page_acts_on_its_own_frame_after_a_restart(page: Walk, program: Program) -> None:
    page.stroke([(60, 60), (120, 60)])
    page.go(20)
    page.stroke([(60, 60), (120, 60)])
    page.saved()
    first, twentieth = page.file_ids(0), page.file_ids(20)
    program.kill()
    page.wait("document.querySelector('.banner') !== null")
    page.stroke([(60, 120), (120, 120)])  # while no server is there
    painted = page.shown_ids()
    program.start()
    page.saved()
    assert page.frame == 20
    assert np.array_equal(page.file_ids(20), painted) and not np.array_equal(painted, twentieth)
    assert np.array_equal(page.file_ids(0), first)
    page.press("Delete")
    page.wait("!voskit.store.clip.given.includes(20)")
    assert page.file_ids(20) is None and np.array_equal(page.file_ids(0), first)


def test_undo_and_redo_after_a_restart(page: Walk, program: Program) -> None:
    states = [page.shown_ids()]
    for y in (50, 90, 130):
        page.stroke([(60, y), (200, y)])
        states.append(page.shown_ids())
    page.saved()
    program.kill()
    program.start()
    page.wait("document.querySelector('.banner') === null")
    wait_until(lambda: program.call(f"clips/{page.clip_id}").get("state") == "ready", "the clip is read again")
    for key, masks in (("Control+z", states[-2::-1]), ("Control+y", states[1:])):
        for wanted in masks:
            page.press(key)
            page.wait(f"voskit.stage.ids.reduce((n, id) => n + (id > 0), 0) === {np.count_nonzero(wanted)}")
    assert np.array_equal(page.file_ids(0), states[-1])


def test_a_page_shows_changes_made_while_it_was_disconnected(
    page: Walk, program: Program, open_page: Callable[..., Walk]
) -> None:
    page.stroke([(60, 60), (120, 60)])
    page.saved()
    page.context.set_offline(True)
    page.wait("document.querySelector('.banner') !== null || voskit.store.trouble === null")
    other = open_page(program)
    other.stroke([(200, 120), (260, 120)])
    other.saved()
    page.context.set_offline(False)
    page.page.reload()
    page.wait("voskit.stage?.ids != null")
    assert np.array_equal(page.shown_ids(), other.file_ids(0))


def hide(walk: Walk, hidden: bool) -> None:
    show = "(hidden) => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true }); "
    show += "document.dispatchEvent(new Event('visibilitychange')); }"
    walk.page.evaluate(show, hidden)


def rest(walk: Walk, server: Server) -> None:
    """Hide the page until it hears no events."""
    hide(walk, True)
    wait_until(lambda: not server.workspace.hub._streams, "the page rests")


def wake(walk: Walk) -> None:
    hide(walk, False)


def test_a_hidden_page_pauses_and_shows_changes_when_it_is_visible_again(server: Server, walk: Walk) -> None:
    """Browsers hold six connections to a server, so each open tab must not keep one."""
    streams = server.workspace.hub._streams
    wait_until(lambda: len(streams) == 1, "the page listens")
    rest(walk, server)
    clip = server.call("project")["clips"][0]["id"]
    server.call(f"clips/{clip}/objects", "POST", {})
    wake(walk)
    walk.wait("voskit.store.clip.objects.length === 1")
    assert len(streams) == 1


@pytest.mark.parametrize("asked", ["visit", "prefetch"])
def test_a_mask_changed_during_a_disconnected_read_is_shown_in_its_latest_state(
    server: Server, walk: Walk, asked: str
) -> None:
    hold = Hold(walk, "**/masks/31", method="GET", count=1)
    walk.get(f"void voskit.session.visit({31 if asked == 'visit' else 30})")
    hold.wait()  # the answer says that frame 31 has no mask
    rest(walk, server)
    ids = np.zeros((192, 320), np.uint16)
    ids[50:90, 50:90] = 1
    server.workspace.project.clips[0].opened.annotation.give(31, ids)
    wake(walk)
    walk.wait("voskit.store.clip.given.includes(31)")
    hold.release()
    walk.page.wait_for_timeout(500)
    walk.go(31)
    walk.wait("!voskit.session.navigator.busy")
    assert np.array_equal(walk.shown_ids(), ids)


def test_a_start_answered_after_its_job_ended_does_not_show_it_as_running(server: Server, walk: Walk) -> None:
    walk.stroke([(60, 60), (120, 60)])
    walk.saved()
    rest(walk, server)
    hold = Hold(walk, "**/jobs", method="POST")
    walk.press("p")
    hold.wait()
    wait_until(lambda: not any(job.active for job in server.workspace.jobs), "the job ends")
    wake(walk)
    walk.wait("voskit.store.clip.masked[0]?.[1] === 47 && voskit.session.asked === 0")
    walk.page.wait_for_timeout(300)
    hold.release()
    walk.wait("voskit.session.starting === 0")
    walk.page.wait_for_timeout(300)
    assert walk.get("voskit.store.running === undefined")


@pytest.mark.thorough
def test_killing_the_server_during_a_propagation_loses_no_shown_mask(page: Walk, program: Program) -> None:
    page.choose("brush", 40)
    page.stroke([(60, 80), (90, 80)])
    page.saved()
    given = page.file_ids(0)
    page.press("p")
    page.wait("voskit.store.frame >= 5")
    program.kill()
    program.start()
    page.wait("document.querySelector('.banner') === null && voskit.store.running === undefined")
    masked = wait_until(lambda: program.call(f"clips/{page.clip_id}").get("masked"), "the clip is opened again")
    assert masked[0][0] == 0 and masked[-1][1] < 47
    for frame in range(masked[-1][1] + 1):
        ids = page.file_ids(frame)
        assert ids is not None and ids.shape == (192, 320)
    assert np.array_equal(page.file_ids(0), given)
    page.go(0)
    page.press("p")
    wait_until(lambda: program.call(f"clips/{page.clip_id}")["masked"] == [[0, 47]], "the second try ends")
