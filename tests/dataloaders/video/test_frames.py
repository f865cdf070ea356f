"""Frames of videos, and their errors."""

from __future__ import annotations

import struct
import weakref
from pathlib import Path

import av
import numpy as np
import pytest
from media_files import (
    BLUE,
    GRAY,
    GREEN,
    RED,
    cut,
    damage,
    four_colors,
    level,
    one_line,
    quarters,
    save_images,
    write_video,
)
from PIL import Image

from voskit.dataloaders.video import seek as video_seek
from voskit.dataloaders.video.frames import open_frames
from voskit.dataloaders.video.orientation import apply_display_matrix


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "stated"),
    [
        ("clip.mp4", "libx264", "yuv420p", 12),
        ("clip.mov", "libx264", "yuv420p", 12),
        ("clip.mkv", "ffv1", "yuv420p", None),
        ("clip.webm", "libvpx", "yuv420p", None),
        ("vp9.webm", "libvpx-vp9", "yuv420p", None),
        ("clip.avi", "mpeg4", "yuv420p", 12),
        ("motion.avi", "mjpeg", "yuvj420p", 12),
        ("clip.ts", "libx264", "yuv420p", None),
    ],
)
def test_video_gives_every_frame_in_order(
    tmp_path: Path, name: str, codec: str, pixels: str, stated: int | None
) -> None:
    path = write_video(tmp_path / name, codec, pixels=pixels)
    with open_frames(path) as source:
        assert (source.name, source.size, source.fps, source.num_frames) == (path.stem, (32, 48), 10.0, stated)
        frames = list(source)
    assert [frame.index for frame in frames] == list(range(12))
    assert frames[7].name == "00007"
    for frame in frames:
        assert frame.image.shape == (32, 48, 3)
        assert frame.image.dtype == np.uint8
        assert abs(frame.image.mean() - level(frame.index)) < 4


@pytest.mark.parametrize(
    ("codec", "pixels", "gray"),
    [
        ("ffv1", "yuv420p10le", False),
        ("ffv1", "gray", True),
        ("ffv1", "gray16le", True),
        ("ffv1", "bgra", False),
        ("ffv1", "yuva420p", False),
        ("libx264", "yuv444p", False),
        ("prores_ks", "yuv422p10le", False),
    ],
)
def test_pixel_formats_become_rgb(tmp_path: Path, codec: str, pixels: str, gray: bool) -> None:
    path = write_video(tmp_path / "clip.mkv", codec, 2, pixels=pixels, picture=four_colors())
    with open_frames(path) as source:
        image = next(iter(source)).image
    assert image.shape == (32, 48, 3)
    if gray:
        assert np.ptp(image.astype(int), axis=2).max() <= 1
    else:
        assert quarters(image) == [RED, GREEN, BLUE, GRAY]


def test_odd_sizes_are_kept(tmp_path: Path) -> None:
    path = write_video(tmp_path / "odd.mkv", "ffv1", 3, size=(33, 47), pixels="yuv444p")
    with open_frames(path) as source:
        assert source.size == (33, 47)
        assert {frame.image.shape for frame in source} == {(33, 47, 3)}


@pytest.mark.parametrize(
    ("name", "codec"), [("v.mp4", "libx264"), ("v.mkv", "libx264"), ("v.webm", "libvpx"), ("v.avi", "mpeg4")]
)
def test_variable_frame_rate_is_complete(tmp_path: Path, name: str, codec: str) -> None:
    times = [0, 1, 2, 5, 9, 10, 20, 33, 34]
    with open_frames(write_video(tmp_path / name, codec, len(times), times=times)) as source:
        assert [round(frame.image.mean() / 13) for frame in source] == [round(level(i) / 13) for i in range(len(times))]


def test_frames_before_the_start_of_an_edit_list_are_skipped_silently(tmp_path: Path) -> None:
    path = write_video(tmp_path / "trimmed.mp4", "libx264", 12, times=list(range(-3, 9)))
    with open_frames(path) as source:
        assert source.num_frames is None
        assert len(list(source)) == 9


# a, b, c, d of the display matrix for each rotation that phones write, and the resulting order of the four quarters.
TURNS = {
    "upright": ((1, 0, 0, 1), [RED, GREEN, BLUE, GRAY]),
    "clockwise": ((0, 1, -1, 0), [BLUE, RED, GRAY, GREEN]),
    "counter-clockwise": ((0, -1, 1, 0), [GREEN, GRAY, RED, BLUE]),
    "upside down": ((-1, 0, 0, -1), [GRAY, BLUE, GREEN, RED]),
    "mirrored": ((-1, 0, 0, 1), [GREEN, RED, GRAY, BLUE]),
    "transposed": ((0, 1, 1, 0), [RED, BLUE, GREEN, GRAY]),
}


@pytest.mark.parametrize("turn", TURNS)
def test_rotated_phone_video_is_upright(tmp_path: Path, turn: str) -> None:
    (a, b, c, d), expected = TURNS[turn]
    path = write_video(tmp_path / "phone.mp4", "libx264", 2, picture=four_colors())
    data = bytearray(path.read_bytes())  # phones write the matrix into the track header, as is done here
    matrix = data.index(b"tkhd") + 4 + 40
    assert struct.unpack(">9i", data[matrix : matrix + 36]) == (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    one = 65536
    data[matrix : matrix + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    with open_frames(path) as source:
        assert source.size == ((32, 48) if a else (48, 32))
        for frame in source:
            assert frame.image.shape[:2] == source.size
            assert frame.image.flags.c_contiguous
            assert quarters(frame.image) == expected


@pytest.mark.skipif(not hasattr(av.VideoStream, "set_display_rotation"), reason="this PyAV writes no rotation")
@pytest.mark.parametrize("name", ["phone.mp4", "phone.mkv"])
def test_rotation_written_by_ffmpeg_is_undone(tmp_path: Path, name: str) -> None:
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        stream.set_display_rotation(90)  # degrees counter-clockwise
        container.mux(stream.encode(av.VideoFrame.from_ndarray(four_colors(), format="rgb24")))
        container.mux(stream.encode(None))
    with open_frames(tmp_path / name) as source:
        assert source.size == (48, 32)
        assert quarters(next(iter(source)).image) == [GREEN, GRAY, RED, BLUE]


def test_rotations_other_than_quarter_turns_are_ignored_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    image = four_colors()
    tilted = np.array([46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30])
    assert apply_display_matrix(image, tilted) is image
    assert "not a quarter turn" in caplog.text


def test_video_can_be_read_twice_and_from_the_start_after_a_break(tmp_path: Path) -> None:
    with open_frames(write_video(tmp_path / "clip.mp4", "libx264")) as source:
        assert next(iter(source)).index == 0
        assert [frame.index for frame in source] == list(range(12))
        assert [frame.index for frame in source] == list(range(12))


@pytest.mark.parametrize(
    ("name", "codec", "sought"),
    [
        ("clip.mp4", "libx264", True),
        ("clip.mkv", "libx264", True),
        ("vp9.webm", "libvpx-vp9", True),
        ("clip.avi", "mpeg4", True),
        ("clip.ts", "libx264", False),
    ],
)
def test_frames_by_number_match_a_pass_from_the_start(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    codec: str,
    sought: bool,
) -> None:
    monkeypatch.setattr("voskit.dataloaders.video.decoder._BACKWARD_BYTES", 7 * 32 * 48 * 3)
    path = write_video(tmp_path / name, codec, 40, noise=True)
    with open_frames(path) as source:
        at_once = next(source.between(13, 13))
        frames = list(source)
        for first, last in ((39, 0), (20, 30), (5, 5), (30, 11)):
            numbers = range(first, last + 1) if first <= last else range(first, last - 1, -1)
            got = list(source.between(first, last))
            assert [(frame.index, frame.name) for frame in got] == [(i, f"{i:05d}") for i in numbers]
            assert all(np.array_equal(frame.image, frames[frame.index].image) for frame in got)
        assert np.array_equal(at_once.image, frames[13].image)
        for first, last, missing in ((40, 40, 40), (39, 40, 40), (0, -1, -1)):
            with pytest.raises(ValueError, match=f"there is no frame {missing}, the last one is 39"):
                list(source.between(first, last))
    assert ("can't seek" in caplog.text) != sought
    with pytest.raises(ValueError, match="closed"):
        source.between(0, 1)


def test_a_frame_that_seeking_would_damage_is_read_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with open_frames(write_video(tmp_path / "clip.mp4", "libx264", noise=True)) as source:
        frames = list(source)

        def spoilt(container, stream, start, wanted, skip_damaged):
            images = decode(container, stream, start, wanted, skip_damaged)
            yield from ((time, pixels + (time > wanted)) for time, pixels in images)

        decode = video_seek._decode_from
        monkeypatch.setattr(video_seek, "_decode_from", spoilt)
        got = list(source.between(4, 9))
    assert all(np.array_equal(frame.image, frames[frame.index].image) for frame in got)
    assert "can't seek" in caplog.text


def test_long_video_is_streamed(tmp_path: Path) -> None:
    path = write_video(tmp_path / "long.mp4", "mpeg4", 300)
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0
    with open_frames(path) as source:
        for frame in source:
            alive = [reference for reference in alive if reference() is not None] + [weakref.ref(frame.image)]
            most = max(most, len(alive))
    assert frame.index == 299
    assert most <= 3


def test_name_with_colon_and_percent(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mkv", "ffv1", 2).rename(tmp_path / "a:b %03d #1?.mkv")
    with open_frames(path) as source:
        assert source.name == "a:b %03d #1?"
        assert len(list(source)) == 2


def test_given_fps_is_reported(tmp_path: Path) -> None:
    with open_frames(write_video(tmp_path / "clip.mkv", "ffv1", 2), fps=24) as source:
        assert source.fps == 24
    with open_frames(save_images(tmp_path / "images", "1.png"), fps=12.5) as source:
        assert source.fps == 12.5


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_an_invalid_fps_is_refused(tmp_path: Path, fps: float) -> None:
    with pytest.raises(ValueError, match="positive number"):
        open_frames(tmp_path, fps=fps)


def test_file_without_a_video_stream(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 48000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(ValueError, match=r"sound\.mp4: no video stream.*audio") as error:
        open_frames(path)
    one_line(error)


def test_of_several_video_streams_the_longest_is_read_which_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=10) for _ in range(2)]
        for stream, count in zip(streams, (1, 6), strict=True):
            stream.height, stream.width, stream.pix_fmt = 32, 16 * count, "yuv420p"
        for stream, count in zip(streams, (1, 6), strict=True):
            for _ in range(count):
                image = np.zeros((32, 16 * count, 3), np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode(None))
    with open_frames(path) as source:
        assert source.size == (32, 96)
        assert len(list(source)) == 6
        assert [frame.index for frame in source.between(5, 0)] == [5, 4, 3, 2, 1, 0]
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} has several video streams: 1 (96x32) is read, not 0 (16x32)"
    ]


def test_all_images_of_an_animated_avif_are_frames(tmp_path: Path) -> None:
    pictures = [Image.fromarray(np.full((32, 48, 3), level, np.uint8)) for level in (0, 90, 200)]
    pictures[0].save(tmp_path / "a.avif", save_all=True, append_images=pictures[1:], duration=40)
    with open_frames(tmp_path / "a.avif") as source:
        assert [round(float(frame.image.mean()), -1) for frame in source] == [0, 90, 200]


def test_text_is_refused_as_a_video(tmp_path: Path) -> None:
    for name, text in (("page.mp4", "<html>not found</html>"), ("notes.txt", "hello\n" * 50), ("empty.mp4", "")):
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match=name) as error:
            open_frames(tmp_path / name)
        one_line(error)


@pytest.mark.parametrize("name", ["none.mp4", "none.mkv", "none.avi"])
def test_video_without_a_frame(tmp_path: Path, name: str) -> None:
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream("ffv1" if name == "none.mkv" else "mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        container.start_encoding()
    with pytest.raises(
        ValueError, match=rf"{name}: .*(no frame of the video|contains nothing|cannot be opened)"
    ) as error:
        open_frames(tmp_path / name)
    one_line(error)


def test_mp4_without_its_index(tmp_path: Path) -> None:
    path = cut(write_video(tmp_path / "clip.mp4", "libx264", noise=True), 0.6)
    with pytest.raises(ValueError, match=r"cut_clip\.mp4: cannot be opened as a video.*interrupted"):
        open_frames(path)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("clip.mp4", "libx264", {"movflags": "faststart"}),
        ("clip.mkv", "libx264", {}),
        ("clip.mkv", "ffv1", {}),
        ("clip.webm", "libvpx", {}),
        ("clip.avi", "mjpeg", {}),
        ("clip.avi", "mpeg4", {}),
        ("clip.ts", "libx264", {}),
    ],
)
@pytest.mark.parametrize("keep", [0.9, 0.5])
def test_a_truncated_video_yields_its_frames_and_then_an_error(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], keep: float
) -> None:
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    whole = write_video(tmp_path / name, codec, 30, noise=True, pixels=pixels, container_options=options)
    with open_frames(whole) as source:
        expected = [frame.image for frame in source]
    read: list[np.ndarray] = []
    with open_frames(cut(whole, keep)) as source, pytest.raises(ValueError, match=f"cut_{name}") as error:
        read.extend(frame.image for frame in source)
    assert 1 <= len(read) < 30
    assert f"{len(read)} frame(s) were read" in one_line(error)
    assert f"frame {len(read)}" in one_line(error)
    for image, original in zip(read, expected, strict=False):
        assert np.array_equal(image, original)


@pytest.mark.parametrize(("name", "codec"), [("clip.mp4", "libx264"), ("clip.mkv", "mjpeg"), ("clip.avi", "mpeg4")])
def test_damage_in_the_middle_is_an_error_that_names_the_frame(tmp_path: Path, name: str, codec: str) -> None:
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = damage(write_video(tmp_path / name, codec, 30, noise=True, pixels=pixels))
    read = 0
    with (
        open_frames(path) as source,
        pytest.raises(ValueError, match=f"bad_{name}: frame .* cannot be decoded") as error,
    ):
        for _ in source:
            read += 1
    assert 0 < read < 30
    assert f"frame {read} cannot" in one_line(error)


def test_a_gap_in_a_webm_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = damage(write_video(tmp_path / "clip.webm", "libvpx", 30, noise=True), 1000)
    problem = ""
    read = 0
    with open_frames(path) as source:
        try:
            for _ in source:
                read += 1
        except ValueError as error:  # FFmpeg doesn't resynchronize in this file
            problem = str(error)
    assert 0 < read < 30
    assert "were read" in problem or "frames are missing" in caplog.text


def test_size_that_changes_within_a_video(tmp_path: Path) -> None:
    path = tmp_path / "joined.ts"
    parts = [write_video(tmp_path / f"{size[0]}.ts", "mpeg2video", 30, size=size) for size in ((32, 48), (64, 64))]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    with (
        open_frames(path) as source,
        pytest.raises(ValueError, match=r"joined\.ts: frame .*64x64.*32x48|damaged") as error,
    ):
        list(source)
    one_line(error)


def test_closed_sources_refuse_to_continue(tmp_path: Path) -> None:
    for path in (write_video(tmp_path / "clip.mp4", "libx264"), save_images(tmp_path / "images", "1.png", "2.png")):
        source = open_frames(path)
        frames = iter(source)
        next(frames)
        source.close()
        source.close()
        with pytest.raises(ValueError, match="closed"):
            next(frames)
        with pytest.raises(ValueError, match="closed"):
            next(iter(source))
