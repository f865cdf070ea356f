"""Overlay videos: times, shape of pixels and audio of the source; they never end a run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_files import level, save_images, write_audio, write_timed
from PIL import Image

from voskit.dataloaders.video.frames import open_frames
from voskit.dataloaders.video.source import Frame
from voskit.evaluators.clips.clip_writer import ClipWriter
from voskit.evaluators.clips.previews import ClipPreviews, ContactSheet, PreviewOptions
from voskit.evaluators.clips.report import ClipReport
from voskit.evaluators.clips.video import writer as video_writer
from voskit.evaluators.clips.video.writer import VideoWriter

PAUSE = [0, 0.1, 0.2, 0.5, 0.9, 1.0, 4.1, 4.2]


def overlay_of(path: Path, folder: Path, fps: float | None = None, cut: int | None = None) -> Path:
    """Write the overlay of a source without objects."""
    with open_frames(path) as source:
        previews = ClipPreviews(folder, PreviewOptions.of(source, fps=fps, whole=cut is None))
        for frame in source:
            if frame.index == cut:
                break
            previews.write(frame, np.zeros(source.size, np.uint8))
        previews.close()
    return folder / "overlay.mp4"


def times_and_end(path: Path) -> tuple[list[float], float]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        times = sorted(float(p.pts * p.time_base) for p in container.demux(stream) if p.pts is not None)
        assert stream.duration is not None
        return times, float(stream.duration * stream.time_base)


def gif(path: Path, delays: list[int]) -> Path:
    pictures = [Image.fromarray(np.full((20, 30, 3), level(i), np.uint8)) for i in range(len(delays))]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=delays)
    return path


@pytest.mark.parametrize(
    ("name", "codec", "times"),
    [
        ("pause.mp4", "libx264", PAUSE),
        ("pause.mkv", "libx264", PAUSE),
        ("pause.ts", "libx264", PAUSE),
        ("jitter.webm", "libvpx", [0, 0.054, 0.099, 0.139, 0.141, 0.2]),
        ("ntsc.mp4", "libx264", [i * 1001 / 30000 for i in range(12)]),
        ("film.mp4", "libx264", [i * 1001 / 24000 for i in range(12)]),
        ("late.mkv", "ffv1", [0.5 + 0.04 * i for i in range(6)]),
        ("lapse.mp4", "libx264", [1800.0 * i for i in range(5)]),
        ("days.mkv", "ffv1", [86400.0 * i for i in range(4)]),
        ("fast.mp4", "libx264", [i / 2000 for i in range(9)]),
        ("faster.mkv", "ffv1", [i / 5000 for i in range(40)]),
    ],
)
def test_the_overlay_has_the_times_of_the_source(tmp_path: Path, name: str, codec: str, times: list[float]) -> None:
    source = write_timed(tmp_path / name, codec, times)
    seen, end = times_and_end(overlay_of(source, tmp_path))
    unit = 0.001 if source.suffix in (".mkv", ".webm") else 0.0002
    assert seen == pytest.approx([t - times[0] for t in times], abs=unit)
    last, mean = times[-1] - times[-2], (times[-1] - times[0]) / (len(times) - 1)
    assert end == pytest.approx(times[-1] - times[0] + last, abs=2 * unit + (mean if name.endswith(".ts") else last))
    assert len(set(seen)) == len(times), "frames of equal times are shown, too"


def test_the_overlay_of_a_gif_keeps_its_delays(tmp_path: Path) -> None:
    seen, end = times_and_end(overlay_of(gif(tmp_path / "a.gif", [100, 500, 40, 360]), tmp_path))
    assert seen == pytest.approx([0, 0.1, 0.6, 0.64])
    assert end == pytest.approx(1.0)


@pytest.mark.parametrize(("fps", "expected"), [(None, 25), (4, 4), (0.01, 0.01), (1e9, 1e6), (1e-9, 1e-6)])
def test_images_and_given_rates_get_a_constant_rate_that_the_encoder_supports(tmp_path, caplog, fps, expected) -> None:
    folder = save_images(tmp_path / "images", "1.png", "2.png", "3.png")
    seen, end = times_and_end(overlay_of(folder, tmp_path, fps))
    assert seen == pytest.approx([0, 1 / expected, 2 / expected], rel=1e-3)
    assert end == pytest.approx(3 / expected, rel=1e-3)
    assert ("overlay.mp4 can't have" in caplog.text) == (fps not in (None, expected))
    paused = write_timed(tmp_path / "pause.mp4", "libx264", PAUSE)
    if fps == 4:
        assert times_and_end(overlay_of(paused, tmp_path, fps))[0] == pytest.approx([i / 4 for i in range(8)])


@pytest.mark.parametrize("aspect", [Fraction(2), Fraction(4, 3), Fraction(8, 9), Fraction(1)])
def test_the_pixel_aspect_ratio_is_kept(tmp_path: Path, aspect: Fraction) -> None:
    path = tmp_path / "dv.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 48, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    with av.open(str(overlay_of(path, tmp_path))) as container:
        assert container.streams.video[0].sample_aspect_ratio == aspect


def with_audio(path: Path, codec: str, *, seconds: float = 1.0, video: str = "libx264") -> Path:
    """Ten frames of a tenth of a second, with a tone."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(video, rate=10)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        sound = container.add_stream(codec, rate=48000)
        for i in range(10):
            picture = av.VideoFrame.from_ndarray(np.full((32, 48, 3), level(i), np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
        write_audio(container, sound, seconds)
    return path


def audio_of(path: Path) -> tuple[str, float, float] | None:
    """Codec, seconds and loudness of the audio."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return None
        frames = list(container.decode(audio=0))
        values = np.concatenate([frame.to_ndarray().astype(float).ravel() for frame in frames])
        seconds = sum(frame.samples for frame in frames) / frames[0].sample_rate
        return container.streams.audio[0].codec_context.codec.canonical_name, seconds, float(values.std())


@pytest.mark.parametrize(
    ("name", "codec", "video", "kept"),
    [
        ("a.mp4", "aac", "libx264", "aac"),
        ("a.ts", "aac", "libx264", "aac"),
        ("a.webm", "libopus", "libvpx", "opus"),
        ("a.mkv", "flac", "ffv1", "flac"),
        ("a.avi", "libmp3lame", "mpeg4", "mp3"),
        ("a.mov", "pcm_s16le", "libx264", "aac"),
        ("b.avi", "pcm_s16le", "mpeg4", "aac"),
    ],
)
def test_audio_is_copied_or_becomes_aac(tmp_path: Path, name: str, codec: str, video: str, kept: str) -> None:
    source = with_audio(tmp_path / name, codec, video=video)
    before, after = audio_of(source), audio_of(overlay_of(source, tmp_path))
    assert before is not None
    assert after is not None
    assert after[0] == kept
    assert after[1] == pytest.approx(before[1], abs=0.05)
    assert after[2] > 0
    with open_frames(source) as frames:
        times = [frame.time for frame in frames]
    assert times_and_end(tmp_path / "overlay.mp4")[0] == pytest.approx(times, abs=1e-3)


@pytest.mark.parametrize(("cut", "seconds"), [(None, 2.0), (4, 0.4)])
def test_longer_audio_is_cut_only_with_the_video(tmp_path: Path, cut: int | None, seconds: float) -> None:
    source = with_audio(tmp_path / "a.mp4", "aac", seconds=2.0)
    found = audio_of(overlay_of(source, tmp_path, cut=cut))
    assert found is not None
    assert found[1] == pytest.approx(seconds, abs=0.05)


def test_a_different_rate_drops_the_audio(tmp_path: Path) -> None:
    source = with_audio(tmp_path / "a.mp4", "aac")
    assert audio_of(overlay_of(source, tmp_path, fps=5)) is None
    assert audio_of(source) is not None


def test_unreadable_audio_is_left_out_with_a_log_line(tmp_path: Path, caplog, monkeypatch) -> None:
    source = with_audio(tmp_path / "a.mov", "pcm_s16le")

    def fail(*_: object) -> None:
        raise ValueError("no such decoder")

    monkeypatch.setattr("voskit.evaluators.clips.video.audio.AudioCopy._encoded", fail)
    path = overlay_of(source, tmp_path)
    assert audio_of(path) is None
    assert len(times_and_end(path)[0]) == 10
    told = f"{path} has no audio: the audio of the source can't be copied (no such decoder)"
    assert [record.getMessage() for record in caplog.records] == [told]


def write_clip(folder: Path, size: tuple[int, int], count: int = 5, **options: object) -> None:
    with ClipWriter(folder, ClipReport("clip"), PreviewOptions(**options)) as writer:
        for i in range(count):
            image = np.full((*size, 3), level(i), np.uint8)
            writer.write(Frame(i, f"{i:05d}", image, i / 10, 0.1), np.full(size, 1 + i % 2, np.uint8))


def assert_whole(folder: Path, video: bool) -> None:
    assert [p.name for p in sorted((folder / "masks").iterdir())] == [f"{i:05d}.png" for i in range(5)]
    report = ClipReport.load(folder)
    assert report is not None
    assert report.complete
    found = {p.name for p in folder.iterdir() if not p.name.startswith(".lock")}
    assert found - {"masks", "report.json"} == {"contact_sheet.png", *(["overlay.mp4"] if video else [])}


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((64, 17000), (16384, 62)),
        pytest.param((17000, 64), (62, 16384), marks=pytest.mark.thorough),
        ((33, 47), (48, 34)),
        ((1, 1), (2, 2)),
        ((2, 33001), (16384, 2)),
    ],
)
def test_sizes_beyond_the_encoder_are_scaled_down(tmp_path: Path, size, shown) -> None:
    write_clip(tmp_path / "out", size)
    assert_whole(tmp_path / "out", video=True)
    with av.open(str(tmp_path / "out" / "overlay.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == shown


def failing_at(number: int, error: Exception) -> Callable:
    encode = VideoWriter._encode

    def failing(self: VideoWriter, picture: av.VideoFrame | None) -> None:
        if (0 if picture is None else self.num_frames) == number:
            raise error
        encode(self, picture)

    return failing


@pytest.mark.parametrize("number", [0, 3])
@pytest.mark.parametrize(
    "error",
    [
        av.error.ExternalError(-542398533, "Generic error in an external library"),
        OSError(28, "No space left on device"),
        MemoryError("no memory"),
        ValueError("odd frame"),
    ],
    ids=["encoder", "full disk", "memory", "value"],
)
def test_a_failing_encoder_loses_only_the_video(tmp_path: Path, monkeypatch, caplog, number, error) -> None:
    monkeypatch.setattr(VideoWriter, "_encode", failing_at(number, error))
    write_clip(tmp_path / "out", (32, 48))
    assert_whole(tmp_path / "out", video=False)
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].startswith("there will be no overlay video: ")


def test_a_folder_in_the_way_loses_only_the_video(tmp_path: Path, caplog) -> None:
    with ClipWriter(tmp_path, ClipReport("clip"), PreviewOptions()) as writer:
        for i in range(5):
            writer.write(Frame(i, f"{i:05d}", np.zeros((8, 8, 3), np.uint8)), np.ones((8, 8), np.uint8))
            (tmp_path / "overlay.mp4").mkdir(exist_ok=True)
    assert len(list((tmp_path / "masks").iterdir())) == 5
    assert "there will be no overlay video: " in caplog.text
    assert (tmp_path / "contact_sheet.png").exists()


def test_encoders_without_h264_keep_times(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(video_writer, "has_encoder", lambda name: False)
    source = write_timed(tmp_path / "pause.mp4", "libx264", PAUSE)
    seen, end = times_and_end(overlay_of(source, tmp_path))
    assert seen == pytest.approx(PAUSE, abs=1e-3)
    assert end == pytest.approx(4.3, abs=0.11)


def test_a_run_without_the_video_has_everything_else(tmp_path: Path) -> None:
    write_clip(tmp_path / "out", (32, 48), video=False)
    assert_whole(tmp_path / "out", video=False)


def test_a_contact_sheet_that_cannot_be_written_loses_nothing_else(tmp_path: Path, caplog, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ContactSheet, "image", full)
    with ClipWriter(tmp_path, ClipReport("clip"), PreviewOptions()) as writer:
        for i in range(3):
            writer.write(Frame(i, f"{i:05d}", np.zeros((8, 8, 3), np.uint8)), np.ones((8, 8), np.uint8))
    assert caplog.text.count("the contact sheet can't be written") == 1
    assert (tmp_path / "overlay.mp4").exists()
    report = ClipReport.load(tmp_path)
    assert report is not None and report.complete


def test_leftovers_of_a_killed_run_among_the_masks_are_removed(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks/.00003.png.0a1b.tmp").touch()
    with ClipWriter(tmp_path, ClipReport("clip"), PreviewOptions()) as writer:
        writer.write(Frame(0, "00000", np.zeros((8, 8, 3), np.uint8)), np.ones((8, 8), np.uint8))
    assert [path.name for path in (tmp_path / "masks").iterdir()] == ["00000.png"]
