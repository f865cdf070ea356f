"""Times of frames, the mean rate, and how a source is played."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_files import level, save_images, write_audio, write_timed, write_video
from PIL import Image

from voskit.dataloaders.video.clock import FrameClock
from voskit.dataloaders.video.frames import open_frames

PAUSE = [0, 0.1, 0.2, 0.5, 0.9, 1.0, 4.1, 4.2]
JITTER = [0, 0.054, 0.099, 0.139, 0.141, 0.2]


@pytest.mark.parametrize(
    ("name", "codec", "times", "fps"),
    [
        ("pause.mp4", "libx264", PAUSE, 8 / 4.3),
        ("pause.mkv", "libx264", PAUSE, 8 / 4.3),
        ("pause.mov", "libx264", PAUSE, 8 / 4.3),
        ("pause.ts", "libx264", PAUSE, None),
        ("pause.avi", "mpeg4", PAUSE, None),
        ("jitter.webm", "libvpx", JITTER, None),
        ("late.mkv", "ffv1", [0.04 + 0.04 * i for i in range(6)], 25),
        ("phone.mp4", "libx264", [i * 1001 / 30000 for i in range(12)], 30000 / 1001),
        ("lapse.mp4", "libx264", [1800 * i for i in range(5)], 1 / 1800),
        ("camera.mp4", "libx264", [i / 2000 for i in range(9)], 2000),
        ("camera.mkv", "ffv1", [i / 2000 for i in range(9)], None),
        ("one.mp4", "libx264", [0], 10),
    ],
)
def test_frames_of_videos_have_the_times_of_the_container(tmp_path: Path, name, codec, times, fps) -> None:
    path = write_timed(tmp_path / name, codec, times)
    unit = 1 / 1000 if path.suffix in (".mkv", ".webm") else 1 / 90000
    with open_frames(path) as source:
        frames = list(source)
        assert [frame.time for frame in frames] == pytest.approx([t - times[0] for t in times], abs=0.6 * unit)
        assert [abs(frame.image.mean() - level(frame.index)) < 6 for frame in frames] == [True] * len(times)
        if fps is not None:
            assert source.fps == pytest.approx(fps, rel=0.01)
        backwards = [frame.time for frame in source.between(len(times) - 1, 0)]
        assert backwards == [frame.time for frame in frames[::-1]]
    with open_frames(path, fps=50) as source:
        assert [frame.time for frame in source] == [i / 50 for i in range(len(times))]
        assert source.fps == 50


def test_a_gif_keeps_its_unequal_delays(tmp_path: Path) -> None:
    pictures = [Image.fromarray(np.full((20, 30, 3), level(i), np.uint8)) for i in range(4)]
    pictures[0].save(
        tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=[100, 500, 40, 360], loop=0
    )
    with open_frames(tmp_path / "a.gif") as source:
        frames = list(source)
        assert [frame.time for frame in frames] == pytest.approx([0, 0.1, 0.6, 0.64])
        assert frames[-1].duration == pytest.approx(0.36)
        assert source.fps == pytest.approx(4)


def test_a_browser_recording_without_a_rate_has_the_mean_one(tmp_path: Path) -> None:
    path = write_timed(tmp_path / "screen.webm", "libvpx", JITTER, container_options={"live": "1"})
    with open_frames(path) as source:
        assert source.fps == pytest.approx(6 / 0.259, rel=0.02)


def test_images_have_times_only_if_a_rate_is_given(tmp_path: Path) -> None:
    folder = save_images(tmp_path / "images", "1.png", "2.png", "3.png")
    with open_frames(folder) as source:
        assert [frame.time for frame in source] == [None, None, None]
    with open_frames(folder, fps=4) as source:
        assert [(frame.time, frame.duration) for frame in source] == [(0, 0.25), (0.25, 0.25), (0.5, 0.25)]
        assert next(source.between(2, 2)).time == 0.5


def test_times_never_decrease(caplog: pytest.LogCaptureFixture) -> None:
    clock = FrameClock("joined.ts", Fraction(1, 10), 1.0, 10.0)
    assert [clock.time(pts) for pts in (10, 11, 12, 12, 11, 13)] == pytest.approx([0, 0.1, 0.2, 0.2, 0.2, 0.3])
    assert [clock.time(pts) for pts in (None, None)] == pytest.approx([0.4, 0.5])
    assert [clock.time(pts) for pts in (-20, -19, -17)] == pytest.approx([0.6, 0.7, 0.9])
    assert "joined.ts: times start again after 0.50 s: later frames are shifted" in caplog.text


@pytest.mark.parametrize("width", [48, 32])  # frames of as many rows as columns, as in SVCD, show no turn
@pytest.mark.parametrize(("turn", "aspect"), [(0, Fraction(4, 3)), (90, Fraction(3, 4)), (180, Fraction(4, 3))])
def test_pixel_aspect_ratio_and_audio_are_known(tmp_path: Path, turn: int, aspect: Fraction, width: int) -> None:
    path = tmp_path / "dv.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 32, width, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        if turn:
            stream.set_display_rotation(turn)
        sound = container.add_stream("aac", rate=48000)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, width, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
        write_audio(container, sound, 0.2)
    with open_frames(path) as source:
        assert source.playback.pixel_aspect == aspect
        assert source.playback.audio == f"file:{path}"
    with open_frames(path, fps=5) as source:
        assert source.playback.audio is None, "it wouldn't fit the times"
    with open_frames(write_video(tmp_path / "silent.mkv", "ffv1", 2)) as source:
        assert (source.playback.pixel_aspect, source.playback.audio) == (1, None)


@pytest.mark.parametrize(("flags", "told"), [({"flags": "+ilme+ildct", "x264-params": "tff=1"}, 1), ({}, 0)])
def test_interlaced_videos_are_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture, flags, told) -> None:
    path = tmp_path / "tape.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options=flags)
        stream.height, stream.width, stream.pix_fmt = 64, 64, "yuv420p"
        for i in range(5):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), 9 * i, np.uint8), format="rgb24"))
            )
        container.mux(stream.encode(None))
    with open_frames(path) as source:
        for _ in range(2):
            list(source)
        list(source.between(4, 0))
    lines = [record.getMessage() for record in caplog.records if "interlaced" in record.getMessage()]
    assert len(lines) == told
    assert all(line.startswith(f"{path}: the video is interlaced") and "bwdif" in line for line in lines)


KR_KB = {"BT.601": (0.299, 0.114, 5), "BT.709": (0.2126, 0.0722, 1), "BT.2020": (0.2627, 0.0593, 9)}


@pytest.mark.parametrize("matrix", KR_KB)
@pytest.mark.parametrize("full", (False, True), ids=("limited", "full"))
@pytest.mark.parametrize("bits", (8, 10))
def test_colors_follow_matrix_and_range_of_the_video(tmp_path: Path, matrix: str, full: bool, bits: int) -> None:
    kr, kb, code = KR_KB[matrix]
    colors = np.array(
        [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 0, 255), (255,) * 3, (30,) * 3]
    )
    red, green, blue = (colors / 255).T
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    planes = np.stack([luma, (blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)])
    scale, offset = ([255, 255, 255], [0, 128, 128]) if full else ([219, 224, 224], [16, 128, 128])
    stored = (planes * np.array(scale)[:, None] + np.array(offset)[:, None]) * 2 ** (bits - 8)
    if full and bits == 10:
        stored = planes * 1023 + np.array([0, 512, 512])[:, None]
    stored = np.clip(np.rint(stored), 0, 2**bits - 1).astype(np.uint16 if bits > 8 else np.uint8)
    path = tmp_path / "bars.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 128, 32, "yuv444p" if bits == 8 else "yuv444p10le"
        stream.codec_context.colorspace, stream.codec_context.color_range = code, 2 if full else 1
        frame = av.VideoFrame(128, 32, stream.pix_fmt)
        for plane, row in zip(frame.planes, stored, strict=True):
            rows = np.zeros((32, plane.line_size // stored.itemsize), stored.dtype)
            rows[:, :128] = np.repeat(row, 16)
            plane.update(rows.tobytes())
        frame.colorspace, frame.color_range = code, 2 if full else 1
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with open_frames(path) as source:
        image = next(iter(source)).image
    assert np.abs(image[16, 8::16].astype(int) - colors).max() <= 3
