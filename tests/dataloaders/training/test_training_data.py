"""Training clips: shapes, reproducibility, and labels that stay on their pixels."""

from __future__ import annotations

import gc
import json
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from training_trees import (
    COLOURS,
    CROP,
    check,
    pixels,
    same,
    save,
    scene,
    skip_stage,
    stage,
    static_tree,
    video_tree,
    videos,
)

from voskit.configs.datasets.base import DATASETS, DatasetConfig
from voskit.configs.stages import get_stage_config
from voskit.dataloaders.datasets import open_dataset
from voskit.dataloaders.masks.files import write_mask
from voskit.dataloaders.training import (
    CollageClips,
    StaticClips,
    TrainClip,
    VideoClips,
    VideoRecord,
    augment,
    build_training_data,
    collate,
    draw_frame_numbers,
    folder_records,
    video_records,
)
from voskit.dataloaders.training.clip import VOID, RawClip
from voskit.dataloaders.training.clip_dataset import merge_clips
from voskit.dataloaders.training.collage import CutOut
from voskit.dataloaders.training.records import read_labels
from voskit.evaluators.metrics.frames.label_maps import read_label_map


@pytest.fixture(params=["static", "collage", "video"])
def clips(request: pytest.FixtureRequest, tmp_path: Path) -> StaticClips | VideoClips:
    if request.param == "static":
        return StaticClips(static_tree(tmp_path), stage(merge_probability=0.5), crop=CROP)
    if request.param == "collage":
        return CollageClips(static_tree(tmp_path), stage(merge_probability=0.5), crop=CROP)
    return videos(video_tree(tmp_path), merge_probability=0.5)


def test_items_are_as_documented(clips: StaticClips | VideoClips) -> None:
    for epoch in range(10):
        clips.set_epoch(epoch)
        for clip in [clips[index] for index in range(len(clips))]:
            check(clip)
            assert not torch.equal(clip.frames[0], clip.frames[1])


def test_items_depend_only_on_seed_epoch_and_index(clips: StaticClips | VideoClips) -> None:
    first = [clips[index] for index in range(len(clips))]
    assert all(same(first[index], clips[index]) for index in reversed(range(len(clips))))
    clips.set_epoch(1)
    assert not any(same(first[index], clips[index]) for index in range(len(clips)))
    clips.set_epoch(0)
    clips.seed = (1,)
    assert not same(first[0], clips[0])
    with pytest.raises(IndexError):
        clips[len(clips)]


def test_workers_give_the_same_items_and_see_the_epoch(clips: StaticClips | VideoClips) -> None:
    gc.collect()  # video readers of other tests leave objects that a forked process can't free
    loader = DataLoader(clips, batch_size=2, num_workers=2, collate_fn=collate, persistent_workers=True)
    for epoch in range(2):
        clips.set_epoch(epoch)
        frames, labels, counts, names = next(iter(loader))
        assert frames.shape == (5, 2, 3, CROP, CROP)
        assert labels.shape == (5, 2, CROP, CROP)
        for place in range(2):
            assert same(TrainClip(frames[:, place], labels[:, place], counts[place], names[place]), clips[place])


@pytest.mark.parametrize("kind", ["static", "video"])
def test_labels_stay_on_their_pixels(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augment, "recolor", lambda image, **_: image)
    monkeypatch.setattr(augment, "blur", lambda image, _: image)
    if kind == "static":
        data: StaticClips | VideoClips = StaticClips(static_tree(tmp_path), stage(merge_probability=1.0), crop=CROP)
    else:
        data = videos(video_tree(tmp_path), merge_probability=1.0)
    for epoch in range(5):
        data.set_epoch(epoch)
        clip = data[epoch % len(data)]
        for frame, labels in zip(pixels(clip), clip.labels.numpy(), strict=True):
            objects = np.stack([np.abs(frame - color).max(2) < 30 for color in COLOURS[1:3]])
            outside = cv2.dilate((labels > 0).astype(np.uint8), np.ones((3, 3))) == 0
            assert not objects.any(0)[outside].any()
            for label in range(1, clip.num_objects + 1):
                core = cv2.erode((labels == label).astype(np.uint8), np.ones((5, 5)), borderValue=1) > 0
                assert not core.any() or max(one[core].mean() for one in objects) > 0.95


def test_merging_adds_objects_that_hide_others() -> None:
    def raw(mask: np.ndarray, value: int) -> RawClip:
        return RawClip([np.full((4, 4, 3), value, np.uint8)] * 2, [mask.astype(np.uint16), np.full((4, 4), 1)], "n")

    below, above = np.zeros((4, 4)), np.zeros((4, 4))
    below[:, :3], above[:2], above[2, 0] = 1, 1, VOID
    merged = merge_clips(raw(below, 10), raw(above, 20), 10, np.random.default_rng(0))
    assert merged.masks[0].tolist() == [[2, 2, 2, 2], [2, 2, 2, 2], [1, 1, 1, 0], [1, 1, 1, 0]]
    assert merged.frames[0][..., 0].tolist() == [[20] * 4, [20] * 4, [10] * 4, [10] * 4]
    hidden = merge_clips(raw(below, 10), raw(np.ones((4, 4)), 20), 10, np.random.default_rng(0))
    assert hidden.masks[0].tolist() == below.tolist()


def test_merged_items_have_more_objects(tmp_path: Path) -> None:
    static_tree(tmp_path, ids=(4,))
    alone = [StaticClips(tmp_path, stage(), crop=CROP)[i].num_objects for i in range(4)]
    merged = [StaticClips(tmp_path, stage(merge_probability=1.0), crop=CROP)[i].num_objects for i in range(4)]
    assert alone == [1] * 4
    assert max(merged) == 2


def test_clips_have_at_most_the_requested_number_of_objects(tmp_path: Path) -> None:
    data = StaticClips(static_tree(tmp_path, ids=(1, 2, 9)), stage(merge_probability=1.0), crop=CROP, max_objects=2)
    for index in range(len(data)):
        check(data[index], max_objects=2)


def test_a_collage_has_many_objects_and_their_ids_move_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every cut-out is a disc with its own gray level (or that of its twins), the same in all frames."""
    grays = iter(range(0, 10_000, 7))

    def disc(*_: Any) -> CutOut:
        shade = 20 + next(grays) % 211
        return CutOut(
            np.full((41, 41, 3), shade, np.uint8), cv2.circle(np.zeros((41, 41), np.float32), (20, 20), 20, 1.0, -1)
        )

    monkeypatch.setattr(CollageClips, "_cut_out", disc)
    monkeypatch.setattr(augment, "recolor", lambda image, **_: image)
    monkeypatch.setattr(augment, "blur", lambda image, _: image)
    data = CollageClips(static_tree(tmp_path, ids=(3,)), stage(), crop=CROP, max_objects=254)
    counts, returns = [], 0
    for index in range(len(data)):
        clip = data[index]
        counts.append(clip.num_objects)
        followed = 0
        for label in range(1, clip.num_objects + 1):
            cores = [
                cv2.erode((ids == label).astype(np.uint8), np.ones((3, 3)), borderValue=1) > 0
                for ids in clip.labels.numpy()
            ]
            seen = np.concatenate([pixels(clip)[place][core] for place, core in enumerate(cores)])
            followed += sum(core.any() for core in cores) > 1
            # the soft rims of tiny discs over it are few pixels
            assert not len(seen) or (np.abs(seen - np.median(seen, axis=0)).max(1) <= 2).mean() > 0.97
            shown = [core.any() for core in cores]
            returns += any(shown[a] and not shown[b] and shown[c] for a, b, c in combinations(range(len(shown)), 3))
        assert followed > clip.num_objects / 3
    assert max(counts) > 10
    assert returns > 0.01 * sum(counts)


def test_a_collage_leaves_room_for_its_cut_outs_above_16_bit_ids(tmp_path: Path) -> None:
    (tmp_path / "JPEGImages/a").mkdir(parents=True)
    (tmp_path / "Annotations/a").mkdir(parents=True)
    image, mask = scene((1, 2))
    Image.fromarray(image).save(tmp_path / "JPEGImages/a/x.png")
    write_mask(tmp_path / "Annotations/a/x.png", np.array((0, 7, 65530), np.uint16)[mask])
    data = CollageClips(tmp_path, stage(), crop=CROP, max_objects=254)
    clip = data[0]
    check(clip, max_objects=254)
    assert clip.num_objects > 2


@pytest.mark.parametrize(("twins", "least", "most"), [(0.0, 1.0, 1.0), (1.0, 2.0, 4.0)])
def test_cut_outs_come_as_twins_with_the_probability_of_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, twins: float, least: float, most: float
) -> None:
    drawn, laid = [], []
    monkeypatch.setattr(CollageClips, "_cut_out", lambda *_: drawn.append(0) or CutOut(*np.zeros((2, 3, 3))))
    monkeypatch.setattr(CollageClips, "_lay", lambda *_: laid.append(0))
    data = CollageClips(static_tree(tmp_path), stage(twins=twins), crop=CROP)
    for index in range(len(data)):
        _ = data[index]
    assert least * 0.8 <= len(laid) / len(drawn) <= most


def test_cut_outs_are_objects_or_shapes_of_other_images(tmp_path: Path) -> None:
    data = CollageClips(static_tree(tmp_path), stage(), crop=CROP)
    rng = np.random.default_rng(0)
    cut_outs = [data._cut_out(rng) for _ in range(40)]
    objects = [cut for cut in cut_outs if cut.alpha.shape == (50, 24) and cut.alpha.all()]
    assert 10 <= len(objects) <= 30
    for cut in cut_outs:
        assert cut.image.shape == (*cut.alpha.shape, 3)
        assert cut.alpha.any(0).all()
        assert cut.alpha.any(1).all()


def test_gaps_and_order() -> None:
    rng, seen = np.random.default_rng(0), set()
    for _ in range(200):
        numbers = draw_frame_numbers(30, 5, 3, False, rng)
        steps = np.diff(numbers)
        seen |= set(steps.tolist())
        assert steps.min() >= 1
        assert steps.max() <= 3
        assert 0 <= numbers[0] <= numbers[-1] < 30
        backwards = np.diff(draw_frame_numbers(30, 5, 3, True, rng))
        assert -3 <= backwards.min() <= backwards.max() <= -1
    assert seen == {1, 2, 3}
    assert draw_frame_numbers(5, 5, 12, False, rng) == [0, 1, 2, 3, 4]
    assert draw_frame_numbers(2, 4, 12, False, rng) == [0, 1, 1, 1]


def test_clips_are_reversed_only_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def spy(count: int, length: int, gap: int, backwards: bool, rng: np.random.Generator) -> list[int]:
        seen.append(backwards)
        return draw_frame_numbers(count, length, gap, backwards, rng)

    monkeypatch.setattr("voskit.dataloaders.training.aot_videos.draw_frame_numbers", spy)
    for reverse, expected in ((True, {True, False}), (False, {False})):
        data = videos(video_tree(tmp_path / str(reverse)), reverse=reverse)
        seen.clear()
        for epoch in range(10):
            data.set_epoch(epoch)
            _ = data[0]
        assert set(seen) == expected


def test_clips_begin_with_an_object(tmp_path: Path) -> None:
    data = videos(video_tree(tmp_path, empty=(0, 1, 2, 3)))
    for epoch in range(10):
        data.set_epoch(epoch)
        check(data[0])


def test_a_crop_shows_more_than_a_corner_of_an_object(tmp_path: Path) -> None:
    image, mask = scene((3,), size=(400, 400))
    mask[:] = 0
    mask[180:220, 180:220] = 3  # a crop of 48 of 400 pixels rarely meets it
    save(image, mask, tmp_path / "JPEGImages" / "set" / "a.jpg", tmp_path / "Annotations" / "set" / "a.png")

    def shown(**changes: Any) -> list[float]:
        many = stage(short_edge=400, crop_tries=200, scale_range=(1.0, 1.0), **changes)
        data = StaticClips(tmp_path, many, crop=48)
        out = []
        for epoch in range(20):
            data.set_epoch(epoch)
            out.append(float((data[0].labels[0] > 0).float().mean()))
        return out

    assert min(shown(min_object_area=0.2)) >= 0.2
    assert min(shown(min_object_area=0.0)) < 0.1
    assert min(shown(min_object_area=0.99)) > 0.3  # there is no such crop: the best one is taken


def test_v2_augments_all_frames_of_a_clip_alike(tmp_path: Path) -> None:
    root = video_tree(tmp_path, count=1)
    records = folder_records(root / "JPEGImages/480p", root / "Annotations/480p")
    plain, strong = (
        VideoClips(records, stage(), gap=1, crop=CROP, augmentation=augmentation)[0] for augmentation in ("v1", "v2")
    )
    assert not torch.equal(plain.frames, strong.frames)
    assert torch.equal(plain.labels, strong.labels)
    assert all(torch.equal(frame, strong.frames[0]) for frame in strong.frames)  # a video of one frame


@pytest.mark.parametrize("grayscale", [False, True])
def test_void_is_ignored_and_a_lone_255_is_an_object(tmp_path: Path, grayscale: bool) -> None:
    write_mask(tmp_path / "void.png", np.array([[0, 1, 255]]), grayscale=grayscale)
    write_mask(tmp_path / "object.png", np.array([[0, 0, 255]]), grayscale=grayscale)
    assert read_labels(tmp_path / "void.png").tolist() == [[0, 1, VOID]]
    assert read_labels(tmp_path / "object.png").tolist() == [[0, 0, 1]]


@pytest.mark.parametrize("grayscale", [False, True])
def test_void_after_the_objects_have_left_is_not_an_object(tmp_path: Path, grayscale: bool) -> None:
    masks = [tmp_path / f"{i}.png" for i in range(2)]
    for path, values in zip(masks, ([0, 1, 255], [0, 0, 255]), strict=True):
        write_mask(path, np.array([values]), grayscale=grayscale)
    assert VideoRecord("left", (tmp_path, tmp_path), tuple(masks)).labels(1).tolist() == [[0, 0, VOID]]
    assert VideoRecord("alone", (tmp_path,), (masks[1],)).labels(0).tolist() == [[0, 0, 1]]


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (((0, 1, 255), (0, 1, 2)), ([0, 1, VOID], [0, 1, 2])),  # ids counted from 1: 255 is void
        (((0, 1, 255), (0, 0, 255)), ([0, 1, VOID], [0, 0, VOID])),  # the object has left the second frame
        (((0, 0, 255), (0, 128, 255)), ([0, 0, 255], [0, 128, 255])),  # gray levels: 255 is an object
        (((0, 0, 255), (0, 255, 255)), ([0, 0, 1], [0, 1, 1])),  # black and white
    ],
)
def test_255_in_masks_of_your_own_dataset(
    tmp_path: Path, values: tuple[tuple[int, ...], ...], labels: tuple[list[int], ...]
) -> None:
    for number, row in enumerate(values):
        for folder in ("frames/a", "masks/a"):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((1, 3, 3), np.uint8)).save(tmp_path / f"frames/a/{number:05d}.png")
        write_mask(tmp_path / f"masks/a/{number:05d}.png", np.array([row]), grayscale=True)
    (tmp_path / "my.json").write_text('{"name": "own"}')
    (record,) = video_records(open_dataset(tmp_path / "my.json"))
    assert [record.labels(number)[0].tolist() for number in range(2)] == list(labels)


@pytest.mark.parametrize("given", ["all", "first"])
def test_all_masks_of_your_own_dataset_are_used_for_training(tmp_path: Path, given: str) -> None:
    for number in range(3):
        save(*scene((2, 5)), tmp_path / f"frames/a/{number:05d}.png", tmp_path / f"masks/a/{number:05d}.png")
    (tmp_path / "my.json").write_text(json.dumps({"given": given}))
    (record,) = video_records(open_dataset(tmp_path / "my.json"))
    assert [path.stem for path in record.masks] == ["00000", "00001", "00002"]


def test_an_opaque_alpha_channel_is_dropped(tmp_path: Path) -> None:
    Image.merge(
        "LA", [Image.fromarray(np.array([[0, 3]], np.uint8)), Image.fromarray(np.full((1, 2), 255, np.uint8))]
    ).save(tmp_path / "m.png")
    assert read_labels(tmp_path / "m.png").tolist() == [[0, 3]]
    assert read_label_map(tmp_path / "m.png").tolist() == [[0, 3]]


def test_a_mask_with_a_soft_edge_is_one_object(tmp_path: Path) -> None:
    disc = cv2.circle(np.zeros((60, 80), np.uint8), (40, 30), 20, 255, -1, cv2.LINE_AA)
    Image.fromarray(disc).save(tmp_path / "soft.png")
    assert len(np.unique(disc)) > 20
    assert np.array_equal(read_labels(tmp_path / "soft.png"), disc > 127)


def test_damaged_and_unusable_files_are_named(tmp_path: Path) -> None:
    data = StaticClips(static_tree(tmp_path), stage(), crop=CROP)
    path = data.pairs[0][0]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=f"{path}.*damaged"):
        _ = data[0]
    Image.new("RGB", (5, 6)).save(path)
    with pytest.raises(ValueError, match=f"{path}: the image is 6x5"):
        _ = data[0]
    empty = StaticClips(static_tree(tmp_path / "empty", ids=()), stage(), crop=CROP)
    with pytest.raises(ValueError, match=r"none of 20 random clips .*one\.png"):
        _ = empty[0]
    with pytest.raises(ValueError, match="give each frame a mask"):
        VideoRecord("bear", (path,), ())


def test_a_stage_has_all_its_datasets(tmp_path: Path) -> None:
    static_tree(tmp_path / "Static")
    davis = video_tree(tmp_path / "DAVIS")
    (tmp_path / "YouTubeVOS/train").mkdir(parents=True)
    for folder in ("JPEGImages", "Annotations"):
        (tmp_path / "YouTubeVOS/train" / folder).symlink_to(davis / folder / "480p")
    own = {"frames": "DAVIS/JPEGImages/480p/{video}", "masks": "DAVIS/Annotations/480p/{video}"}
    (tmp_path / "own.json").write_text(json.dumps(own))
    names = ("static", "youtubevos", "davis2017", "own.json", "collage")
    data = build_training_data(stage(datasets=names, davis_repeat=3), tmp_path, crop=CROP)
    assert [len(part) for part in data.parts] == [4, 2, 6, 2, 4]
    gaps = [part.gap for part in data.parts if isinstance(part, VideoClips)]
    assert gaps == [3, 12, 12]
    own_gap = build_training_data(stage(datasets=("davis2017", "own.json"), own_gap=2), tmp_path, crop=CROP)
    assert [part.gap for part in own_gap.parts if isinstance(part, VideoClips)] == [12, 2]
    (tmp_path / "other_masks.json").write_text(
        json.dumps({**own, "base": "davis2017", "roots": "", "splits": "train", "split_folders": []})
    )
    (tmp_path / "ImageSets").symlink_to(davis / "ImageSets")
    other = build_training_data(stage(datasets=("other_masks.json",), own_gap=2, davis_repeat=3), tmp_path, crop=CROP)
    assert [(len(part), part.gap) for part in other.parts if isinstance(part, VideoClips)] == [(6, 12)]
    data.set_epoch(4)
    for clip in [data[index] for index in range(len(data))]:
        check(clip)
    assert not same(data[6], data[8])  # repeats differ
    only = build_training_data(stage(datasets=("davis2017",)), {"davis2017": davis}, crop=CROP)
    assert len(only) == 10
    with pytest.raises(ValueError, match=r"unknown training dataset 'davis17'.*davis2017"):
        build_training_data(stage(datasets=("davis17",)), tmp_path)
    with pytest.raises(ValueError, match="no entry for the dataset 'static'"):
        build_training_data(stage(), {"davis2017": davis})
    with pytest.raises(FileNotFoundError, match="no JPEGImages and Annotations of youtubevos"):
        build_training_data(stage(datasets=("youtubevos",)), tmp_path / "Static" / "JPEGImages")


@pytest.mark.parametrize("augmentation", ["v1", "v2"])
def test_real_data(real_data: Path, augmentation: Any) -> None:
    roots = {"static": real_data / "static_open", "davis2017": real_data / "vos_train_open"}
    roots["collage"] = roots["static"]
    both = get_stage_config("pre", datasets=("static", "davis2017", "collage"), short_edge=200)
    data = build_training_data(both, roots, crop=193, augmentation=augmentation)
    for index in range(0, len(data), len(data) // 10):
        check(data[index], crop=193)


@pytest.mark.parametrize(
    ("name", "folder", "lists"),
    [
        ("vost", "VOST", "ImageSets/train.txt"),
        ("mosev1", "MOSE/train", None),
        ("mosev2", "MOSEv2/train", None),
        ("visor", "VISOR", "ImageSets/2022/train.txt"),
        ("burst", "BURST/train", None),
        ("ovis", "OVIS/train", None),
    ],
)
def test_other_datasets_are_found_in_their_folders(tmp_path: Path, name: str, folder: str, lists: str | None) -> None:
    davis, root = video_tree(tmp_path / "davis"), tmp_path / folder
    for kind in ("JPEGImages", "Annotations"):
        place = root / kind / ("480p" if name == "visor" else "")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(davis / kind / "480p")
    if lists is not None:
        (root / lists).parent.mkdir(parents=True)
        (root / lists).write_text("".join(f"{p.name}\n" for p in (davis / "JPEGImages/480p").iterdir()))
    data = build_training_data(skip_stage(datasets=[name]), tmp_path, crop=CROP)
    assert [part.divisor for part in data.parts] == [{"vost": 5, "ovis": 3}.get(name, 1)]
    check(data[0])


def test_any_registered_dataset_with_a_train_split_is_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mine(DatasetConfig):
        splits = ("train", "all")
        frames = ("JPEGImages/480p/{video}",)
        masks = ground_truth = ("Annotations/480p/{video}",)
        index_required = False

    monkeypatch.setitem(DATASETS._entries, "mine", Mine)
    root = video_tree(tmp_path)
    check(build_training_data(stage(datasets=["mine"]), root, crop=CROP)[0])
    with pytest.raises(ValueError, match=r"unknown training dataset 'mosev3' .*did you mean mosev"):
        build_training_data(stage(datasets=["mosev3"]), root)
    with pytest.raises(ValueError, match="unknown training dataset 'refdavis17'"):
        build_training_data(stage(datasets=["refdavis17"]), root)
    with pytest.raises(ValueError, match="unknown sampling 'gap': did you mean gaps"):
        build_training_data(stage(sampling="gap"), root)


@pytest.mark.parametrize("ids", [(255,), (3, 7), (3, 255)])
def test_binary_masks_show_one_object(tmp_path: Path, ids: tuple[int, ...]) -> None:
    root = video_tree(tmp_path)
    (root / "ImageSets/2016").mkdir(parents=True)
    names = sorted(p.name for p in (root / "JPEGImages/480p").iterdir())
    (root / "ImageSets/2016/train.txt").write_text("".join(f"{name}\n" for name in names))
    for path in (root / "Annotations/480p").rglob("*.png"):
        mask = np.zeros_like(np.array(Image.open(path)))
        mask[5:50, 5:50] = ids[0]
        mask[30:50, 5:50] = ids[-1]
        Image.fromarray(mask).save(path)
    data = build_training_data(stage(datasets=["davis2016"], merge_probability=0.0), root, crop=CROP)
    assert len(data) == 5 * len(names)
    assert set(np.unique(data.parts[0].records[0].labels(0))) == {0, 1}
