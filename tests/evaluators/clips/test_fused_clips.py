"""Clips with masks at several frames, segmented in both directions between them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from moving_clip import H, W, moving_frames, squares
from PIL import Image
from small_models import build_small

from voskit.dataloaders.masks.files import read_mask, write_mask
from voskit.dataloaders.masks.frame_masks import FrameMasks
from voskit.dataloaders.video.frames import open_frames
from voskit.dataloaders.video.source import Frame
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.clips import backward
from voskit.evaluators.clips.clip_run import ClipRun
from voskit.evaluators.clips.resuming import ClipCheckpoints
from voskit.evaluators.clips.run import segment_clip
from voskit.evaluators.fusion import Direction, fused_ids, look_ahead

COUNT, LAST = 6, 4


@pytest.fixture
def segmenter() -> VideoSegmenter:
    torch.manual_seed(0)
    return VideoSegmenter(build_small("aott"))


@pytest.fixture
def clip(tmp_path: Path) -> str:
    folder = tmp_path / "clip"
    folder.mkdir()
    for t, frame in enumerate(moving_frames(COUNT)):
        Image.fromarray(frame).save(folder / f"{t:05d}.png")
    return str(folder)


def run(segmenter: VideoSegmenter, clip: str, out: Path, **options: object) -> list[np.ndarray]:
    given = out.parent / "given"
    given.mkdir(exist_ok=True)
    for t in (0, LAST):
        write_mask(given / f"{t:05d}.png", squares(3, 7))
    with open_frames(clip) as source:
        masks = FrameMasks(given, by_name=True)
        segment_clip(segmenter, source, masks, out, progress=False, overlay=False, complete_masks=True, **options)
    assert not list(out.glob(".*"))
    return [read_mask(path) for path in sorted((out / "masks").iterdir())]


def passes(segmenter: VideoSegmenter, numbers: range) -> dict[int, Direction]:
    """Predictions of one direction, which has both masks in memory at the first of them."""
    segmenter.reset()
    frames, found = moving_frames(COUNT), {}
    first, second = (0, LAST) if numbers.step > 0 else (LAST, 0)
    for t in numbers:
        given = squares(3, 7) if t in (0, LAST) else None
        _, probabilities = segmenter.step(frames[t], given, complete=True, return_probs=True)
        found[t] = Direction.of(segmenter, probabilities)
        if t == first:
            segmenter.step(frames[second], squares(3, 7), complete=True)
            segmenter.step(frames[first], squares(3, 7), complete=True)
    return found


def test_frames_between_two_masks_are_fused_and_the_others_are_forward(
    segmenter: VideoSegmenter, clip: str, tmp_path: Path
) -> None:
    fused = run(segmenter, clip, tmp_path / "fused", fuse=True)
    forward, back = passes(segmenter, range(COUNT)), passes(segmenter, range(LAST, -1, -1))
    for t in range(COUNT):
        near = 1 - t / LAST
        if 0 < t < LAST:
            expected = fused_ids(forward[t], back[t], (near, 1 - near))
            assert (fused[t] != expected).mean() < 0.01  # kept to a 255th
        else:
            assert np.array_equal(fused[t], fused_ids(forward[t], forward[t], (1, 0)))
    assert fused[0].shape == (H, W)


def test_an_object_of_a_later_mask_is_also_in_the_frames_of_masks_without_it(
    segmenter: VideoSegmenter, clip: str, tmp_path: Path
) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    for t, ids in ((1, (3,)), (3, (3,)), (5, (3, 7))):
        write_mask(masks / f"{t:05d}.png", squares(*ids))
    with open_frames(clip) as source:
        segment_clip(
            segmenter,
            source,
            FrameMasks(masks, by_name=True),
            tmp_path / "out",
            progress=False,
            overlay=False,
            fuse=True,
        )
    found = [7 in read_mask(path) for path in sorted((tmp_path / "out" / "masks").iterdir())]
    assert found == [False, True, True, True, True, True]
    given = read_mask(tmp_path / "out" / "masks" / "00003.png")[squares(3) > 0]
    assert (given == 3).all()


@pytest.mark.thorough
def test_with_cuts_each_direction_knows_only_its_own_mask(
    segmenter: VideoSegmenter, clip: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    monkeypatch.setattr(backward, "look_ahead", lambda segmenter, *_, **__: looked.append(len(segmenter.object_ids)))
    run(segmenter, clip, tmp_path / "without", fuse=True)
    assert looked == [2, 2]  # once in each direction
    run(VideoSegmenter(segmenter.model, cuts="auto"), clip, tmp_path / "with", fuse=True)
    assert looked == [2, 2]


def test_a_mask_of_other_objects_is_not_memorized_ahead(segmenter: VideoSegmenter) -> None:
    first, last = moving_frames(2)
    ids = segmenter.step(first, squares(3, 7))
    assert not look_ahead(segmenter, first, ids, (last, squares(3)), complete=False)
    assert not look_ahead(segmenter, first, ids, (last, squares(3, 7, 9)), complete=False)
    assert (segmenter.memory_frames, segmenter.object_ids) == (1, [3, 7])
    assert look_ahead(segmenter, first, ids, (last, squares(3, 7)), complete=False)
    assert segmenter.memory_frames == 3
    assert look_ahead(segmenter, first, np.where(ids == 0, 11, ids), (last, squares(3)), complete=True)
    assert segmenter.object_ids == [3, 7]


@pytest.mark.thorough
def test_an_interrupted_run_is_resumed_with_both_masks_in_memory(
    segmenter: VideoSegmenter, clip: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(segmenter, clip, tmp_path / "whole", fuse=True)
    monkeypatch.setattr(ClipCheckpoints, "due", property(lambda self: True))
    write = ClipRun.write

    def break_off(self: ClipRun, frame: Frame, *args: object, **options: object) -> None:
        if frame.index == 2:
            raise KeyboardInterrupt
        write(self, frame, *args, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ClipRun, "write", break_off)
        run(segmenter, clip, tmp_path / "parts", fuse=True)
    parts = run(segmenter, clip, tmp_path / "parts", fuse=True, resume=True)
    assert all(np.array_equal(a, b) for a, b in zip(whole, parts, strict=True))


def test_results_of_a_run_with_other_directions_are_not_resumed(
    segmenter: VideoSegmenter, clip: str, tmp_path: Path
) -> None:
    run(segmenter, clip, tmp_path / "out", fuse=True)
    with pytest.raises(ValueError, match="differ from this run in settings"):
        run(segmenter, clip, tmp_path / "out", resume=True)
