"""Local files and object storage of a batch: old results, local copies, downloads of killed processes."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import fsspec
import pytest

from voskit.evaluators.batch.jobs import BatchJob
from voskit.evaluators.batch.results import BatchResults, JobRecord
from voskit.evaluators.batch.run import run_batch
from voskit.evaluators.batch.storage import OutputStore, local_copy
from voskit.evaluators.batch.worker import BatchWorker
from voskit.evaluators.clips.report import REPORT


class CopyingWorker(BatchWorker):
    """A worker whose masks are the frames."""

    def _segment(self, job: BatchJob, *, resume: bool) -> SimpleNamespace:
        folder, frames = self._results.store.local / job.name, sorted(Path(job.video).iterdir())
        (folder / "masks").mkdir(parents=True, exist_ok=True)
        for frame in frames:
            (folder / "masks" / f"{frame.stem}.png").write_bytes(b"mask")
        (folder / REPORT).write_text("{}")
        return SimpleNamespace(frames=len(frames), objects=1, summary=lambda: ["done"])


@pytest.fixture
def job(tmp_path: Path) -> BatchJob:
    """A clip of four frames."""
    (tmp_path / "video").mkdir()
    for t in range(4):
        (tmp_path / "video" / f"{t}.jpg").touch()
    (tmp_path / "mask.png").touch()
    return BatchJob("v", str(tmp_path / "video"), str(tmp_path / "mask.png"))


@pytest.fixture
def run(tmp_path: Path, job: BatchJob) -> Callable[[str], JobRecord]:
    """A batch of the clip with local work in ``scratch``."""

    def run(output: str) -> JobRecord:
        results = BatchResults(OutputStore(output, tmp_path / "scratch"), {})
        worker = CopyingWorker(None, results, SimpleNamespace(resume=True))  # type: ignore[arg-type]
        return run_batch(lambda: worker, [job], results)["v"]

    return run


@pytest.mark.parametrize("output", ["memory://bucket", "file://{}/bucket"])
def test_masks_of_a_longer_clip_are_removed_from_the_url(run, job, tmp_path: Path, output: str) -> None:
    output = output.format(tmp_path)
    files, place = fsspec.core.url_to_fs(output)
    if files.exists(place):
        files.rm(place, recursive=True)
    files.makedirs(f"{place}/v2/masks")
    files.pipe_file(f"{place}/v2/masks/3.png", b"of another video")
    assert run(output).frames == 4
    for t in (2, 3):
        (Path(job.video) / f"{t}.jpg").unlink()
    assert run(output).frames == 2
    stored = [path.removeprefix(place) for path in files.find(place) if "/masks/" in path]
    assert stored == ["/v/masks/0.png", "/v/masks/1.png", "/v2/masks/3.png"]


def test_the_local_copy_of_uploaded_results_is_removed(run, tmp_path: Path) -> None:
    (tmp_path / "scratch" / "v").mkdir(parents=True)
    (tmp_path / "scratch" / "v" / "notes.txt").write_text("of the user")
    assert run(f"file://{tmp_path}/bucket").state == "done"
    assert [p.name for p in (tmp_path / "scratch").rglob("*") if p.is_file()] == ["notes.txt"]
    assert len(list((tmp_path / "bucket" / "v" / "masks").iterdir())) == 4


def test_files_of_the_user_at_the_url_stay(run, tmp_path: Path) -> None:
    folder = tmp_path / "bucket" / "v"
    for name in ("00000.jpg", "masks/notes.txt", "masks/99999.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("earlier")
    run(f"file://{tmp_path}/bucket")
    assert (folder / "00000.jpg").exists() and (folder / "masks" / "notes.txt").exists()
    assert not (folder / "masks" / "99999.png").exists()


def test_results_in_a_local_folder_stay(run, tmp_path: Path) -> None:
    run(str(tmp_path / "out"))
    assert len(list((tmp_path / "out" / "v" / "masks").iterdir())) == 4


def test_work_in_progress_can_t_be_in_the_output(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give another scratch folder"):
        OutputStore(f"file://{tmp_path}/out", tmp_path / "out")


def test_downloads_of_killed_processes_are_removed_at_the_next_start(run, tmp_path: Path) -> None:
    downloads, place = tmp_path / "out" / ".downloads", f"file://{tmp_path}/mask.png"
    code = "import os; print(os.getpid())"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    with local_copy(place, downloads) as copy:
        mine = copy.parent
        assert mine.name.startswith(f"voskit-{os.getpid()}-{platform.node()}-")
        dead = downloads / mine.name.replace(str(os.getpid()), ended, 1)
        elsewhere = downloads / dead.name.replace(platform.node(), "another-machine", 1)
        for folder in (dead, elsewhere):
            folder.mkdir()
            (folder / "video.mp4").touch()
        run(str(tmp_path / "out"))
        assert sorted(downloads.iterdir()) == sorted((mine, elsewhere))
