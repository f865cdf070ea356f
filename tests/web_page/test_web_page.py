"""The page in headless Chromium: ``segmenter.js`` gives the ids of Python's ``OnnxSegmenter``; open images, paint,
propagate, correct, download; and no request elsewhere."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from voskit.dataloaders.masks.files import read_mask
from voskit.dataloaders.video.frames import open_frames
from voskit.runtime import OnnxSegmenter
from voskit.runtime.strays import remove_strays

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


STRAYS = """async ([logits, dims, label, before, slots, places, distance]) => {
    const { removeStrays } = await import("/segmenter/strays.js");
    const tensor = { data: Float32Array.from(logits), dims };
    removeStrays(tensor, Int32Array.from(label), Int32Array.from(before), slots, places, distance);
    return [...tensor.data];
}"""


def test_stray_pieces_are_those_of_python(visit: Callable[[], Any]) -> None:
    one = visit()
    one.page.goto(one.address + "README.txt")
    rng = np.random.default_rng(0)
    slots, places, size = [1, 2, 3, 4], [(0, 1), (0, 2), (1, 1), (1, 2)], (24, 40)
    dropped = 0
    for distance in (0.2, 0.1875) * 3:  # 0.1875 * 24 = 4.5 is rounded to the even number
        label, before = (
            np.repeat(np.repeat(rng.integers(0, most, (6, 10)), 4, 0), 4, 1).astype(np.int32) for most in (5, 30)
        )
        logits = rng.normal(size=(2, 3, *size)).astype(np.float32)
        rows = [group * 3 + channel for group, channel in places]
        arguments = [*(x.ravel().tolist() for x in (logits, label, before)), slots, rows, distance]
        found = one.page.evaluate(STRAYS, [arguments[0], logits.shape, *arguments[1:]])
        remove_strays(logits, label, before, slots, places, distance)
        assert np.allclose(np.array(found).reshape(logits.shape), logits)
        dropped += int((logits < -1e9).any())
    assert dropped > 3


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


def write_images(folder: Path, frames: list[np.ndarray]) -> list[Path]:
    """Write frames as PNGs."""
    folder.mkdir()
    paths = [folder / f"shot_{i:03d}.png" for i in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        Image.fromarray(frame).save(path)
    return paths


def downloaded(one: Any) -> dict[str, Image.Image]:
    """Download the masks and return the files of the archive."""
    with one.page.expect_download() as found:
        one.page.keyboard.press("Control+s")
    with zipfile.ZipFile(io.BytesIO(Path(found.value.path()).read_bytes())) as archive:
        assert archive.testzip() is None
        return {name: Image.open(io.BytesIO(archive.read(name))) for name in archive.namelist()}


def test_paint_propagate_correct_download(visit: Callable[[], Any], tmp_path: Path, folder: Path) -> None:
    frames, _ = clip((64, 96), 5)
    paths = write_images(tmp_path / "shots", frames)
    one = visit()
    one.start()
    one.open(paths[::-1])
    one.wait("voskit.store.clip && voskit.stage.bitmap")
    one.stroke((20, 30), (34, 44))
    one.page.keyboard.press("n")
    one.stroke((70, 20), (80, 24))
    one.wait("voskit.store.clip.given.length")
    one.page.click("text=Propagate >> nth=-1")
    one.wait("voskit.store.clip.masked[0]?.[1] === 4 && !voskit.store.running")
    first = {name: np.array(image) for name, image in downloaded(one).items()}
    assert list(first) == [f"shot_{i:03d}.png" for i in range(5)]

    segmenter = OnnxSegmenter(folder, threads=1)
    start = first["shot_000.png"]
    assert set(np.unique(start)) == {0, 1, 2} and start[37, 27] == 1 and start[22, 75] == 2
    for i, frame in enumerate(frames):
        expected = segmenter.step(frame, start if i == 0 else None)
        assert (first[f"shot_{i:03d}.png"] == expected).mean() >= 0.999, i

    one.page.click("[aria-label='Previous frame']")  # to frame 3, and correct it
    one.wait("voskit.store.frame === 3")
    one.stroke((10, 8), (14, 10))
    one.wait("voskit.store.clip.given.includes(3)")
    one.page.keyboard.press("p")
    one.wait("!voskit.store.running && voskit.store.clip.given.length === 2")
    second = {name: np.array(image) for name, image in downloaded(one).items()}
    assert second["shot_003.png"][9, 12] == 2
    segmenter.reset()
    segmenter.step(frames[0], start, complete=True)
    segmenter.step(frames[3], second["shot_003.png"], complete=True)
    assert (second["shot_004.png"] == segmenter.step(frames[4])).mean() >= 0.999
    assert downloaded(one)["shot_000.png"].mode == "P"
    check_policy(one)


def check_policy(one: Any) -> None:
    """Check that the page can't send a request to another host."""
    script = "fetch('http://localhost:9/').then(() => 'sent', (error) => error.message)"
    one.page.evaluate(
        "document.addEventListener('securitypolicyviolation', (e) => (window.refused = e.violatedDirective))"
    )
    assert one.page.evaluate(script) != "sent"
    assert one.wait("window.refused") == "connect-src"
    assert all(url.startswith((one.address, "blob:", "data:")) for url in one.requests)


@pytest.mark.thorough
def test_a_video_has_its_rate_and_errors_are_shown(visit: Callable[[], Any], tmp_path: Path) -> None:
    one = visit()
    one.start()
    (tmp_path / "broken.mp4").write_bytes(b"not a video")
    one.open([tmp_path / "broken.mp4"])
    assert "can't read broken.mp4" in one.wait("document.querySelector('.note.error')?.textContent")
    one.open([DEMO / "images" / "bunny.mp4"])
    one.wait("voskit.store.clip && voskit.stage.bitmap")
    if not one.page.evaluate("document.createElement('video').canPlayType('video/mp4; codecs=\"avc1.64001E\"')"):
        pytest.skip("this Chromium has no H.264")
    assert one.page.evaluate("[voskit.store.clip.frames, voskit.store.clip.fps]") == [76, 25]
    for _ in range(22):
        one.page.keyboard.press("n")
    assert "This export holds 20 objects" in one.wait("document.querySelector('.message.error')?.textContent")
