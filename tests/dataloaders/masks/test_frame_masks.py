"""User masks of a video: of the first frame, of its objects, or by frame names."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from media_files import ids_of, object_folder, one_line, save_mask, write_video
from PIL import Image

from voskit.dataloaders.masks.frame_masks import FrameMasks, masks_for
from voskit.dataloaders.video.frames import FrameSource, open_frames


def clip(folder: Path, *names: str) -> FrameSource:
    """Write frames of these names, or a video file of twelve frames."""
    if not names:
        return open_frames(write_video(folder / "clip.mp4", "mpeg4", size=(12, 16)))
    for name in names:
        save_mask(folder / "frames" / f"{name}.png", np.zeros((12, 16), np.uint8))
    return open_frames(folder / "frames")


def given(masks: FrameMasks, source: FrameSource) -> dict[str, list[int]]:
    """Return the ids of the masks by frame name."""
    read = {frame.name: masks(frame) for frame in source}
    masks.check_all_used()
    return {name: np.unique(mask).tolist() for name, mask in read.items() if mask is not None}


def test_one_mask_is_the_first_frames(tmp_path: Path) -> None:
    with clip(tmp_path) as source:
        assert given(masks_for(save_mask(tmp_path / "00003.png", ids_of(5)), source), source) == {"00000": [0, 5]}


@pytest.mark.parametrize("frames", [(), ("f1", "f2", "f10"), ("000", "001", "002")])
@pytest.mark.parametrize("stems", [("_1", "_2"), ("cat", "dog")])
def test_folder_of_objects(tmp_path: Path, frames: tuple[str, ...], stems: tuple[str, ...]) -> None:
    folder = object_folder(tmp_path / "masks", **{stems[0]: ids_of(255, 0), stems[1]: ids_of(0, 255)})
    with clip(tmp_path, *frames) as source:
        assert given(masks_for(folder, source), source) == {source.name_of(0): [0, 1, 2]}


@pytest.mark.parametrize(
    ("frames", "masks"),
    [
        ((), ("00000", "00005")),
        ((), ("00007",)),  # of a later frame only
        (("000", "001", "002"), ("001", "002")),
        (("f1", "f2", "f10"), ("f10",)),
        (("0", "1", "2"), ("0", "2")),  # 0 isn't an object id
    ],
)
@pytest.mark.parametrize("extension", [".png", ".PNG"])
def test_folder_of_masks_by_frame(
    tmp_path: Path, frames: tuple[str, ...], masks: tuple[str, ...], extension: str
) -> None:
    for name in masks:
        save_mask(tmp_path / "masks" / f"{name}.png", ids_of(3, 4)).rename(tmp_path / "masks" / f"{name}{extension}")
    with clip(tmp_path, *frames) as source:
        assert given(masks_for(tmp_path / "masks", source), source) == {name: [0, 3, 4] for name in masks}


def test_masks_by_frame_of_several_kinds(tmp_path: Path) -> None:
    folder = tmp_path / "masks"
    first = save_mask(folder / "000.png", ids_of(3))
    Image.fromarray(ids_of(5)).save(folder / "002.tif")
    with clip(tmp_path, "000", "001", "002") as source:
        assert given(masks_for(folder, source), source) == {"000": [0, 3], "002": [0, 5]}
        first.rename(folder / "002.png")
        with pytest.raises(
            ValueError, match=r"002\.png and 002\.tif are masks of the same frame: remove one"
        ) as raised:
            masks_for(folder, source)
    one_line(raised)


def test_masks_by_frame_where_the_number_of_frames_is_not_known(tmp_path: Path) -> None:
    save_mask(tmp_path / "masks/00037.png", ids_of(3))
    with open_frames(write_video(tmp_path / "clip.mkv", "mpeg4", 40, size=(12, 16))) as source:
        assert source.num_frames is None
        assert given(masks_for(tmp_path / "masks", source), source) == {"00037": [0, 3]}


@pytest.mark.parametrize(
    ("frames", "masks", "error"),
    [
        (("1", "2", "3"), ("1", "2"), "is 1.png the mask of frame 1 or of object 1? Give objects as one PNG of ids"),
        (("1", "2", "3"), ("3", "9"), "is 3.png the mask of frame 3 or of object 3?"),
        ((), ("037",), "is 037.png the mask of a frame or of an object? Name masks of frames like their frames (the "),
        ((), ("00037",), "is 00037.png the mask of a frame or of an object?"),  # the video has 12 frames
        (("f1", "f2"), ("0",), "is 0.png the mask of a frame or of an object?"),
        ((), (), "no image in this folder"),
    ],
)
def test_folders_that_may_be_either_are_refused(
    tmp_path: Path, frames: tuple[str, ...], masks: tuple[str, ...], error: str
) -> None:
    (tmp_path / "masks").mkdir()
    for name in masks:
        save_mask(tmp_path / "masks" / f"{name}.png", ids_of(3))
    with clip(tmp_path, *frames) as source, pytest.raises(ValueError, match=re.escape(error)) as raised:
        masks_for(tmp_path / "masks", source)
    one_line(raised)
