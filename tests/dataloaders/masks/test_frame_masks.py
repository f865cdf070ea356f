"""User masks of a video: of the first frame, of its objects, or by frame names."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from inputs_table import SIZE, TWO, coco_file, labelme_file, rle, shape, youtube_vis_file
from media_files import ids_of, object_folder, one_line, save_images, save_mask, write_video
from PIL import Image

from voskit.dataloaders.masks.files import write_mask
from voskit.dataloaders.masks.frame_masks import FrameMasks, masks_for
from voskit.dataloaders.video.frames import FrameSource, open_frames


def clip(folder: Path, *names: str) -> FrameSource:
    """Write frames of these names, or a video file of twelve frames."""
    if not names:
        return open_frames(write_video(folder / "clip.mp4", "mpeg4", size=(12, 16)))
    for name in names:
        save_mask(folder / "frames" / f"{name}.png", np.zeros((12, 16), np.uint8))
    return open_frames(folder / "frames")


def given(masks: FrameMasks, source: FrameSource) -> dict[str, list[int]]:
    """Return the ids of the masks by frame name."""
    read = {frame.name: masks(frame) for frame in source}
    masks.check_all_used()
    return {name: np.unique(mask).tolist() for name, mask in read.items() if mask is not None}


def test_a_mask_that_is_checked_and_read_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = clip(tmp_path, "0", "1")
    Image.fromarray(np.eye(4, dtype=np.uint8) * 255).resize(source.size[::-1], 0).save(tmp_path / "m.png")
    masks = masks_for(tmp_path / "m.png", source)
    masks.check(source)
    assert masks(next(iter(source))) is not None
    assert len(caplog.records) == 1


def test_one_mask_is_the_first_frames(tmp_path: Path) -> None:
    with clip(tmp_path) as source:
        assert given(masks_for(save_mask(tmp_path / "00003.png", ids_of(5)), source), source) == {"00000": [0, 5]}


@pytest.mark.parametrize("frames", [(), ("f1", "f2", "f10"), ("000", "001", "002")])
@pytest.mark.parametrize("stems", [("_1", "_2"), ("cat", "dog")])
def test_folder_of_objects(tmp_path: Path, frames: tuple[str, ...], stems: tuple[str, ...]) -> None:
    folder = object_folder(tmp_path / "masks", **{stems[0]: ids_of(255, 0), stems[1]: ids_of(0, 255)})
    with clip(tmp_path, *frames) as source:
        assert given(masks_for(folder, source), source) == {source.name_of(0): [0, 1, 2]}


@pytest.mark.parametrize(
    ("frames", "masks"),
    [
        ((), ("00000", "00005")),
        ((), ("00007",)),  # of a later frame only
        (("000", "001", "002"), ("001", "002")),
        (("f1", "f2", "f10"), ("f10",)),
        (("0", "1", "2"), ("0", "2")),  # 0 isn't an object id
    ],
)
@pytest.mark.parametrize("extension", [".png", ".PNG"])
def test_folder_of_masks_by_frame(
    tmp_path: Path, frames: tuple[str, ...], masks: tuple[str, ...], extension: str
) -> None:
    for name in masks:
        save_mask(tmp_path / "masks" / f"{name}.png", ids_of(3, 4)).rename(tmp_path / "masks" / f"{name}{extension}")
    with clip(tmp_path, *frames) as source:
        assert given(masks_for(tmp_path / "masks", source), source) == {name: [0, 3, 4] for name in masks}


def test_masks_by_frame_of_several_kinds(tmp_path: Path) -> None:
    folder = tmp_path / "masks"
    first = save_mask(folder / "000.png", ids_of(3))
    Image.fromarray(ids_of(5)).save(folder / "002.tif")
    with clip(tmp_path, "000", "001", "002") as source:
        assert given(masks_for(folder, source), source) == {"000": [0, 3], "002": [0, 5]}
        first.rename(folder / "002.png")
        with pytest.raises(
            ValueError, match=r"002\.png and 002\.tif are masks of the same frame: remove one"
        ) as raised:
            masks_for(folder, source)
    one_line(raised)


def test_masks_by_frame_if_the_number_of_frames_is_unknown(tmp_path: Path) -> None:
    save_mask(tmp_path / "masks/00037.png", ids_of(3))
    with open_frames(write_video(tmp_path / "clip.mkv", "mpeg4", 40, size=(12, 16))) as source:
        assert source.num_frames is None
        assert given(masks_for(tmp_path / "masks", source), source) == {"00037": [0, 3]}


@pytest.mark.parametrize(
    ("frames", "masks", "error"),
    [
        (("1", "2", "3"), ("1", "2"), "is 1.png the mask of frame 1 or of object 1? Give objects as one PNG of ids"),
        (("1", "2", "3"), ("3", "9"), "is 3.png the mask of frame 3 or of object 3?"),
        ((), ("037",), "is 037.png the mask of a frame or of an object? Name masks of frames like their frames (the "),
        ((), ("00037",), "is 00037.png the mask of a frame or of an object?"),  # the video has 12 frames
        (("f1", "f2"), ("0",), "is 0.png the mask of a frame or of an object?"),
        ((), (), "no image in this folder"),
    ],
)
def test_ambiguous_folders_are_refused(
    tmp_path: Path, frames: tuple[str, ...], masks: tuple[str, ...], error: str
) -> None:
    (tmp_path / "masks").mkdir()
    for name in masks:
        save_mask(tmp_path / "masks" / f"{name}.png", ids_of(3))
    with clip(tmp_path, *frames) as source, pytest.raises(ValueError, match=re.escape(error)) as raised:
        masks_for(tmp_path / "masks", source)
    one_line(raised)


# ------------------------------------------------------------------------------------------------ names and numbers


@pytest.mark.parametrize(
    ("frames", "masks", "expected"),
    [
        ((), {"00003_mask": "00003", "00005_mask": "00005"}, "counted from 0: 00003_mask.png is frame 00003"),
        ((), {"mask_00003": "00003"}, "mask_00003.png is frame 00003"),
        ((), {"frame_00003": "00003", "frame_00000": "00000"}, "by number, counted from 0"),
        ((), {"frame_0001": "00000", "frame_0012": "00011"}, "counted from 1: frame_0001.png is frame 00000"),
        ((), {"clip2_00003_v1": "00003", "clip2_00007_v1": "00007"}, "clip2_00003_v1.png is frame 00003"),
        ((), {"mask_3": "00003", "mask_7": "00007"}, "mask_3.png is frame 00003"),
        (("img_007", "img_008", "img_009"), {"008_mask": "img_008"}, "008_mask.png is frame img_008"),
        (("IMG_1", "IMG_2"), {"img_1": "IMG_1"}, ""),
        (("a", "b"), {"B": "b"}, ""),
        ((unicodedata.normalize("NFC", "é1"), "é2"), {unicodedata.normalize("NFD", "é1"): "é1"}, ""),
        ((unicodedata.normalize("NFD", "ü"), "v"), {"ü": unicodedata.normalize("NFD", "ü")}, ""),
    ],
)
def test_masks_belong_to_the_frames_of_their_numbers(
    tmp_path: Path, frames: tuple[str, ...], masks: dict[str, str], expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    for name in masks:
        save_mask(tmp_path / "masks" / f"{name}.png", ids_of(3, 4))
    with clip(tmp_path, *frames) as source:
        assert given(masks_for(tmp_path / "masks", source), source) == {frame: [0, 3, 4] for frame in masks.values()}
    assert expected in caplog.text


@pytest.mark.parametrize(
    ("frames", "masks", "error"),
    [
        ((), ("3",), "is 3.png the mask of frame 00003 or of object 3?"),
        ((), ("2", "7"), "is 2.png the mask of frame 00002 or of object 2?"),
        ((), ("obj1", "obj2"), "are obj1.png, obj2.png masks of frames or of objects?"),
        ((), ("mask1",), "are mask1.png masks of frames or of objects?"),
        ((), ("a_00003", "b_00005"), "are a_00003.png, b_00005.png masks of frames or of objects?"),
        ((), ("frame_00500",), "frame_00500.png: no frame has number 500 (frames are 00000 to 00011)"),
        ((), ("clip1_2_mask", "clip2_3_mask"), "masks of frames or of objects?"),
        (("a1_1", "a2_1"), ("mask_001",), "no frame has number 1"),
        (("F1", "F2"), ("f1", "F1"), "are both masks of frame F1: remove one of them"),
        (("x", "y"), ("x", "zebra"), "the mask zebra.png isn't named like a frame: rename or remove it"),
    ],
)
def test_ambiguous_names_are_refused(
    tmp_path: Path, frames: tuple[str, ...], masks: tuple[str, ...], error: str
) -> None:
    for name in masks:
        save_mask(tmp_path / "masks" / f"{name}.png", ids_of(255))
    with clip(tmp_path, *frames) as source, pytest.raises(ValueError, match=re.escape(error)) as raised:
        masks_for(tmp_path / "masks", source).check(source)
    one_line(raised)


@pytest.mark.parametrize("masks", [("cat1", "dog"), ("red_car2", "blue_car3"), ("100", "200"), ("1",), ("1", "2", "3")])
def test_names_of_objects_with_digits(tmp_path: Path, masks: tuple[str, ...]) -> None:
    for place, name in enumerate(masks):
        save_mask(tmp_path / "masks" / f"{name}.png", ids_of(*(255 * (k == place) for k in range(len(masks)))))
    ids = [int(name) for name in masks] if masks[0].isdigit() else list(range(1, len(masks) + 1))
    with clip(tmp_path) as source:
        own = masks_for(tmp_path / "masks", source)
        own.check(source)
        assert given(own, source) == {"00000": [0, *ids]}
    assert own.names == ({} if masks[0].isdigit() else dict(enumerate(sorted(masks), 1)))


def test_masks_of_scenes_always_belong_to_frames(tmp_path: Path) -> None:
    for name in ("1", "2"):
        save_mask(tmp_path / "masks" / f"{name}.png", ids_of(3))
    with clip(tmp_path, "1", "2", "3") as source:
        assert given(masks_for(tmp_path / "masks", source, scene=True), source) == {"1": [0, 3], "2": [0, 3]}


@pytest.mark.parametrize("name", ["00003.png", "3.png", "frame_0003.png", "shot-00003.png"])
def test_a_single_mask_named_after_a_later_frame_is_logged_as_the_first_ones(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with clip(tmp_path) as source:
        assert given(masks_for(save_mask(tmp_path / name, ids_of(5)), source), source) == {"00000": [0, 5]}
    assert f"{name} is applied to the first frame, 00000, not to frame 00003" in caplog.text


@pytest.mark.parametrize(
    "name", ["00000.png", "frame_0000.png", "mask_3.png", "frame_0099.png", "a001_b003.png", "cat.png"]
)
def test_a_single_mask_with_another_name_is_used_silently(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with clip(tmp_path) as source:
        assert given(masks_for(save_mask(tmp_path / name, ids_of(5)), source), source) == {"00000": [0, 5]}
    assert "is applied to the first frame" not in caplog.text


def test_a_number_in_the_clip_name_is_not_a_frame_number(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with open_frames(save_images(tmp_path / "IMG_0004", *(f"{n:05d}.png" for n in range(6)))) as source:
        for name in ("IMG_0004.png", "IMG_0004_mask.png"):
            masks_for(save_mask(tmp_path / name, ids_of(5)), source)
        assert "is applied to the first frame" not in caplog.text
        masks_for(save_mask(tmp_path / "IMG_0004_00003.png", ids_of(5)), source)
    assert "is applied to the first frame, 00000, not to frame 00003" in caplog.text


# ----------------------------------------------------------------------------------------------- one reading for all


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (((255,), (255,)), ([0, 1], [0, 1])),
        (((255,), (0,), (255,)), ([0, 1], [0], [0, 1])),
        (((255,), (128, 255)), ([0, 255], [0, 128, 255])),
        (((255,), (128,)), ([0, 255], [0, 128])),
        (((128, 255), (255,)), ([0, 128, 255], [0, 255])),
        (((1, 2, 255), (255,)), ([0, 1, 2, 255], [0, 255])),
        (((1,), (1, 2)), ([0, 1], [0, 1, 2])),
    ],
)
def test_255_has_the_same_meaning_in_all_masks(
    tmp_path: Path, values: tuple[tuple[int, ...], ...], expected: tuple[list[int], ...]
) -> None:
    for number, own in enumerate(values):
        save_mask(tmp_path / "masks" / f"{number:05d}.png", ids_of(*own))
    with clip(tmp_path) as source:
        read = given(masks_for(tmp_path / "masks", source), source)
    assert read == {f"{number:05d}": ids for number, ids in enumerate(expected)}


def test_0_and_1_beside_0_and_255_is_refused(tmp_path: Path) -> None:
    save_mask(tmp_path / "masks/00000.png", ids_of(1))
    save_mask(tmp_path / "masks/00004.png", ids_of(255))
    with (
        clip(tmp_path) as source,
        pytest.raises(ValueError, match=r"00004\.png: .* 0 and 255, those of 00000\.png are 0 and 1: is 255") as error,
    ):
        given(masks_for(tmp_path / "masks", source), source)
    one_line(error)


def test_a_color_is_the_same_object_in_all_masks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "masks").mkdir()
    red, white = [255, 0, 0], [255, 255, 255]
    for name, colors in {"00000": (red, white), "00002": (white,), "00005": (red,)}.items():
        ids = ids_of(*range(1, len(colors) + 1))
        Image.fromarray(np.array([[0, 0, 0], *colors], np.uint8)[ids]).save(tmp_path / "masks" / f"{name}.png")
    with clip(tmp_path) as source:
        read = given(masks_for(tmp_path / "masks", source), source)
    assert read == {"00000": [0, 1, 2], "00002": [0, 2], "00005": [0, 1]}
    assert caplog.text.count("each color is an object: (255, 0, 0) is 1, (255, 255, 255) is 2") == 1


def cut_out(path: Path, colors: np.ndarray, visible: np.ndarray) -> None:
    """Write RGB pixels, transparent except for the visible ones."""
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.dstack([colors, np.where(visible, np.uint8(255), np.uint8(0))])).save(path)


def test_cut_outs_of_one_object_are_read_consistently(tmp_path: Path) -> None:
    """One with the colors of a photo, one of nine pixels, one with a black pixel, one gray, and one without pixels."""
    rng = np.random.default_rng(0)
    photo = rng.integers(1, 256, (12, 16, 3), np.uint8)
    photo[6, 6] = 0
    areas = [(1, 11, 1, 15), (2, 5, 2, 5), (5, 8, 5, 8), (1, 11, 1, 15), (0, 0, 0, 0)]
    pictures = [photo, photo, photo, np.repeat(photo[..., :1], 3, axis=2), photo]
    shapes = {}
    for number, (colors, (top, bottom, left, right)) in enumerate(zip(pictures, areas, strict=True)):
        shapes[f"{number:05d}"] = shown = np.zeros((12, 16), bool)
        shown[top:bottom, left:right] = True
        cut_out(tmp_path / "masks" / f"{number:05d}.png", colors, shown)
    cut_out(tmp_path / "masks" / "00005.png", rng.integers(1, 256, (12, 16, 3), np.uint8), np.eye(12, 16) == 0)
    with clip(tmp_path) as source:
        masks = masks_for(tmp_path / "masks", source)
        masks.check(source)
        read = {frame.name: masks(frame) for frame in source}
    for name, shown in shapes.items():
        assert np.array_equal(read[name], shown), name


def test_flat_colors_with_transparency_are_the_same_objects_in_all_masks(tmp_path: Path) -> None:
    red, blue = (255, 0, 0), (0, 0, 255)
    for name, colors in {"00000": (red, blue), "00002": (blue,), "00005": (red,)}.items():
        ids = ids_of(*range(1, len(colors) + 1))
        cut_out(tmp_path / "masks" / f"{name}.png", np.array([(9, 9, 9), *colors], np.uint8)[ids], ids > 0)
    with clip(tmp_path) as source:
        read = given(masks_for(tmp_path / "masks", source), source)
    assert read == {"00000": [0, 1, 2], "00002": [0, 1], "00005": [0, 2]}
    (tmp_path / "masks" / "00000.png").unlink()  # no mask is left that has both
    with clip(tmp_path) as source:
        assert given(masks_for(tmp_path / "masks", source), source) == {"00002": [0, 1], "00005": [0, 2]}


def test_masks_with_different_palettes_are_matched_by_color(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    for name, palette in {"00000": [0, 0, 0, 255, 0, 0, 0, 255, 0], "00001": [0, 0, 0, 0, 255, 0, 255, 0, 0]}.items():
        image = Image.fromarray(ids_of(1, 2))
        image.putpalette(palette)
        image.save(tmp_path / "masks" / f"{name}.png")
    with clip(tmp_path, "00000", "00001") as source:
        masks = masks_for(tmp_path / "masks", source)
        first, second = (masks(frame) for frame in source)
    assert first is not None and second is not None
    assert np.array_equal(first, ids_of(2, 1))
    assert np.array_equal(second, ids_of(1, 2))


@pytest.mark.parametrize("stems", [("00000",), ("00006", "00008")])
def test_masks_without_any_object_are_refused_before_the_first_frame(tmp_path: Path, stems: tuple[str, ...]) -> None:
    for stem in stems:
        save_mask(tmp_path / "masks" / f"{stem}.png", np.zeros((12, 16), np.uint8))
    with clip(tmp_path) as source, pytest.raises(ValueError, match="no mask of clip shows an object") as error:
        masks_for(tmp_path / "masks", source).check(source)
    one_line(error)


def test_a_later_mask_of_a_different_size_is_refused_before_the_first_frame(tmp_path: Path) -> None:
    save_mask(tmp_path / "masks/00000.png", ids_of(1))
    save_mask(tmp_path / "masks/00009.png", ids_of(1, size=(12, 30)))
    with clip(tmp_path) as source, pytest.raises(ValueError, match=r"00009\.png: the mask is 12x30"):
        masks_for(tmp_path / "masks", source).check(source)


def test_a_later_mask_that_is_damaged_is_refused_before_the_first_frame(tmp_path: Path) -> None:
    """Palette masks need no decision for which all are read."""
    (tmp_path / "masks").mkdir()
    for stem in ("00000", "00009"):
        write_mask(tmp_path / "masks" / f"{stem}.png", ids_of(1))
    later = tmp_path / "masks/00009.png"
    later.write_bytes(later.read_bytes()[:-20])
    with clip(tmp_path) as source, pytest.raises(ValueError, match=r"00009\.png: the image is truncated or damaged"):
        masks_for(tmp_path / "masks", source).check(source)


def test_frames_that_are_segmented_need_a_mask(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for stem in ("00003", "00009"):
        save_mask(tmp_path / "masks" / f"{stem}.png", ids_of(1))
    with clip(tmp_path) as source:
        with pytest.raises(ValueError, match="no frame of clip among the first 3 has a mask"):
            masks_for(tmp_path / "masks", source).check(source, 3)
        assert not caplog.records
        masks_for(tmp_path / "masks", source).check(source, 4)
    assert "1 masks aren't used" in caplog.text


# -------------------------------------------------------------------------------------------------------------- JSON


def frames(folder: Path, *names: str) -> FrameSource:
    """Write frames of the size of the inputs' table into a folder ``clip``."""
    for name in names:
        (folder / "clip").mkdir(exist_ok=True)
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(folder / "clip" / f"{name}.png")
    return open_frames(folder / "clip")


@pytest.mark.parametrize(
    ("names", "logged"),
    [
        (("00000.jpg", "00003.jpg"), ""),
        (("clip/00000.jpg", "clip/00003.jpg"), ""),
        (("frame_00000.jpg", "frame_00003.jpg"), "frame_00000.jpg is frame 00000"),
        (("00000_jpg.rf.0a1b2c.jpg", "00003_png.rf.ffee99.jpg"), ""),
        (("clip/00000.jpg", "clip/00003.jpg", "other/00000.jpg"), "1 of its 3 images aren't frames of this clip"),
    ],
)
def test_coco_images_are_matched_with_frames(
    tmp_path: Path, names: tuple[str, ...], logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    images = [{"id": i, "file_name": n, "height": SIZE[0], "width": SIZE[1]} for i, n in enumerate(names)]
    annotations = [
        {"id": 5 + i, "image_id": i, "segmentation": rle(k == TWO)}
        for i, k in zip(range(len(names)), (1, 2, 1), strict=False)
    ]
    path = tmp_path / "m.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    with frames(tmp_path, "00000", "00003", "00004") as source:
        masks = masks_for(path, source)
        masks.check(source)
        assert given(masks, source) == {"00000": [0, 5], "00003": [0, 6]}
    assert logged in caplog.text


def test_a_coco_image_belongs_to_the_frame_that_it_names(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "m.json"
    path.write_text(
        json.dumps(coco_file(image={"id": 7, "file_name": "00003.jpg", "height": SIZE[0], "width": SIZE[1]}))
    )
    with frames(tmp_path, "00000", "00003") as source:
        assert given(masks_for(path, source), source) == {"00003": [0, 1, 2]}
    assert "its image is 00003.jpg, so its mask is applied to frame 00003" in caplog.text
    path.write_text(json.dumps(coco_file(image={"id": 7, "file_name": "x.jpg", "height": SIZE[0], "width": SIZE[1]})))
    with frames(tmp_path, "00000", "00003") as source:
        assert given(masks_for(path, source), source) == {"00000": [0, 1, 2]}


def test_coco_images_that_match_no_frame_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    data = {"images": [{"id": 1, "file_name": "cat.jpg"}, {"id": 2, "file_name": "dog.jpg"}], "annotations": []}
    path.write_text(json.dumps(data))
    with frames(tmp_path, "00000") as source, pytest.raises(ValueError, match="none of its 2 images is named") as error:
        masks_for(path, source)
    one_line(error)


@pytest.mark.parametrize("videos", [("any",), ("other", "clip")])
def test_youtube_vis_frames(tmp_path: Path, videos: tuple[str, ...]) -> None:
    path = tmp_path / "m.json"
    path.write_text(json.dumps(youtube_vis_file(*videos)))
    with frames(tmp_path, "00000", "00005") as source:
        masks = masks_for(path, source)
        assert given(masks, source) == {"00000": [0, 1, 2]}
        assert masks.names == {1: "ball", 2: "box"}


def test_labelme_files_of_several_frames_share_their_labels(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    box = shape("box", (76, 20), (107, 75), kind="rectangle")
    for name, shapes in {
        "00000": [shape("ball", (20, 20), (40, 20), (40, 40)), box],
        "00003": [box, shape("note", (1, 1), kind="point")],
    }.items():
        (tmp_path / f"masks/{name}.json").write_text(json.dumps(labelme_file(*shapes)))
    with frames(tmp_path, "00000", "00003") as source:
        masks = masks_for(tmp_path / "masks", source)
        assert given(masks, source) == {"00000": [0, 1, 2], "00003": [0, 2]}
        assert masks.names == {1: "ball", 2: "box"}


def test_a_coco_vid_export_can_be_read_again(tmp_path: Path) -> None:
    """Several videos, each with its own images; ids of objects are those of ``instance_id``."""
    images = [
        {"id": i, "video_id": v, "file_name": f"{name}/{number:05d}.jpg", "height": SIZE[0], "width": SIZE[1]}
        for i, (v, name, number) in enumerate([(1, "clip", 0), (1, "clip", 3), (2, "other", 0)], 1)
    ]
    annotations = [
        {"id": n, "image_id": i, "video_id": v, "instance_id": k, "segmentation": rle(TWO == 1)}
        for n, (i, v, k) in enumerate([(1, 1, 4), (2, 1, 4), (3, 2, 9)], 1)
    ]
    videos = [{"id": 1, "name": "clip"}, {"id": 2, "name": "other"}]
    path = tmp_path / "m.json"
    path.write_text(json.dumps({"videos": videos, "images": images, "annotations": annotations}))
    with frames(tmp_path, "00000", "00003") as source:
        assert given(masks_for(path, source), source) == {"00000": [0, 4], "00003": [0, 4]}
    path.write_text(json.dumps({"videos": videos[:1], "images": images[:2], "annotations": annotations[:2]}))
    with frames(tmp_path, "00000", "00003") as source:
        assert given(masks_for(path, source), source) == {"00000": [0, 4], "00003": [0, 4]}


def test_coco_annotations_without_tracks_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    images = [{"id": i, "file_name": f"{i:05d}.jpg", "height": SIZE[0], "width": SIZE[1]} for i in (0, 3)]
    ball = rle(TWO == 1)

    def read(*annotations: tuple[int, int]) -> dict[str, list[int]]:
        caplog.clear()
        found = [{"id": n, "image_id": i, "segmentation": ball} for n, i in annotations]
        path = tmp_path / "m.json"
        path.write_text(json.dumps({"images": images, "annotations": found}))
        with frames(tmp_path, "00000", "00003") as source:
            return given(masks_for(path, source), source)

    assert read((1, 0), (2, 3)) == {"00000": [0, 1], "00003": [0, 2]}
    assert (
        "each of the 2 annotations in 2 images counts as a separate object: give annotations of one object"
        in caplog.text
    )
    assert read((1, 0), (1, 3)) == {"00000": [0, 1], "00003": [0, 1]}
    assert not caplog.text
    assert read((5, 0), (5, 0)) == {"00000": [0, 5]}
    assert "annotations of 00000.jpg that share an id, such as 5, are one object" in caplog.text
