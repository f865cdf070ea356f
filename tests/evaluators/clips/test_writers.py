"""Background writers of videos and masks: bounded memory, files complete or absent, no error lost."""

import errno
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from voskit.dataloaders.masks.files import davis_palette
from voskit.evaluators.clips.background import BackgroundWriter
from voskit.evaluators.clips.mask_writer import MaskWriter
from voskit.evaluators.clips.video import formats as video_formats
from voskit.evaluators.clips.video import writer as video_writer
from voskit.evaluators.clips.video.formats import PRORES_4444, VideoFormat
from voskit.evaluators.clips.video.writer import VideoWriter


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("background-writer")]


def picture(index: int, height: int = 96, width: int = 128) -> np.ndarray:
    """A smooth moving picture, whose red, green and blue differ."""
    row, column = np.mgrid[:height, :width]
    channels = (255 * column / width, 200 - 150 * row / height, 128 + 100 * np.sin((row + column + 9 * index) / 40))
    return np.stack(channels, axis=-1).astype(np.uint8)


def noise(index: int, height: int = 96, width: int = 128) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 256, (height, width, 3), dtype=np.uint8)


def decode(path: Path) -> tuple[list[np.ndarray], Fraction | None]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)], stream.average_rate


def first_colors(image: Image.Image, count: int) -> bytes:
    palette = image.getpalette("RGB")
    assert palette is not None
    return bytes(palette[: 3 * count])


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


def run_python(code: str, path: Path) -> subprocess.Popen:
    """Start a program whose ``sys.argv[1]`` is the path."""
    command = [sys.executable, "-c", f"import sys\n{code}", str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


class Gate:
    """A job that blocks until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self, *args: object) -> None:
        self.entered.set()
        assert self.opened.wait(10)


def fail_with(error: BaseException) -> Callable[..., None]:
    def job(*args: object) -> None:
        raise error

    return job


class TestBackgroundWriter:
    def test_has_run_all_jobs_when_closed(self) -> None:
        done: list[int] = []
        with BackgroundWriter(workers=3, max_pending=4) as background:
            for i in range(50):
                background.submit(done.append, i)
        assert sorted(done) == list(range(50))

    def test_keeps_the_order_with_one_worker(self) -> None:
        done: list[int] = []
        with BackgroundWriter(workers=1) as background:
            for i in range(50):
                background.submit(done.append, i)
        assert done == list(range(50))

    def test_blocks_the_caller_when_enough_jobs_wait(self) -> None:
        gate, accepted = Gate(), []
        with BackgroundWriter(workers=1, max_pending=3) as background:

            def feed() -> None:
                for i in range(5):
                    background.submit(gate)
                    accepted.append(i)

            feeder = threading.Thread(target=feed)
            feeder.start()
            assert gate.entered.wait(10)
            time.sleep(0.2)
            assert accepted == [0, 1, 2], "one runs, two wait, the fourth blocks its caller"
            gate.opened.set()
            feeder.join(10)
            assert accepted == [0, 1, 2, 3, 4]

    def test_holds_a_limited_number_of_arrays(self) -> None:
        references: list[weakref.ref] = []
        most = 0
        with BackgroundWriter(workers=2, max_pending=3) as background:
            for _ in range(30):
                frame = np.zeros((64, 64), np.uint8)
                references.append(weakref.ref(frame))
                background.submit(lambda array: time.sleep(0.002), frame)
                del frame
                most = max(most, sum(reference() is not None for reference in references))
        # Two threads may be about to let go of a job that is already over.
        assert most <= 3 + 2
        assert all(reference() is None for reference in references)

    def test_raises_an_error_at_the_next_submit_with_its_type_and_the_file(self, tmp_path: Path) -> None:
        class OwnError(Exception):
            pass

        done: list[int] = []
        background = BackgroundWriter(workers=1)
        background.submit(fail_with(OwnError("bad pixels")), tmp_path / "00007.png")
        with pytest.raises(OwnError, match=r"00007\.png: bad pixels"):
            for i in range(1000):
                background.submit(done.append, i)
                time.sleep(0.001)
        assert done == [], "after an error nothing more is written"
        with pytest.raises(OwnError):
            background.submit(done.append, 1)
        with pytest.raises(OwnError):
            background.close()

    def test_raises_an_error_at_close(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"a\.png: wrong"), BackgroundWriter() as background:
            background.submit(fail_with(ValueError("wrong")), str(tmp_path / "a.png"))

    def test_names_the_file_in_an_oserror_without_one(self) -> None:
        message = r"No space left on device: '/data/a\.png'"
        with pytest.raises(OSError, match=message) as caught, BackgroundWriter() as background:
            background.submit(fail_with(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))), Path("/data/a.png"))
        assert caught.value.errno == errno.ENOSPC

    def test_keeps_errors_that_name_their_file_or_have_another_format(self) -> None:
        for error in (ValueError("/data/a.png is odd"), UnicodeDecodeError("utf-8", b"x", 0, 1, "odd")):
            before = str(error)
            with pytest.raises(type(error)) as caught, BackgroundWriter() as background:
                background.submit(fail_with(error), Path("/data/a.png"))
            assert caught.value is error
            assert str(error) == before

    def test_wakes_a_blocked_caller_after_an_error(self) -> None:
        gate = Gate()

        def wait_and_fail() -> None:
            gate()
            raise KeyError("late")

        background = BackgroundWriter(workers=1, max_pending=1)
        background.submit(wait_and_fail)
        threading.Timer(0.1, gate.opened.set).start()
        with pytest.raises(KeyError, match="late"):
            background.submit(print)
        background.cancel()

    def test_drops_waiting_jobs_when_the_body_fails_and_does_not_hide_its_error(self) -> None:
        gate = Gate()
        done: list[int] = []
        with pytest.raises(ZeroDivisionError), BackgroundWriter(workers=1, max_pending=8) as background:
            background.submit(gate)
            for i in range(5):
                background.submit(done.append, i)
            assert gate.entered.wait(10)
            threading.Timer(0.1, gate.opened.set).start()
            raise ZeroDivisionError
        assert done == []

    def test_logs_a_jobs_error_that_the_bodys_error_hides(self, caplog: pytest.LogCaptureFixture) -> None:
        with pytest.raises(ZeroDivisionError), BackgroundWriter(workers=1) as background:
            background.submit(fail_with(OSError(errno.ENOSPC, "full")), "x.png")
            while background._error is None:
                time.sleep(0.001)
            raise ZeroDivisionError
        assert "x.png" in caplog.text

    def test_can_be_closed_twice_but_not_used_again(self) -> None:
        background = BackgroundWriter()
        background.close()
        background.close()
        with pytest.raises(ValueError, match="closed"):
            background.submit(print)

    @pytest.mark.parametrize("options", [{"workers": 0}, {"max_pending": 0}])
    def test_refuses_wrong_numbers(self, options: dict[str, int]) -> None:
        with pytest.raises(ValueError, match=next(iter(options))):
            BackgroundWriter(**options)

    def test_loses_nothing_when_a_program_ends_without_close(self, tmp_path: Path) -> None:
        code = """
import time
from pathlib import Path
from voskit.evaluators.clips.background import BackgroundWriter
def job(path):
    time.sleep(0.05)
    if path.name == "5":
        raise ValueError("sad")
    path.write_text("done")
background = BackgroundWriter(workers=1)
for i in range(6):
    background.submit(job, Path(sys.argv[1]) / str(i))
"""
        process = run_python(code, tmp_path)
        _, stderr = process.communicate(timeout=30)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["0", "1", "2", "3", "4"]
        assert "5: sad" in stderr, "an error is not lost either"


class TestVideoWriter:
    @pytest.mark.parametrize("size", [(96, 128), (95, 127), (96, 127), (1, 1)])
    def test_writes_the_frames(self, tmp_path: Path, size: tuple[int, int]) -> None:
        frames = [picture(i, *size) for i in range(20)]
        with VideoWriter(tmp_path / "new" / "clip.mp4", fps=12.5) as video:
            for frame in frames:
                video.write(frame)
        decoded, rate = decode(tmp_path / "new" / "clip.mp4")
        assert len(decoded) == video.num_frames == 20
        assert rate == Fraction(25, 2)
        height, width = size
        for frame, seen in zip(frames, decoded, strict=True):
            assert seen.shape == (height + height % 2, width + width % 2, 3)
            assert psnr(frame, seen[:height, :width]) > 30
        assert [p.name for p in (tmp_path / "new").iterdir()] == ["clip.mp4"]

    def test_repeats_the_last_row_and_column_of_odd_sizes(self, tmp_path: Path) -> None:
        frame = np.zeros((33, 35, 3), np.uint8)
        frame[-1], frame[:, -1] = 220, 220
        with VideoWriter(tmp_path / "clip.mp4", kind=VideoFormat(options={"crf": "5"})) as video:
            video.write(frame)
        seen = decode(tmp_path / "clip.mp4")[0][0]
        assert seen[-1].min() > 190
        assert seen[:, -1].min() > 190

    def test_is_h264_that_plays_everywhere(self, tmp_path: Path) -> None:
        with VideoWriter(tmp_path / "clip.mp4") as video:
            for i in range(5):
                video.write(picture(i))
        with av.open(str(tmp_path / "clip.mp4")) as container:
            context = container.streams.video[0].codec_context
            assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
            assert (context.colorspace, context.color_range) == (1, 1), (
                "BT.709, limited range: players agree on colours"
            )
            assert container.streams.video[0].average_rate == 25
        data = (tmp_path / "clip.mp4").read_bytes()
        assert 0 < data.index(b"moov") < data.index(b"mdat")

    def test_takes_non_contiguous_views(self, tmp_path: Path) -> None:
        with VideoWriter(tmp_path / "clip.mp4") as video:
            video.write(picture(0)[:, ::-1, ::-1])
        assert psnr(picture(0)[:, ::-1, ::-1], decode(tmp_path / "clip.mp4")[0][0]) > 30

    @pytest.mark.parametrize(
        ("fps", "rate"),
        [
            (25, Fraction(25)),
            (30.0, Fraction(30)),
            (29.97, Fraction(30000, 1001)),
            (30000 / 1001, Fraction(30000, 1001)),
            (23.976, Fraction(24000, 1001)),
            (59.94, Fraction(60000, 1001)),
            (Fraction(24000, 1001), Fraction(24000, 1001)),
            (0.5, Fraction(1, 2)),
            (6.25, Fraction(25, 4)),
        ],
    )
    def test_keeps_the_frame_rate(self, tmp_path: Path, fps: float, rate: Fraction) -> None:
        with VideoWriter(tmp_path / "clip.mp4", fps) as video:
            for i in range(7):
                video.write(picture(i, 32, 32))
        frames, seen = decode(tmp_path / "clip.mp4")
        assert (len(frames), seen) == (7, rate)

    def test_refuses_a_different_size_and_leaves_nothing(self, tmp_path: Path) -> None:
        video = VideoWriter(tmp_path / "clip.mp4")
        video.write(picture(0, 64, 96))
        with pytest.raises(ValueError, match=r"clip\.mp4: frame 1 is 64x96 .* the video is 96x64"):
            video.write(picture(1, 96, 64))
        assert list(tmp_path.iterdir()) == []
        for call in (video.close, lambda: video.write(picture(1, 64, 96))):
            with pytest.raises(ValueError, match=r"clip\.mp4 is aborted"):
                call()

    @pytest.mark.parametrize(
        "frame", [np.zeros((8, 8)), np.zeros((8, 8, 3)), np.zeros((8, 8, 4), np.uint8), np.zeros((0, 8, 3), np.uint8)]
    )
    def test_refuses_invalid_frames(self, tmp_path: Path, frame: np.ndarray) -> None:
        message = r"clip\.mp4: a frame must be an H x W x 3 uint8 RGB array"
        with pytest.raises(ValueError, match=message), VideoWriter(tmp_path / "clip.mp4") as video:
            video.write(frame)
        assert list(tmp_path.iterdir()) == []

    def test_refuses_to_write_a_video_without_frames(self, tmp_path: Path) -> None:
        with (
            pytest.raises(ValueError, match=r"no frame was written to .*clip\.mp4"),
            VideoWriter(tmp_path / "clip.mp4"),
        ):
            pass
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("frames", [0, 3, 80])
    def test_keeps_an_earlier_file_when_the_body_fails(self, tmp_path: Path, frames: int) -> None:
        (tmp_path / "clip.mp4").write_text("earlier")
        with pytest.raises(ZeroDivisionError), VideoWriter(tmp_path / "clip.mp4") as video:
            for i in range(frames):
                video.write(noise(i))
            raise ZeroDivisionError
        assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]
        assert (tmp_path / "clip.mp4").read_text() == "earlier"

    def test_replaces_an_earlier_file_only_when_it_is_closed(self, tmp_path: Path) -> None:
        (tmp_path / "clip.mp4").write_text("earlier")
        video = VideoWriter(tmp_path / "clip.mp4")
        video.write(picture(0))
        assert (tmp_path / "clip.mp4").read_text() == "earlier"
        assert {p.name for p in tmp_path.iterdir()} == {"clip.mp4", f".clip.mp4.{os.getpid()}.tmp.mp4"}
        video.close()
        video.close()
        video.abort()
        assert len(decode(tmp_path / "clip.mp4")[0]) == 1

    def test_removes_its_temporary_file_when_it_is_dropped(self, tmp_path: Path) -> None:
        video = VideoWriter(tmp_path / "clip.mp4")
        video.write(picture(0))
        del video
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("name", "options", "message"),
        [
            ("clip.avi", {}, r"\.mp4"),
            ("clip.mp4", {"fps": 0}, "fps"),
            ("clip.mp4", {"fps": float("nan")}, "fps"),
            ("clip.mp4", {"fps": 1e9}, "fps"),
            ("clip.mp4", {"kind": PRORES_4444}, "mov"),
        ],
    )
    def test_refuses_wrong_arguments(self, tmp_path: Path, name: str, options: dict, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            VideoWriter(tmp_path / name, **options)
        assert list(tmp_path.iterdir()) == []

    def test_reports_what_the_encoder_refuses(self, tmp_path: Path) -> None:
        wrong = VideoFormat(options={"preset": "wrong"})
        with pytest.raises(OSError, match=r"clip\.mp4"), VideoWriter(tmp_path / "clip.mp4", kind=wrong) as video:
            video.write(picture(0))
        assert list(tmp_path.iterdir()) == []

    def test_falls_back_to_mpeg4_with_a_warning(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(video_writer, "has_encoder", lambda name: False)
        with VideoWriter(tmp_path / "clip.mp4", fps=119.88) as video:  # a rate that MPEG-4 can't hold exactly
            for i in range(10):
                video.write(picture(i))
        assert "libx264" in caplog.text
        frames, rate = decode(tmp_path / "clip.mp4")
        assert rate is not None
        assert float(rate) == pytest.approx(119.88, rel=1e-3)
        assert len(frames) == 10
        assert min(psnr(picture(i), frames[i]) for i in range(10)) > 30

    def test_knows_which_encoders_exist(self) -> None:
        assert video_formats.has_encoder("mpeg4")
        assert not video_formats.has_encoder("libx264_of_the_future")

    def test_names_what_is_in_the_way(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        (tmp_path / "folder.mp4").mkdir()
        with pytest.raises(NotADirectoryError, match=f"'{tmp_path}/file'"):
            VideoWriter(tmp_path / "file" / "clip.mp4")
        with pytest.raises(NotADirectoryError, match=f"'{tmp_path}/file/"):
            VideoWriter(tmp_path / "file" / "deeper" / "clip.mp4")
        with pytest.raises(IsADirectoryError, match=r"folder\.mp4"):
            VideoWriter(tmp_path / "folder.mp4")
        assert {p.name for p in tmp_path.iterdir()} == {"file", "folder.mp4"}

    def test_names_a_folder_that_is_not_writable(self, small_disk: Callable[..., Path]) -> None:
        folder = small_disk(100, ",ro")
        with pytest.raises(PermissionError, match=f"'{folder}'"):
            VideoWriter(folder / "clip.mp4")
        with pytest.raises(OSError, match=f"'{folder}/new'"):
            VideoWriter(folder / "new" / "clip.mp4")

    def test_reports_a_full_disk_wherever_it_strikes(self, tmp_path: Path, small_disk: Callable[..., Path]) -> None:
        def write(folder: Path) -> None:
            with VideoWriter(folder / "clip.mp4") as video:
                for i in range(8):
                    video.write(noise(i))

        write(tmp_path)
        needed = -(-(tmp_path / "clip.mp4").stat().st_size // 1024)
        # At the first bytes, in the middle, while the encoder is emptied, and while the index is written.
        for size in (4, needed // 2, needed - 40, needed - 4):
            folder = small_disk(size)
            with pytest.raises(OSError, match=f"'{folder}/clip.mp4'") as caught:
                write(folder)
            assert caught.value.errno == errno.ENOSPC
            assert list(folder.iterdir()) == []

    def test_leaves_nothing_under_its_name_when_its_process_is_killed(self, tmp_path: Path) -> None:
        code = """
import numpy as np
from voskit.evaluators.clips.video.formats import PRORES_4444, VideoFormat
from voskit.evaluators.clips.video.writer import VideoWriter
video = VideoWriter(sys.argv[1])
for i in range(10**6):
    video.write(np.random.default_rng(i).integers(0, 256, (96, 128, 3), dtype=np.uint8))
    if i == 80:
        print("writing", flush=True)
"""
        process = run_python(code, tmp_path / "clip.mp4")
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        process.kill()
        process.communicate()
        left = [p.name for p in tmp_path.iterdir()]
        assert left == [f".clip.mp4.{process.pid}.tmp.mp4"]
        assert (tmp_path / left[0]).stat().st_size > 0

    def test_waits_for_the_frame_being_encoded_when_aborted(self, tmp_path: Path) -> None:
        video = VideoWriter(tmp_path / "clip.mp4")
        background = BackgroundWriter(workers=1, max_pending=100)
        for i in range(30):
            background.submit(video.write, noise(i))
        while video.num_frames < 3:
            time.sleep(0.001)
        video.abort()
        with pytest.raises(ValueError, match="aborted"):
            background.close()
        assert list(tmp_path.iterdir()) == []


class TestMaskWriter:
    def test_writes_masks_under_their_names(self, tmp_path: Path) -> None:
        masks = {f"{i:05d}": np.random.default_rng(i).integers(0, 9, (30, 40)) for i in range(20)}
        with MaskWriter(tmp_path / "deep" / "video") as writer:
            for name, mask in masks.items():
                writer.write(name, mask)
        assert writer.names == list(masks)
        assert sorted(p.name for p in writer.folder.iterdir()) == [f"{name}.png" for name in masks]
        for name, mask in masks.items():
            with Image.open(tmp_path / "deep" / "video" / f"{name}.png") as image:
                assert image.mode == "P"
                assert first_colors(image, 9) == davis_palette()[:27]
                np.testing.assert_array_equal(np.array(image), mask)

    def test_keeps_dots_in_names_and_takes_a_palette(self, tmp_path: Path) -> None:
        palette = bytes(range(256)) * 3
        with MaskWriter(tmp_path, palette=palette) as writer:
            writer.write("frame.0001", np.ones((4, 5), np.uint8))
        with Image.open(tmp_path / "frame.0001.png") as image:
            assert first_colors(image, 2) == palette[:6]

    def test_refuses_a_duplicate_name(self, tmp_path: Path) -> None:
        with (
            pytest.raises(ValueError, match=f"'00001' was already written to {tmp_path}"),
            MaskWriter(tmp_path) as writer,
        ):
            writer.write("00001", np.zeros((4, 5), np.uint8))
            writer.write("00001", np.ones((4, 5), np.uint8))
        assert writer.names == ["00001"]

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "a\\b", "a\0"])
    def test_refuses_names_that_leave_its_folder(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ValueError, match="can't be the name of a mask"), MaskWriter(tmp_path) as writer:
            writer.write(name, np.zeros((4, 5), np.uint8))
        assert list(tmp_path.iterdir()) == []

    def test_names_what_is_in_the_way(self, tmp_path: Path, small_disk: Callable[..., Path]) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(NotADirectoryError, match=f"'{tmp_path}/file'"):
            MaskWriter(tmp_path / "file")
        folder = small_disk(100, ",ro")
        with pytest.raises(PermissionError, match=f"'{folder}'"):
            MaskWriter(folder)

    def test_reports_a_full_disk_and_leaves_no_broken_mask(self, small_disk: Callable[..., Path]) -> None:
        folder = small_disk(200)
        noisy = np.random.default_rng(0).integers(0, 255, (200, 300), dtype=np.uint8)
        with pytest.raises(OSError, match=str(folder)) as caught, MaskWriter(folder, max_pending=2) as writer:
            for i in range(50):
                writer.write(f"{i:05d}", noisy)
        assert caught.value.errno == errno.ENOSPC
        assert len(writer.names) < 12
        written = sorted(folder.iterdir())
        assert written
        assert {path.stem for path in written} < set(writer.names), "no temporary file"
        for path in written:
            with Image.open(path) as image:
                np.testing.assert_array_equal(np.array(image), noisy)

    def test_raises_a_masks_error_with_its_name(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="00003"), MaskWriter(tmp_path) as writer:
            writer.write("00003", np.zeros((4, 5, 6), np.uint8))
        assert list(tmp_path.iterdir()) == []

    def test_leaves_only_complete_masks_when_its_process_is_killed(self, tmp_path: Path) -> None:
        code = """
import numpy as np
from voskit.evaluators.clips.mask_writer import MaskWriter
writer = MaskWriter(sys.argv[1], workers=2)
mask = np.random.default_rng(0).integers(0, 250, (300, 400), dtype=np.uint8)
for i in range(10**6):
    writer.write(str(i), mask)
    if i == 20:
        print("writing", flush=True)
"""
        process = run_python(code, tmp_path)
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        process.kill()
        process.communicate()
        masks = [p for p in tmp_path.iterdir() if not p.name.startswith(".")]
        assert len(masks) >= 10
        for path in masks:
            with Image.open(path) as image:
                assert np.array(image).shape == (300, 400)


def test_the_writers_print_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with VideoWriter(tmp_path / "clip.mp4") as video, MaskWriter(tmp_path / "masks") as masks:
        video.write(picture(0))
        masks.write("0", np.zeros((4, 5), np.uint8))
    assert capfd.readouterr() == ("", "")
