"""tools/masks_to_png.py on small files of BURST and of OVIS's kind, to what training reads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from programs import run_program

from dataset_trees import SIZE, burst, ids_mask, ovis, write_json
from voskit.configs.stages import get_stage_config
from voskit.dataloaders.datasets.json_masks import read_json_masks
from voskit.dataloaders.files import exclusive_lock
from voskit.dataloaders.masks.files import read_mask
from voskit.dataloaders.training import build_training_data
from voskit.tools import masks_to_png

ROOT = Path(__file__).resolve().parents[2]


def call(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "masks_to_png.py"), *map(str, arguments)]
    return run_program(command)


def test_converted_ovis_can_be_used_for_training(tmp_path: Path) -> None:
    path = ovis(tmp_path)
    output = tmp_path / "OVIS/train/Annotations"
    done = call("--annotations", path, "--output", output)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in output.iterdir()) == ["bird", "cat"]
    first, second = (read_mask(output / f"bird/img_{i:07d}.png") for i in (1, 2))
    assert np.array_equal(first, ids_mask((1,)))
    assert np.array_equal(second, ids_mask((1, 2)))  # in the order of the file's ids, 5 and 12
    stage = get_stage_config("jointformer_s9", datasets=("ovis",), clip_length=3, reference_frames=2)
    clip = build_training_data(stage, tmp_path, crop=64, max_objects=3)[0]
    assert clip.frames.shape == (3, 3, 64, 64)


def test_burst(tmp_path: Path) -> None:
    root = burst(tmp_path / "BURST")
    done = call("--annotations", root / "val/first_frame_annotations.json", "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert np.array_equal(read_mask(tmp_path / "out/HACS_-_clip_a/frame0000.png"), ids_mask((1,)))
    assert sorted(p.name for p in (tmp_path / "out/HACS_-_clip_a").iterdir()) == [
        "frame0000.png", "frame0020.png", "frame0040.png",
    ]  # fmt: skip


def test_it_resumes_after_a_damaged_mask_is_repaired(tmp_path: Path) -> None:
    path = ovis(tmp_path)
    whole = json.loads(path.read_text())
    damaged = json.loads(path.read_text())
    damaged["annotations"][2]["segmentations"][1]["counts"] = "1"
    write_json(path, damaged)
    done = call("--annotations", path, "--output", tmp_path / "out")
    assert done.returncode == 1
    assert f"{path}: object 7 in cat/img_0000002.jpg" in done.stderr.splitlines()[-1]
    assert [p.name for p in (tmp_path / "out").iterdir() if not p.name.startswith(".")] == ["bird"]
    write_json(path, whole)
    assert call("--annotations", path, "--output", tmp_path / "out").returncode == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["bird", "cat"]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({"images": []}, "expected a JSON file with 'sequences'"),
        ({"videos": [{"id": 1}], "annotations": []}, "the entry of video 1 is invalid"),
        ({"videos": [1], "annotations": []}, "must be JSON objects"),
        ({"videos": [{"id": 1}], "annotations": [{"id": 4}]}, "object 4 has no video_id"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: dict, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        list(read_json_masks(write_json(tmp_path / "file.json", content)))


def one_video(path: Path, encoded: object, names: tuple[str, ...] = ("bird/1.jpg",)) -> Path:
    """A file with one object in one frame; a video for each of the names."""
    videos = [{"id": n, "file_names": [name], "height": SIZE[0], "width": SIZE[1]} for n, name in enumerate(names, 1)]
    return write_json(path, {"videos": videos, "annotations": [{"id": 4, "video_id": 1, "segmentations": [encoded]}]})


@pytest.mark.parametrize("name", ["1.jpg", "../1.jpg", ".partial/1.jpg"])
def test_a_video_without_a_name_is_refused(tmp_path: Path, name: str) -> None:
    path = one_video(tmp_path / "file.json", None, (name,))
    (tmp_path / "out").mkdir()
    done = call("--annotations", path, "--output", tmp_path / "out")
    assert done.returncode == 1
    assert f"{path}: video 1 has no name" in done.stderr.splitlines()[-1]


def test_two_videos_of_the_same_name_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    path = one_video(tmp_path / "file.json", None, ("a/1.jpg", "b/1.jpg", "a/1.jpg"))
    done = call("--annotations", path, "--output", tmp_path / "out")
    assert done.returncode == 1
    assert f"{path}: two videos are named a, the second has id 3" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_polygons(tmp_path: Path) -> None:
    [video] = read_json_masks(one_video(tmp_path / "file.json", [[2, 3, 12, 3, 12, 9, 2, 9]]))
    [(frame, ids)] = video.masks
    assert (frame, ids.shape) == ("1", SIZE)
    assert np.array_equal(np.argwhere(ids), np.argwhere(np.ones((6, 10))) + np.array([3, 2]))


@pytest.mark.parametrize(
    ("encoded", "error"),
    [
        ({"size": list(SIZE)}, "no segmentation"),
        ("none", "no segmentation"),
        ({"size": [4, 4], "counts": [16]}, "the mask is 4x4"),
        ([[1, 2]], "at least 3 points"),
    ],
)
def test_invalid_masks_are_named(tmp_path: Path, encoded: object, error: str) -> None:
    path = one_video(tmp_path / "file.json", encoded)
    [video] = read_json_masks(path)
    with pytest.raises(ValueError, match=error) as raised:
        list(video.masks)
    assert str(raised.value).startswith(f"{path}: object 4 in bird/1.jpg: ")


def test_objects_without_masks_are_named(tmp_path: Path) -> None:
    path = one_video(tmp_path / "file.json", None)
    path.write_text(path.read_text().replace("segmentations", "segments"))
    with pytest.raises(ValueError, match=r"file\.json: object 4 of bird has no list of 'segmentations'"):
        list(read_json_masks(path))


@pytest.mark.parametrize("encoded", [{"counts": "1"}, "1"])
def test_tracks_of_burst_without_an_encoding_are_named(tmp_path: Path, encoded: object) -> None:
    path = burst(tmp_path) / "val/first_frame_annotations.json"
    data = json.loads(path.read_text())
    data["sequences"][0]["segmentations"][1]["2"] = encoded
    write_json(path, data)
    [video] = read_json_masks(path)
    with pytest.raises(ValueError, match=r"frame frame0020, track 2: no run-length encoding 'rle'"):
        list(video.masks)


def test_existing_videos_are_counted_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    args = masks_to_png.Args(annotations=ovis(tmp_path), output=tmp_path / "out")
    (tmp_path / "out/cat").mkdir(parents=True)
    assert masks_to_png.run(args) == 0
    assert f"{tmp_path / 'out'}: 1 video written" in caplog.text
    assert "1 video skipped, already written: cat" in caplog.text
    assert not list((tmp_path / "out/cat").iterdir())
    caplog.clear()
    assert masks_to_png.run(args) == 0
    assert "0 videos written" in caplog.text
    assert "2 videos skipped, already written: bird, cat" in caplog.text


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    path = ovis(tmp_path)
    (tmp_path / "out").write_text("")
    with pytest.raises(ValueError, match=r"--output .*out is a file: give a folder"):
        masks_to_png.run(masks_to_png.Args(annotations=path, output=tmp_path / "out"))
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks/bird").write_text("kept")
    with pytest.raises(NotADirectoryError, match="in the way") as error:
        masks_to_png.run(masks_to_png.Args(annotations=path, output=tmp_path / "masks"))
    assert error.value.filename == str(tmp_path / "masks/bird")
    assert (tmp_path / "masks/bird").read_text() == "kept"


def test_two_commands_do_not_mix_their_masks(tmp_path: Path) -> None:
    args = masks_to_png.Args(annotations=ovis(tmp_path), output=tmp_path / "out")
    with exclusive_lock(tmp_path / "out"), pytest.raises(ValueError, match=r"out: another program is writing to it"):
        masks_to_png.run(args)
    assert masks_to_png.run(args) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["bird", "cat"]
