"""Training clips of XMem: skips between frames, and images that a thin-plate spline moves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from training_trees import CROP, check, same, skip_stage, stage, static_tree, video_tree

from voskit.dataloaders.training import (
    SkipStaticClips,
    SkipVideoClips,
    VideoClips,
    build_training_data,
    folder_records,
)
from voskit.dataloaders.training.xmem import draw_within_skip, thin_plate_warp


def test_frames_are_at_most_a_skip_apart_and_distinct() -> None:
    rng = np.random.default_rng(0)
    for skip in (1, 3, 10):
        for _ in range(50):
            numbers = draw_within_skip(30, 6, skip, rng)
            assert numbers == sorted(set(numbers))
            assert max(np.diff(numbers)) <= skip
    assert draw_within_skip(3, 5, 5, rng) == [0, 1, 2, 2, 2]


def test_the_skip_follows_the_progress_of_the_stage(tmp_path: Path) -> None:
    """A part of larger data counts the epochs of all data. YouTube-VOS divides its skip."""
    stage = skip_stage()
    assert [stage.skip_at(x) for x in (0, 0.1, 0.29, 0.3, 0.9, 1)] == [5, 10, 10, 15, 5, 5]
    root = video_tree(tmp_path / "DAVIS")
    data = build_training_data(stage, {"davis2017": root, "youtubevos": _youtube(tmp_path, root)}, crop=CROP)
    data.set_epoch(2)
    assert [part.divisor for part in data.parts] == [5, 1]
    clips = len(data)
    assert [part.progress for part in data.parts] == [min(1.0, 2 * clips / 80)] * 2
    for clip in (data[0], data[clips - 1]):
        check(clip)


def _youtube(folder: Path, davis: Path) -> Path:
    for kind in ("JPEGImages", "Annotations"):
        (folder / "YTB/train").mkdir(parents=True, exist_ok=True)
        (folder / "YTB/train" / kind).symlink_to(davis / kind / "480p")
    return folder / "YTB"


def test_xmem_clips_are_reproducible_and_show_objects(tmp_path: Path) -> None:
    root = video_tree(tmp_path / "videos")
    records = folder_records(root / "JPEGImages/480p", root / "Annotations/480p")
    sources = [
        SkipVideoClips(records, skip_stage(), crop=CROP, max_objects=3),
        SkipStaticClips(static_tree(tmp_path / "images"), skip_stage(clip_length=3), crop=CROP, max_objects=1),
    ]
    for data, objects in zip(sources, (3, 1), strict=True):
        for epoch in (0, 30):  # the second one is in the phase of fine-tuning
            data.set_epoch(epoch)
            check(data[0], max_objects=objects)
            assert same(data[0], data[0])
        assert not same(sources[0][0], sources[0][1])


def test_a_stage_of_xmem_can_sample_gaps(tmp_path: Path) -> None:
    plan = skip_stage(sampling="gaps", datasets=["davis2017"], short_edge=70)
    data = build_training_data(plan, video_tree(tmp_path), crop=CROP)
    assert [type(part) for part in data.parts] == [VideoClips]
    check(data[0])


def test_clips_that_begin_with_many_ignored_pixels_are_left_out(tmp_path: Path) -> None:
    root = video_tree(tmp_path)
    for path in (root / "Annotations/480p").rglob("*.png"):
        with Image.open(path) as image:
            ids, palette = np.array(image), image.getpalette()
        ids[:, : ids.shape[1] // 2] = 255
        image = Image.fromarray(ids, "P")
        image.putpalette(palette)
        image.save(path)
    records = folder_records(root / "JPEGImages/480p", root / "Annotations/480p")
    data = SkipVideoClips(records, skip_stage(), crop=CROP)
    assert (data[0].labels == 255).any()
    with pytest.raises(ValueError, match="none of 20 random clips"):
        SkipVideoClips(records, skip_stage(max_ignored=0.0), crop=CROP)[0]


def test_a_thin_plate_spline_moves_image_and_mask_alike() -> None:
    ramp = np.repeat(np.arange(96, dtype=np.uint8)[None, :, None] * 2, 96, 0).repeat(3, 2)
    mask = (ramp[..., 0] > 95).astype(np.uint16)
    image, warped = thin_plate_warp(ramp, mask, np.random.default_rng(1), scale=0.05)
    assert (image != ramp).any()
    gray = image[..., 0] == image[..., 2]  # the fill from outside the image isn't gray
    inside = gray & (image[..., 0] > 20) & (image[..., 0] < 170)
    agree = (image[..., 0] > 95) == (warped > 0)
    assert agree[inside].mean() > 0.98


def test_skips_need_a_skip_stage(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="derives from SkipStageConfig"):
        SkipStaticClips(static_tree(tmp_path), stage(), crop=CROP)
    with pytest.raises(ValueError, match="must start with 0 and have one entry for each"):
        skip_stage(skips=[5])
