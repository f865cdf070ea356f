"""Natural order of frame names: numbers by value, printed times by their fractions."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from voskit.dataloaders.datasets.layout import scan_images
from voskit.dataloaders.natural_order import natural_key, natural_sorted
from voskit.dataloaders.video.frames import open_frames

ORDERED = {
    "times as Python prints them": [f"{round(i / 30, 4)}.png" for i in range(60)],
    "time.time()": [f"{round(1.7e9 + i / 30, 4)}.jpg" for i in range(60)],
    "four significant digits": [f"{i / 30:.4}.png" for i in range(0, 400, 7)],
    "seconds since the start of a robot": ["0.0333.png", "0.1.png", "1466.4.png"],
    "whole seconds without a fraction": ["0.png", "0.5.png", "1.png", "1.25.png", "10.png"],
    "a camera's number before the time": ["cam1_0.0333.png", "cam1_0.0667.png", "cam1_0.1.png", "cam2_0.05.png"],
    "a unit behind the time": ["0.05s.png", "0.1s.png", "0.25s.png", "12.0s.png"],
    "TUM: six digits each": ["1305031102.175304.png", "1305031102.211214.png", "1305031102.243211.png"],
    "a scene and a counter": ["1.1.png", "1.2.png", "1.9.png", "1.10.png", "1.11.png", "2.1.png"],
    "a shot and a counter": ["shot.8.png", "shot.9.png", "shot.10.png"],
    "a padded counter": ["clip1.0008.exr", "clip1.0009.exr", "clip1.0010.exr"],
    "dates": ["2024.1.5.png", "2024.1.10.png", "2024.02.01.png"],
    "versions": ["v1.2.9_1.png", "v1.2.10_1.png", "v1.2.10_2.png"],
    "counters of unequal length": ["frame2.png", "frame10.png", "frame100.png"],
    "letters of either case": ["a1.png", "B1.png", "b2.png"],
}


@pytest.mark.parametrize("names", ORDERED.values(), ids=ORDERED)
def test_names_are_sorted_as_they_were_counted(names: list[str]) -> None:
    assert natural_sorted(names[::-1]) == names
    assert natural_sorted(sorted(names)) == names


@pytest.mark.parametrize(
    ("names", "reading"),
    [
        (["0.1.png", "0.0333.png"], "decimal numbers: 0.05 comes before 0.1"),
        (["1.10.png", "1.9.png"], "counters: 1.9 comes before 1.10"),
        (["0.10.png", "0.05.png"], None),
        (["1.png", "10.png"], None),
    ],
)
def test_demo_and_datasets_agree_and_say_how_they_read_names(tmp_path: Path, caplog, names, reading) -> None:
    caplog.set_level(logging.INFO)
    for name in names:
        Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / name)
    with open_frames(tmp_path) as source:
        order = [frame.name for frame in source]
    assert list(scan_images(tmp_path).files) == order == [name.removesuffix(".png") for name in natural_sorted(names)]
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == (0 if reading is None else 2)
    assert all(str(tmp_path) in line and reading in line for line in lines)


@pytest.mark.parametrize(
    "names",
    [
        ["b.jpg", "a.jpg", "B.jpg", "A.jpg"],
        ["a10b2", "a9b10", "a09b2"],
        ["frame2.jpg", "frame10.jpg", "frame1.jpg", "frame01.jpg"],
        ["00010.jpg", "00009.jpg", "00100.jpg"],
        ["00010.jpg", "00009.png", "00009.jpg"],
        [],
    ],
)
def test_integers_and_keys_have_the_same_order(names: list[str]) -> None:
    assert natural_sorted(names) == sorted(names, key=natural_key)
