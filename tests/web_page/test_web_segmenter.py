"""``segmenter.js`` in headless Chromium: the ids of Python's ``OnnxSegmenter``."""

from __future__ import annotations

import base64
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from voskit.dataloaders.masks.files import read_mask
from voskit.dataloaders.video.frames import open_frames
from voskit.runtime import OnnxSegmenter

DEMO = Path(__file__).resolve().parents[2] / "datasets" / "Demo"
SCRIPT = """async ([frames, masks, deleted, width, height, options]) => {
    const { OnnxSegmenter } = await import("/segmenter.js");
    const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const segmenter = await OnnxSegmenter.open(undefined, options);
    const out = [];
    for (const [i, frame] of frames.entries()) {
        if (deleted[i]) segmenter.deleteObjects(deleted[i]);
        const picture = { data: bytes(frame), width, height };
        const ids = await segmenter.step(picture, masks[i] ? bytes(masks[i]) : null);
        out.push([[...ids], segmenter.objectIds, segmenter.memoryFrames]);
    }
    let errors = [];
    const picture = { data: bytes(frames[0]), width, height };
    const many = new Uint8Array(width * height).map((_, i) => Math.min(i, 30));
    for (const wrong of [() => segmenter.step({ ...picture, width: width - 1 }), () => segmenter.step(picture, many),
            () => segmenter.step(picture, new Uint8Array(3)), async () => segmenter.deleteObjects([99])]) {
        await wrong().catch((error) => errors.push(error.message));
    }
    return { out, errors, backend: segmenter.backend };
}"""


def clip(size: tuple[int, int], count: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Return frames of the bundled clip and its mask, at a size."""
    with open_frames(str(DEMO / "images" / "bunny.mp4")) as frames:
        images = [cv2.resize(frame.image, size[::-1], interpolation=cv2.INTER_AREA) for frame in islice(frames, count)]
    mask = read_mask(DEMO / "masks" / "bunny" / "00000.png").astype(np.uint8)
    return images, cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST)


def segmented(one: Any, size: tuple[int, int], count: int, events: dict[int, Any], **options: Any) -> dict[str, Any]:
    """Run a clip through both segmenters and compare their ids; return the page's answer."""
    frames, first = clip(size, count)
    later = np.zeros_like(first)  # a new object, a correction of an old one, and enough others for further groups
    later[:10, :10], later[-12:, 30:60] = 9, 1
    several = cv2.resize(np.arange(20, 26, dtype=np.uint8).reshape(2, 3), size[::-1], interpolation=cv2.INTER_NEAREST)
    several[np.indices(size).sum(0) % 16 < 8] = 0
    kinds = {"first": first, "later": later, "several": several}
    masks = {i: kinds[event] for i, event in events.items() if isinstance(event, str)}
    deleted = {i: event for i, event in events.items() if isinstance(event, list)}

    one.page.goto(one.address + "README.txt")
    texts = [base64.b64encode(frame.tobytes()).decode() for frame in frames]
    given = {i: base64.b64encode(mask.tobytes()).decode() for i, mask in masks.items()}
    answer: dict[str, Any] = one.page.evaluate(SCRIPT, [texts, given, deleted, size[1], size[0], options])

    segmenter = OnnxSegmenter(one.folder, threads=1)
    for i, (frame, (ids, objects, memory_frames)) in enumerate(zip(frames, answer["out"], strict=True)):
        if i in deleted:
            segmenter.delete_objects(deleted[i])
        expected = segmenter.step(frame, masks.get(i))
        assert objects == segmenter.object_ids and memory_frames == segmenter.memory_frames
        assert (np.array(ids).reshape(size) == expected).mean() >= 0.999, i
        assert len(np.unique(expected)) > 2 or i == 0 or 0 not in masks
    return answer


def test_ids_are_those_of_python(visit: Callable[[], Any]) -> None:
    answer = segmented(visit(), (64, 96), 7, {0: "first", 3: "later", 5: [2]})
    assert answer["backend"]["name"] in ("wasm", "webgpu") and answer["backend"]["reason"]
    size, many, short, unknown = answer["errors"]
    assert "call reset()" in size or "bytes" in size
    assert "export again with --objects" in many and "must be equal" in short and "no object 99" in unknown


@pytest.mark.thorough
@pytest.mark.parametrize("size", [(50, 71), (130, 180)])
def test_ids_are_those_of_python_at_other_sizes_and_with_groups(
    visit: Callable[[], Any], size: tuple[int, int]
) -> None:
    segmented(visit(), size, 8, {1: "first", 3: "several", 6: [20, 21, 22]})


@pytest.mark.thorough
def test_threads_if_the_page_is_isolated(visit: Callable[..., Any], isolated_page: str) -> None:
    answer = segmented(visit(address=isolated_page), (64, 96), 3, {0: "first"}, backend="wasm", threads=2)
    assert answer["backend"]["threads"] == 2


@pytest.mark.thorough
def test_ids_are_those_of_python_on_webgpu(visit: Callable[..., Any]) -> None:
    """The adapter is SwiftShader, on the CPU."""
    answer = segmented(visit(webgpu=True), (64, 96), 4, {0: "first", 2: "later"})
    if answer["backend"]["name"] != "webgpu":
        pytest.skip(f"this Chromium has no WebGPU: {answer['backend']['reason']}")
