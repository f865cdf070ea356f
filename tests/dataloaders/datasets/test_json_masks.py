"""JSON files of a dataset's masks: ids of videos and names of frames that don't fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media_files import one_line

from voskit.dataloaders.datasets.json_masks import read_json_masks
from voskit.dataloaders.datasets.meta import read_meta
from voskit.dataloaders.datasets.problem import raise_problem


def write(
    path: Path,
    *,
    video_id: Any = 1,
    frames: Any = ("a/0.jpg", "a/1.jpg"),
    video: dict[str, Any] | None = None,
    track: dict[str, Any] | None = None,
    others: tuple[dict[str, Any], ...] = (),
    videos: tuple[dict[str, Any], ...] = (),
) -> Path:
    """Write a file of the YouTube-VIS format with one object, in the first frame of the only video.

    Args:
        path: the file.
        video_id, frames: of the object and the video.
        video, track: other fields of the video and the object; None as a value removes a field.
        others, videos: further objects and videos.
    """
    entry = {"id": 1, "file_names": frames, "height": 2, "width": 3, **(video or {})}
    mask = {"size": [2, 3], "counts": [0, 6]}
    first = {"id": 4, "video_id": video_id, "segmentations": [mask, None], **(track or {})}
    first, entry = ({key: value for key, value in one.items() if value is not None} for one in (first, entry))
    path.write_text(json.dumps({"videos": [entry, *videos], "annotations": [first, *others]}))
    return path


def burst(path: Path, **fields: Any) -> Path:
    """Write a file of BURST with track 1 in the first of two frames; ``fields`` replace those of the sequence."""
    sequence = {
        "dataset": "HACS",
        "seq_name": "a",
        "width": 3,
        "height": 2,
        "annotated_image_paths": ["0.jpg", "1.jpg"],
        "segmentations": [{"1": {"rle": [0, 6]}}, {}],
        "track_category_ids": {"1": 3},
        **fields,
    }
    path.write_text(json.dumps({"sequences": [sequence]}))
    return path


@pytest.mark.parametrize("video_id", [1, "1"])
def test_ids_of_videos_are_numbers_or_the_same_as_text(tmp_path: Path, video_id: Any) -> None:
    (video,) = read_json_masks(write(tmp_path / "m.json", video_id=video_id))
    assert {name: np.unique(ids).tolist() for name, ids in video.masks} == {"0": [1], "1": [0]}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"video_id": 7}, r"m\.json: objects refer to 1 videos that aren't in the file, such as video_id 7"),
        ({"frames": ("a/0.jpg", "a/0.png")}, r"m\.json: two frames of a have the same name"),
        ({"frames": ("a/0.jpg", "b/1.jpg")}, r"m\.json: video 1 has frames in two folders, a and b"),
        ({"frames": ("a/..", "a/1.jpg")}, r"m\.json: '\.\.' can't be the name of a frame of 'a'"),
        ({"frames": ("a\0/0.jpg", "a\0/1.jpg")}, r"m\.json: 'a\\x00' can't be the name of a video"),
        ({"frames": (f"{'a' * 300}/0.jpg",)}, r"m\.json: 'a{80}' can't be the name of a video"),
        ({"frames": "a/0.jpg"}, r"m\.json: the entry of video 1 is invalid: its file_names must be a list"),
        ({"frames": ()}, r"m\.json: the entry of video 1 is invalid: its file_names must be a list"),
        ({"video": {"width": None}}, r"m\.json: the entry of video 1 is invalid: it has no width"),
        ({"video": {"width": "wide"}}, r"m\.json: .* its height and width must be integers, not 2 and 'wide'"),
        ({"video": {"height": -2}}, r"m\.json: video 1: the size must be two positive integers"),
        ({"video": {"height": 10**9}}, r"m\.json: video 1: 1000000000x3 .* correct it"),
        ({"track": {"id": None}}, r"m\.json: object None has no id"),
        ({"others": ({"id": 4, "video_id": 1},)}, r"m\.json: two objects of a have the id 4"),
        ({"videos": ({"id": "1"},)}, r"m\.json: two videos have the id 1, so their objects can't be told apart"),
    ],
)
def test_mismatched_objects_and_frames_are_refused(tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        read_json_masks(write(tmp_path / "m.json", **wrong))
    one_line(error)


def test_objects_are_numbered_by_the_value_of_their_ids(tmp_path: Path) -> None:
    mask = {"size": [2, 3], "counts": [0, 6]}
    other = {"id": "10", "video_id": 1, "segmentations": [None, mask]}
    (video,) = read_json_masks(write(tmp_path / "m.json", track={"id": "9"}, others=(other,)))
    assert {name: np.unique(ids).tolist() for name, ids in video.masks} == {"0": [1], "1": [2]}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"seq_name": "a/b"}, r"m\.json: 'HACS_-_a/b' can't be the name of a video"),
        ({"dataset": "../../x"}, r"m\.json: '\.\./\.\./x_-_a' can't be the name of a video"),
        ({"annotated_image_paths": ["x/0.jpg", "y/0.jpg"]}, r"two of its annotated_image_paths have the same name"),
        ({"segmentations": [{"0": {"rle": [0, 6]}}, {}]}, r"track 0 of frame 0: object ids must be 1 to 65535"),
        ({"segmentations": [{}, {"70000": {"rle": [0, 6]}}]}, r"track 70000 of frame 1: object ids must be 1 to 65535"),
        ({"segmentations": [[], {}]}, r"its segmentations must be a JSON object for each frame"),
        ({"width": -3}, r"the size must be two positive integers"),
        ({"height": 10**9}, r"1000000000x3 .* correct it"),
    ],
)
def test_sequences_of_burst_that_cannot_be_written_are_refused(
    tmp_path: Path, wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        read_json_masks(burst(tmp_path / "m.json", **wrong))
    assert one_line(error).startswith(f"{tmp_path / 'm.json'}: ")


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        ("burst", {"sequences": [1]}, r"m\.json: an entry is invalid"),
        ("panoptic", {"videos": [{"id": 1}]}, r"m\.json: an entry has no 'video_id'"),
        ("panoptic", {"videos": [{"video_id": 1}], "annotations": [3]}, r"m\.json: an entry is invalid"),
        ("panoptic", {"videos": [{"video_id": 1}], "categories": [{"id": 3}]}, r"m\.json: an entry has no 'isthing'"),
    ],
)
def test_invalid_entries_of_meta_files_are_named(
    tmp_path: Path, kind: str, content: dict[str, Any], message: str
) -> None:
    (tmp_path / "m.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message) as error:
        read_meta(tmp_path / "m.json", kind, raise_problem)
    one_line(error)


def test_an_integer_of_too_many_digits_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(f'{{"videos": {"9" * 5000}}}')
    with pytest.raises(ValueError, match=r"m\.json: not a JSON file") as error:
        read_json_masks(tmp_path / "m.json")
    one_line(error)
