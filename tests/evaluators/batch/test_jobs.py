"""Lists of videos: CSV, JSON lines, folders, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from unicodedata import normalize

import fsspec
import pytest

from voskit.evaluators.batch.jobs import BatchJob, find_problems, read_jobs
from voskit.evaluators.batch.storage import OutputStore


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_a_csv_file_names_videos_masks_and_results(tmp_path: Path) -> None:
    text = "video,mask,name\na.mp4,masks/a.png,first\n/data/b.mp4,s3://bucket/b.png,\n"
    assert read_jobs(write(tmp_path / "list.csv", text)) == [
        BatchJob("first", f"{tmp_path}/a.mp4", f"{tmp_path}/masks/a.png"),
        BatchJob("b", "/data/b.mp4", "s3://bucket/b.png"),
    ]


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (job,) = read_jobs(write(tmp_path / "list.csv", "video,mask\n~/a.mp4,~a.png\n"))
    assert (job.video, job.mask) == (f"{tmp_path}/home/a.mp4", f"{tmp_path}/~a.png")


def test_text_prompts_of_a_csv_file_are_separated_by_a_bar(tmp_path: Path) -> None:
    jobs = read_jobs(write(tmp_path / "list.csv", "video;text\na.mp4;a dog | the red car\n"))
    assert jobs == [BatchJob("a", f"{tmp_path}/a.mp4", text=("a dog", "the red car"))]


def test_json_lines(tmp_path: Path) -> None:
    rows = [{"video": "a", "text": ["a dog"]}, {"video": "https://host/b.mp4", "text": "a cat", "name": "cat"}]
    path = write(tmp_path / "list.jsonl", "\n\n".join(map(json.dumps, rows)))
    assert read_jobs(path) == [
        BatchJob("a", f"{tmp_path}/a", text=("a dog",)),
        BatchJob("cat", "https://host/b.mp4", text=("a cat",)),
    ]


def test_a_video_with_an_empty_text_prompt_is_a_problem_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"a")
    rows = [{"video": "a.mp4", "text": "a dog"}, {"video": "a.mp4", "text": ["a cat", " "], "name": "wordless"}]
    jobs = read_jobs(write(tmp_path / "list.jsonl", "\n".join(map(json.dumps, rows))))
    assert find_problems(jobs, OutputStore(str(tmp_path / "out"))) == {"wordless": "a text prompt is empty"}


def test_json_lines_end_at_line_feeds_only(tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    row = {"video": "a.mp4", "text": ["a dog\u2028on the left"]}
    path.write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
    assert read_jobs(str(path)) == [BatchJob("a", f"{tmp_path}/a.mp4", text=("a dog\u2028on the left",))]


@pytest.mark.parametrize(
    ("video", "name"),
    [
        ("cam.front", "cam.front"),
        ("x/take.1.MP4", "take.1"),
        ("raw.y4m", "raw"),
        ("photo.PNG", "photo"),
        ("folder.mp4", "folder.mp4"),  # a folder of images
        ("s3://bucket/cam.rear", "cam.rear"),
        ("s3://bucket/cam.mp4/", "cam.mp4"),
        ("s3://bucket/cam.rear.mkv?versionId=1", "cam.rear"),
        ("https://host/b.webm?key=1.2", "b"),
    ],
)
def test_results_have_the_name_of_the_video_without_its_extension(tmp_path: Path, video: str, name: str) -> None:
    (tmp_path / "folder.mp4").mkdir()
    (job,) = read_jobs(write(tmp_path / "list.csv", f"video,mask\n{video},a.png\n"))
    assert job.name == name


def test_a_list_in_object_storage_has_paths_beside_it() -> None:
    fsspec.filesystem("memory").pipe_file("/lists/list.csv", b"video,mask\na.mp4,a.png\n")
    assert read_jobs("memory://lists/list.csv") == [BatchJob("a", "memory://lists/a.mp4", "memory://lists/a.png")]


def test_a_folder_of_videos_with_a_folder_of_masks(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "videos").mkdir()
    for name in ("b", "a"):
        (tmp_path / "videos" / f"{name}.mp4").touch()
        (tmp_path / "masks" / f"{name}.png").touch()
    jobs = read_jobs(str(tmp_path / "videos"), tmp_path / "masks")
    assert [job.name for job in jobs] == ["a", "b"]
    assert jobs[0].mask == str(tmp_path / "masks" / "a.png")


def test_a_folder_of_scenes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / "images" / name).mkdir(parents=True)
    assert [(job.name, job.scene) for job in read_jobs(str(tmp_path))] == [("one", True), ("two", True)]


@pytest.mark.parametrize(("listed", "stored"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_paths_may_have_a_different_unicode_form_than_the_files(tmp_path: Path, listed: str, stored: str) -> None:
    for name in ("hünd/é.mp4", "é.png"):
        file = tmp_path / normalize(stored, name)
        file.parent.mkdir(exist_ok=True)
        file.touch()
    (tmp_path / "list.csv").write_text(normalize(listed, "video,mask\nhünd/é.mp4,é.png\n"), encoding="utf-8")
    (job,) = read_jobs(str(tmp_path / "list.csv"))
    assert (job.name, job.video) == (normalize(stored, "é"), str(tmp_path / normalize(stored, "hünd/é.mp4")))
    assert Path(job.mask).exists()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("list.csv", "file,mask\na,b\n", "expected columns video"),
        ("list.csv", "video,mask\n", "the list is empty"),
        ("list.csv", "video,mask,text\na.mp4,a.png,a dog\n", "line 2: give either a mask or text prompts"),
        ("list.csv", "video,mask\n\na.mp4,\n", "line 3: give either a mask or text prompts"),
        ("list.jsonl", "[" * 100_000, "line 1: not JSON"),
        ("list.csv", "video,maks\na.mp4,a.png\n", "line 2: unknown field 'maks': did you mean mask?"),
        ("list.csv", "video,mask\nx/a.mp4,a.png\ny/A.mp4,b.png\n", "would both be in the folder a: give one of them"),
        ("list.csv", "video,mask,name\na.mp4,a.png,../up\n", "'../up' can't be the name of a folder: set a different"),
        ("list.csv", "video,mask\nclips\\a.mp4,a.png\n", "can't be the name of a folder: write its path with /"),
        ("list.csv", 'video,mask,name\na.mp4,a.png,"a\nb"\n', r"'a\nb' can't be the name of a folder"),
        ("list.csv", "video,mask,mask\na.mp4,a.png,b.png\n", "two columns are named 'mask'"),
        ("list.csv", "video,mask,name\na.mp4,a.png,summary.csv\n", "summary.csv is the name of the batch's summary"),
        ("list.csv", f"video,mask,name\na.mp4,a.png,{'n' * 201}\n", "is too long for a folder"),
        ("list.jsonl", '{"video": 3, "mask": "a.png"}', "line 1: video must be text, not 3"),
        ("list.jsonl", "[1]", "line 1: expected an object with the fields"),
        ("list.jsonl", '\n{"video": ', "line 2: not JSON"),
        ("list.txt", "a.mp4", "a list of videos must be a .csv or .jsonl file"),
    ],
)
def test_wrong_lists_are_errors(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(ValueError) as error:
        read_jobs(write(tmp_path / name, text))
    assert message in str(error.value) and "list." in str(error.value)


def test_a_missing_list_is_an_error(tmp_path: Path) -> None:
    for path in (f"{tmp_path}/list.csv", "memory://nowhere/list.csv"):
        with pytest.raises(FileNotFoundError, match=r"list\.csv: no such file"):
            read_jobs(path)
