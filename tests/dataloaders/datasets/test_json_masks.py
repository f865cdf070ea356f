"""JSON files of a dataset's masks: ids of videos and names of frames that don't fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media_files import one_line

from voskit.dataloaders.datasets.json_masks import read_json_masks


def write(path: Path, *, video_id: Any = 1, frames: tuple[str, ...] = ("a/0.jpg", "a/1.jpg")) -> Path:
    """Write a file of the YouTube-VIS format with one object, in the first frame of the only video."""
    videos = [{"id": 1, "file_names": frames, "height": 2, "width": 3}]
    track = {"id": 4, "video_id": video_id, "segmentations": [{"size": [2, 3], "counts": [0, 6]}, None]}
    path.write_text(json.dumps({"videos": videos, "annotations": [track]}))
    return path


@pytest.mark.parametrize("video_id", [1, "1"])
def test_ids_of_videos_are_numbers_or_the_same_as_text(tmp_path: Path, video_id: Any) -> None:
    (video,) = read_json_masks(write(tmp_path / "m.json", video_id=video_id))
    assert {name: np.unique(ids).tolist() for name, ids in video.masks} == {"0": [1], "1": [0]}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"video_id": 7}, r"m\.json: objects refer to 1 videos that aren't in the file, such as video_id 7"),
        ({"frames": ("a/0.jpg", "b/0.jpg")}, r"m\.json: two frames of a have the same name"),
    ],
)
def test_objects_and_frames_that_do_not_fit_are_refused(tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        list(read_json_masks(write(tmp_path / "m.json", **wrong)))
    one_line(error)
