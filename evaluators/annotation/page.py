"""Annotation page in the browser, made with gradio."""

from __future__ import annotations

import functools
import hashlib
import html
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np

from voskit.dataloaders import MAX_ID
from voskit.dataloaders.masks.files import read_mask
from voskit.dataloaders.masks.palette import id_colors
from voskit.evaluators.annotation.painting import ids_of, layer_of
from voskit.evaluators.annotation.session import Annotation
from voskit.evaluators.clips.overlay import draw_overlay

logger = logging.getLogger(__name__)
ShownFrame = tuple[int, np.ndarray] | None  # number and mask of the frame in the editor, on which all buttons act

_COLORS_OFFERED = 12
# runs in the browser, because gradio reports an error while a number is being typed, or is beyond the end
_INSIDE = "(number, ...others) => [Math.min(Math.max(Math.round(number ?? 0), 0), %d), ...others]"
_KEPT = (60, 600)  # seconds: interval of removing files of pictures, and their age
_HELP = (
    "Choose an object's number, paint it, *propagate*. If the result is wrong, stop, correct it with brush and "
    "eraser, and propagate from there. Painting is saved when you go to another frame or propagate."
)


class Page:
    """Actions of the page's buttons. The user's work lies in the annotation's files alone."""

    def __init__(self, annotation: Annotation) -> None:
        self.annotation = annotation
        self._busy = threading.Lock()  # held while masks are changed, propagated or drawn
        self._stop = threading.Event()
        self._reached = 0  # the last propagation is at this frame
        self._taken = (-1, b"")  # frame and digest of the last saved painting

    # views -------------------------------------------------------------------------------------------------------

    def show(self, number: int, object_id: int | None) -> tuple[Any, ...]:
        """Return the values of everything that depends on the frame: editor, result, text, shown frame, slider.

        The brush keeps its color if ``object_id`` is no object's number, because it is still being typed.
        """
        mask = self._mask(number)
        image = self.annotation.image(number)
        editor: dict[str, Any] = {"value": {"background": image, "layers": [layer_of(mask)], "composite": None}}
        if object_id is not None and 1 <= object_id <= MAX_ID:
            editor["brush"] = self.brush(mask, object_id)
        return gr.ImageEditor(**editor), draw_overlay(image, mask), self.text(number, mask), (number, mask), number

    def text(self, number: int, mask_HW: np.ndarray) -> str:
        """Return the state of the frame and its objects, as Markdown."""
        kind = "given" if number in self.annotation.given else "propagated" if mask_HW.any() else "no mask yet"
        chips = " ".join(
            f'<span style="background:{_hex(i)};color:white;padding:1px 7px;border-radius:7px">{i}</span>'
            for i in np.unique(mask_HW[mask_HW > 0]).tolist()
        )
        given = ", ".join(map(str, self.annotation.given)) or "none yet"
        return f"**Frame {number}** of {len(self.annotation) - 1}: {kind}. Given: {given}.<br>{chips}"

    def brush(self, mask_HW: np.ndarray, object_id: int) -> gr.Brush:
        """Return a brush with the colors of the first objects and of those in the frame."""
        offered = {*range(1, _COLORS_OFFERED + 1), *np.unique(mask_HW[mask_HW > 0]).tolist(), object_id}
        colors: list[Any] = [_hex(i) for i in sorted(offered)]
        return gr.Brush(colors=colors, default_color=_hex(object_id), color_mode="fixed", default_size=12)

    # actions -----------------------------------------------------------------------------------------------------

    def go(self, number: float, object_id: int | None, shown: ShownFrame, editor: dict | None) -> tuple:
        """Show the slider's frame. The slider is not set: it may be on its way to another frame already."""
        try:
            self._leave(shown, editor)
            return (*self.show(self._nearest(number), object_id)[:4], gr.skip())
        except (ValueError, OSError) as error:
            return *[_show_error(error)] * 4, _number(shown)

    def step(self, by: int, object_id: int | None, shown: ShownFrame, editor: dict | None) -> tuple:
        """Show the frame ``by`` frames from this one."""
        self._leave(shown, editor)
        return self.show(self._nearest(_number(shown) + by), object_id)

    def choose(self, object_id: int | None, shown: ShownFrame) -> Any:
        """Paint another object; the painting so far stays."""
        if object_id is None:  # a number is being typed
            return gr.skip()
        _check_id(object_id)
        return gr.ImageEditor(brush=self.brush(self._mask(_number(shown)), object_id))

    def discard(self, object_id: int | None, shown: ShownFrame) -> tuple:
        """Show the frame again, without the painting."""
        return self.show(_number(shown), object_id)

    def keep(self, object_id: int | None, shown: ShownFrame, editor: dict | None) -> tuple:
        """Make the frame's mask a given one, painted or not: the network was right."""
        number = _number(shown)
        with self._alone():
            if not self._take(shown, editor):
                self.annotation.give(number, self._mask(number))
        return self.show(number, object_id)

    def read(self, file: str, object_id: int | None, shown: ShownFrame) -> tuple:
        """Read a frame's mask from a file."""
        try:
            mask = read_mask(file, size=self.annotation.source.size)
        except (ValueError, OSError) as error:  # the message names gradio's copy
            raise ValueError(str(error).replace(str(file), Path(file).name)) from error
        with self._alone():
            self.annotation.give(_number(shown), mask)
        return self.show(_number(shown), object_id)

    def forget(self, object_id: int | None, shown: ShownFrame) -> tuple:
        """Remove the frame's mask."""
        with self._alone():
            self.annotation.forget(_number(shown))
        return self.show(_number(shown), object_id)

    def delete(self, object_id: int, shown: ShownFrame, editor: dict | None) -> tuple:
        """Remove an object from all frames."""
        _check_id(object_id)
        with self._alone():
            self._take(shown, editor)
            gr.Info(f"object {object_id} was in {self.annotation.delete_object(object_id)} frames")
        return self.show(_number(shown), object_id)

    def propagate(self, towards: str, length: int | None, shown: ShownFrame, editor: dict | None) -> Iterator[tuple]:
        """Propagate from this frame and show each result; the page then calls ``finish``."""
        number, end = _number(shown), len(self.annotation) - 1
        if length is not None and length < 0:
            raise ValueError(f"the number of frames to propagate must be at least 1, or 0 for all, got {length}")
        reach = length or end
        last = self._nearest(number - reach if towards == "backwards" else number + reach)
        with self._alone():
            self._take(shown, editor)
            self._reached = number
            self._stop.clear()
            yield gr.skip(), gr.skip(), f"**Propagating {towards}** until {last}.", (number, self._mask(number)), number
            for frame, ids in self.annotation.propagate(number, last):
                self._reached = frame.index
                text = f"**Propagating {towards}**: frame {frame.index}, until {last}."
                yield gr.skip(), draw_overlay(frame.image, ids), text, gr.skip(), frame.index
                if self._stop.is_set():
                    break

    def finish(self, object_id: int | None, shown: ShownFrame, editor: dict | None) -> Any:
        """Save what was painted during a propagation, and show the last frame that it reached."""
        if self._busy.locked():  # this propagation was refused, because one is running already
            return gr.skip()
        self._leave(shown, editor)
        return self.show(self._reached, object_id)

    def stop(self) -> None:
        """End a propagation after its present frame."""
        self._stop.set()

    def pictures(self, object_id: int | None, shown: ShownFrame, editor: dict | None) -> Iterator[tuple[Any, str]]:
        """Write the overlay video and the contact sheet, and show the video."""
        with self._alone():
            self._take(shown, editor)
            for done in self.annotation.make_previews():
                yield gr.skip(), f"**Drawing**: frame {done} of {len(self.annotation) - 1}"
        number = _number(shown)
        video = gr.Video(value=str(self.annotation.folder / "overlay.mp4"), visible=True)
        yield video, self.text(number, self._mask(number))

    def _nearest(self, number: float) -> int:
        return min(max(int(number), 0), len(self.annotation) - 1)

    def _mask(self, number: int) -> np.ndarray:
        mask = self.annotation.mask(number)
        return np.zeros(self.annotation.source.size, np.uint8) if mask is None else mask

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Refuse an action that changes masks, or needs them unchanged, while another such action is running."""
        if not self._busy.acquire(blocking=False):
            raise ValueError("a propagation is running: stop it first (or wait until the overlay video is drawn)")
        try:
            yield
        finally:
            self._busy.release()

    def _leave(self, shown: ShownFrame, editor: dict | None) -> None:
        """Save the painting, if any, before another frame is shown. Without one, frames can be viewed at any time."""
        if self._painted(shown, editor) is not None:
            with self._alone():
                self._take(shown, editor)

    def _take(self, shown: ShownFrame, editor: dict | None) -> bool:
        """Save the painting. True if there was one."""
        ids = self._painted(shown, editor)
        if ids is None or shown is None or editor is None:
            return False
        self.annotation.give(shown[0], ids)
        self._taken = shown[0], _digest(editor)
        return True

    def _painted(self, shown: ShownFrame, editor: dict | None) -> np.ndarray | None:
        """Return the ids in the editor, or None if they are those that were shown."""
        if editor is None or shown is None or not editor["layers"]:
            return None
        number, mask = shown
        ids = ids_of(editor["layers"][0], mask)
        if np.array_equal(ids, mask):
            return None
        # fast key presses send the painting of the last frame again, with the number of the next one
        left_behind = number != self._taken[0] and _digest(editor) == self._taken[1]
        return None if left_behind else ids


def build_page(annotation: Annotation) -> gr.Blocks:
    """Build the page of one clip."""
    title = annotation.folder.name
    with gr.Blocks(title=title, analytics_enabled=False, fill_width=True, delete_cache=_KEPT) as blocks:
        with gr.Row():
            with gr.Column(scale=3, min_width=480):
                left = _left_column(annotation)
            with gr.Column(scale=2, min_width=360):
                right = _right_column()
        _connect(blocks, Page(annotation), SimpleNamespace(**left, **right))
    return blocks


def _left_column(annotation: Annotation) -> dict[str, Any]:
    """Build the editor and the controls of the frame's number."""
    height, width = annotation.source.size
    editor = gr.ImageEditor(
        label="Paint",
        image_mode="RGBA",
        format="png",
        sources=(),
        transforms=(),
        layers=gr.LayerOptions(allow_additional_layers=False),
        eraser=gr.Eraser(default_size=12),
        canvas_size=(width, height),  # on a larger canvas gradio draws the mask in the middle, not over the frame
        height=620,
        elem_id="editor",
    )
    with gr.Row():
        before = gr.Button("Frame before", size="sm")
        after = gr.Button("Frame after", size="sm")
    frame = gr.Slider(0, max(len(annotation) - 1, 1), step=1, value=0, label="Frame", buttons=[])
    gr.Markdown(_HELP)
    return {"editor": editor, "before": before, "after": after, "frame": frame}


def _right_column() -> dict[str, Any]:
    """Build the state of the frame, the result and the buttons."""
    parts: dict[str, Any] = {
        "text": gr.Markdown(),
        "result": gr.Image(label="Result", format="jpeg", interactive=False, buttons=["download", "fullscreen"]),
        "object_id": gr.Number(1, precision=0, label="Object to paint"),
    }
    with gr.Row():
        parts["forwards"] = gr.Button("Propagate forwards", variant="primary")
        parts["backwards"] = gr.Button("Propagate backwards", variant="primary")
        parts["stop"] = gr.Button("Stop", variant="stop")
    parts["length"] = gr.Number(0, precision=0, label="Frames to propagate (0: to the end)")
    with gr.Row():
        parts["discard"] = gr.Button("Discard painting", size="sm")
        parts["keep"] = gr.Button("Keep as given", size="sm")
        parts["forget"] = gr.Button("Remove this mask", size="sm")
        parts["delete"] = gr.Button("Delete object everywhere", size="sm")
        parts["upload"] = gr.UploadButton("Mask from a file", size="sm")
        parts["pictures"] = gr.Button("Make overlay video", size="sm")
    parts["video"] = gr.Video(label="Overlay", interactive=False, visible=False)
    return parts


def _connect(blocks: gr.Blocks, page: Page, parts: SimpleNamespace) -> None:
    """Connect buttons and inputs with their actions."""
    shown = gr.State(None)
    everything = [parts.editor, parts.result, parts.text, shown, parts.frame]
    here = [parts.object_id, shown]
    painted = [*here, parts.editor]
    blocks.load(_reporting_errors(page.discard), here, everything)
    parts.frame.input(
        _reporting_errors(page.go),
        [parts.frame, *painted],
        everything,
        trigger_mode="always_last",
        js=_INSIDE % parts.frame.maximum,
    )
    parts.before.click(_reporting_errors(functools.partial(page.step, -1)), painted, everything)
    parts.after.click(_reporting_errors(functools.partial(page.step, 1)), painted, everything)
    parts.object_id.change(_reporting_errors(page.choose), here, parts.editor)
    parts.discard.click(_reporting_errors(page.discard), here, everything)
    parts.editor.clear(_reporting_errors(page.discard), here, everything)  # the bin, which also removes the frame
    parts.keep.click(_reporting_errors(page.keep), painted, everything)
    parts.forget.click(_reporting_errors(page.forget), here, everything)
    parts.delete.click(_reporting_errors(page.delete), painted, everything)
    parts.upload.upload(_reporting_errors(page.read), [parts.upload, *here], everything)
    for button, towards in ((parts.forwards, "forwards"), (parts.backwards, "backwards")):
        run = _reporting_errors_of_generator(functools.partial(page.propagate, towards))
        ran = button.click(run, [parts.length, shown, parts.editor], everything, show_progress="hidden")
        ran.then(_reporting_errors(page.finish), painted, everything)
    parts.stop.click(page.stop, queue=False)
    drawn = [parts.video, parts.text]
    parts.pictures.click(_reporting_errors_of_generator(page.pictures), painted, drawn, show_progress="hidden")


def serve(annotation: Annotation, host: str, port: int, open_browser: bool) -> None:
    """Serve the page of a clip until Ctrl-C.

    Raises:
        OSError: the port is in use.
    """
    for name in ("httpx", "httpx2"):  # gradio polls its own server
        logging.getLogger(name).setLevel(logging.WARNING)
    with _temporary_folder():
        blocks = build_page(annotation)
        logger.info("the page is at http://%s:%d; Ctrl-C ends it", host, port)
        blocks.queue()
        try:
            blocks.launch(
                server_name=host,
                server_port=port,
                inbrowser=open_browser,
                quiet=True,
                allowed_paths=[str(annotation.folder.resolve())],
                footer_links=[],
            )
        finally:
            blocks.close(verbose=False)  # writes no picture afterwards


@contextmanager
def _temporary_folder() -> Iterator[None]:
    """Let gradio write its file for each picture to a folder that is removed at the end; gradio keeps them all."""
    name, before = "GRADIO_TEMP_DIR", os.environ.get("GRADIO_TEMP_DIR")
    with tempfile.TemporaryDirectory(prefix="annotation-", ignore_cleanup_errors=True) as folder:
        os.environ[name] = folder
        try:
            yield
        finally:
            del os.environ[name]
            if before is not None:
                os.environ[name] = before


def _number(shown: ShownFrame) -> int:
    return 0 if shown is None else shown[0]


def _check_id(object_id: int | None) -> None:
    if object_id is None or not 1 <= object_id <= MAX_ID:
        found = "nothing" if object_id is None else object_id
        raise ValueError(f"Object to paint: an object's number is from 1 to {MAX_ID}, not {found}")


def _digest(editor: dict) -> bytes:
    """Return a checksum of the frame in the editor and the painting on it."""
    sha = hashlib.sha256()
    for picture in (editor.get("background"), editor["layers"][0]):
        sha.update(b"" if picture is None else picture.tobytes())
    return sha.digest()


def _hex(object_id: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*id_colors([object_id])[0])


def _reporting_errors(action: Callable[..., Any]) -> Callable[..., Any]:
    """Show the errors of an action on the page, which otherwise stays as it is."""

    def run(*arguments: Any) -> Any:
        try:
            return action(*arguments)
        except (ValueError, OSError) as error:
            return _show_error(error)

    return run


def _reporting_errors_of_generator(action: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """Show the errors of an action that yields results, as ``_reporting_errors`` does."""

    def run(*arguments: Any) -> Iterator[Any]:
        try:
            yield from action(*arguments)
        except (ValueError, OSError) as error:
            yield _show_error(error)

    return run


def _show_error(error: Exception) -> Any:
    """Show a message in the corner; gradio's own errors would cover everything that the action changes."""
    logger.warning("%s", error)
    gr.Warning(html.escape(str(error), quote=False))
    return gr.skip()
