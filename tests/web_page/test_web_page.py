"""The page in headless Chromium: open images, paint, propagate, correct, download; and no request elsewhere."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_web_segmenter import DEMO, clip

from voskit.runtime import OnnxSegmenter


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

    one.page.click("[aria-label='Frame before']")  # to frame 3, and correct it
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
def test_a_video_has_its_rate_and_errors_are_told(visit: Callable[[], Any], tmp_path: Path) -> None:
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
    for _ in range(12):
        one.page.keyboard.press("n")
    assert "This export holds 10 objects" in one.wait("document.querySelector('.message.error')?.textContent")
