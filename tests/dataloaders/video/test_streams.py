"""Frames from URLs and cameras."""

from __future__ import annotations

from pathlib import Path

import pytest
from media_files import cut, damage, one_line, save_images, write_video

from voskit.dataloaders.video.frames import open_frames


def test_http_url_is_read_once(tmp_path: Path, served: str) -> None:
    write_video(tmp_path / "clip.mkv", "ffv1")
    with open_frames(f"http://me:secret@{served}/clip.mkv?token=secret") as source:
        assert (source.name, source.size) == ("clip", (32, 48))
        assert len(list(source)) == 12
        with pytest.raises(ValueError, match="only once") as error:
            list(source)
        with pytest.raises(ValueError, match="only once, and only forward"):
            source.between(11, 0)
    assert "secret" not in one_line(error)


def test_live_stream_skips_damage(tmp_path: Path, served: str, caplog: pytest.LogCaptureFixture) -> None:
    path = write_video(
        tmp_path / "clip.mkv", "mjpeg", 30, noise=True, pixels="yuvj420p", container_options={"live": "1"}
    )
    damage(path)
    with open_frames(f"http://{served}/bad_clip.mkv") as source:
        assert source.num_frames is None
        read = len(list(source))
    assert 20 < read < 30
    assert "damaged data around frame" in caplog.text


def test_cut_off_download_is_an_error(tmp_path: Path, served: str) -> None:
    cut(write_video(tmp_path / "clip.mkv", "ffv1", 30, noise=True), 0.5)
    with open_frames(f"http://{served}/cut_clip.mkv") as source, pytest.raises(ValueError, match="truncated"):
        list(source)


def test_file_url(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", "libx264")
    with open_frames(path.as_uri()) as source:
        assert (source.name, source.num_frames) == ("clip", 12)
        assert len(list(source)) == len(list(source)) == 12


def test_an_error_about_a_url_hides_its_password(served: str) -> None:
    for url in (
        f"http://me:secret@{served}/gone.mp4?token=secret",
        "rtsp://me:secret@127.0.0.1:9/live",
        "nonsense://me:secret@host/x",
    ):
        with pytest.raises(ValueError, match="cannot be opened") as error:
            open_frames(url)
        assert "secret" not in one_line(error)


@pytest.mark.skipif(Path("/dev/video97").exists(), reason="there is a camera 97")
def test_camera_that_is_missing() -> None:
    with pytest.raises(ValueError, match="camera 97") as error:
        open_frames("97")
    one_line(error)


def test_existing_file_named_like_a_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_images(tmp_path / "0", "1.png")
    monkeypatch.chdir(tmp_path)
    with open_frames("0") as source:
        assert source.name == "0"
        assert source.num_frames == 1
