"""Excerpts of videos and folders of images: their bounds, names and times."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from media_files import level, save_images, save_mask, write_timed, write_video

from voskit.dataloaders.masks.frame_masks import masks_for
from voskit.dataloaders.video.excerpt import excerpt
from voskit.dataloaders.video.frames import open_frames

TIMES = [0.0, 0.1, 0.2, 0.5, 0.9, 1.0, 4.1, 64.2]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_timed(tmp_path_factory.mktemp("video") / "pause.mp4", "libx264", TIMES)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2", "4", [2, 3, 4]),
        ("6", None, [6, 7]),
        (None, "0", [0]),
        ("00003", "00003", [3]),
        ("0.2s", "0.9s", [2, 3, 4]),
        ("0.3s", "4s", [3, 4, 5]),
        ("0:01", "1:00", [5, 6]),
        ("0:00:04.1", "1:04.2", [6, 7]),
        ("1:04", None, [7]),
    ],
)
def test_bounds_are_numbers_names_or_times(video: Path, start: str | None, end: str | None, expected) -> None:
    with open_frames(video) as source:
        part = excerpt(source, start, end)
        frames = list(part)
        assert [frame.name for frame in frames] == [f"{number:05d}" for number in expected]
        assert [frame.index for frame in frames] == list(range(len(expected)))
        assert [frame.time for frame in frames] == pytest.approx([TIMES[number] for number in expected], abs=1e-3)
        assert [int(frame.image.mean()) for frame in frames] == pytest.approx([level(n) for n in expected], abs=4)
        assert part.num_frames == part.count() == len(expected)
        backwards = [frame.name for frame in part.between(len(expected) - 1, 0)]
        assert backwards == [frame.name for frame in frames][::-1]
        assert (part.name, part.size, part.name_of(0)) == (source.name, source.size, frames[0].name)
        assert part.whole is source and source.whole is source


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        ("8", None, "pause has no frame 8: it has 8 frames, counted from 0"),
        ("2", "8", "pause has no frame 8"),
        ("3", "2", "the end, frame 2, comes before the start, frame 3"),
        ("noon", None, "start 'noon': give a frame's number"),
        ("-1", None, "start '-1': give a frame's number"),
        (None, "1.5", "end '1.5': give a frame's number"),
        ("2:00", None, "start 2:00: pause ends before"),
        (None, "0:70", "end 0:70: minutes and seconds must be below 60"),
    ],
)
def test_bounds_outside_the_clip_are_refused(video: Path, start: str | None, end: str | None, message: str) -> None:
    with open_frames(video) as source, pytest.raises(ValueError, match=message):
        excerpt(source, start, end)


def test_an_end_far_beyond_the_last_frame_is_logged(video: Path, caplog: pytest.LogCaptureFixture) -> None:
    with open_frames(video) as source:
        assert excerpt(source, None, "2:00").num_frames == 8
    assert "end 2:00: the last frame of pause is shown at 64.20 s" in caplog.text


def test_without_bounds_the_excerpt_is_the_source(video: Path) -> None:
    with open_frames(video) as source:
        assert excerpt(source, None, None) is source


def test_a_video_of_unknown_length_may_end_early(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mkv", "libx264", 5)
    with open_frames(path) as source:
        assert source.num_frames is None
        assert len(list(excerpt(source, "2", None))) == 3
        for start, end in (("2", "9"), ("7", None)):
            with pytest.raises(ValueError, match=f"clip ends before frame {end or start}"):
                list(excerpt(source, start, end))


def test_images_are_named_and_have_times_only_with_a_rate(tmp_path: Path) -> None:
    folder = save_images(tmp_path / "images", "shot_010.png", "shot_011.png", "shot_012.jpg", "shot_013.png")
    with open_frames(folder) as source:
        part = excerpt(source, "shot_011", "2")
        frames = list(part)
        assert [part.file_of(frame) for frame in frames] == ["shot_011.png", "shot_012.jpg"]
        with pytest.raises(ValueError, match="images have no times: give a frame number, or set their rate"):
            excerpt(source, "0.1s", None)
    with open_frames(folder, fps=10) as source:
        assert [frame.name for frame in excerpt(source, "0.1s", "0.2s")] == ["shot_011", "shot_012"]


def test_a_video_with_fewer_frames_than_it_states_ends_an_excerpt_without_end(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mp4", "libx264", 6)
    with av.open(str(whole)) as source, av.open(str(tmp_path / "empty.mp4"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        unit = packets[0].duration
        for packet in packets:
            packet.stream = stream
            target.mux(packet)
        filler = av.Packet(bytes((0, 0, 0, 3, 0x0C, 0xFF, 0x80)))  # no frame is decoded from it
        filler.pts = filler.dts = 20 * unit
        filler.duration, filler.time_base, filler.stream = unit, packets[0].time_base, stream
        target.mux(filler)
    with open_frames(tmp_path / "empty.mp4") as source:
        read = len(list(source))
        assert read < source.num_frames == 7
        part = excerpt(source, "2", None)
        assert len(list(part)) == part.count() == read - 2
        with pytest.raises(ValueError, match="empty ends before frame 6: give a smaller number"):
            list(excerpt(source, "2", "6"))


def test_a_numeric_frame_name_takes_precedence_over_a_frame_number(tmp_path: Path) -> None:
    folder = save_images(tmp_path / "images", "1.png", "2.png", "3.png")
    with open_frames(folder) as source:
        assert [frame.name for frame in excerpt(source, "2", None)] == ["2", "3"]
        assert [frame.name for frame in excerpt(source, "0", "1")] == ["1"]


def test_a_single_mask_belongs_to_the_first_frame_and_others_keep_their_frames(video: Path, tmp_path: Path) -> None:
    single = save_mask(tmp_path / "first.png", np.full((32, 48), 7, np.uint8))
    for name in ("00001", "00004"):
        save_mask(tmp_path / "masks" / f"{name}.png", np.full((32, 48), int(name), np.uint8))
    with open_frames(video) as source:
        part = excerpt(source, "3", "5")
        masks = masks_for(single, part)
        masks.check(part)
        assert [None if (mask := masks(frame)) is None else int(mask.max()) for frame in part] == [7, None, None]
        masks = masks_for(tmp_path / "masks", part)
        masks.check(part)
        assert [None if (mask := masks(frame)) is None else int(mask.max()) for frame in part] == [None, 4, None]
        with pytest.raises(ValueError, match="no frame of pause between start and end has a mask"):
            masks_for(tmp_path / "masks", source).check(excerpt(source, "5", None))
