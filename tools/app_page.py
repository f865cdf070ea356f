"""The page of tools/app.py, made with gradio: it shows an annotation and passes on what a person does."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from dataloaders.masks import read_mask
from dataloaders.palette import MAX_ID, id_colors
from evaluators.annotation import Annotation
from evaluators.overlay import draw_overlay
from evaluators.painting import ids_of, layer_of

logger = logging.getLogger(__name__)
_COLORS_OFFERED = 12
_HELP = (
    "Choose an object's number, paint it, *propagate*. Where the result is wrong, stop, correct it by brush and "
    "eraser, and propagate on from there. What you paint is taken when you go to another frame or propagate."
)


class Page:
    """What the page's buttons do; what a person has made lies in the annotation's files alone."""

    def __init__(self, annotation: Annotation) -> None:
        self.annotation = annotation
        self._network = threading.Lock()  # one propagation at a time
        self._stop = threading.Event()

    # what is shown --------------------------------------------------------------------------------------------------

    def show(self, number: int, object_id: int) -> tuple[Any, ...]:
        """Everything that depends on the frame: editor, result, text, what was shown, slider."""
        mask = self._mask(number)
        image = self.annotation.image(number)
        editor = gr.ImageEditor(
            value={"background": image, "layers": [layer_of(mask)], "composite": None},
            brush=self.brush(mask, object_id),
        )
        return editor, draw_overlay(image, mask), self.text(number, mask), (number, mask), number

    def text(self, number: int, mask_HW: np.ndarray) -> str:
        """State of the frame and its objects."""
        kind = "given" if number in self.annotation.given else "propagated" if mask_HW.any() else "no mask yet"
        chips = " ".join(
            f'<span style="background:{_hex(i)};color:white;padding:1px 7px;border-radius:7px">{i}</span>'
            for i in np.unique(mask_HW[mask_HW > 0]).tolist()
        )
        given = ", ".join(map(str, self.annotation.given)) or "none yet"
        return f"**Frame {number}** of {len(self.annotation) - 1}: {kind}. Given: {given}.<br>{chips}"

    def brush(self, mask_HW: np.ndarray, object_id: int) -> gr.Brush:
        """Colours to paint with: the first objects', and those in the frame."""
        offered = {*range(1, _COLORS_OFFERED + 1), *np.unique(mask_HW[mask_HW > 0]).tolist(), int(object_id)}
        colors: list[Any] = [_hex(i) for i in sorted(offered)]
        return gr.Brush(colors=colors, default_color=_hex(int(object_id)), color_mode="fixed", default_size=12)

    # what a person does ---------------------------------------------------------------------------------------------

    def go(self, number: int, object_id: int, editor: dict | None, shown: tuple[int, np.ndarray] | None) -> tuple:
        """Show another frame."""
        self._take(editor, shown)
        return self.show(int(number), object_id)

    def step(self, by: int, number: int, object_id: int, editor: dict | None, shown: Any) -> tuple:
        """Show a frame before or after this one."""
        return self.go(min(max(int(number) + by, 0), len(self.annotation) - 1), object_id, editor, shown)

    def choose(self, object_id: int, number: int) -> gr.ImageEditor:
        """Paint another object; what was painted stays."""
        if not 1 <= object_id <= MAX_ID:
            raise ValueError(f"an object's number is from 1 to {MAX_ID}")
        return gr.ImageEditor(brush=self.brush(self._mask(int(number)), object_id))

    def discard(self, number: int, object_id: int) -> tuple:
        """Show the frame anew, without what was painted."""
        return self.show(int(number), object_id)

    def keep(self, number: int, object_id: int, editor: dict | None, shown: Any) -> tuple:
        """Take the mask as it is for a given one, also where nothing was painted: the network was right."""
        if not self._take(editor, shown):
            self.annotation.give(int(number), self._mask(int(number)))
        return self.show(int(number), object_id)

    def read(self, file: str, number: int, object_id: int) -> tuple:
        """Take a frame's mask from a file."""
        self.annotation.give(int(number), read_mask(file, size=self.annotation.source.size))
        return self.show(int(number), object_id)

    def forget(self, number: int, object_id: int) -> tuple:
        """Remove the frame's mask."""
        self.annotation.forget(int(number))
        return self.show(int(number), object_id)

    def delete(self, number: int, object_id: int, editor: dict | None, shown: Any) -> tuple:
        """Remove an object from all frames."""
        self._take(editor, shown)
        gr.Info(f"object {int(object_id)} was in {self.annotation.delete_object(int(object_id))} frames")
        return self.show(int(number), object_id)

    def propagate(
        self, towards: str, length: int, number: int, object_id: int, editor: dict | None, shown: Any
    ) -> Iterator[tuple]:
        """Propagate from this frame, and show each frame that is done."""
        self._take(editor, shown)
        number, end = int(number), len(self.annotation) - 1
        reach = int(length) or end
        last = max(number - reach, 0) if towards == "backwards" else min(number + reach, end)
        if not self._network.acquire(blocking=False):
            raise ValueError("a propagation is running: stop it first")
        try:
            self._stop.clear()
            for frame, ids in self.annotation.propagate(number, last):
                number = frame.index
                text = f"**Propagating {towards}**: frame {number}, until {last}."
                yield gr.skip(), draw_overlay(frame.image, ids), text, gr.skip(), number
                if self._stop.is_set():
                    break
        finally:
            self._network.release()
        yield self.show(number, object_id)

    def stop(self) -> None:
        """End a propagation after the frame at which it is."""
        self._stop.set()

    def pictures(self, number: int, object_id: int, editor: dict | None, shown: Any) -> Iterator[tuple[Any, str]]:
        """Write the overlay video and the contact sheet, and show the video."""
        self._take(editor, shown)
        for done in self.annotation.make_pictures():
            yield gr.skip(), f"**Drawing**: frame {done} of {len(self.annotation) - 1}"
        number = int(number)
        video = gr.Video(value=str(self.annotation.folder / "overlay.mp4"), visible=True)
        yield video, self.text(number, self._mask(number))

    def _mask(self, number: int) -> np.ndarray:
        mask = self.annotation.mask(number)
        return np.zeros(self.annotation.source.size, np.uint8) if mask is None else mask

    def _take(self, editor: dict | None, shown: tuple[int, np.ndarray] | None) -> bool:
        """Take what was painted, if anything was."""
        if editor is None or shown is None or not editor["layers"]:
            return False
        number, mask = shown
        ids = ids_of(editor["layers"][0], mask)
        if np.array_equal(ids, mask):
            return False
        self.annotation.give(number, ids)
        return True


def build_page(annotation: Annotation) -> gr.Blocks:
    """The page for one clip."""
    page = Page(annotation)
    end = len(annotation) - 1
    with gr.Blocks(title=annotation.folder.name, analytics_enabled=False, fill_width=True) as blocks:
        shown = gr.State(None)
        with gr.Row():
            with gr.Column(scale=3, min_width=480):
                editor = gr.ImageEditor(
                    label="Paint",
                    image_mode="RGBA",
                    format="png",
                    sources=(),
                    transforms=(),
                    layers=gr.LayerOptions(allow_additional_layers=False),
                    eraser=gr.Eraser(default_size=12),
                    height=620,
                    elem_id="editor",
                )
                with gr.Row():
                    before = gr.Button("Frame before", size="sm")
                    after = gr.Button("Frame after", size="sm")
                frame = gr.Slider(0, max(end, 1), step=1, value=0, label="Frame")
                gr.Markdown(_HELP)
            with gr.Column(scale=2, min_width=360):
                text = gr.Markdown()
                result = gr.Image(label="Result", format="jpeg", interactive=False, buttons=["download", "fullscreen"])
                object_id = gr.Number(1, precision=0, label="Object to paint", minimum=1, maximum=MAX_ID)
                with gr.Row():
                    forwards = gr.Button("Propagate forwards", variant="primary")
                    backwards = gr.Button("Propagate backwards", variant="primary")
                    stop = gr.Button("Stop", variant="stop")
                length = gr.Number(0, precision=0, minimum=0, label="Frames to propagate (0: to the end)")
                with gr.Row():
                    discard = gr.Button("Discard painting", size="sm")
                    keep = gr.Button("Keep as given", size="sm")
                    forget = gr.Button("Remove this mask", size="sm")
                    delete = gr.Button("Delete object everywhere", size="sm")
                    upload = gr.UploadButton("Mask from a file", size="sm")
                    pictures = gr.Button("Make overlay video", size="sm")
                video = gr.Video(label="Overlay", interactive=False, visible=False)

        everything = [editor, result, text, shown, frame]
        here = [frame, object_id]
        painted = [*here, editor, shown]
        blocks.load(_told(page.discard), here, everything)
        frame.release(_told(page.go), painted, everything)
        before.click(_told(functools.partial(page.step, -1)), painted, everything)
        after.click(_told(functools.partial(page.step, 1)), painted, everything)
        object_id.change(_told(page.choose), [object_id, frame], editor)
        discard.click(_told(page.discard), here, everything)
        keep.click(_told(page.keep), painted, everything)
        forget.click(_told(page.forget), here, everything)
        delete.click(_told(page.delete), painted, everything)
        upload.upload(_told(page.read), [upload, *here], everything)
        for button, towards in ((forwards, "forwards"), (backwards, "backwards")):
            run = functools.partial(page.propagate, towards)
            button.click(_told_on_the_way(run), [length, *painted], everything, show_progress="hidden")
        stop.click(page.stop, queue=False)
        pictures.click(_told_on_the_way(page.pictures), painted, [video, text], show_progress="hidden")
    return blocks


def serve(blocks: gr.Blocks, folder: Path, host: str, port: int, open_browser: bool) -> None:
    """Serve a page until Ctrl-C. Raises OSError where the port is taken."""
    for name in ("httpx", "httpx2"):  # gradio asks itself whether it is up
        logging.getLogger(name).setLevel(logging.WARNING)
    logger.info("the page is at http://%s:%d; Ctrl-C ends it", host, port)
    blocks.queue()
    blocks.launch(
        server_name=host,
        server_port=port,
        inbrowser=open_browser,
        quiet=True,
        allowed_paths=[str(folder.resolve())],
        footer_links=[],
    )


def _hex(object_id: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*id_colors([object_id])[0])


def _told(action: Callable[..., Any]) -> Callable[..., Any]:
    """An action whose one-line errors are shown on the page."""

    def run(*arguments: Any) -> Any:
        try:
            return action(*arguments)
        except (ValueError, OSError) as error:
            raise gr.Error(str(error)) from error

    return run


def _told_on_the_way(action: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """The same for an action that gives results one by one."""

    def run(*arguments: Any) -> Iterator[Any]:
        try:
            yield from action(*arguments)
        except (ValueError, OSError) as error:
            raise gr.Error(str(error)) from error

    return run
