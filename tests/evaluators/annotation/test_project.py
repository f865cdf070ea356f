"""Projects: clips that are found, opened, uploaded and listed again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from PIL import Image
from standin import StandInSegmenter, mask_of, write_clip

from voskit.dataloaders.video.extensions import VIDEO_EXTENSIONS
from voskit.evaluators.annotation.project import Project, ProjectClip, find_videos


def project_in(folder: Path, root: Path | None = None) -> Project:
    return Project(folder, StandInSegmenter, root=root)  # type: ignore[arg-type]


def ready(project: Project, clip: ProjectClip) -> ProjectClip:
    project.open(clip)
    end = time.monotonic() + 20
    while clip.state == "opening" and time.monotonic() < end:
        time.sleep(0.01)
    return clip


def test_clips_are_listed_again_with_their_folders_and_stored_views(tmp_path: Path) -> None:
    paths = [write_clip(tmp_path / name / "clip") for name in ("a", "b")]
    project = project_in(tmp_path / "out")
    clips = [ready(project, project.add(path)) for path in paths]
    assert project.add(paths[0]) is clips[0]
    assert [clip.name for clip in clips] == ["clip", "clip_2"]
    assert clips[1].opened is not None
    clips[1].opened.annotation.give(3, mask_of(1))
    clips[1].opened.view = {"frame": 3, "zoom": 2.5}
    project.close()
    project = project_in(tmp_path / "out")
    assert [clip.id for clip in project.clips] == [clip.id for clip in clips]
    clip = ready(project, project.clips[1])
    assert clip.opened is not None
    assert clip.opened.view == {"frame": 3, "zoom": 2.5}
    assert clip.summary() | {"id": ""} == {
        "id": "", "name": "clip_2", "state": "ready", "done": 1.0, "error": None,
        "frames": 6, "height": 65, "width": 97, "given": 1, "masked": 1,
    }  # fmt: skip
    project.remove(clip.id)
    assert len(project_in(tmp_path / "out").clips) == 1
    assert (clip.folder / "masks" / "00003.png").exists()
    project.close()


def test_a_clip_that_can_t_be_opened_says_why_and_others_open(tmp_path: Path) -> None:
    project = project_in(tmp_path / "out")
    (tmp_path / "bad.mp4").write_bytes(b"no video at all")
    bad = ready(project, project.add(tmp_path / "bad.mp4"))
    assert bad.state == "failed"
    assert "bad.mp4: cannot be opened as a video" in str(bad.error)
    good = ready(project, project.add(write_clip(tmp_path / "good")))
    assert good.state == "ready"
    project.close()


def test_a_clip_that_failed_is_opened_when_it_is_tried_again(tmp_path: Path) -> None:
    project = project_in(tmp_path / "out")
    clip = project.add(write_clip(tmp_path / "clip"))
    away = (tmp_path / "clip").rename(tmp_path / "away")
    assert ready(project, clip).state == "failed"
    project.retry(clip)
    assert ready(project, clip).state == "failed" and "no such file or folder" in str(clip.error)
    away.rename(tmp_path / "clip")
    project.retry(clip)
    assert ready(project, clip).state == "ready" and clip.error is None
    project.retry(clip)
    assert clip.state == "ready"
    project.close()


def test_damaged_frames_are_skipped_and_marked(tmp_path: Path) -> None:
    folder = write_clip(tmp_path / "clip")
    for number, size in ((0, 0), (3, 2000)):
        path = folder / f"{number:05d}.png"
        path.write_bytes(path.read_bytes()[:size])
    Image.new("RGB", (5, 5)).save(folder / "00004.png")
    project = project_in(tmp_path / "out")
    opened = project.open_now(project.add(folder))
    assert opened.source.damaged == {0, 3, 4}
    assert opened.source.problem == "3 damaged image(s) are skipped"
    opened.annotation.give(1, mask_of(2))
    assert [frame.index for frame, _ in opened.annotation.propagate(1, 5)] == [2, 5]
    assert opened.annotation.masked == [(1, 2), (5, 5)]
    with pytest.raises(ValueError, match="frame 3 is damaged"):
        opened.pictures.get(3)
    assert opened.pictures.get(5)[:2] == b"\xff\xd8"
    project.close()


def test_only_files_below_the_root_are_shown(tmp_path: Path) -> None:
    root = tmp_path / "videos"
    write_clip(root / "day" / "clip")
    (root / "film.mp4").write_bytes(b"x")
    (root / "notes.txt").write_bytes(b"x")
    (root / ".hidden.mp4").write_bytes(b"x")
    (tmp_path / "secret.mp4").write_bytes(b"x")
    (root / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    (root / "up").symlink_to(tmp_path)
    project = project_in(tmp_path / "out", root)
    assert project.list_root("") == {
        "path": "",
        "parent": None,
        "entries": [
            {"name": "day", "path": "day", "kind": "folder"},
            {"name": "film.mp4", "path": "film.mp4", "kind": "video"},
        ],
    }
    assert project.list_root("day")["parent"] == ""
    assert project.list_root("day")["entries"] == [{"name": "clip", "path": "day/clip", "kind": "images"}]
    for path in ("../secret.mp4", "link.mp4", "up/secret.mp4", "day/../../secret.mp4"):
        with pytest.raises(PermissionError, match="outside the root"):
            project.within_root(path)
    for path in (str(tmp_path / "secret.mp4"), "nothing", "a\0b"):
        with pytest.raises(FileNotFoundError):
            project.within_root(path)
    with pytest.raises(PermissionError, match="--root"):
        project_in(tmp_path / "out2").within_root("film.mp4")


@pytest.mark.parametrize("suffix", VIDEO_EXTENSIONS)
def test_every_kind_of_video_is_listed(tmp_path: Path, suffix: str) -> None:
    video = tmp_path / "videos" / f"film{suffix.upper()}"
    video.parent.mkdir()
    video.write_bytes(b"x")
    assert find_videos(tmp_path / "videos") == [video]
    entries = project_in(tmp_path / "out", tmp_path / "videos").list_root("")["entries"]
    assert [entry["kind"] for entry in entries] == ["video"]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("clip.mp4", "clip.mp4"),
        ("../../etc/passwd", "passwd.mp4"),
        ("C:\\films\\Übung 1.MOV", "Übung 1.mov"),
        (".mp4", "mp4.mp4"),
        ("a/../..", "clip.mp4"),
        ("x" * 300 + ".webm", "x" * 80 + ".webm"),
        ("semi;colon$(x).mp4", "semi_colon_x.mp4"),
    ],
)
def test_uploads_get_harmless_names(tmp_path: Path, name: str, file: str) -> None:
    project = project_in(tmp_path / "out")
    path = project.upload_path(name)
    assert path == tmp_path / "out" / "uploads" / file
    path.write_bytes(b"x")
    assert project.upload_path(name).stem == f"{path.stem}_2"


def test_clips_of_a_path(tmp_path: Path) -> None:
    first, second = write_clip(tmp_path / "folder" / "a"), write_clip(tmp_path / "folder" / "b")
    (tmp_path / "folder" / "c.mp4").write_bytes(b"x")
    assert find_videos(first) == [first]
    assert find_videos(tmp_path / "folder") == [first, second, tmp_path / "folder" / "c.mp4"]
    scene = write_clip(tmp_path / "scenes" / "images" / "bunny")
    (tmp_path / "scenes" / "masks").mkdir()
    assert find_videos(tmp_path / "scenes") == [scene]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: no video, no image and no folder of images in it"):
        find_videos(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="nothing: no such file or folder"):
        find_videos(tmp_path / "nothing")
