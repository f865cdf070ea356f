"""Clips in and out: upload, paths, bundled scenes, several clips, import, export."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from walking import Server, Walk, wait_until, write_clip


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two clips."""
    folder = tmp_path_factory.mktemp("clips")
    write_clip(folder / "first", frames=8, size=(96, 160))
    write_clip(folder / "second", frames=6, size=(80, 120))
    return folder


@pytest.fixture(scope="module")
def server(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    results = tmp_path_factory.mktemp("results")
    with Server(results, clips / "first", clips / "second", root=clips, upload_limit=200_000) as running:
        yield running


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video small enough to be uploaded."""
    import av

    path = tmp_path_factory.mktemp("videos") / "tiny käfer.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        for number in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 40 * number, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def open_clip(walk: Walk, name: str) -> None:
    """Choose a clip in the list."""
    walk.press("Control+o")
    walk.page.click(f'.clip:has-text("{name}")')
    walk.wait(f"voskit.store.clip?.name === '{name}' && voskit.stage.width === voskit.store.clip.width")


def test_an_empty_project_offers_ways_to_open_a_video(tmp_path: Path, open_page: Callable[..., Walk]) -> None:
    with Server(tmp_path / "empty") as empty:
        walk = open_page(empty, clip=False)
        walk.wait("document.querySelector('#welcome .drop') !== null")
        assert "Open a video" in walk.text("#welcome")
        walk.page.click('.scenes button:has-text("cabinet")')
        walk.wait("voskit.store.clip?.name === 'cabinet' && voskit.stage.ids !== null")
        assert not walk.page.is_visible("#welcome")
        walk.close()


def test_each_clip_reopens_where_it_was_left(walk: Walk) -> None:
    open_clip(walk, "first")
    walk.stroke([(40, 40), (80, 40)])
    walk.go(5)
    walk.get("voskit.stage.place(6, 70, 50)")
    open_clip(walk, "second")
    assert walk.frame == 0
    walk.go(2)
    walk.page.wait_for_timeout(600)
    open_clip(walk, "first")
    walk.wait("voskit.store.frame === 5")
    assert walk.get("voskit.stage.zoom") == pytest.approx(6)
    open_clip(walk, "second")
    walk.wait("voskit.store.frame === 2")


def test_the_clip_of_the_command_line_is_shown_even_if_others_are_listed(
    server: Server, open_page: Callable[..., Walk], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = server.workspace.project
    monkeypatch.setattr(project, "first", next(clip for clip in project.clips if clip.name == "second"))
    assert open_page(server).page.evaluate("voskit.store.clip.name") == "second"


def test_a_clip_is_removed_from_the_list_and_its_files_stay(tmp_path: Path, open_page: Callable[..., Walk]) -> None:
    clip = write_clip(tmp_path / "only", frames=3, size=(96, 160))
    with Server(tmp_path / "out", clip) as server:
        walk = open_page(server)
        walk.stroke([(40, 40), (80, 40)])
        walk.saved()
        folder = walk.folder
        walk.press("Control+o")
        walk.page.click('[aria-label="Remove from the list; its files stay"]')
        walk.wait("voskit.store.clip === null")
        walk.press("Escape")
        walk.wait("document.querySelector('#welcome h1')?.innerText === 'Open a video'")
        assert (folder / "given/00000.png").exists() and server.call("project")["clips"] == []
        walk.close()


def test_upload_of_a_video(walk: Walk, video: Path) -> None:
    walk.press("Control+o")
    walk.page.set_input_files("dialog .drop input", video)
    walk.wait("voskit.store.clip?.frames === 5 && voskit.stage.width === 96")
    walk.stroke([(30, 30), (60, 30)])
    walk.saved()
    assert walk.file_ids(0) is not None or any(walk.folder.glob("masks/*.png"))


def test_an_upload_over_the_limit_is_refused_with_a_message(walk: Walk, tmp_path: Path) -> None:
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(400_000))
    walk.press("Control+o")
    walk.page.set_input_files("dialog .drop input", large)
    walk.wait("document.querySelector('dialog .note.error') !== null")
    assert walk.text("dialog .note.error")
    names = [clip["name"] for clip in walk.server.call("project")["clips"]]
    assert "large" not in names


def test_a_file_that_is_not_a_video_is_refused_with_a_message(walk: Walk, tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no video")
    before = walk.get("voskit.store.clip.name")
    walk.press("Control+o")
    walk.page.set_input_files("dialog .drop input", text)
    walk.wait("document.querySelector('dialog .note.error, #welcome .error, .message.error') !== null")
    if walk.page.is_visible("dialog"):
        walk.press("Escape")
    open_clip(walk, before)


def test_opening_by_path_stays_below_the_root(walk: Walk, clips: Path) -> None:
    walk.press("Control+o")
    field = walk.page.locator(".path input")
    field.fill("../../etc")
    field.press("Enter")
    walk.wait("document.querySelector('.message.error') !== null")
    field.fill("second")
    field.press("Enter")
    walk.wait("voskit.store.clip?.name === 'second'")


def test_import_of_a_mask(walk: Walk, tmp_path: Path) -> None:
    open_clip(walk, "first")
    ids = np.zeros((96, 160), np.uint8)
    ids[10:40, 20:60] = 3
    Image.fromarray(ids).save(tmp_path / "mask.png")
    walk.go(4)
    walk.page.click('button:has-text("Import")')
    walk.page.set_input_files("dialog input[type=file]", tmp_path / "mask.png")
    walk.wait("voskit.store.clip.given.includes(4) && voskit.stage.ids.includes(3)")
    assert np.array_equal(walk.file_ids(4, "given"), ids)
    walk.press("Control+z")
    walk.wait("!voskit.store.clip.given.includes(4)")


def test_a_mask_of_a_different_size_is_refused_with_a_message(walk: Walk, tmp_path: Path) -> None:
    open_clip(walk, "first")
    Image.fromarray(np.ones((20, 20), np.uint8)).save(tmp_path / "small.png")
    before = walk.files()
    walk.page.click('button:has-text("Import")')
    walk.page.set_input_files("dialog input[type=file]", tmp_path / "small.png")
    walk.wait("document.querySelector('dialog .note.error')?.innerText.length > 10")
    assert walk.files() == before


def test_export_is_a_zip_of_the_masks(walk: Walk) -> None:
    open_clip(walk, "first")
    walk.go(0)
    walk.stroke([(40, 40), (80, 40)])
    walk.saved()
    walk.press("Control+e")
    with walk.page.expect_download() as download:
        walk.page.click("dialog .primary")
    content = Path(download.value.path()).read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        pngs = [name for name in archive.namelist() if name.endswith("00000.png")]
        ids = np.array(Image.open(io.BytesIO(archive.read(pngs[0]))))
    assert np.array_equal(ids > 0, walk.file_ids(0) > 0)


def test_overlay_video_is_downloaded(walk: Walk) -> None:
    open_clip(walk, "first")
    walk.go(0)
    walk.stroke([(40, 40), (80, 40)])
    walk.press("Control+e")
    with walk.page.expect_download() as download:
        walk.page.click('dialog footer button:has-text("Overlay video")')
    import av

    with av.open(download.value.path()) as container:
        assert sum(1 for _ in container.decode(video=0)) == 8


def test_a_damaged_frame_is_shown_as_such_and_takes_no_mask(tmp_path: Path, open_page: Callable[..., Walk]) -> None:
    clip = write_clip(tmp_path / "damaged", frames=6, size=(96, 160))
    (clip / "00002.jpg").write_bytes(b"nothing")
    with Server(tmp_path / "out", clip) as server:
        walk = open_page(server)
        wait_until(lambda: server.call(f"clips/{walk.clip_id}")["damaged"] == [2], "the frame is known")
        walk.page.reload()
        walk.wait("voskit.store?.clip?.damaged?.length === 1 && voskit.stage.ids !== null")
        walk.go(2)
        assert walk.page.is_visible("#damaged") and walk.text(".frame-state") == "damaged"
        walk.stroke([(40, 40), (80, 40)])
        walk.saved()
        assert walk.file_ids(2) is None
        walk.press("k")
        walk.page.wait_for_timeout(800)
        assert walk.file_ids(2, "given") is None
        walk.go(3)
        assert not walk.page.is_visible("#damaged")
        walk.close()
