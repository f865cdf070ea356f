"""voskit annotate: actions of the page's buttons, and its server."""

from __future__ import annotations

import os
import socket
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
from moving_clip import H, W, moving_frames, squares
from PIL import Image

from voskit.dataloaders.masks.files import read_mask
from voskit.dataloaders.masks.palette import id_colors
from voskit.dataloaders.video.frames import open_frames
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.annotation.painting import layer_of
from voskit.evaluators.annotation.session import Annotation
from voskit.networks import build_model
from voskit.tools import annotate as app

gr = pytest.importorskip("gradio", reason="the page is made with gradio")

from voskit.evaluators.annotation.page import (  # noqa: E402
    Page,
    _reporting_errors,
    _reporting_errors_of_generator,
    build_page,
)

FRAMES = 5


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    folder = tmp_path / "clip"
    folder.mkdir()
    for i, frame in enumerate(moving_frames(FRAMES)):
        Image.fromarray(frame).save(folder / f"{i:05d}.png")
    return folder


@pytest.fixture
def annotation(clip: Path, tmp_path: Path) -> Annotation:
    torch.manual_seed(0)
    return Annotation(VideoSegmenter(build_model("aott", device="cpu")), open_frames(clip), tmp_path / "out")


@pytest.fixture
def page(annotation: Annotation) -> Page:
    return Page(annotation)


def paint(layer: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Paint the objects of a mask on a layer, as a user does."""
    colors = np.concatenate([id_colors(ids).reshape(H, W, 3), np.full((H, W, 1), 255, np.uint8)], axis=2)
    return np.where(ids[..., None] > 0, colors, layer)


def at(number: int) -> tuple[int, np.ndarray]:
    """The frame in the editor, and its mask."""
    return number, np.zeros((H, W), np.uint8)


def painted(ids: np.ndarray) -> dict:
    return {"layers": [paint(np.zeros((H, W, 4), np.uint8), ids)]}


def test_what_is_painted_is_taken_and_propagated(page: Page, annotation: Annotation) -> None:
    *_, shown, number = page.discard(1, None)
    assert number == 0
    mask = squares(1, 300)
    steps = list(page.propagate("forwards", 0, shown, painted(mask)))
    assert np.array_equal(annotation.mask(0), mask)
    assert annotation.given == [0]
    assert [step[-1] for step in steps] == [0, 1, 2, 3, 4]
    assert all(annotation.mask(n) is not None for n in range(FRAMES))
    editor, result, text, shown, number = page.finish(1, shown, None)
    assert editor.value is not None
    assert result.shape == (H, W, 3)
    assert "Frame 4" in text
    assert number == shown[0] == 4


def test_a_correction_is_propagated_a_few_frames_backwards(page: Page, annotation: Annotation) -> None:
    annotation.give(0, squares(1))
    *_, shown, _ = page.go(3, 1, None, None)
    steps = list(page.propagate("backwards", 2, shown, painted(squares(0, 2))))
    assert [step[-1] for step in steps] == [3, 2, 1]
    assert annotation.given == [0, 3]


def test_stop_ends_it_after_a_frame(page: Page, annotation: Annotation) -> None:
    annotation.give(0, squares(1))
    run = page.propagate("forwards", 0, at(0), None)
    assert [next(run)[-1], next(run)[-1]] == [0, 1]
    with pytest.raises(ValueError, match="a propagation is running"):
        next(page.propagate("forwards", 0, at(0), None))
    assert page.finish(1, at(0), None) == gr.skip()  # of the one that was refused
    page.stop()
    assert not list(run)
    assert page.finish(1, at(0), None)[-1] == 1
    assert annotation.mask(2) is None
    assert len(list(page.propagate("forwards", 1, at(1), None))) == 2


def test_nothing_is_changed_during_a_propagation(page: Page, annotation: Annotation, tmp_path: Path) -> None:
    annotation.give(0, squares(1))
    Image.fromarray(squares(2).astype(np.uint8)).save(tmp_path / "mask.png")
    run = page.propagate("forwards", 0, at(0), None)
    next(run)
    for change in (
        lambda: page.keep(1, at(2), None),
        lambda: page.read(str(tmp_path / "mask.png"), 1, at(2)),
        lambda: page.forget(1, at(0)),
        lambda: page.delete(1, at(0), None),
        lambda: page.step(1, 1, at(2), painted(squares(3))),
        lambda: next(page.pictures(1, at(0), None)),
    ):
        with pytest.raises(ValueError, match="a propagation is running: stop it first"):
            change()
    assert page.step(1, 1, at(2), None)[-1] == 3  # frames can be looked at
    assert annotation.given == [0]
    run.close()
    page.delete(1, at(0), None)
    assert not any(np.any(annotation.mask(n)) for n in range(FRAMES) if annotation.mask(n) is not None)


def test_what_is_painted_during_a_propagation_is_taken_at_its_end(page: Page, annotation: Annotation) -> None:
    *_, shown, _ = page.discard(1, at(0))
    run = page.propagate("forwards", 0, shown, painted(squares(1)))
    *_, shown, _ = next(run)
    assert np.array_equal(shown[1], squares(1))
    assert page.step(1, 1, shown, painted(squares(1)))[-1] == 1  # was taken at the start, so nothing holds us here
    page.stop()
    assert len(list(run)) == 1
    *_, number = page.finish(1, shown, painted(squares(1, 5)))
    assert number == 1
    assert np.array_equal(annotation.mask(0), squares(1, 5))


def test_painting_is_taken_when_another_frame_is_shown(page: Page, annotation: Annotation) -> None:
    *_, shown, _ = page.discard(1, None)
    *_, number = page.step(1, 1, shown, painted(squares(4)))
    assert number == 1
    assert np.array_equal(annotation.mask(0), squares(4))
    *_, shown, _ = page.discard(1, at(0))
    page.go(2, 1, shown, {"layers": [layer_of(squares(4))]})
    page.go(1, 1, shown, {"layers": []})
    assert annotation.given == [0]


def test_painting_that_comes_once_more_with_the_next_frame_is_not_its(page: Page, annotation: Annotation) -> None:
    left_behind = {"background": annotation.image(0), **painted(squares(4))}
    page.go(1, 1, at(0), left_behind)
    page.go(2, 1, at(1), left_behind)
    assert annotation.given == [0]
    page.go(3, 1, at(2), {"background": annotation.image(2), **painted(squares(4))})  # the same strokes
    assert annotation.given == [0, 2]
    page.forget(1, at(2))
    page.keep(1, at(2), {"background": annotation.image(2), **painted(squares(4))})  # painted anew
    assert annotation.given == [0, 2]


def test_the_editor_s_canvas_is_as_large_as_the_frames(annotation: Annotation) -> None:
    blocks = build_page(annotation)
    (editor,) = (part for part in blocks.blocks.values() if isinstance(part, gr.ImageEditor))
    assert editor.canvas_size == (W, H)  # gradio draws masks in the middle of its own, 800 x 800


def test_steps_count_from_the_frame_that_is_shown_and_end_with_the_clip(page: Page) -> None:
    *_, shown, slider = page.go(3, 1, None, None)
    assert shown[0] == 3
    assert slider == gr.skip()  # it may be on its way to the next frame
    assert page.step(1, 1, shown, None)[-1] == 4
    assert page.step(-1, 1, at(0), None)[-1] == 0
    assert page.go(99, 1, None, None)[-2][0] == FRAMES - 1


def test_masks_from_files_kept_removed_and_deleted(page: Page, annotation: Annotation, tmp_path: Path) -> None:
    Image.fromarray(squares(2, 3).astype(np.uint8)).save(tmp_path / "mask.png")
    page.read(str(tmp_path / "mask.png"), 1, at(1))
    assert annotation.given == [1]
    page.keep(1, at(2), None)
    assert annotation.given == [1, 2]
    page.delete(3, at(1), None)
    assert np.array_equal(annotation.mask(1), squares(2))
    page.forget(1, at(1))
    assert annotation.mask(1) is None
    with pytest.raises(ValueError, match="from 1 to 65535"):
        page.choose(0, at(1))
    assert len(list(page.pictures(1, at(0), None))) == FRAMES + 1
    assert (annotation.folder / "overlay.mp4").exists()


def test_errors_are_messages_that_leave_the_page_as_it_is(
    page: Page, annotation: Annotation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(gr, "Warning", told.append)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "bad<i>.png").write_bytes(b"no picture")
    assert _reporting_errors(page.read)(str(tmp_path / "copy" / "bad<i>.png"), 1, at(0)) == gr.skip()
    assert told[0].startswith("bad&lt;i&gt;.png")
    assert str(tmp_path) not in told[0]
    assert list(_reporting_errors_of_generator(page.propagate)("forwards", 0, at(3), None))[-1] == gr.skip()
    assert "frame 3 has no mask with an object" in told[1]
    (annotation.folder / "masks" / "00002.png").write_bytes(b"damaged")
    assert page.go(2, 1, at(1), None)[-1] == 1  # the slider goes back
    assert "00002.png" in told[2]


def test_without_a_number_of_frames_it_propagates_to_the_end(page: Page, annotation: Annotation) -> None:
    annotation.give(0, squares(1))
    assert [step[-1] for step in page.propagate("forwards", None, at(0), None)] == list(range(FRAMES))
    with pytest.raises(ValueError, match="the number of frames to propagate must be at least 1, or 0 for all, got -2"):
        next(page.propagate("forwards", -2, at(0), None))


@pytest.mark.parametrize("typed", [None, 0, -1, 70000])
def test_without_an_object_s_number_frames_can_be_looked_at(
    page: Page, annotation: Annotation, typed: int | None
) -> None:
    annotation.give(0, squares(1))
    editor, *_, number = page.step(1, typed, at(0), None)
    assert number == 1
    assert "brush" not in editor.constructor_args
    with pytest.raises(ValueError, match="Object to paint: an object's number is from 1 to 65535"):
        page.delete(typed, at(0), None)
    if typed is None:
        assert page.choose(typed, at(0)) == gr.skip()  # another number is being typed
    else:
        with pytest.raises(ValueError, match="from 1 to 65535"):
            page.choose(typed, at(0))


def test_the_page_is_served(annotation: Annotation) -> None:
    blocks = build_page(annotation)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    blocks.launch(server_port=port, prevent_thread_lock=True, quiet=True, inbrowser=False)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
            assert "Propagate forwards" in answer.read().decode()
    finally:
        blocks.close()


def test_flags(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[dict] = []
    folders: list[Path] = []

    def launch(blocks: gr.Blocks, **options: object) -> None:
        served.append(options)
        folders.append(Path(os.environ["GRADIO_TEMP_DIR"]))
        assert folders[-1].is_dir()

    monkeypatch.setattr(gr.Blocks, "launch", launch)
    Image.fromarray(squares(5).astype(np.uint8)).save(tmp_path / "first.png")
    flags = {"data_path": clip, "device": "cpu", "output_path": tmp_path / "out", "mask": tmp_path / "first.png"}
    assert app.run(app.Args(**flags, port=1234)) == 0
    assert not folders[0].exists()
    assert os.environ.get("GRADIO_TEMP_DIR") != str(folders[0])
    assert (served[0]["server_name"], served[0]["server_port"]) == ("127.0.0.1", 1234)
    assert served[0]["allowed_paths"] == [str((tmp_path / "out" / "clip").resolve())]
    assert np.array_equal(read_mask(tmp_path / "out" / "clip" / "given" / "00000.png"), squares(5))
    with pytest.raises(ValueError, match="has given masks already, resume without --mask"):
        app.run(app.Args(**flags))
    with pytest.raises(ValueError, match="takes text prompts, not masks: use voskit demo --text"):
        app.run(app.Args(**flags, model="r50_referformer", ckpt_path=tmp_path / "f.pth"))


def test_without_gradio_it_says_what_to_install(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "voskit.evaluators.annotation.page")
    with pytest.raises(
        ValueError, match=r"gradio is not installed, which the page needs: pip install 'voskit\[annotate\]'"
    ):
        app.run(app.Args(data_path=clip))
