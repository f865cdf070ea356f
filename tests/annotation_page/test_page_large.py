"""Large frames and long clips. Times are reported, not asserted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from thorough import mark_thorough
from walking import Server, Walk, swept, write_clip

STROKE = """async ([points]) => {
    const root = voskit.stage.root, times = [];
    const send = (type, [x, y]) => root.dispatchEvent(new PointerEvent(type, {
        clientX: x, clientY: y, button: 0, buttons: 1, pointerId: 1, bubbles: true, pointerType: "mouse" }));
    const drawn = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    root.setPointerCapture = () => {};
    send("pointerdown", points[0]);
    for (const point of points.slice(1)) {
        const start = performance.now();
        send("pointermove", point);
        await drawn();
        times.push(performance.now() - start);
    }
    send("pointerup", points.at(-1));
    return times;
}"""
NEXT = """async () => {
    const start = performance.now(), frame = voskit.store.frame + 1;
    await voskit.session.step(1);
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    return voskit.store.frame === frame ? performance.now() - start : NaN;
}"""


@pytest.mark.parametrize(
    ("name", "size"), mark_thorough([("1080p", (1080, 1920)), ("4K", (2160, 3840))], [("4K", (2160, 3840))])
)
def test_a_stroke_and_the_next_frame(
    tmp_path: Path, open_page: Callable[..., Walk], report: Callable[[str], None], name: str, size: tuple[int, int]
) -> None:
    clip = write_clip(tmp_path / name, frames=4, size=size)
    with Server(tmp_path / "out", clip) as server:
        walk = open_page(server, viewport={"width": 1920, "height": 1080})
        height, width = size
        walk.choose("brush", height // 20)
        places = [walk.screen((width * (0.2 + 0.03 * i), height * (0.3 + 0.02 * (i % 5)))) for i in range(20)]
        moves = sorted(walk.page.evaluate(STROKE, [places]))
        walk.saved()
        wanted, unsure = swept(size, [walk.image(*place) for place in places], height // 20)
        ids = walk.file_ids(0)
        assert ids is not None and np.array_equal(ids[~unsure], wanted[~unsure])
        steps = [walk.page.evaluate(NEXT) for _ in range(3)]
        assert walk.frame == 3 and not np.isnan(steps).any()
        walk.press("Home")
        walk.wait("voskit.store.frame === 0")
        assert np.count_nonzero(ids) == walk.get("voskit.stage.ids.reduce((n, id) => n + (id > 0), 0)")
        report(
            f"{name}: a move of the brush is drawn after {moves[len(moves) // 2]:.0f} ms (largest {moves[-1]:.0f}), "
            f"the next frame after {', '.join(f'{t:.0f}' for t in steps)} ms"
        )
        walk.close()


@pytest.mark.thorough
def test_ten_thousand_frames(tmp_path: Path, open_page: Callable[..., Walk], report: Callable[[str], None]) -> None:
    import time

    import av

    path = tmp_path / "long.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.gop_size = 50
        for number in range(10_000):
            image = np.full((48, 64, 3), number % 200, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    with Server(tmp_path / "out", path) as server:
        walk = open_page(server, clip=False)
        walk.page.wait_for_function("() => voskit.stage.ids !== null", timeout=120_000)
        start = time.monotonic()
        walk.go(7000)
        report(f"10,000 frames: a jump to frame 7000 takes {1000 * (time.monotonic() - start):.0f} ms")
        walk.stroke([(20, 20), (40, 20)])
        walk.saved()
        walk.wait("voskit.store.clip.given.length === 1 && voskit.store.clip.given[0] === 7000")
        walk.press("ArrowRight")
        walk.wait("voskit.store.frame === 7001")
        walk.press("Home")
        walk.wait("voskit.store.frame === 0")
        walk.press(".")
        walk.wait("voskit.store.frame === 7000 && voskit.stage.ids.some((id) => id > 0)")
        walk.close()
