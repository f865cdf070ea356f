"""Clips of several videos and folders of videos, with their masks."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from media_files import save_images, save_mask, write_video

from voskit.evaluators.clips.sources import BUNDLED_SCENES, check_clips, find_clips


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    (tmp_path / "videos").mkdir()
    for name in ("b.mp4", "a.mkv", "c10.avi", "c9.avi"):
        write_video(tmp_path / "videos" / name, "mpeg4", 2)
    (tmp_path / "videos" / "notes.txt").write_text("")
    return tmp_path / "videos"


def masks_of(folder: Path, *names: str) -> Path:
    for name in names:
        save_mask(folder / name, np.full((32, 48), 1, np.uint8)) if (folder / name).suffix else (folder / name).mkdir()
    return folder


def test_a_folder_of_videos_has_a_mask_for_each_in_a_folder(videos: Path, tmp_path: Path) -> None:
    masks = masks_of(tmp_path / "masks", "a.png", "b.bmp", "c9.png")
    (masks / "c10").mkdir()
    clips = find_clips([str(videos)], [masks])
    assert [(Path(clip.source).name, clip.mask) for clip in clips] == [
        ("a.mkv", masks / "a.png"),
        ("b.mp4", masks / "b.bmp"),
        ("c9.avi", masks / "c9.png"),
        ("c10.avi", masks / "c10"),
    ]


def test_the_mask_of_a_video_may_have_another_letter_case_or_unicode_form(tmp_path: Path) -> None:
    names = ("\N{LATIN SMALL LETTER U WITH DIAERESIS}", "B")
    (tmp_path / "videos").mkdir()
    for name in names:
        write_video(tmp_path / "videos" / f"{name}.avi", "mpeg4", 1)
    masks = masks_of(tmp_path / "masks", "u\N{COMBINING DIAERESIS}.png", "b.PNG")
    clips = find_clips([str(tmp_path / "videos" / f"{name}.avi") for name in names], [masks])
    assert [clip.mask for clip in clips] == [masks / "u\N{COMBINING DIAERESIS}.png", masks / "b.PNG"]


def test_several_videos_have_a_mask_each_or_one_folder(videos: Path, tmp_path: Path) -> None:
    two = [str(videos / "b.mp4"), str(videos / "a.mkv")]
    masks = masks_of(tmp_path / "masks", "a.png", "b.png")
    assert [clip.mask for clip in find_clips(two, [masks])] == [masks / "b.png", masks / "a.png"]
    first, second = tmp_path / "first", tmp_path / "second"
    assert [clip.mask for clip in find_clips(two, [first, second])] == [first, second]
    assert [clip.source for clip in find_clips(two, [first, second])] == two


def test_a_folder_of_images_is_one_clip_even_with_videos_in_it(videos: Path, tmp_path: Path) -> None:
    save_images(videos, *(f"{number}.png" for number in range(5)))
    (clip,) = find_clips([str(videos)], [tmp_path / "first.png"])
    assert clip.source == str(videos)


def test_a_folder_of_one_video_takes_the_mask_of_that_video(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    video = write_video(tmp_path / "videos" / "a.mp4", "mpeg4", count=2)
    mask = masks_of(tmp_path / "masks", "first.png") / "first.png"
    assert [(clip.source, clip.mask) for clip in find_clips([str(video.parent)], [mask])] == [(str(video), mask)]


def test_names_of_image_folders_may_have_dots(tmp_path: Path) -> None:
    folders = [str(save_images(tmp_path / name, "0.png")) for name in ("clip.v1", "clip.v2")]
    masks = masks_of(tmp_path / "masks", "clip.v1.png", "clip.v2.png")
    for given in ([masks], [masks / "clip.v1.png", masks / "clip.v2.png"]):
        assert [clip.mask.name for clip in find_clips(folders, given)] == ["clip.v1.png", "clip.v2.png"]


def test_a_folder_with_equal_numbers_of_videos_and_images_is_ambiguous(videos: Path, tmp_path: Path) -> None:
    save_images(videos, "cover.png")
    with pytest.raises(ValueError, match=r"videos: it holds 4 videos and 1 images, such as cover\.png: which of them"):
        find_clips([str(videos)], [masks_of(tmp_path / "masks", "a.png")])


@pytest.mark.parametrize(
    ("sources", "masks", "scene", "message"),
    [
        (["my videos"], [], None, "in the browser: voskit annotate 'my videos'"),
        (["videos"], ["masks"], None, "b.mp4: its mask in masks must be a folder b, or b.png: add it"),
        (["videos/a.mkv"], ["masks", "masks"], None, "--mask: 1 videos and 2 masks: give one for each video"),
        (["videos/a.mkv", "videos/b.mp4"], ["masks/a.png"], None, "--mask: 2 videos and 1 masks"),
        (["videos/a.mkv", "videos/b.mp4"], ["nothing"], None, "--mask nothing: no such file or folder"),
        (["videos/a.mkv", "other/a.mp4"], ["1.png", "2.png"], None, "several videos are named a"),
        (["videos/a.mkv", "videos/b.mp4"], ["masks"], "bunny", "isn't a folder of scenes"),
        (["videos/a.mkv", "videos/b.mp4"], ["twice"], None, "there are a.bmp and a.png: keep one"),
    ],
)
def test_mismatched_masks_are_refused(
    videos: Path, tmp_path: Path, monkeypatch, sources, masks, scene, message
) -> None:
    monkeypatch.chdir(tmp_path)
    masks_of(tmp_path / "masks", "a.png")
    masks_of(tmp_path / "twice", "a.png", "a.bmp", "b.png")
    with pytest.raises(ValueError, match=re.escape(message)):
        find_clips(sources, [Path(mask) for mask in masks], scene)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.TIF", "a.npy", "a.json", "a"])
def test_the_mask_of_a_scene_may_have_any_format(tmp_path: Path, name: str) -> None:
    (tmp_path / "images").mkdir()
    save_images(tmp_path / "images" / "a", "0.png", "1.png")
    mask = tmp_path / "masks" / name
    mask.parent.mkdir()
    mask.write_bytes(b"") if mask.suffix else mask.mkdir()
    (clip,) = find_clips([str(tmp_path)])
    assert clip.mask == mask


def test_a_folder_of_images_is_not_a_folder_of_scenes(tmp_path: Path) -> None:
    save_images(tmp_path / "images", "0.bmp", "1.bmp")
    with pytest.raises(ValueError, match=r"images/0\.bmp is an image, but .*--data_path .*images --mask .*masks"):
        find_clips([str(tmp_path)])


def test_without_a_source_the_bundled_scenes_are_used() -> None:
    assert [clip.scene for clip in find_clips([])] == ["bunny", "cabinet"]
    (clip,) = find_clips([], scene="bunny")
    assert (clip.label, clip.mask) == ("scene bunny", BUNDLED_SCENES / "masks" / "bunny")


def test_masks_may_come_from_a_function(videos: Path, tmp_path: Path) -> None:
    from voskit.dataloaders.masks.frame_masks import FrameMasks
    from voskit.evaluators.clips.sources import Clip

    path = save_mask(tmp_path / "masks" / "x.png", np.full((32, 48), 1, np.uint8))
    seen = []
    clip = Clip(str(videos / "a.mkv"), lambda source: seen.append(source.name_of(0)) or FrameMasks(path))
    check_clips([clip], tmp_path / "out", start="1")
    assert seen == ["00001"]
