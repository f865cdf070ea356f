"""The whole way with the bundled weights: paint, propagate, and find the object in the next frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from walking import Server, Walk, write_clip


def bundled() -> Any:
    from voskit import VideoSegmenter, build_model

    return VideoSegmenter(build_model("deaott", pretrained=True, device="cpu"), max_memory_frames=3)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "squares", frames=5, size=(96, 160), squares=1)


@pytest.fixture(scope="module")
def server(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("results"), clip, build=bundled) as running:
        yield running


def test_a_painted_object_is_found_in_the_next_frames(open_page: Callable[..., Walk]) -> None:
    walk = open_page()
    walk.choose("polygon")
    for corner in [(20, 32), (44, 32), (44, 56), (20, 56)]:
        walk.click(corner)
    walk.press("Enter")
    walk.press("p")
    walk.page.wait_for_function("() => voskit.store.frame === 4 && !voskit.store.running", timeout=60_000)
    for frame in range(1, 5):
        wanted = np.zeros((96, 160), bool)
        wanted[32:56, 20 + 2 * frame : 44 + 2 * frame] = True
        ids = walk.file_ids(frame) > 0
        assert (ids & wanted).sum() / (ids | wanted).sum() > 0.8
    walk.wait("voskit.store.quality?.objects['1']?.[4] > 0.5")
