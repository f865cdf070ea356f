"""Batches in one process: records, summaries, failures, object storage."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from moving_clip import moving_frames, squares
from PIL import Image
from small_models import build_small

from voskit.dataloaders.masks.files import read_mask, write_mask
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.batch.engines import choose_engine, slurm_share
from voskit.evaluators.batch.jobs import BatchJob
from voskit.evaluators.batch.results import BatchResults
from voskit.evaluators.batch.run import run_batch
from voskit.evaluators.batch.storage import OutputStore
from voskit.evaluators.batch.worker import BatchWorker
from voskit.evaluators.clips.scenes import ClipOptions
from voskit.evaluators.parallel.work_queue import Share

NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def segmenter() -> VideoSegmenter:
    torch.manual_seed(0)
    return VideoSegmenter(build_small("aott"))


@pytest.fixture
def jobs(tmp_path: Path) -> list[BatchJob]:
    """Three clips of three frames."""
    for number, name in enumerate(NAMES):
        folder = tmp_path / "videos" / name
        folder.mkdir(parents=True)
        for t, frame in enumerate(moving_frames(3)):
            Image.fromarray(np.roll(frame, number, 1)).save(folder / f"{t}.png")
        write_mask(tmp_path / f"{name}.png", squares(1, number + 2))
    return [BatchJob(name, str(tmp_path / "videos" / name), str(tmp_path / f"{name}.png")) for name in NAMES]


@pytest.fixture
def batch(segmenter: VideoSegmenter) -> Callable[..., dict]:
    """A batch in this process; ``built`` counts workers."""

    def run(jobs: list[BatchJob], output: Path | str, *, settings: dict | None = None, resume: bool = True, **options):
        results = BatchResults(OutputStore(str(output), options.pop("scratch", None)), settings or {"model": "aott"})
        clip_options = ClipOptions(overlay=False, resume=resume, exports=options.pop("exports", ()))

        def build() -> BatchWorker:
            run.built += 1
            return BatchWorker(segmenter, results, clip_options)

        return run_batch(build, jobs, results, resume=resume, **options)

    run.built = 0
    return run


def states(records: dict) -> str:
    return " ".join(record.state for record in records.values())


def masks(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.glob("*/masks/*.png"))}


def test_a_video_with_a_changed_mask_is_segmented_again(jobs, batch, tmp_path: Path, caplog) -> None:
    batch(jobs, tmp_path / "out")
    before = masks(tmp_path / "out")
    write_mask(tmp_path / "b.png", squares(2, 3))
    records = batch(jobs, tmp_path / "out")
    assert states(records) == "done done done" and records["b"].objects == 2
    after = masks(tmp_path / "out")
    assert {name[0] for name in after if after[name] != before[name]} == {"b"}
    assert "b: the video or its masks have changed since" in caplog.text
    (tmp_path / "b.png").unlink()
    batch(jobs, tmp_path / "out")
    assert batch.built == 2  # nothing is left to do, and a mask that is gone changes nothing


def test_every_video_gets_its_folder_and_a_row_of_the_summary(jobs, batch, tmp_path: Path) -> None:
    records = batch(jobs, tmp_path / "out")
    assert states(records) == "done done done" and batch.built == 1
    assert list(masks(tmp_path / "out")) == [f"{name}/masks/{t}.png" for name in NAMES for t in range(3)]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["done"] == 3 and summary["failed"] == 0
    rows = list(csv.DictReader((tmp_path / "out" / "summary.csv").open()))
    assert [(row["name"], row["state"], row["frames"], row["objects"]) for row in rows] == [
        (name, "done", "3", "2") for name in NAMES
    ]


def test_finished_videos_are_not_computed_again(jobs, batch, tmp_path: Path) -> None:
    batch(jobs, tmp_path / "out")
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/masks/*")}
    assert states(batch(jobs, tmp_path / "out")) == "done done done"
    assert batch.built == 1
    assert written == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/masks/*")}


def test_a_video_whose_results_were_removed_is_computed_again(jobs, batch, tmp_path: Path) -> None:
    batch(jobs, tmp_path / "out")
    before = masks(tmp_path / "out")
    for path in (tmp_path / "out" / "b" / "masks").iterdir():
        path.unlink()
    (tmp_path / "out" / "b" / "report.json").unlink()
    assert states(batch(jobs, tmp_path / "out")) == "done done done"
    assert masks(tmp_path / "out") == before


def test_a_video_with_a_missing_result_is_computed_again(jobs, batch, tmp_path: Path) -> None:
    batch(jobs, tmp_path / "out")
    before = masks(tmp_path / "out")
    min((tmp_path / "out" / "b" / "masks").iterdir()).unlink()
    assert states(batch(jobs, tmp_path / "out")) == "done done done"
    assert masks(tmp_path / "out") == before and batch.built == 2


def test_a_video_with_results_of_another_run_is_computed_again(jobs, batch, tmp_path: Path, caplog) -> None:
    batch(jobs, tmp_path / "out")
    path = tmp_path / "out" / "b" / "report.json"
    report = json.loads(path.read_text())
    path.write_text(json.dumps({**report, "seconds": 1.0}))  # the same settings and masks: the same results
    batch(jobs, tmp_path / "out")
    assert batch.built == 1
    path.write_text(json.dumps({**report, "settings": {**report["settings"], "long_term_gap": "9"}}))
    assert states(batch(jobs, tmp_path / "out")) == "done done done" and batch.built == 2
    assert caplog.messages[0] == "b has results of another run, such as voskit demo: it is segmented again"
    assert json.loads(path.read_text())["settings"] == report["settings"]


@pytest.mark.parametrize("output", ["{}/out", "file://{}/out"])
def test_given_masks_in_the_folder_of_results_stay(jobs, batch, tmp_path: Path, output: str) -> None:
    output = output.format(tmp_path)
    own = tmp_path / "out" / "b" / "masks" / "0.png"
    own.parent.mkdir(parents=True)
    write_mask(own, squares(1, 3))
    before = own.read_bytes()
    jobs[1] = BatchJob("b", jobs[1].video, str(own.parent))
    for resume in (True, False):
        records = batch(jobs, output, resume=resume, scratch=tmp_path / "scratch")
        assert states(records) == "done failed done"
        assert f"{own.parent} lies in {output}/b, whose files the results replace" in records["b"].error
    assert [path.name for path in own.parent.iterdir()] == ["0.png"] and own.read_bytes() == before


def test_failures_are_reported_the_others_continue_and_a_second_run_retries(jobs, batch, tmp_path: Path) -> None:
    mask = tmp_path / "b.png"
    hidden = mask.rename(tmp_path / "hidden.png")
    records = batch(jobs, tmp_path / "out")
    assert states(records) == "done failed done"
    rows = list(csv.DictReader((tmp_path / "out" / "summary.csv").open()))
    assert [(row["frames"], row["objects"]) for row in rows] == [("3", "2"), ("", ""), ("3", "2")]
    assert str(mask) in records["b"].error and "\n" not in records["b"].error
    hidden.rename(mask)
    assert states(batch(jobs, tmp_path / "out")) == "done done done"


def test_missing_files_are_reported_before_a_model_is_loaded(jobs, batch, tmp_path: Path, caplog) -> None:
    missing = [BatchJob("d", str(tmp_path / "d.mp4"), jobs[0].mask), BatchJob("e", jobs[0].video, f"{tmp_path}/e.png")]
    records = batch([jobs[0], *missing], tmp_path / "out")
    assert states(records) == "done failed failed"
    first = caplog.messages[0]
    assert first.startswith("2 of 3 videos can't be segmented: d: ") and f"; e: {tmp_path}/e.png: no such" in first
    with pytest.raises(ValueError, match=r"^none of 2 videos can be segmented; d: .*d\.mp4: no such file"):
        batch(missing, tmp_path / "out")
    assert batch.built == 1
    assert states(batch([jobs[0], missing[1]], tmp_path / "out")) == "done failed"  # the finished video still counts


def test_the_summary_is_written_while_the_batch_runs(jobs, batch, tmp_path: Path, segmenter, monkeypatch) -> None:
    seen = []
    step = segmenter.step

    def look(*args, **options):
        path = tmp_path / "out" / "summary.json"
        seen.append(json.loads(path.read_text())["done"])
        return step(*args, **options)

    monkeypatch.setattr(segmenter, "step", look)
    monkeypatch.setattr("voskit.evaluators.batch.results._SUMMARY_PAUSE", 0.0)
    batch(jobs, tmp_path / "out")
    assert seen == [0] * 3 + [1] * 3 + [2] * 3


def test_a_summary_that_cannot_be_written_does_not_end_the_batch(jobs, batch, tmp_path: Path, caplog) -> None:
    (tmp_path / "out" / "summary.csv").mkdir(parents=True)
    with pytest.raises(OSError, match=r"summary\.csv"):
        batch(jobs, tmp_path / "out")
    assert "the summary can't be written now" in caplog.text
    assert len(masks(tmp_path / "out")) == 9


def test_an_unexpected_error_fails_one_video(jobs, batch, tmp_path: Path, segmenter, monkeypatch) -> None:
    whole = segmenter.step
    calls = []

    def breaks(*args, **options):
        calls.append(1)
        if len(calls) == 5:
            raise RuntimeError("out of memory")
        return whole(*args, **options)

    monkeypatch.setattr(segmenter, "step", breaks)
    records = batch(jobs, tmp_path / "out")
    assert states(records) == "done failed done" and records["b"].error == "RuntimeError: out of memory"


@pytest.mark.parametrize("cause", ["soft edges", "missing mask"])
def test_a_video_that_cannot_be_resumed_is_started_over(jobs, batch, tmp_path: Path, caplog, cause: str) -> None:
    exports = ("alpha",) if cause == "soft edges" else ()
    batch(jobs[:1], tmp_path / "whole", exports=exports)
    frame = tmp_path / "videos/a/2.png"
    content = frame.read_bytes()
    frame.write_bytes(content[:60] + bytes(len(content) - 60))
    assert states(batch(jobs[:1], tmp_path / "out", exports=exports)) == "failed"
    frame.write_bytes(content)
    assert (tmp_path / "out/a/.resume.pt").exists()
    if cause == "missing mask":
        (tmp_path / "out/a/masks/0.png").unlink()
    assert states(batch(jobs[:1], tmp_path / "out", exports=exports)) == "done"
    assert re.search(r"a: starting over: .*(soft edges of alpha|0\.png is missing)", caplog.text)
    assert masks(tmp_path / "out") == masks(tmp_path / "whole")


def test_results_of_other_settings_or_videos_are_refused(jobs, batch, tmp_path: Path) -> None:
    batch(jobs, tmp_path / "out")
    with pytest.raises(ValueError, match=r"out/a has results of other flags \(--model: aott there, deaott now\)"):
        batch(jobs, tmp_path / "out", settings={"model": "deaott"})
    changed = [BatchJob("a", jobs[1].video, jobs[1].mask), *jobs[1:]]
    with pytest.raises(ValueError, match="out/a has results of another video"):
        batch(changed, tmp_path / "out")
    assert batch.built == 1


def test_another_video_of_the_same_name_is_segmented_after_starting_over(jobs, batch, tmp_path: Path) -> None:
    batch(jobs, tmp_path / "out")
    changed = [BatchJob("a", jobs[1].video, jobs[1].mask), *jobs[1:]]
    assert states(batch(changed, tmp_path / "out", resume=False)) == "done done done"
    after = masks(tmp_path / "out")
    assert [after[name] for name in after if name[0] == "a"] == [after[name] for name in after if name[0] == "b"]


def test_starting_over_replaces_everything(jobs, batch, tmp_path: Path) -> None:
    batch(jobs, tmp_path / "out")
    before = masks(tmp_path / "out")
    write_mask(tmp_path / "a.png", squares(5))
    assert states(batch(jobs, tmp_path / "out", resume=False)) == "done done done"
    after = masks(tmp_path / "out")
    assert {name for name in after if after[name] != before[name]} == {f"a/masks/{t}.png" for t in range(3)}


@pytest.mark.parametrize("output", ["memory://results", "file"])
def test_videos_masks_and_results_in_object_storage(jobs, batch, tmp_path: Path, output: str) -> None:
    batch(jobs, tmp_path / "local")
    output = f"file://{tmp_path}/stored" if output == "file" else output
    files, place = fsspec.core.url_to_fs(output)
    if files.exists(place):
        files.rm(place, recursive=True)
    source = output.replace("results", "sources").replace("stored", "sources")
    target = fsspec.core.url_to_fs(source)[1]
    for job in jobs:
        files.put(job.video, f"{target}/{job.name}", recursive=True)
        files.put_file(job.mask, f"{target}/{job.name}.png")
    remote = [BatchJob(job.name, f"{source}/{job.name}", f"{source}/{job.name}.png") for job in jobs]
    scratch = tmp_path / "scratch"
    assert states(batch(remote, output, scratch=scratch)) == "done done done"
    stored = {name: files.cat_file(f"{place}/{name}") for name in masks(tmp_path / "local")}
    assert stored == masks(tmp_path / "local")
    assert json.loads(files.cat_file(f"{place}/summary.json"))["done"] == 3
    assert not list((scratch / ".downloads").iterdir())
    built = batch.built
    assert states(batch(remote, output, scratch=scratch)) == "done done done" and batch.built == built


def test_a_url_without_a_file_fails_its_video(jobs, batch, tmp_path: Path) -> None:
    missing = BatchJob("d", "memory://nowhere/d.mp4", jobs[0].mask)
    records = batch([jobs[0], missing], tmp_path / "out")
    assert states(records) == "done failed" and records["d"].error == "memory://nowhere/d.mp4: no such file or folder"


def test_a_url_of_an_unknown_protocol_fails_its_video(jobs, batch, tmp_path: Path) -> None:
    records = batch([BatchJob("d", "foo://x/d.mp4", jobs[0].mask), jobs[0]], tmp_path / "out")
    assert states(records) == "failed done" and "foo" in records["d"].error


def test_tasks_of_a_slurm_array_share_the_videos(jobs, batch, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "2")
    monkeypatch.setenv("SLURM_ARRAY_TASK_MIN", "5")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "6")
    assert list(batch(jobs, tmp_path / "out")) == ["b"]
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["open"] == 2
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "5")
    assert list(batch(jobs, tmp_path / "out")) == ["a", "c"]
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["done"] == 3


def test_shares_of_a_slurm_array_are_a_partition() -> None:
    for count in (1, 3, 8):
        environment = {"SLURM_ARRAY_TASK_COUNT": str(count), "SLURM_ARRAY_TASK_MIN": "0"}
        shares = [slurm_share({**environment, "SLURM_ARRAY_TASK_ID": str(task)}) for task in range(count)]
        assert sorted(number for share in shares for number in share.items(7)) == list(range(7))
    with pytest.raises(ValueError, match="must be consecutive"):
        slurm_share({"SLURM_ARRAY_TASK_ID": "4", "SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "0"})


def test_the_engine_follows_the_environment() -> None:
    assert choose_engine("auto", {}) == "processes"
    assert choose_engine("auto", {"SLURM_ARRAY_TASK_ID": "1"}) == "slurm"
    assert choose_engine("auto", {"RANK": "0", "SLURM_ARRAY_TASK_ID": "1"}) == "torchrun"
    assert choose_engine("ray", {"RANK": "0"}) == "ray"
    for engine in ("torchrun", "slurm"):
        with pytest.raises(ValueError, match=f"--engine {engine}: .* is not set"):
            choose_engine(engine, {})
    assert list(Share(1, 2).items(5)) == [1, 3]


def test_masks_are_those_of_the_demo(jobs, batch, tmp_path: Path, segmenter) -> None:
    from voskit.evaluators.clips.scenes import segment_clips
    from voskit.evaluators.clips.sources import Clip

    batch(jobs, tmp_path / "out")
    clips = [Clip(job.video, Path(job.mask)) for job in jobs]
    segment_clips(clips, segmenter, tmp_path / "demo", ClipOptions(overlay=False))
    assert masks(tmp_path / "out") == masks(tmp_path / "demo")
    assert set(np.unique(read_mask(tmp_path / "out" / "c" / "masks" / "0.png"))) == {0, 1, 4}
