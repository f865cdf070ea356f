"""tools/check_dataset.py: each missing, corrupt or mismatched file is named, and the exit code says so."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from media_files import cut, write_video
from PIL import Image
from programs import run_program

import dataset_trees as trees
from voskit.configs.datasets import list_datasets
from voskit.dataloaders.datasets.check import check_dataset

ROOT = Path(__file__).resolve().parents[2]


def found(name: str, root: Path, **options: object) -> str:
    """All problems, a line each."""
    return "\n".join(map(str, check_dataset(name, root, **options).problems))  # type: ignore[arg-type]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("name", list_datasets())
def test_sound_datasets(name: str, full: bool, tmp_path: Path) -> None:
    report = check_dataset(name, trees.TREES[name](tmp_path), full=full)
    assert report.problems == []
    assert report.videos > 0 and report.frames >= 3 and report.summary.endswith("nothing wrong")


def break_jpeg(root: Path) -> None:
    path = root / "JPEGImages/480p/bear/00001.jpg"
    path.write_bytes(path.read_bytes()[:-40])


def turn_mask(root: Path) -> None:
    trees.mask(root / "Annotations/480p/bear/00002.png", size=(32, 24))


def rgb_mask(root: Path) -> None:
    Image.new("RGB", trees.SIZE[::-1]).save(root / "Annotations/480p/dog/00000.png")


def empty_mask(root: Path) -> None:
    trees.mask(root / "Annotations/480p/dog/00000.png", ids=())


def shape(root: Path) -> None:
    trees.image(root / "JPEGImages/480p/dog/00002.jpg", (20, 30))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda r: (r / "JPEGImages/480p/bear/00001.jpg").unlink(),
            "bear: frame 00001 is missing: 00000 is followed by",
        ),
        (lambda r: (r / "JPEGImages/480p/bear/00002.jpg").unlink(), "00002.png: a true mask, but no frame"),
        (lambda r: (r / "Annotations/480p/bear/00001.png").unlink(), "00001.png: this frame has no true mask"),
        (lambda r: (r / "JPEGImages/480p/bear/00001.jpg").write_bytes(b""), "00001.jpg: can't be read: the file is em"),
        (lambda r: (r / "JPEGImages/480p/bear/00001.jpg").write_bytes(b"text"), "00001.jpg: can't be read: "),
        (lambda r: (r / "Annotations/480p/bear/00002.png").write_bytes(b"text"), "00002.png: can't be read: "),
        (break_jpeg, "00001.jpg: the file is truncated"),
        (turn_mask, "00002.png: the mask is 32x24, but the frames are 24x32"),
        (rgb_mask, "dog/00000.png: a mask must be a palette or grayscale image of ids, not of mode RGB"),
        (empty_mask, "dog/00000.png: the first mask shows no object: the mask of frame 00001 is given instead"),
        (shape, "dog/00002.jpg: the frame is 20x30, but most frames of the video are 24x32"),
        (lambda r: shutil.rmtree(r / "JPEGImages/480p/dog"), "480p/dog: no such folder of frames, but val.txt"),
        (lambda r: shutil.rmtree(r / "Annotations/480p/dog"), "480p/dog: video dog has no given mask"),
        (lambda r: trees.image(r / "JPEGImages/480p/cat/0.jpg"), "480p/cat: a folder of frames of an unknown video"),
        (lambda r: trees.mask(r / "Annotations/480p/cat/0.png"), "480p/cat: a folder of masks of an unknown video"),
        (lambda r: trees.image(r / "JPEGImages/480p/dog/00001.png"), "dog: frame 00001 occurs with several extensions"),
        (lambda r: trees.text(r / "ImageSets/2017/val.txt", "bear\ndog\nbear\n"), "line 3: bear is listed twice"),
    ],
)
def test_damage_is_named(tmp_path: Path, damage: Callable[[Path], object], message: str) -> None:
    root = trees.davis2017(tmp_path)
    damage(root)
    lines = found("davis2017", root)
    assert message in lines
    assert len(lines.splitlines()) <= 2  # one cause is not told many times


def test_several_problems_are_all_named(tmp_path: Path) -> None:
    root = trees.davis2017(tmp_path)
    for damage in (break_jpeg, turn_mask, rgb_mask):
        damage(root)
    assert len(found("davis2017", root).splitlines()) == 3


def test_videos_of_other_splits_are_no_extra(tmp_path: Path) -> None:
    root = trees.davis2017(tmp_path)
    trees.image(root / "JPEGImages/480p/cat/00000.jpg")
    trees.text(root / "ImageSets/2017/train.txt", "cat\n")
    assert not found("davis2017", root)


def test_full_finds_what_headers_hide(tmp_path: Path) -> None:
    root = trees.davis2017(tmp_path)
    path = root / "Annotations/480p/bear/00001.png"
    data = bytearray(path.read_bytes())
    data[-20] ^= 255  # in the last chunk of pixels: its checksum is wrong
    path.write_bytes(data)
    trees.mask(root / "Annotations/480p/dog/00001.png", ids=(1, 2, 3))
    assert not found("davis2017", root)
    lines = found("davis2017", root, full=True)
    assert "bear/00001.png: can't be read" in lines
    assert "dog/00001.png: id 3 is not among the objects of the video (1, 2)" in lines


def test_ids_beyond_the_meta_file(tmp_path: Path) -> None:
    root = trees.youtube(tmp_path)
    trees.mask(root / "valid/Annotations/vid1/00002.png", ids=(4, 5))
    assert "00002.png: id 5 is not among the objects of the meta file (1, 4)" in found("youtubevos2019", root)


def test_object_that_does_not_begin_where_it_should(tmp_path: Path) -> None:
    root = trees.lvos(tmp_path)
    trees.mask(root / "valid/Annotations/aaaa/00000011.png", ids=(1,))
    assert "object 3 should appear in this frame" in found("lvos", root)


def test_meta_size_and_listed_frames(tmp_path: Path) -> None:
    root = trees.mose(tmp_path, meta=True)
    path = root / "valid/meta.json"
    path.write_text(path.read_text().replace('"height": 24', '"height": 25'))
    assert "the frames are 24x32, but the meta file says 25x32" in found("mosev2", root)
    root = trees.youtube(tmp_path / "y")
    (root / "valid/JPEGImages/vid1/00004.jpg").unlink()
    assert "frame 00004 is listed in meta.json" in found("youtubevos2018", root)


def test_damaged_video_file(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames/a.mp4").write_bytes(b"no video")
    trees.mask(tmp_path / "masks/a/00000.png")
    assert "frames/a.mp4: " in found("custom", tmp_path)


def test_a_list_of_some_videos_makes_no_others_unknown(tmp_path: Path) -> None:
    for name in ("a", "b"):
        trees.video(tmp_path, "frames/{}", "masks/{}", name)
    write_video(tmp_path / "frames" / "c.mp4", "mpeg4", 2)
    trees.mask(tmp_path / "masks/c/00000.png")
    trees.text(tmp_path / "short.txt", "a\n")
    assert not found("custom", tmp_path, split="short", splits=("all", "short"))
    trees.mask(tmp_path / "masks/d/00000.png")
    line = found("custom", tmp_path, split="short", splits=("all", "short"))
    assert line == f"{tmp_path}/masks/d: a folder of masks of an unknown video: it has no frames"


def test_black_and_white_truth_shows_one_object(tmp_path: Path) -> None:
    trees.video(tmp_path, "frames/{}", "masks/{}", "a", ids=(255,), grayscale=True)
    trees.video(tmp_path, "frames/{}", "ground_truth/{}", "a", trees.FRAMES, ids=(255,), grayscale=True)
    assert not found("custom", tmp_path, full=True)
    trees.mask(tmp_path / "ground_truth/a/00002.png", ids=(1, 255), grayscale=True)
    wrong = "00002.png: id 1 is not among the objects of the video (255)"  # now 255 is an id in all masks of the video
    assert wrong in found("custom", tmp_path, full=True)


@pytest.mark.parametrize("grayscale", [False, True])
def test_void_that_stays_when_the_objects_have_left_is_nothing_wrong(tmp_path: Path, grayscale: bool) -> None:
    trees.video(tmp_path, "frames/{}", "masks/{}", "a", ids=(2, 3))
    trees.video(tmp_path, "frames/{}", "ground_truth/{}", "a", trees.FRAMES, ids=(255,), grayscale=grayscale)
    trees.mask(tmp_path / "ground_truth/a/00000.png", ids=(2, 255))
    assert not found("custom", tmp_path, full=True, ignore_id=255)


def test_true_mask_that_no_reader_takes(tmp_path: Path) -> None:
    trees.custom(tmp_path)
    trees.video(tmp_path, "frames/{}", "ground_truth/{}", "dance", trees.FRAMES, ids=(1, 200))
    Image.fromarray(trees.ids_mask((1,))).save(tmp_path / "ground_truth/dance/00001.png", format="JPEG")
    assert "00001.png: JPEG files cannot store object ids exactly" in found("custom", tmp_path, full=True)


@pytest.mark.parametrize("extension", ["jpg", "png"])
def test_frames_are_turned_as_their_exif_data_say_and_masks_are_not(tmp_path: Path, extension: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / f"frames/a/0.{extension}"
    path.parent.mkdir(parents=True)
    Image.new("RGB", trees.SIZE).save(path, exif=exif)
    trees.mask(tmp_path / "masks/a/0.png")
    with Image.open(tmp_path / "masks/a/0.png") as mask:
        mask.save(tmp_path / "masks/a/0.png", exif=exif)
    assert not found("custom", tmp_path)


def test_video_cut_short_without_masks(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    cut(write_video(tmp_path / "a.mkv", "mpeg4", 30, noise=True), 0.5).rename(tmp_path / "frames/a.mkv")
    write_video(tmp_path / "frames/b.mkv", "mpeg4", 3)
    report = check_dataset("custom", tmp_path, given="none")
    [problem] = report.problems
    assert "frames/a.mkv: the video ends before frame" in str(problem) and (report.videos, report.frames) == (2, 3)


@pytest.mark.parametrize("extension", ["bmp", "tiff", "webp", "jpg", "png"])
def test_frame_cut_short(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"frames/a/0.{extension}"
    path.parent.mkdir(parents=True)
    Image.effect_noise(trees.SIZE[::-1], 50).convert("RGB").save(path)
    trees.mask(tmp_path / "masks/a/0.png")
    assert not found("custom", tmp_path)
    path.write_bytes(path.read_bytes()[:-30])
    [line] = found("custom", tmp_path).splitlines()
    assert f"0.{extension}: " in line


def test_thousands_of_files_take_a_moment(tmp_path: Path) -> None:
    names = [f"{i:05d}" for i in range(300)]
    template = trees.image(tmp_path / "template.jpg", (480, 854)).read_bytes()
    for video in ("a", "b", "c"):
        for name in names:
            path = tmp_path / "frames" / video / f"{name}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(template)
        trees.mask(tmp_path / "masks" / video / "00000.png", size=(480, 854))
    report = check_dataset("custom", tmp_path)
    assert report.frames == 900 and not report.problems


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tools/check_dataset.py", *map(str, arguments)]
    return run_program(command, cwd=ROOT)


def test_command_line(tmp_path: Path) -> None:
    root = trees.davis2017(tmp_path)
    done = run("--dataset", "davis2017", "--data_root", root, "--split", "val")
    assert done.returncode == 0
    assert done.stdout == "davis2017 val: 2 videos, 6 frames, 6 masks, 4 objects: nothing wrong\n"
    break_jpeg(root)
    turn_mask(root)
    done = run("--dataset", "davis2017", "--data-root", root, "--show", 1)
    lines = done.stdout.splitlines()
    assert done.returncode == 1 and "00001.jpg: the file is truncated" in lines[0] and "1 more" in lines[1]
    done = run("--dataset", "davis2017", "--data_root", tmp_path / "none")
    assert done.returncode == 1 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_command_line_with_own_dataset(tmp_path: Path) -> None:
    trees.custom(tmp_path)
    description = trees.write_json(tmp_path / "mine.json", {"splits": "everything"})
    done = run("--dataset", description, "--full")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("mine everything: 1 video, 3 frames, 2 masks, 2 objects")
