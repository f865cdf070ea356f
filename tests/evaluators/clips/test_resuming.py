"""Runs that are broken off and resumed have the masks of undisturbed ones."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from moving_clip import H, W, moving_frames, squares
from PIL import Image

from voskit.dataloaders.masks.files import read_mask, write_mask
from voskit.dataloaders.masks.frame_masks import FrameMasks
from voskit.dataloaders.video.frames import open_frames
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.clips import resuming
from voskit.evaluators.clips.report import CHECKPOINT, ClipReport
from voskit.evaluators.clips.run import segment_clip
from voskit.networks import build_model, save_weights

COUNT = 8


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "aott.safetensors"
    save_weights(build_model("aott", device="cpu"), path)
    return path


@pytest.fixture(scope="module")
def segmenter(weights: Path) -> VideoSegmenter:
    return VideoSegmenter(build_model("aott", checkpoint=weights, device="cpu"), long_term_gap=2)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    for t, frame in enumerate(moving_frames(COUNT)):
        Image.fromarray(frame).save(folder / f"{t:05d}.png")
    return folder


@pytest.fixture(scope="module")
def masks(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("masks")
    write_mask(folder / "00000.png", squares(3, 9).astype(np.uint8))
    write_mask(folder / "00003.png", squares(0, 0, 0, 20).astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def undisturbed(segmenter, clip: Path, masks: Path, tmp_path_factory) -> list[np.ndarray]:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    run(segmenter, clip, masks, out)
    return results(out)


def run(segmenter: VideoSegmenter, clip: Path, masks: Path, out: Path, **options) -> ClipReport:
    with open_frames(clip) as source:
        return segment_clip(segmenter, source, FrameMasks(masks, by_name=True), out, progress=False, **options)


def results(out: Path) -> list[np.ndarray]:
    return [read_mask(path) for path in sorted((out / "masks").iterdir())]


def equal(own: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return len(own) == len(other) and all(map(np.array_equal, own, other))


KILLED = """
import os, signal, sys
from pathlib import Path
from voskit.dataloaders.masks.frame_masks import FrameMasks
from voskit.dataloaders.video.frames import open_frames
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.clips import resuming
from voskit.evaluators.clips.run import segment_clip
from voskit.networks import build_model
clip, masks, out, weights = map(Path, sys.argv[1:])
resuming._SECONDS, resuming._SHARE = 0, 1e9
segmenter = VideoSegmenter(build_model("aott", checkpoint=weights, device="cpu"), long_term_gap=2)
step, frames = segmenter.step, []
def killed_in_frame_5(*args, **options):
    frames.append(0)
    if len(frames) == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(*args, **options)
segmenter.step = killed_in_frame_5
with open_frames(clip) as source:
    segment_clip(segmenter, source, FrameMasks(masks, by_name=True), out, progress=False)
"""


def test_a_killed_run_resumes_with_equal_masks(
    segmenter, clip, masks, undisturbed, weights, tmp_path: Path, monkeypatch, caplog
) -> None:
    command = [sys.executable, "-c", KILLED, *map(str, (clip, masks, tmp_path / "out", weights))]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    assert (tmp_path / "out" / CHECKPOINT).exists()
    stepped = []
    step = segmenter.step
    monkeypatch.setattr(segmenter, "step", lambda *a, **o: stepped.append(0) or step(*a, **o))
    caplog.set_level("INFO")
    report = run(segmenter, clip, masks, tmp_path / "out", resume=True)
    assert len(stepped) == COUNT - 5
    assert "resuming at frame 5" in caplog.text
    assert equal(results(tmp_path / "out"), undisturbed)
    assert (report.frames, report.objects, report.complete) == (COUNT, 3, True)
    names = {p.name for p in (tmp_path / "out").iterdir()} - {".lock"}
    assert names == {"masks", "overlay.mp4", "contact_sheet.png", "report.json"}
    run(segmenter, clip, masks, tmp_path / "out", resume=True)
    assert len(stepped) == COUNT - 5, "complete already"


def broken(clip: Path, folder: Path, number: int) -> Path:
    """Copy a clip with a damaged frame."""
    folder.mkdir()
    for path in clip.iterdir():
        (folder / path.name).write_bytes(path.read_bytes()[: 200 if int(path.stem) == number else None])
    return folder


@pytest.mark.parametrize("backwards", [False, True])
def test_a_run_resumes_after_a_damaged_frame_is_repaired(
    segmenter, clip, masks, undisturbed, tmp_path: Path, backwards: bool
) -> None:
    bad, out = broken(clip, tmp_path / "clip", 5), tmp_path / "out"
    with pytest.raises(ValueError, match=r"00005\.png"):
        run(segmenter, bad, masks, out, backwards=backwards)
    assert len(results(out)) == 5
    (bad / "00005.png").write_bytes((clip / "00005.png").read_bytes())
    run(segmenter, bad, masks, out, backwards=backwards, resume=True)
    if backwards:
        run(segmenter, clip, masks, tmp_path / "other", backwards=True)
        undisturbed = results(tmp_path / "other")
    assert equal(results(out), undisturbed)


@pytest.fixture
def broken_off(segmenter, clip: Path, masks: Path, tmp_path: Path) -> Path:
    bad = broken(clip, tmp_path / "clip", 5)
    with pytest.raises(ValueError, match=r"00005\.png"):
        run(segmenter, bad, masks, tmp_path / "out")
    (bad / "00005.png").write_bytes((clip / "00005.png").read_bytes())
    return tmp_path


def change_frame(folder: Path) -> None:
    Image.fromarray(np.zeros((H, W, 3), np.uint8)).save(folder / "clip" / "00001.png")


def remove_mask(folder: Path) -> None:
    (folder / "out" / "masks" / "00002.png").unlink()


def damage(folder: Path) -> None:
    path = folder / "out" / CHECKPOINT
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (change_frame, {}, "has results of other frames or masks: run without --resume to replace them"),
        (remove_mask, {}, r"masks/00002\.png is missing: run without --resume"),
        (damage, {}, r"\.resume\.pt: the checkpoint is damaged .*: run without --resume"),
        (None, {"complete_masks": True}, "differ from this run in settings: repeat the flags of that run"),
        (None, {"max_frames": 2}, "5 frames are already done, more than --max_frames"),
    ],
    ids=["frames", "masks", "checkpoint", "settings", "fewer frames"],
)
def test_mismatched_runs_are_refused_and_lose_nothing(
    segmenter, masks, broken_off: Path, change, options, message
) -> None:
    if change is not None:
        change(broken_off)
    before = {path.name for path in (broken_off / "out" / "masks").iterdir()}
    with pytest.raises(ValueError, match=message) as error:
        run(segmenter, broken_off / "clip", masks, broken_off / "out", resume=True, **options)
    assert "\n" not in str(error.value)
    assert {path.name for path in (broken_off / "out" / "masks").iterdir()} == before
    assert (broken_off / "out" / CHECKPOINT).exists()


def test_other_masks_and_other_weights_are_refused(segmenter, clip, masks, broken_off: Path, tmp_path: Path) -> None:
    other = tmp_path / "masks"
    other.mkdir()
    write_mask(other / "00000.png", squares(3).astype(np.uint8))
    with pytest.raises(ValueError, match="other frames or masks"):
        run(segmenter, clip, other, broken_off / "out", resume=True)
    torch.manual_seed(1)
    strange = VideoSegmenter(build_model("aott", device="cpu"), long_term_gap=2)
    with pytest.raises(ValueError, match="differ from this run in weights: "):
        run(strange, clip, masks, broken_off / "out", resume=True)
    keeper = VideoSegmenter(build_model("aost", device="cpu"), target_fps=5)
    with pytest.raises(ValueError, match="target_fps, masks depend on the machine's speed"):
        run(keeper, clip, masks, broken_off / "out", resume=True)


@pytest.mark.parametrize("direction", ["backwards", "fuse"])
def test_masks_that_change_the_frames_before_them_are_refused(
    segmenter, clip, masks, tmp_path: Path, direction: str
) -> None:
    bad, own, out = broken(clip, tmp_path / "clip", 5), tmp_path / "masks", tmp_path / "out"
    shutil.copytree(masks, own)
    with pytest.raises(ValueError, match=r"00005\.png"):
        run(segmenter, bad, own, out, **{direction: True})
    write_mask(own / "00006.png", squares(21).astype(np.uint8))
    with pytest.raises(ValueError, match=r"differ from this run in masks \(--mask, --max_frames\): repeat the flags"):
        run(segmenter, clip, own, out, resume=True, **{direction: True})


def test_a_complete_run_with_other_masks_is_refused(segmenter, clip, masks, tmp_path: Path) -> None:
    other, out = tmp_path / "masks", tmp_path / "out"
    shutil.copytree(masks, other)
    run(segmenter, clip, masks, out)
    assert run(segmenter, clip, other, out, resume=True).complete  # equal masks elsewhere
    write_mask(other / "00003.png", squares(3).astype(np.uint8))
    with pytest.raises(
        ValueError, match="are complete, but were made from other masks: run without --resume to replace them"
    ):
        run(segmenter, clip, other, out, resume=True)


@pytest.mark.parametrize("frames", [2, COUNT - 1, None])
def test_a_complete_run_of_another_length_is_refused(segmenter, clip, masks, tmp_path: Path, frames) -> None:
    out = tmp_path / "out"
    run(segmenter, clip, masks, out, max_frames=3)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    with pytest.raises(ValueError, match="complete, with 3 frames: give the same --max_frames, or run without"):
        run(segmenter, clip, masks, out, resume=True, max_frames=frames)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_a_complete_run_that_was_shorter_than_max_frames_is_only_exported(segmenter, clip, masks, tmp_path) -> None:
    out = tmp_path / "out"
    assert run(segmenter, clip, masks, out, max_frames=COUNT + 5).frames == COUNT
    assert run(segmenter, clip, masks, out, resume=True, max_frames=COUNT + 5).frames == COUNT


def test_a_run_without_resume_starts_over(segmenter, masks, broken_off: Path, undisturbed) -> None:
    run(segmenter, broken_off / "clip", masks, broken_off / "out")
    assert equal(results(broken_off / "out"), undisturbed)
    assert not (broken_off / "out" / CHECKPOINT).exists()


def test_resuming_nothing_starts_at_the_first_frame(segmenter, clip, masks, undisturbed, tmp_path, caplog) -> None:
    caplog.set_level("INFO")
    run(segmenter, clip, masks, tmp_path / "out", resume=True)
    assert "no checkpoint to resume from, starting at the first frame" in caplog.text
    assert equal(results(tmp_path / "out"), undisturbed)


def test_a_checkpoint_that_cannot_be_written_does_not_end_the_run(
    segmenter, clip, masks, undisturbed, tmp_path, caplog, monkeypatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(resuming.torch, "save", fail)
    monkeypatch.setattr(resuming, "_SECONDS", 0)
    run(segmenter, clip, masks, tmp_path / "out")
    assert equal(results(tmp_path / "out"), undisturbed)
    assert caplog.text.count("checkpoints can't be written") == 1
