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
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.clips.run import segment_clip
from voskit.evaluators.fusion import Direction, fused_ids

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
    """Predictions of one direction in the frames between both masks."""
    segmenter.reset()
    found = {}
    for t in numbers:
        given = squares(3, 7) if t in (0, LAST) else None
        _, probabilities = segmenter.step(moving_frames(COUNT)[t], given, complete=True, return_probs=True)
        if given is None:
            found[t] = Direction.of(segmenter, probabilities)
    return found


def test_frames_between_two_masks_are_fused_and_the_others_are_forward(
    segmenter: VideoSegmenter, clip: str, tmp_path: Path
) -> None:
    fused = run(segmenter, clip, tmp_path / "fused", fuse=True)
    plain = run(segmenter, clip, tmp_path / "plain")
    forward, backward = passes(segmenter, range(COUNT)), passes(segmenter, range(LAST, -1, -1))
    for t in range(1, LAST):
        near = 1 - t / LAST
        assert (fused[t] != fused_ids(forward[t], backward[t], (near, 1 - near))).mean() < 0.01  # kept to a 255th
    for t in (0, LAST, *range(LAST + 1, COUNT)):
        assert np.array_equal(fused[t], plain[t])
    assert fused[0].shape == (H, W)


def test_results_of_other_directions_are_not_resumed(segmenter: VideoSegmenter, clip: str, tmp_path: Path) -> None:
    run(segmenter, clip, tmp_path / "out", fuse=True)
    with pytest.raises(ValueError, match="were made with other settings"):
        run(segmenter, clip, tmp_path / "out", resume=True)
