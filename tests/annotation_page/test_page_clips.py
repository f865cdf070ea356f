"""Two clips: strokes, jobs and choices while one of them is opened, read or taken off."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from holding import Hold
from walking import TIMEOUT, Server, Shifter, Walk, wait_until, write_clip


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for name in ("first", "second"):
        write_clip(folder / name, frames=8, size=(96, 160))
    return folder


@pytest.fixture(scope="module")
def server(clips, tmp_path_factory):
    with Server(tmp_path_factory.mktemp("results"), clips / "first", clips / "second", root=clips) as running:
        yield running


@pytest.fixture
def two(walk: Walk) -> Walk:
    """Both clips are read; the first is shown."""
    for name in ("second", "first"):
        walk.get(f"void voskit.session.open(voskit.store.project.clips.find((c) => c.name === '{name}').id)")
        walk.wait(
            f"voskit.store.clip?.name === '{name}' && voskit.stage.width === 160 && !voskit.session.navigator.busy"
        )
    return walk


def ident(walk: Walk, name: str) -> str:
    return walk.get(f"voskit.store.project.clips.find((c) => c.name === '{name}').id")


def test_a_stroke_while_another_clip_opens_stays_in_its_clip(two: Walk, server: Server) -> None:
    second = ident(two, "second")
    hold = Hold(two, f"**/api/clips/{second}")
    two.get(f"void voskit.session.open('{second}')")
    hold.wait()
    two.stroke([(40, 40), (80, 40)])  # the first clip is still shown
    hold.release()
    two.wait("voskit.store.clip.name === 'second' && voskit.stage.width === 160")
    two.page.wait_for_timeout(1000)
    given = {n: server.call(f"clips/{ident(two, n)}")["given"] for n in ("first", "second")}
    assert given == {"first": [0], "second": []}


def test_a_stroke_while_the_first_frame_of_a_clip_loads_stays_out_of_the_wrong_clip(two: Walk, server: Server) -> None:
    two.go(5)
    two.stroke([(20, 20), (30, 20)])
    two.saved()
    two.go(4)  # no mask, as in the second clip
    second = ident(two, "second")
    hold = Hold(two, f"**/api/clips/{second}/frames/0.jpg*", fetch=False)
    two.get("voskit.session.frames.pictures.values.clear()")
    two.get(f"void voskit.session.open('{second}')")
    two.wait("voskit.store.clip.name === 'second'")
    two.wait("voskit.session.navigator.busy")
    at = two.page.locator("#stage").bounding_box()
    x, y = at["x"] + at["width"] / 2, at["y"] + at["height"] / 2
    two.page.mouse.move(x, y)
    two.page.mouse.down()
    two.page.mouse.move(x + 60, y, steps=4)
    two.page.mouse.up()
    two.page.wait_for_timeout(800)
    given = server.call(f"clips/{second}")["given"]
    hold.release()
    two.page.wait_for_timeout(800)
    assert given == [] and server.call(f"clips/{second}")["given"] == []


def test_the_clip_that_is_shown_can_be_chosen_again_while_another_is_read(
    two: Walk, server: Server, tmp_path: Path, clips: Path
) -> None:
    (clips / "broken").mkdir(exist_ok=True)
    (clips / "broken" / "0.jpg").write_bytes(b"x")
    two.press("Control+o")
    two.page.fill(".path input", "broken")
    two.page.press(".path input", "Enter")
    two.wait("document.querySelector('#welcome .error') !== null")
    two.press("Escape")
    two.press("Control+o")
    two.page.click('dialog .clip:has-text("first")')
    two.page.wait_for_timeout(1500)
    shown = two.page.is_visible("#welcome")
    for one in server.call("project")["clips"]:
        if one["name"] == "broken":
            server.call(f"clips/{one['id']}", "DELETE")
    assert not shown


def test_choosing_the_shown_clip_while_another_opens_keeps_it(two: Walk, server: Server) -> None:
    second = ident(two, "second")
    hold = Hold(two, f"**/api/clips/{second}")
    two.press("Control+o")
    two.page.click('dialog .clip:has-text("second")')
    hold.wait()
    two.press("Control+o")
    two.page.click('dialog .clip:has-text("first")')
    hold.release()
    two.page.wait_for_timeout(800)
    assert two.get("voskit.store.clip.name") == "first"


def test_removing_the_shown_clip_shows_no_error(two: Walk, server: Server, clips: Path) -> None:
    server.call("clips", "POST", {"path": "second"})
    two.press("Control+o")
    two.page.click('.clip-row:has-text("first") [aria-label^="Remove from the list"]')
    two.wait("voskit.store.clip?.name === 'second'")
    two.page.wait_for_timeout(600)
    messages = two.text("#messages")
    server.call("clips", "POST", {"path": "first"})
    assert messages == ""


def test_the_view_s_buttons_show_the_clip_s_view(two: Walk) -> None:
    two.press("v")
    two.page.wait_for_timeout(600)
    two.page.reload()
    two.wait("voskit.store?.clip != null && voskit.stage.ids !== null")
    assert two.get("voskit.store.mode") == "outline"
    assert two.get("document.querySelector('[data-mode=outline]').getAttribute('aria-checked')") == "true"


def test_a_clip_removed_while_it_is_read_can_be_added_again(
    two: Walk, server: Server, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from voskit.evaluators.annotation import project

    write_clip(clips / "slow", frames=4, size=(96, 160))
    resume, began = threading.Event(), threading.Event()
    original = project.TolerantFrames

    def slow(*args, **options):
        began.set()
        resume.wait(TIMEOUT)
        return original(*args, **options)

    monkeypatch.setattr(project, "TolerantFrames", slow)
    clip = server.call("clips", "POST", {"path": "slow"})
    began.wait(TIMEOUT)
    server.call(f"clips/{clip['id']}", "DELETE")
    resume.set()
    time.sleep(1)
    again = server.call("clips", "POST", {"path": "slow"})
    state = wait_until(
        lambda: next(
            (c for c in server.call("project")["clips"] if c["id"] == again["id"] and c["state"] != "opening"), 0
        ),
        "read",
    )
    server.call(f"clips/{again['id']}", "DELETE")
    assert state["state"] == "ready", state["error"]


def test_a_waiting_propagation_can_be_stopped(two: Walk, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    resume = threading.Event()
    step = Shifter.step

    def wait_and_step(self, *args, **options):
        resume.wait(TIMEOUT)
        return step(self, *args, **options)

    monkeypatch.setattr(Shifter, "step", wait_and_step)
    try:
        two.stroke([(40, 40), (80, 40)])
        two.press("p")
        two.wait("voskit.store.running?.state === 'running'")
        second = ident(two, "second")
        two.get(f"void voskit.session.open('{second}')")
        two.wait("voskit.store.clip?.name === 'second' && !voskit.session.navigator.busy && voskit.editorFrame() === 0")
        two.stroke([(40, 40), (80, 40)])
        two.press("p")
        two.wait("voskit.store.running?.state === 'waiting'")
        two.press("Escape")
        two.page.wait_for_timeout(1000)
        running = two.get("voskit.store.running?.state ?? null")
        title = two.text(".working") if two.page.is_visible(".working") else ""
    finally:
        resume.set()
        two.page.wait_for_timeout(500)
    assert running is None, title


def test_a_clip_that_failed_can_be_tried_again(walk: Walk, server: Server, clips: Path) -> None:
    video = write_clip(clips / "late", frames=3, size=(96, 160))
    late = server.workspace.project.add(video)
    video.rename(clips / "away")
    walk.get(f"void voskit.session.open('{late.id}')")
    walk.wait("document.querySelector('#welcome h1')?.textContent === \"Couldn't open late\"")
    assert "no such file or folder" in walk.page.inner_text("#welcome .error")
    walk.page.click("#welcome button.primary:has-text('Try again')")
    walk.wait("document.querySelector('#welcome .error')?.textContent.includes('no such file')")
    (clips / "away").rename(video)
    walk.press("Control+o")
    walk.page.click(".clip.failed")
    walk.wait("voskit.store.clip?.name === 'late' && voskit.stage.width === 160")


def test_a_path_typed_while_the_folder_loads_stays(two: Walk) -> None:
    hold = Hold(two, "**/api/files?path=*")
    two.press("Control+o")
    two.page.fill(".path input", "first")
    hold.wait()
    hold.release()
    two.wait("document.querySelectorAll('.browser .entries li').length > 0")
    typed = two.page.input_value(".path input")
    two.press("Escape")
    assert typed == "first"
