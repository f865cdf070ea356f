"""Objects that are propagated backwards, to the frames before their masks."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from media_files import write_video
from PIL import Image

from voskit.dataloaders.masks.files import read_mask, write_mask
from voskit.dataloaders.masks.frame_masks import FrameMasks
from voskit.dataloaders.video.frames import open_frames
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.clips.run import segment_clip
from voskit.networks import build_model
from voskit.tools.flags.model import BUNDLED_WEIGHTS

COUNT, KEY = 5, 3


@pytest.fixture(scope="module")
def segmenter() -> VideoSegmenter:
    return VideoSegmenter(build_model("deaott", checkpoint=BUNDLED_WEIGHTS, device="cpu"), short_edge=-1)


def discs(t: int) -> np.ndarray:
    """Object 1 moves to the right at the top, 2 below it to the left; H x W ids."""
    y, x = np.ogrid[:160, :200]
    ids = np.zeros((160, 200), np.uint8)
    ids[(y - 45) ** 2 + (x - 50 - 14 * t) ** 2 < 25**2] = 1
    ids[(y - 115) ** 2 + (x - 150 + 14 * t) ** 2 < 25**2] = 2
    return ids


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    ground = np.random.default_rng(0).integers(60, 110, (20, 25, 3), dtype=np.uint8)
    for t in range(COUNT):
        image = np.asarray(Image.fromarray(ground).resize((200, 160), Image.Resampling.BICUBIC)).copy()
        image[discs(t) == 1] = (230, 60, 40)
        image[discs(t) == 2] = (40, 90, 220)
        Image.fromarray(image).save(folder / f"{t:05d}.png")
    return folder


def masks_of(folder: Path, **masks: np.ndarray) -> FrameMasks:
    folder.mkdir()
    for number, ids in masks.items():
        write_mask(folder / f"0000{number[1:]}.png", ids)
    return FrameMasks(folder, by_name=True)


def iou(ids: np.ndarray, t: int, i: int) -> float:
    truth, own = discs(t) == i, ids == i
    return float((truth & own).sum() / (truth | own).sum())


def run(segmenter: VideoSegmenter, clip: Path, masks: FrameMasks, out: Path, **options) -> list[np.ndarray]:
    with open_frames(str(clip)) as source:
        report = segment_clip(segmenter, source, masks, out, progress=False, backwards=True, **options)
    assert report.complete
    found = sorted(p.name for p in out.iterdir())
    assert found == ["contact_sheet.png", "masks", "overlay.mp4", "report.json"]
    return [read_mask(path) for path in sorted((out / "masks").iterdir())]


def test_a_mask_in_the_middle_is_enough_for_the_whole_clip(segmenter, clip: Path, tmp_path: Path) -> None:
    found = run(segmenter, clip, masks_of(tmp_path / "masks", f3=discs(KEY)), tmp_path / "out")
    assert np.array_equal(found[KEY], discs(KEY))
    assert len(found) == COUNT
    assert all(iou(ids, t, i) > 0.7 for t, ids in enumerate(found) for i in (1, 2))
    assert segmenter.object_ids == []


@pytest.mark.parametrize("background", (True, False))
def test_objects_that_appear_later_are_propagated_backwards_next_to_earlier_ones(
    clip, tmp_path: Path, background
) -> None:
    model = build_model("deaott", checkpoint=BUNDLED_WEIGHTS, device="cpu", background=background)
    first = np.where(discs(0) == 1, 1, np.where(discs(0) == 0, 7, 0))  # says nothing of object 2
    first[110:120, 145:155] = 7  # but of its middle, wrongly
    later = discs(KEY) * (discs(KEY) == 2) if background else np.where(discs(KEY) == 0, 7, discs(KEY))
    masks = masks_of(tmp_path / "masks", f0=first, f3=later)
    found = run(VideoSegmenter(model, short_edge=-1), clip, masks, tmp_path / "out")
    assert np.array_equal(found[0][first > 0], first[first > 0])
    assert (found[0] == 2).sum() > 0.7 * (first == 0).sum()
    assert all(iou(ids, t, i) > 0.7 for t, ids in enumerate(found) if t for i in (1, 2))


def test_a_complete_mask_stays_unchanged(segmenter, clip: Path, tmp_path: Path) -> None:
    first = discs(0) * (discs(0) == 1)
    masks = masks_of(tmp_path / "masks", f0=first, f3=discs(KEY))
    found = run(segmenter, clip, masks, tmp_path / "out", complete_masks=True)
    assert np.array_equal(found[0], first)
    assert all(iou(ids, t, 2) > 0.7 for t, ids in enumerate(found) if t)


def test_masks_after_the_last_wanted_frame_are_ignored(segmenter, clip: Path, tmp_path: Path) -> None:
    masks = masks_of(tmp_path / "masks", f1=discs(1), f4=np.full((160, 200), 9, np.uint8))
    found = run(segmenter, clip, masks, tmp_path / "out", max_frames=3)
    assert [set(np.unique(ids)) for ids in found] == [{0, 1, 2}] * 3


def test_a_single_mask_of_the_first_frame_needs_no_backward_pass(segmenter, clip, tmp_path, caplog) -> None:
    write_mask(tmp_path / "first.png", discs(0))
    with caplog.at_level(logging.WARNING):
        found = run(segmenter, clip, FrameMasks(tmp_path / "first.png"), tmp_path / "out")
        assert len(found) == COUNT
        assert "only the first of the frames has a mask, so there is no backward pass" in caplog.text
        run(segmenter, clip, masks_of(tmp_path / "masks", f0=discs(0), f4=discs(4)), tmp_path / "out", max_frames=3)
    assert "only the first of the first 3 frames has a mask" in caplog.text


def test_an_interrupted_backward_pass_leaves_earlier_results(segmenter, clip: Path, tmp_path: Path) -> None:
    run(segmenter, clip, masks_of(tmp_path / "masks", f3=discs(KEY)), tmp_path / "out")
    before = {path: path.read_bytes() for path in sorted((tmp_path / "out" / "masks").iterdir())}
    broken = tmp_path / "clip"
    broken.mkdir()
    for path in clip.iterdir():
        (broken / path.name).write_bytes(path.read_bytes()[: 200 if path.stem == "00001" else None])
    with open_frames(str(broken)) as source, pytest.raises(ValueError, match=r"00001\.png"):
        segment_clip(
            segmenter, source, FrameMasks(tmp_path / "masks", by_name=True), tmp_path / "out",
            progress=False, backwards=True,
        )  # fmt: skip
    assert {path: path.read_bytes() for path in sorted((tmp_path / "out" / "masks").iterdir())} == before
    assert [p.name for p in (tmp_path / "out").glob(".*")] == []


def test_a_stream_cannot_be_read_backwards(segmenter, served: str, tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mkv", "ffv1")
    masks = masks_of(tmp_path / "masks", f3=np.ones((32, 48), np.uint8))
    with open_frames(f"http://{served}/clip.mkv") as source, pytest.raises(ValueError, match="only once"):
        segment_clip(segmenter, source, masks, tmp_path / "out", progress=False, backwards=True)
    assert not (tmp_path / "out").exists()
