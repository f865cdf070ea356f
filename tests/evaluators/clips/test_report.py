"""Reports of clips know which clip they are of: results of another one of its name are never replaced."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from media_files import one_line, write_video
from PIL import Image

from voskit.dataloaders.masks.files import write_mask
from voskit.dataloaders.masks.frame_masks import FrameMasks
from voskit.dataloaders.video.frames import open_frames
from voskit.evaluators.clips.report import ClipReport, check_same_clip, clip_identity
from voskit.evaluators.clips.run import segment_clip
from voskit.evaluators.clips.sources import find_clips
from voskit.evaluators.segmenter import VideoSegmenter


def folder_of(root: Path, values: tuple[int, ...], size: tuple[int, int] = (32, 24)) -> str:
    root.mkdir(parents=True)
    for number, value in enumerate(values):
        Image.new("L", size, value).save(root / f"{number:05d}.png")
    return str(root)


def results(clip: str, folder: Path) -> Path:
    """Write the report of a finished run."""
    folder.mkdir(parents=True)
    with open_frames(clip) as source:
        ClipReport(source.name, source=clip_identity(source), complete=True).save(folder)
    return folder


SCENE1 = (10, 20, 30)


@pytest.mark.parametrize(
    ("values", "size", "different"),
    [
        ((11, 20, 30), (32, 24), "first frame"),
        ((10, 21, 30), (32, 24), "middle frame"),  # both begin with the same frame, such as a black one
        ((10, 20), (32, 24), "frames"),
        ((10, 20, 30, 40), (32, 24), "frames, middle frame"),
        ((10, 20, 30), (24, 32), "size"),
    ],
)
def test_another_clip_of_the_same_name_is_refused(
    tmp_path: Path, values: tuple[int, ...], size: tuple[int, int], different: str
) -> None:
    out = results(folder_of(tmp_path / "scene1/rgb", SCENE1), tmp_path / "out/rgb")
    with (
        open_frames(folder_of(tmp_path / "scene2/rgb", values, size)) as source,
        pytest.raises(
            ValueError, match=f"holds results of another clip named rgb, which differs in {different}"
        ) as error,
    ):
        check_same_clip(out, source)
    one_line(error)


def test_the_same_clip_is_replaced_wherever_it_is(tmp_path: Path) -> None:
    out = results(folder_of(tmp_path / "scene1/rgb", SCENE1), tmp_path / "out/rgb")
    shutil.move(tmp_path / "scene1", tmp_path / "elsewhere")
    with open_frames(str(tmp_path / "elsewhere/rgb")) as source:
        assert check_same_clip(out, source) == ClipReport.load(out).source  # type: ignore[union-attr]


@pytest.mark.parametrize(("first", "second"), [("a/video.mp4", "b/video.mp4"), ("a.mp4", "a.mkv"), ("a.mp4", "a.avi")])
def test_videos_of_the_same_name_are_distinguished(tmp_path: Path, first: str, second: str) -> None:
    for name in (first, second):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_video(tmp_path / name, "mpeg4", 3, noise=name == second)
    out = results(str(tmp_path / first), tmp_path / "out")
    with open_frames(str(tmp_path / first)) as source:
        check_same_clip(out, source)
    with open_frames(str(tmp_path / second)) as source, pytest.raises(ValueError, match="results of another clip"):
        check_same_clip(out, source)


def test_results_of_an_earlier_version_are_replaced(tmp_path: Path) -> None:
    clip = folder_of(tmp_path / "scene1/rgb", SCENE1)
    ClipReport("rgb").save(tmp_path)
    with open_frames(clip) as source:
        check_same_clip(tmp_path, source)


def test_of_a_long_clip_no_more_than_frame_300_is_read(tmp_path: Path) -> None:
    with open_frames(folder_of(tmp_path / "rgb", tuple(t % 250 for t in range(700)))) as source:
        assert set(clip_identity(source)) == {"frames", "size", "first_frame", "frame_300"}


def test_a_damaged_frame_is_left_to_the_run(tmp_path: Path) -> None:
    clip = folder_of(tmp_path / "rgb", SCENE1)
    out = results(clip, tmp_path / "out")
    (tmp_path / "rgb/00001.png").write_bytes(b"")
    with open_frames(clip) as source:
        assert "middle_frame" not in check_same_clip(out, source)


@pytest.mark.parametrize("resume", [False, True])
def test_the_run_is_refused_before_the_first_frame_and_keeps_the_results(tmp_path: Path, resume: bool) -> None:
    out = results(folder_of(tmp_path / "scene1/rgb", SCENE1), tmp_path / "out/rgb")
    write_mask(tmp_path / "first.png", np.ones((24, 32), np.uint8))
    write_mask(out / "masks.png", np.ones((24, 32), np.uint8))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with (
        open_frames(folder_of(tmp_path / "scene2/rgb", (1, 2, 3))) as source,
        pytest.raises(ValueError, match="holds results of another clip named rgb"),
    ):
        unused = cast("VideoSegmenter", SimpleNamespace(target_fps=None))
        segment_clip(unused, source, FrameMasks(tmp_path / "first.png"), out, resume=resume)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "names",
    [("2024.01.05", "2024.01.06"), ("v1", "v1.2"), ("a.mp4", "a"), ("2024.01.05", "2024.mp4"), ("x.y.mp4", "x.z.mp4")],
)
@pytest.mark.parametrize("single", [False, True])
def test_scene_names_may_contain_dots(tmp_path: Path, names: tuple[str, ...], single: bool) -> None:
    """Folders of scenes have their whole name, videos their name without the extension."""
    expected = {}
    for name in names:
        if name.endswith(".mp4") and name != "a.mp4":
            (tmp_path / "images").mkdir(exist_ok=True)
            (tmp_path / "images" / name).write_bytes(b"")
            scene = name.removesuffix(".mp4")
        else:
            folder_of(tmp_path / "images" / name, (0,))
            scene = name
        mask = tmp_path / "masks" / (f"{scene}.png" if single else f"{scene}/00000.png")
        mask.parent.mkdir(parents=True, exist_ok=True)
        write_mask(mask, np.ones((24, 32), np.uint8))
        expected[scene] = tmp_path / "masks" / (f"{scene}.png" if single else scene)
    assert {clip.scene: clip.mask for clip in find_clips([str(tmp_path)])} == expected
