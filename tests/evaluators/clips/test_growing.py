"""Previews that can be looked at while a clip runs, their colors, and videos of excerpts."""

from __future__ import annotations

import signal
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import av
import numpy as np
import pytest
from media_files import level, write_audio
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

from voskit.dataloaders.masks.palette import bright_colors, id_colors
from voskit.dataloaders.video.excerpt import excerpt
from voskit.dataloaders.video.frames import open_frames
from voskit.dataloaders.video.source import Frame
from voskit.evaluators.clips import contact_sheet as contact_sheet_module
from voskit.evaluators.clips import previews as previews_module
from voskit.evaluators.clips.previews import ClipPreviews, PreviewOptions
from voskit.evaluators.clips.video.writer import VideoWriter

SIZE = (32, 48)


def frame(index: int) -> Frame:
    return Frame(index, f"{index:05d}", np.full((*SIZE, 3), level(index), np.uint8), index / 10, 0.1)


def shown(path: Path) -> list[int]:
    """Gray levels of the frames of a video."""
    with av.open(str(path)) as container:
        return [round(float(f.to_ndarray(format="rgb24").mean())) for f in container.decode(video=0)]


def test_a_growing_video_has_all_frames_before_the_last_at_any_time(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "clip.mp4", growing=True)
    for index in range(6):
        writer.write(frame(index).image, index / 10, 0.1)
        if index:
            assert shown(tmp_path / "clip.incomplete.mp4") == pytest.approx([level(i) for i in range(index)], abs=3)
    writer.close()
    assert shown(tmp_path / "clip.mp4") == pytest.approx([level(i) for i in range(6)], abs=3)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_growing_video_stays_if_the_program_is_killed(tmp_path: Path) -> None:
    code = """
import os, signal, sys
import numpy as np
from voskit.evaluators.clips.video.writer import VideoWriter
writer = VideoWriter(sys.argv[1], growing=True)
for i in range(4):
    writer.write(np.full((32, 48, 3), 50 * i, np.uint8))
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "clip.mp4")])
    assert done.returncode == -signal.SIGKILL
    assert shown(tmp_path / "clip.incomplete.mp4") == pytest.approx([0, 50, 100], abs=3)


def test_the_contact_sheet_is_drawn_while_the_clip_runs(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(previews_module, "_REDRAW", 0.0)
    previews = ClipPreviews(tmp_path, PreviewOptions(num_frames=6, video=False))
    heights = []
    for index in range(6):
        previews.write(frame(index), np.ones(SIZE, np.uint8))
        previews._drawing.flush()
        with Image.open(tmp_path / "contact_sheet.png") as sheet:
            heights.append(sheet.size)
    previews.close()
    assert len(set(heights)) == 5  # four columns, then a second row
    with Image.open(tmp_path / "contact_sheet.png") as sheet:
        assert sheet.size == heights[-1]


def test_captions_are_the_names_of_the_masks(tmp_path: Path, monkeypatch) -> None:
    captions: list[str] = []
    drawn = contact_sheet_module.text_sprite
    monkeypatch.setattr(
        contact_sheet_module, "text_sprite", lambda text, *rest: (captions.append(text), drawn(text, *rest))[1]
    )
    previews = ClipPreviews(tmp_path, PreviewOptions(num_frames=2, video=False))
    for index, name in enumerate(("00040", "a_name_that_is_much_longer_than_the_tile_below_which_it_stands")):
        previews.write(Frame(index, name, np.zeros((*SIZE, 3), np.uint8)), np.zeros(SIZE, np.uint8))
    previews.close()
    assert captions[-2] == "frame 00040"


@pytest.mark.parametrize(("palette", "colors"), [("bright", bright_colors), ("davis", id_colors)])
def test_objects_have_the_colors_of_the_palette(tmp_path: Path, palette: str, colors) -> None:
    previews = ClipPreviews(tmp_path, PreviewOptions(palette=palette, num_frames=1, video=False))
    image = np.full((300, 300, 3), 100, np.uint8)
    ids = np.zeros((300, 300), np.uint8)
    ids[:, 100:] = 3
    previews.write(Frame(0, "0", image), ids)
    previews.close()
    sheet = np.array(Image.open(tmp_path / "contact_sheet.png").convert("RGB")).astype(int)
    assert np.abs(sheet[30, 280] - (colors([3])[0].astype(int) + 100) / 2).max() < 5


def test_an_unknown_palette_is_refused() -> None:
    with pytest.raises(ValueError, match="palette must be bright or davis, not voc"):
        PreviewOptions(palette="voc")


_RED_GREEN_BLIND = {  # Machado, Oliveira and Fernandes 2009, severity 1, for linear RGB
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "normal": np.eye(3).tolist(),
}


@pytest.mark.parametrize("sight", _RED_GREEN_BLIND)
@pytest.mark.parametrize(("count", "least"), [(6, 15), (10, 9)])
def test_bright_colors_differ_for_color_blind_viewers(sight: str, count: int, least: float) -> None:
    rgb = bright_colors(range(1, count + 1)) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(_RED_GREEN_BLIND[sight]).T, 0, 1)
    lab = rgb2lab(np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)[None])[0]
    assert min(deltaE_ciede2000(lab[i], lab[j]) for i, j in combinations(range(count), 2)) >= least


def test_bright_colors_of_all_ids_are_bright_and_neighbors_differ() -> None:
    colors = bright_colors(np.arange(65536)).astype(int)
    assert colors[0].tolist() == [0, 0, 0]
    assert colors[1:].max(axis=1).min() >= 200
    assert np.abs(np.diff(colors[1:], axis=0)).sum(axis=1).min() > 60


def test_videos_of_an_excerpt_begin_with_it_and_have_its_audio(tmp_path: Path) -> None:
    path = tmp_path / "beep.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        sound = container.add_stream("aac", rate=48000)
        for index in range(30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame(index).image, format="rgb24")))
        container.mux(stream.encode(None))
        write_audio(container, sound, 3.0)
    with open_frames(path) as whole:
        source = excerpt(whole, "1.0s", "1.9s")
        previews = ClipPreviews(tmp_path, PreviewOptions.of(source, whole=False))
        for one in source:
            previews.write(one, np.zeros(SIZE, np.uint8))
        previews.close()
    with av.open(str(tmp_path / "overlay.mp4")) as container:
        times = [float(f.time or 0) for f in container.decode(video=0)]
        assert times == pytest.approx([i / 10 for i in range(10)], abs=0.001)
        assert float(
            (container.streams.audio[0].duration or 0) * container.streams.audio[0].time_base
        ) == pytest.approx(1.0, abs=0.05)
    assert shown(tmp_path / "overlay.mp4") == pytest.approx([level(i) for i in range(10, 20)], abs=3)
