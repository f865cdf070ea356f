"""A clip of six frames at irregular times, with audio, and masks of two named objects."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from exported_clip import NAMES, TIMES, H, W, ids_of_frame
from media_files import write_audio

from voskit.dataloaders.masks.files import write_mask
from voskit.evaluators.exports.results import export_masks


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "my clip.mkv"
    random = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = H, W, "bgr0"
        stream.codec_context.time_base = Fraction(1, 1000)
        sound = container.add_stream("aac", rate=48000)
        for time in TIMES:
            noise = random.integers(60, 200, (7, 9, 3), dtype=np.uint8)
            image = np.ascontiguousarray(np.kron(noise, np.ones((7, 7, 1), np.uint8)))
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        write_audio(container, sound, 0.8)
    return path


@pytest.fixture(scope="session")
def masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("masks")
    for number in range(len(TIMES)):
        write_mask(folder / f"{number:05d}.png", ids_of_frame(number))
    return folder


@pytest.fixture
def exported(clip: Path, masks: Path, tmp_path: Path):
    """A function that exports the clip in one format and returns the path of its output."""

    def export(text: str, **options: object) -> Path:
        (path,) = export_masks(clip, masks, tmp_path, [text], names=NAMES, **options)
        return path

    return export
