"""Training clips with text prompts: shapes, reproducibility, and masks, boxes and prompts that stay
true when pictures change."""

from __future__ import annotations

import gc
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from referring_trees import BLUE, META, RED, SIZE, coco_entries, image_tree, save, scene, video_tree
from torch.utils.data import DataLoader

from dataset_trees import write_json
from voskit.configs.stages import StageConfig, get_stage_config
from voskit.dataloaders.masks.files import write_mask
from voskit.dataloaders.tokenizer import clean_caption
from voskit.dataloaders.training.referring import augment as referring_augment
from voskit.dataloaders.training.referring.augment import (
    image_to_clip,
)
from voskit.dataloaders.training.referring.clip import (
    ReferringClip,
    boxes_of,
    collate_referring,
    finish_referring,
    mirrored_caption,
)
from voskit.dataloaders.training.referring.datasets import (
    ReferringClips,
    ReferringImageClips,
    ReferringVideoClips,
    build_referring_data,
    draw_frames,
)
from voskit.dataloaders.transforms import IMAGENET_MEAN, IMAGENET_STD


def stage_of(clip_length: int = 3, datasets: tuple[str, ...] = ("refytvos",)) -> StageConfig:
    return get_stage_config("refer_ytvos", clip_length=clip_length, datasets=datasets)


def pixels(clip: ReferringClip) -> np.ndarray:
    """Return the frames as [T, H, W, 3] RGB from 0 to 255."""
    return (clip.frames.permute(0, 2, 3, 1).numpy() * IMAGENET_STD + IMAGENET_MEAN) * 255


def check(clip: ReferringClip, length: int) -> None:
    height, width = clip.masks.shape[1:]
    assert clip.frames.shape == (length, 3, height, width)
    assert clip.frames.dtype == torch.float32
    assert clip.masks.shape == (length, height, width)
    assert clip.masks.dtype == torch.bool
    assert clip.boxes.shape == (length, 4)
    assert clip.boxes.dtype == torch.float32
    assert clip.valid.shape == (length,)
    assert clip.valid.dtype == torch.bool
    assert clip.valid.any()
    assert -0.5 <= pixels(clip).min() <= pixels(clip).max() <= 255.5
    assert clip.caption == clean_caption(clip.caption) != ""
    assert clip.name


def same(one: ReferringClip, other: ReferringClip) -> bool:
    pairs = zip((one.frames, one.masks, one.boxes), (other.frames, other.masks, other.boxes), strict=True)
    return all(torch.equal(a, b) for a, b in pairs) and (one.caption, one.name) == (other.caption, other.name)


def is_colored(frame: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """Return the pixels of about one color."""
    return np.abs(frame.astype(np.float64) - color).max(2) < 60


def shares_of_color(frame: np.ndarray, mask: np.ndarray, color: tuple[int, int, int]) -> tuple[float, float]:
    """Return the fractions of a color well inside a mask and well outside it."""
    rim = np.ones((max(9, len(mask) // 8 | 1),) * 2)  # blur reaches 3 of an image's 60 pixels
    inside = cv2.erode(mask.astype(np.uint8), rim, borderValue=1) > 0
    outside = cv2.dilate(mask.astype(np.uint8), rim) == 0
    hit = is_colored(frame, color)
    return float(hit[inside].mean()) if inside.any() else 1.0, float(hit[outside].mean())


@pytest.fixture
def true_colors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(referring_augment, "distort_colors", lambda frame, _: frame)
    monkeypatch.setattr(referring_augment, "recolor", lambda frame, **_: frame)


@pytest.fixture(params=["videos", "images", "images as videos"])
def clips(request: pytest.FixtureRequest, tmp_path: Path) -> ReferringClips:
    if request.param == "videos":
        return ReferringVideoClips(video_tree(tmp_path), stage_of())
    return ReferringImageClips(image_tree(tmp_path), stage_of(1 if request.param == "images" else 3))


# ---- items


def test_items_are_as_documented(clips: ReferringClips) -> None:
    for epoch in range(3):
        clips.set_epoch(epoch)
        for index in range(min(3, len(clips))):
            check(clips[index], clips.stage.clip_length)


def test_items_depend_only_on_seed_epoch_and_index(clips: ReferringClips) -> None:
    first = [clips[index] for index in range(2)]
    assert all(same(first[index], clips[index]) for index in (1, 0))
    assert not torch.equal(first[0].frames, first[1].frames)
    clips.set_epoch(1)
    assert clips.epoch == 1
    assert not any(same(first[index], clips[index]) for index in range(2))
    clips.set_epoch(0)
    clips.seed = (1,)
    assert not same(first[0], clips[0])
    with pytest.raises(IndexError):
        clips[len(clips)]


def test_workers_give_the_same_items_and_see_the_epoch(clips: ReferringClips) -> None:
    gc.collect()  # video readers of other tests leave objects that a forked process can't free
    loader = DataLoader(clips, batch_size=2, num_workers=2, collate_fn=collate_referring, persistent_workers=True)
    for epoch in range(2):
        clips.set_epoch(epoch)
        batch = next(iter(loader))
        assert len(batch) == 2
        for place, (height, width) in enumerate(batch.sizes_B2.tolist()):
            frames, masks = batch.frames_TB3HW[:, place], batch.masks_TBHW[:, place]
            boxes, valid = batch.boxes_TB4[:, place], batch.valid_TB[:, place]
            caption, name = batch.captions[place], batch.names[place]
            own = ReferringClip(frames[..., :height, :width], masks[..., :height, :width], boxes, valid, caption, name)
            assert same(own, clips[place])


@pytest.mark.usefixtures("true_colors")
def test_masks_stay_on_their_objects_and_sentences_stay_true(clips: ReferringClips) -> None:
    said = set()
    for epoch in range(8):
        clips.set_epoch(epoch)
        clip = clips[0]
        for frame, mask in zip(pixels(clip), clip.masks.numpy(), strict=True):
            inside, outside = shares_of_color(frame, mask, RED)
            assert inside > 0.95
            assert outside < 0.01
        red, blue = (np.nonzero(is_colored(pixels(clip)[0], color))[1] for color in (RED, BLUE))
        if not (len(red) and len(blue)):
            continue  # one was cropped
        assert ("left" if red.mean() < blue.mean() else "right") in clip.caption
        said.add(clip.caption)
    assert len(said) == 2


# ---- Ref-YouTube-VOS


def test_there_is_a_clip_for_each_sentence_and_each_start(tmp_path: Path) -> None:
    root = video_tree(tmp_path, count=7)
    assert [len(ReferringVideoClips(root, stage_of(length))) for length in (1, 3, 5)] == [4 * 7, 4 * 3, 4 * 2]
    data = ReferringVideoClips(root, stage_of(3))
    assert [data._name(index) for index in (0, 1, 2, 3, 6)] == [
        "video bear, expression 0, frame 00000",
        "video bear, expression 0, frame 00015",
        "video bear, expression 0, frame 00030",
        "video bear, expression 1, frame 00000",
        "video dog, expression 0, frame 00000",
    ]


def test_frames_are_neighbors_and_others_from_before_and_after() -> None:
    rng, steps = np.random.default_rng(0), Counter[int]()
    assert draw_frames(30, 11, 1, rng) == [11]
    for _ in range(300):
        before, start, after = draw_frames(30, 11, 3, rng)
        assert start == 11
        steps.update((before - start, after - start))
    assert set(steps) == {-3, -2, -1, 1, 2, 3}
    assert min(steps.values()) > 70
    seen = set()
    for _ in range(300):
        numbers = draw_frames(30, 11, 6, rng)
        assert numbers == sorted(numbers)
        assert len(numbers) == 6
        assert 11 in numbers
        seen |= set(numbers)
        assert len(set(numbers)) >= 5  # only the neighbor after the start may occur twice
    assert seen == set(range(30))
    assert {len(set(draw_frames(30, 11, 6, rng))) for _ in range(300)} == {5, 6}
    assert {tuple(draw_frames(30, 11, 2, rng)) for _ in range(100)} == {
        *((11 - step, 11) for step in (1, 2, 3)),
        *((11, 11 + step) for step in (1, 2, 3)),
    }


def test_frames_stay_within_short_videos() -> None:
    rng = np.random.default_rng(0)
    for count, start in ((1, 0), (2, 1), (4, 3), (5, 0)):
        for length in range(1, 9):
            numbers = draw_frames(count, start, length, rng)
            assert len(numbers) == length
            assert set(numbers) <= set(range(count))
            assert start in numbers


@pytest.mark.usefixtures("true_colors")
def test_the_object_matches_the_sentence(tmp_path: Path) -> None:
    data = ReferringVideoClips(video_tree(tmp_path), stage_of(1))
    for index, color in ((0, RED), (7, BLUE), (14, RED), (21, BLUE)):
        clip = data[index]
        assert shares_of_color(pixels(clip)[0], clip.masks[0].numpy(), color)[0] > 0.95


def test_a_clip_without_its_object_is_replaced(tmp_path: Path) -> None:
    data = ReferringVideoClips(video_tree(tmp_path, count=20, shown=range(2)), stage_of(3))
    names = []
    for index in range(7):
        clip = data[index]
        check(clip, 3)
        names.append(clip.name)
    assert names[0] == "video bear, expression 0, frame 00000"
    assert all(name.endswith(("frame 00000", "frame 00015")) for name in names)
    partly = [data[index].valid.all() for index in range(7)]
    assert not all(partly)


def test_without_any_object_the_clip_is_named(tmp_path: Path) -> None:
    data = ReferringVideoClips(video_tree(tmp_path, shown=range(0)), stage_of(1))
    with pytest.raises(ValueError, match=r"video bear, expression 0, frame 00010: no frame shows the object.*empty\?"):
        data[2]


# ---- RefCOCO


def test_polygons_and_run_lengths_give_the_same_mask(tmp_path: Path) -> None:
    data = ReferringImageClips(image_tree(tmp_path), stage_of(1))
    rng = np.random.default_rng(0)
    polygon, rle = (data._read(index, rng) for index in range(2))
    assert polygon is not None
    assert rle is not None
    assert np.array_equal(polygon.masks[0], rle.masks[0])
    assert np.array_equal(polygon.masks[0], scene()[1] == 1)
    assert polygon.caption == "the left block"


@pytest.mark.usefixtures("true_colors")
def test_an_image_becomes_frames_of_a_moving_camera() -> None:
    image, ids = scene()
    rng = np.random.default_rng(0)
    places = []
    for _ in range(10):
        frames, masks = image_to_clip(image, ids == 1, 4, rng)
        assert [frame.shape for frame in frames] == [image.shape] * 4
        assert [mask.shape for mask in masks] == [SIZE] * 4
        assert not np.array_equal(frames[0], frames[1])
        for frame, mask in zip(frames, masks, strict=True):
            assert mask.dtype == bool
            assert shares_of_color(frame, mask, RED)[0] > 0.95
            places.append(np.argwhere(mask).mean(0))
    spread = np.std(places, axis=0)
    assert (spread > 2).all()
    assert (spread < 15).all()


def test_frames_made_from_an_image_differ_in_color() -> None:
    """In the median of a plain image, tilt, shift and blur change nothing but by the fill."""
    frames, _ = image_to_clip(
        np.full((50, 50, 3), (180, 90, 60), np.uint8), np.ones((50, 50), bool), 8, np.random.default_rng(0)
    )
    medians = np.array([np.median(frame, axis=(0, 1)) for frame in frames])
    assert (medians.std(0) > 2).all()
    assert np.abs(medians - (180, 90, 60)).max() < 60


# ---- boxes and prompts


def test_boxes_go_from_the_first_to_the_last_pixel() -> None:
    masks = torch.zeros(5, 20, 40, dtype=torch.bool)
    masks[0, 4:11, 10:31] = True  # rows 4 to 10, columns 10 to 30
    masks[1, :, :] = True
    masks[2, 3, 5:9] = True  # one row
    masks[3, 2, 7], masks[3, 12, 27] = True, True  # corners alone
    boxes, valid = boxes_of(masks)
    assert valid.tolist() == [True, True, False, True, False]
    expected = [[20 / 40, 7 / 20, 20 / 40, 6 / 20], [19.5 / 40, 9.5 / 20, 39 / 40, 19 / 20], [0] * 4]
    expected += [[17 / 40, 7 / 20, 20 / 40, 10 / 20], [0] * 4]
    assert torch.allclose(boxes, torch.tensor(expected))
    assert boxes.dtype == torch.float32


def test_sentences_are_cleaned_and_mirrored() -> None:
    assert clean_caption("  A Dog\n on  the\tLEFT ") == "a dog on the left"
    assert mirrored_caption("the leftmost dog, right of the cat") == "the rightmost dog, left of the cat"
    assert mirrored_caption("a bright dog") == "a bleft dog"  # parts of words too, as published


# ---- batches


def batch_of(*sizes: tuple[int, int], length: int = 2) -> tuple[list[ReferringClip], Any]:
    rng, made = np.random.default_rng(0), []
    for place, size in enumerate(sizes):
        frames = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(length)]
        masks = [rng.random(size) > 0.5 for _ in range(length)]
        made.append(finish_referring(frames, masks, f"sentence {place}", f"clip {place}"))
    return made, collate_referring(made)


def test_a_batch_is_padded_to_multiples_of_32() -> None:
    made, batch = batch_of((40, 96), (65, 50))
    assert batch.frames_TB3HW.shape == (2, 2, 3, 96, 96)
    assert batch.masks_TBHW.shape == (2, 2, 96, 96)
    assert batch.masks_TBHW.dtype == batch.valid_TB.dtype == torch.bool
    assert batch.boxes_TB4.shape == (2, 2, 4)
    assert batch.valid_TB.shape == (2, 2)
    assert batch.sizes_B2.tolist() == [[40, 96], [65, 50]]
    assert batch.sizes_B2.dtype == torch.int64
    assert batch.captions == ["sentence 0", "sentence 1"]
    for place, clip in enumerate(made):
        height, width = clip.masks.shape[1:]
        assert torch.equal(batch.frames_TB3HW[:, place, :, :height, :width], clip.frames)
        assert torch.equal(batch.masks_TBHW[:, place, :height, :width], clip.masks)
        assert torch.equal(batch.boxes_TB4[:, place], clip.boxes)
        for side in (batch.frames_TB3HW[:, place], batch.masks_TBHW[:, place]):
            assert not side[..., height:, :].any()
            assert not side[..., :, width:].any()


def test_a_batch_has_parts_and_moves_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    made, batch = batch_of((40, 30), (30, 40), (20, 20))
    part = batch.part(slice(1, 3))
    assert (len(batch), len(part)) == (3, 2)
    assert part.names == ["clip 1", "clip 2"]
    assert part.captions == ["sentence 1", "sentence 2"]
    assert part.sizes_B2.tolist() == [[30, 40], [20, 20]]
    assert torch.equal(part.frames_TB3HW[:, 0, :, :30, :40], made[1].frames)
    assert torch.equal(part.valid_TB, batch.valid_TB[:, 1:])
    there = batch.to("meta")
    fields = ("frames_TB3HW", "masks_TBHW", "boxes_TB4", "valid_TB", "sizes_B2")
    assert {getattr(there, name).device.type for name in fields} == {"meta"}
    assert there.names == batch.names
    pinned: list[torch.Tensor] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor)
    assert batch.pin_memory().captions == batch.captions
    assert len(pinned) == len(fields)


# ---- all data of a stage


def test_a_stage_has_all_its_datasets(tmp_path: Path) -> None:
    names = ("refcoco", "refcoco+", "refcocog")
    image_tree(tmp_path / "coco", names)
    video_tree(tmp_path / "ref-youtube-vos")
    data = build_referring_data(stage_of(3, (*names, "refytvos")), tmp_path, seed=5)
    assert [len(part) for part in data.parts] == [2, 2, 2, 12]
    assert len(data) == 18
    first = [data[index] for index in (0, 2, 4, 6)]
    assert [clip.name.split()[0] for clip in first] == ["refcoco", "refcoco+", "refcocog", "video"]
    assert not torch.equal(first[0].frames, first[1].frames)  # each dataset has its own seed
    data.set_epoch(3)
    assert [part.epoch for part in data.parts] == [3] * 4
    for clip, index in zip(first, (0, 2, 4, 6), strict=True):
        check(data[index], 3)
        assert not same(clip, data[index])


def test_datasets_are_found_without_their_folder(tmp_path: Path) -> None:
    assert len(build_referring_data(stage_of(1), video_tree(tmp_path / "a"))) == 28
    assert len(build_referring_data(stage_of(1, ("refcoco",)), str(image_tree(tmp_path / "b")))) == 2


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"neither ref-youtube-vos/meta_expressions/train.*folder of the data"):
        build_referring_data(stage_of(), tmp_path)
    with pytest.raises(FileNotFoundError, match=r"neither coco/refcoco\+/instances_refcoco\+_train\.json nor"):
        build_referring_data(stage_of(1, ("refcoco+",)), tmp_path)
    with pytest.raises(
        ValueError, match=r"unknown training dataset with text prompts 'refytv'.*did you mean refytvos\?"
    ):
        build_referring_data(stage_of(1, ("refytv",)), tmp_path)
    with pytest.raises(ValueError, match="the stage has no datasets"):
        build_referring_data(stage_of(1, ()), tmp_path)
    with pytest.raises(ValueError, match="clips with text prompts need a stage that derives from ReferringStageConfig"):
        build_referring_data(get_stage_config("pre"), tmp_path)
    with pytest.raises(
        FileNotFoundError, match=rf"{META}: no such file: give the folder that contains meta_expressions"
    ):
        ReferringVideoClips(tmp_path / "none", stage_of())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"vids": {}}, "expected a JSON object with 'videos'"),
        ({"videos": {"bear": {"frames": ["0"], "expressions": {"4": {"exp": "it"}}}}}, "bear, expression 4: no obj_id"),
        ({"videos": {"bear": {"expressions": {}}}}, "bear: its entry is invalid"),
        ({"videos": {"bear": {"frames": [], "expressions": {}}}}, "bear lists no frames"),
        ({"videos": {"bear": {"frames": ["0"], "expressions": {}}}}, "no expressions"),
    ],
)
def test_an_unusable_meta_file_is_named(tmp_path: Path, content: Any, message: str) -> None:
    write_json(tmp_path / META, content)
    with pytest.raises(ValueError, match=f"{META}: .*{message}"):
        ReferringVideoClips(tmp_path, stage_of())


def test_missing_and_mismatched_files_of_a_video_are_named(tmp_path: Path) -> None:
    data = ReferringVideoClips(video_tree(tmp_path, count=1), stage_of(1))
    image, mask = (tmp_path / f"train/{kind}" for kind in ("JPEGImages/bear/00000.jpg", "Annotations/bear/00000.png"))
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=f"{image}.*damaged"):
        data[0]
    image.unlink()
    with pytest.raises(FileNotFoundError, match=rf"{image}: no such file, but .*{META} lists its frame"):
        data[0]
    save(image, np.zeros((10, 12, 3), np.uint8))
    with pytest.raises(ValueError, match=f"{image}: the image is 10x12 .*its mask is 60x90"):
        data[0]
    mask.unlink()
    with pytest.raises(FileNotFoundError, match=f"{mask}: no such file"):
        data[0]


def test_all_masks_of_a_video_have_the_same_size(tmp_path: Path) -> None:
    data = ReferringVideoClips(video_tree(tmp_path, count=2), stage_of(3))
    path = tmp_path / "train/Annotations/bear/00005.png"
    write_mask(path, np.ones((30, 45), np.uint8))
    with pytest.raises(ValueError, match=f"{path}: this mask is 30x45 .*another mask of the video is 60x90"):
        data[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.pop("annotations"), "expected a COCO JSON file"),
        (lambda data: data["annotations"].pop(), r"image 1 \(COCO_train2014_1.jpg\): 0 annotations, expected exactly"),
        (lambda data: data["annotations"].append(data["annotations"][0]), "image 0 .*: 2 annotations"),
        (lambda data: data["images"][0].pop("caption"), r"is invalid \(KeyError: 'caption'\)"),
    ],
)
def test_an_unusable_coco_file_is_named(tmp_path: Path, change: Any, message: str) -> None:
    data = coco_entries()
    change(data)
    write_json(tmp_path / "refcoco/instances_refcoco_train.json", data)
    with pytest.raises(ValueError, match=rf"instances_refcoco_train\.json: .*{message}"):
        ReferringImageClips(tmp_path, stage_of(1))


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([], "expected a run-length encoding or polygons"),
        ([[1, 1, 5, 5]], "expected a run-length encoding or polygons"),
        ([["a"] * 6], "a polygon must be at least 3 points"),
        ([[0, 0, 50_000, 0, 50_000, 50_000]], "a point lies far outside the image of 60x90"),
        ({"size": [60, 90], "counts": [3, 4]}, "covers 7 of 60x90"),
        ({"size": [90, 60], "counts": [5400]}, r"the mask is 90x60 \(height x width\), the image is 60x90"),
    ],
)
def test_a_damaged_segmentation_is_named(tmp_path: Path, segmentation: Any, message: str) -> None:
    data = coco_entries()
    data["annotations"][0]["segmentation"] = segmentation
    image_tree(tmp_path)
    write_json(tmp_path / "refcoco/instances_refcoco_train.json", data)
    with pytest.raises(
        ValueError, match=rf"instances_refcoco_train\.json: image 0 \(COCO_train2014_1.jpg\).*{message}"
    ):
        ReferringImageClips(tmp_path, stage_of(1))[0]


def test_polygons_of_two_points_are_left_out(tmp_path: Path) -> None:
    data = coco_entries()
    data["annotations"][0]["segmentation"].insert(0, [50, 50, 70, 55])
    image_tree(tmp_path)
    write_json(tmp_path / "refcoco/instances_refcoco_train.json", data)
    clip = ReferringImageClips(tmp_path, stage_of(1))._read(0, np.random.default_rng(0))
    assert clip is not None
    assert np.array_equal(clip.masks[0], scene()[1] == 1)


def test_missing_images_of_coco_are_named(tmp_path: Path) -> None:
    data = ReferringImageClips(image_tree(tmp_path), stage_of(1))
    path = tmp_path / "train2014/COCO_train2014_1.jpg"
    path.unlink()
    with pytest.raises(FileNotFoundError, match=f"{path}: no such image, but .*put COCO's train2014 there"):
        data[0]
