"""Masks of object ids: formats that are read, error messages, and written files."""

from __future__ import annotations

import errno
import json
import os
import stat
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from media_files import ids_of, object_folder, one_line, save_mask
from PIL import Image
from pycocotools import mask as coco

from voskit.dataloaders.masks import json_files
from voskit.dataloaders.masks.files import (
    davis_palette,
    id_colors,
    read_coco_masks,
    read_mask,
    read_written_mask,
    write_mask,
)
from voskit.dataloaders.masks.mask_set import MaskSet
from voskit.dataloaders.masks.palette import bright_palette, id_palette
from voskit.evaluators.metrics.frames.label_maps import read_label_map


def gray_png(path: Path, values: np.ndarray, bits: int) -> Path:
    """Write a grayscale PNG with fewer than 8 bits per pixel, which Pillow can't write."""
    height, width = values.shape
    per_byte = 8 // bits
    padded = np.zeros((height, -(-width // per_byte) * per_byte), np.uint8)
    padded[:, :width] = values
    shifts = np.arange(per_byte)[::-1] * bits
    rows = (padded.reshape(height, -1, per_byte) << shifts).sum(-1).astype(np.uint8)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)), (b"IDAT", zlib.compress(data))]
    body = b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in [*chunks, (b"IEND", b"")]
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def compressed(mask: np.ndarray) -> dict[str, Any]:
    rle = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(rle["size"]), "counts": rle["counts"].decode()}


def uncompressed(mask: np.ndarray) -> dict[str, Any]:
    flat = np.concatenate([[0], mask.astype(int).ravel(order="F"), [-1]])
    edges = np.flatnonzero(np.diff(flat))
    return {"size": list(mask.shape), "counts": np.diff(np.concatenate([[0], edges])).tolist()}


def write_json(path: Path, data: object) -> Path:
    path.write_text(json.dumps(data))
    return path


# ------------------------------------------------------------------------------------------------------------ palettes


def test_davis_palette() -> None:
    palette = davis_palette()
    assert len(palette) == 768
    colors = [tuple(palette[3 * index : 3 * index + 3]) for index in range(256)]
    assert colors[:4] == [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0)]
    assert colors[8:10] == [(64, 0, 0), (191, 0, 0)]
    assert colors[18] == (0, 191, 0)
    assert colors[21] == (128, 64, 128)
    assert colors[22] == (22, 22, 22)
    assert colors[255] == (255, 255, 255)


def test_id_colors_are_those_of_the_palette_and_all_different() -> None:
    colors = id_colors(np.arange(65536))
    assert colors.shape == (65536, 3)
    assert colors.dtype == np.uint8
    assert colors[:22].tobytes() == davis_palette()[:66]
    assert len(np.unique(colors, axis=0)) == 65536
    window = colors[22:42].astype(int)
    distances = np.abs(window[:, None] - window[None]).sum(-1) + 1000 * np.eye(20, dtype=int)
    assert distances.min() > 50
    assert id_colors([]).shape == (0, 3)


@pytest.mark.parametrize("ids", [[-1], [65536], [1.5]])
def test_colors_of_invalid_ids_are_an_error(ids: list) -> None:
    with pytest.raises(ValueError, match="object ids must be integers"):
        id_colors(ids)


# ------------------------------------------------------------------------------------------------------- write and read


@pytest.mark.parametrize("top", [1, 7, 22, 254, 255])
def test_ids_up_to_255_are_a_palette_png(tmp_path: Path, top: int) -> None:
    mask = ids_of(top, 1, dtype=np.int64)
    write_mask(tmp_path / "00000.png", mask)
    with Image.open(tmp_path / "00000.png") as image:
        assert image.mode == "P"
        assert bytes(image.getpalette() or []) == davis_palette()
    read = read_mask(tmp_path / "00000.png", size=(12, 16))
    assert read.dtype == np.uint8
    assert np.array_equal(read, mask)


@pytest.mark.parametrize("top", [256, 300, 65535])
def test_ids_above_255_are_a_16_bit_png(tmp_path: Path, top: int) -> None:
    mask = ids_of(top, 3, dtype=np.int32)
    write_mask(tmp_path / "00000.png", mask)
    assert np.asarray(cv2.imread(str(tmp_path / "00000.png"), cv2.IMREAD_UNCHANGED)).dtype == np.uint16
    read = read_mask(tmp_path / "00000.png")
    assert read.dtype == np.uint16
    assert np.array_equal(read, mask)


def test_white_of_16_bits_is_an_id_beside_masks_of_ids_and_object_1_alone(tmp_path: Path, caplog) -> None:
    paths = [tmp_path / f"{number:05d}.png" for number in range(2)]
    for path, own in zip(paths, (65535, 300), strict=True):
        write_mask(path, ids_of(own, dtype=np.int32))
    assert [np.unique(MaskSet(paths).read(path)).tolist() for path in paths] == [[0, 65535], [0, 300]]
    assert np.unique(read_mask(paths[0])).tolist() == [0, 1]
    assert "its only values are 0 and 65535: read as one object with id 1" in caplog.text


def test_bool_mask_and_own_palette(tmp_path: Path) -> None:
    write_mask(tmp_path / "m.png", ids_of(1).astype(bool), palette=bytes([0, 0, 0, 9, 8, 7]))
    with Image.open(tmp_path / "m.png") as image:
        assert (image.getpalette() or [])[:6] == [0, 0, 0, 9, 8, 7]
    assert np.array_equal(read_mask(tmp_path / "m.png"), ids_of(1))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (ids_of(65536, dtype=np.int64), "between 0 and 65535, the mask has 0 to 65536"),
        (np.full((4, 4), -1), "between 0 and 65535, the mask has -1 to -1"),
        (np.ones((4, 4), np.float32), "integer object ids, not float32"),
        (np.ones((4, 4, 3), np.uint8), r"height x width and not empty, not of shape \(4, 4, 3\)"),
        (np.ones((0, 4), np.uint8), "not empty"),
    ],
)
def test_invalid_masks_are_not_written(tmp_path: Path, mask: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        write_mask(tmp_path / "m.png", mask)
    assert "m.png" in one_line(error)
    assert list(tmp_path.iterdir()) == []


def test_wrong_extension_palette_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"m\.jpg: masks are written as PNG"):
        write_mask(tmp_path / "m.jpg", ids_of(1))
    with pytest.raises(ValueError, match="1 to 256 RGB triples"):
        write_mask(tmp_path / "m.png", ids_of(1), palette=bytes(769))
    with pytest.raises(FileNotFoundError, match=r"none/m\.png") as error:
        write_mask(tmp_path / "none" / "m.png", ids_of(1))
    one_line(error)


@pytest.mark.skipif(sys.platform == "win32", reason="file modes and limits of POSIX")
def test_failed_write_names_the_file_and_leaves_the_old_one(tmp_path: Path) -> None:
    import resource

    path = tmp_path / "m.png"
    write_mask(path, ids_of(3))
    noise = np.random.default_rng(0).integers(0, 200, (128, 128), np.uint8)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # the kernel refuses the write as a full disk does
    try:
        with pytest.raises(OSError, match=r"mask cannot be written.*m\.png") as error:
            write_mask(path, noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert error.value.errno == errno.EFBIG
    assert error.value.filename == str(path)
    assert list(tmp_path.iterdir()) == [path]
    assert np.array_equal(read_mask(path), ids_of(3))


def test_disk_full_keeps_its_error_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match=r"No space left.*m\.png") as error:
        write_mask(tmp_path / "m.png", ids_of(1))
    assert (error.value.errno, error.value.filename) == (errno.ENOSPC, str(tmp_path / "m.png"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="file modes of POSIX")
def test_written_masks_have_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_mask(tmp_path / "m.png", ids_of(1))
    assert stat.S_IMODE((tmp_path / "m.png").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


# ---------------------------------------------------------------------------------------------------------- image files


def test_grayscale_values_are_ids(tmp_path: Path) -> None:
    for name in ("m.png", "m.bmp", "m.tif"):
        assert np.array_equal(read_mask(save_mask(tmp_path / name, ids_of(1, 5, 200))), ids_of(1, 5, 200))


def test_16_bit_grayscale_with_small_ids_is_uint8(tmp_path: Path) -> None:
    for name in ("m.png", "m.tif"):
        mask = read_mask(save_mask(tmp_path / name, ids_of(1, 2, dtype=np.uint16)))
        assert mask.dtype == np.uint8
        assert np.array_equal(mask, ids_of(1, 2))


def test_1_bit_png_is_object_1(tmp_path: Path) -> None:
    Image.fromarray(ids_of(255)).convert("1").save(tmp_path / "m.png")
    assert np.array_equal(read_mask(tmp_path / "m.png"), ids_of(1))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grayscale_png_of_few_bits_is_not_stretched(tmp_path: Path, bits: int) -> None:
    mask = np.random.default_rng(0).integers(0, 1 << bits, (9, 13), np.uint8)
    path = gray_png(tmp_path / "m.png", mask, bits)
    assert np.array_equal(read_mask(path), mask)
    assert np.array_equal(read_label_map(path), mask)  # scoring reads the same


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_palette_png_of_few_bits(tmp_path: Path, bits: int) -> None:
    mask = np.random.default_rng(0).integers(0, 1 << bits, (9, 13), np.uint8)
    image = Image.fromarray(mask)
    image.putpalette(davis_palette())
    image.save(tmp_path / "m.png", bits=bits)
    assert (tmp_path / "m.png").read_bytes()[24] == bits
    assert np.array_equal(read_mask(tmp_path / "m.png"), mask)


def test_soft_edges_do_not_become_objects(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    soft = np.zeros((9, 13), np.uint8)
    soft[2:7, 2:11] = 255
    soft[1, 2:11] = np.linspace(20, 240, 9)
    assert np.array_equal(read_mask(save_mask(tmp_path / "soft.png", soft)), soft > 127)
    assert "soft.png: 0 and 255 with a soft edge: values from 128 on are read as one object with id 1" in caplog.text
    few = np.where(soft == 255, 200, np.where(soft > 127, 7, 0)).astype(np.uint8)  # no 255: the values are ids
    assert np.array_equal(read_mask(save_mask(tmp_path / "ids.png", few)), few)


def test_black_and_white_is_one_object(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert np.array_equal(read_mask(save_mask(tmp_path / "m.png", ids_of(255))), ids_of(1))
    assert "m.png: its only values are 0 and 255" in caplog.text


@pytest.mark.parametrize("axis", [0, 2])
@pytest.mark.parametrize("on", [True, np.uint8(1), np.uint8(255), np.int64(1)])
def test_an_array_that_repeats_a_mask_is_one_object(tmp_path: Path, axis: int, on: Any) -> None:
    np.save(tmp_path / "m.npy", np.stack([(ids_of(1) == 1) * on] * 3, axis))
    assert np.array_equal(read_mask(tmp_path / "m.npy"), ids_of(1))


def test_an_array_with_different_channels_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", np.stack([ids_of(1) == 1, ids_of(1) == 0, ids_of(1) == 1], 2).astype(np.float32))
    with pytest.raises(ValueError, match="must be an H x W array of object ids, got shape"):
        read_mask(tmp_path / "m.npy")


@pytest.mark.parametrize("mode", ["L", "P"])
def test_void_is_kept_and_logged(tmp_path: Path, mode: str, caplog: pytest.LogCaptureFixture) -> None:
    image = Image.fromarray(ids_of(1, 255))
    if mode == "P":
        image.putpalette(davis_palette())
    image.save(tmp_path / "m.png")
    assert np.array_equal(read_mask(tmp_path / "m.png"), ids_of(1, 255))
    assert "void" in caplog.text


@pytest.mark.parametrize("name", ["m.png", "m.jpg", "m.tif"])
def test_exif_orientation_is_applied_to_masks_as_to_frames(tmp_path: Path, name: str) -> None:
    shown = np.zeros((24, 32), np.uint8)
    shown[:8, :16] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(shown)).save(tmp_path / name, exif=exif)
    assert np.array_equal(read_mask(tmp_path / name, size=(24, 32)), shown // 255)


def test_mask_without_objects(tmp_path: Path) -> None:
    assert not read_mask(save_mask(tmp_path / "m.png", np.zeros((5, 6), np.uint8))).any()


def test_a_gradient_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"m\.png: 256 values, hardly any of which fills an area"):
        read_mask(save_mask(tmp_path / "m.png", np.arange(256, dtype=np.uint8).reshape(16, 16)))


def test_wrong_size(tmp_path: Path) -> None:
    path = save_mask(tmp_path / "m.png", ids_of(1))
    with pytest.raises(ValueError, match=r"m\.png: the mask is 12x16 .* frames are 24x28: .*nearest-neighbor") as error:
        read_mask(path, size=(24, 28))
    one_line(error)
    with pytest.raises(ValueError, match="quarter turn: was it drawn on the unrotated frame"):
        read_mask(path, size=(16, 12))


@pytest.mark.parametrize(
    ("size", "fits"), [((480, 854), True), ((2160, 3840), True), ((120, 214), True), ((480, 800), False)]
)
def test_masks_of_the_same_aspect_ratio_are_resized(tmp_path: Path, size: tuple[int, int], fits: bool) -> None:
    mask = np.zeros((1080, 1920), np.uint16)
    mask[:, 960:] = 300
    path = save_mask(tmp_path / "m.png", mask)
    if fits:
        read = read_mask(path, size=size)
        assert read.shape == size
        assert np.array_equal(read > 0, np.broadcast_to(np.arange(size[1]) >= size[1] // 2, size))
    else:
        with pytest.raises(ValueError, match="the mask is 1080x1920"):
            read_mask(path, size=size)


@pytest.mark.parametrize("mode", ["L", "P"])
def test_thin_objects_with_consecutive_ids_are_not_taken_for_edges(tmp_path: Path, mode: str) -> None:
    ids = np.zeros((40, 60), np.uint8)
    ids[4:36, 4:28], ids[4:36, 28:30], ids[4:36, 30:56] = 2, 20, 40
    ids[10:12, 10:20] = 21
    image = Image.fromarray(ids)
    if mode == "P":
        image.putpalette(davis_palette())
    image.save(tmp_path / "m.png")
    read = read_mask(tmp_path / "m.png")
    assert np.array_equal(read, ids) or mode == "L"
    small = np.where(ids > 19, ids // 10, ids)
    assert np.array_equal(read_mask(save_mask(tmp_path / "small.png", small)), small)


def test_invalid_ids_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"float\.tif: floating-point values"):
        read_mask(save_mask(tmp_path / "float.tif", np.ones((4, 4), np.float32)))
    with pytest.raises(ValueError, match=r"big\.tif: .*between 0 and 65535, the mask has 0 to 70000"):
        read_mask(save_mask(tmp_path / "big.tif", ids_of(70000, dtype=np.int32)))
    Image.fromarray(ids_of(1)).save(tmp_path / "pages.tif", save_all=True, append_images=[Image.fromarray(ids_of(2))])
    with pytest.raises(ValueError, match=r"pages\.tif: the file contains several images"):
        read_mask(tmp_path / "pages.tif")


def test_files_that_are_not_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.png: no such mask"):
        read_mask(tmp_path / "gone.png")
    (tmp_path / "page.png").write_text("<html>404</html>")
    with pytest.raises(ValueError, match=r"page\.png: not an image"):
        read_mask(tmp_path / "page.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(ValueError, match=r"empty\.png: the file is empty"):
        read_mask(tmp_path / "empty.png")
    whole = save_mask(tmp_path / "m.png", np.random.default_rng(0).integers(0, 9, (64, 64), np.uint8)).read_bytes()
    for name, data in (("cut.png", whole[: len(whole) // 2]), ("tail.png", whole[:-20])):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=f"{name}: the image is truncated or damaged") as error:
            read_mask(tmp_path / name)
        one_line(error)


@pytest.mark.parametrize("name", ["annotations.xml", "labels.TXT", "dataset.zip"])
def test_annotation_files_of_other_tools_are_refused_with_advice(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("0 0.5 0.5 0.2 0.2")
    with pytest.raises(ValueError, match=rf"{name}: \.\w+ files can't be read as masks: unpack or export them as PNG"):
        read_mask(tmp_path / name)


# ------------------------------------------------------------------------------------------------------ object folders


def test_folder_with_ids_as_names(tmp_path: Path) -> None:
    folder = object_folder(tmp_path / "objects", _2=ids_of(255, 0, 0), _10=ids_of(0, 1, 0), _00300=ids_of(0, 0, 9))
    (folder / ".DS_Store").touch()
    mask = read_mask(folder, size=(12, 16))
    assert mask.dtype == np.uint16
    assert np.array_equal(mask, ids_of(2, 10, 300, dtype=np.uint16))


def test_folder_with_names_is_numbered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = object_folder(tmp_path / "objects", obj10=ids_of(0, 255), obj2=ids_of(255, 0))
    mask = read_mask(folder)
    assert mask.dtype == np.uint8
    assert np.array_equal(mask, ids_of(1, 2))
    assert "obj2.png is 1, obj10.png is 2" in caplog.text


def test_overlap_in_a_folder_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = object_folder(tmp_path / "objects", _1=ids_of(255), _2=ids_of(255), _3=ids_of(0))
    assert np.array_equal(read_mask(folder), ids_of(2))
    assert "overlap in 72 pixels" in caplog.text
    assert "object 3 has no pixels" in caplog.text


def test_bad_object_folders(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "1.txt").touch()
    with pytest.raises(ValueError, match=r"empty: no image in this folder \(looked for \.bmp, .*\.png.*e\.g\. 1\.txt"):
        read_mask(tmp_path / "empty")
    sizes = object_folder(tmp_path / "sizes", _1=ids_of(1), _2=ids_of(1, size=(16, 12)))
    with pytest.raises(ValueError, match=r"2\.png: this mask is 16x12 .* \(from 1\.png on\) are 12x16"):
        read_mask(sizes)
    twice = object_folder(tmp_path / "twice", _1=ids_of(1), _01=ids_of(1))
    with pytest.raises(ValueError, match=r"are both object 1: remove one"):
        read_mask(twice)
    several = object_folder(tmp_path / "several", _1=ids_of(1, 2))
    with pytest.raises(ValueError, match=r"1\.png: .* this one has 2 values"):
        read_mask(several)
    high = object_folder(tmp_path / "high", _70000=ids_of(1))
    with pytest.raises(ValueError, match=r"70000\.png: object ids must be between 1 and 65535"):
        read_mask(high)


# ----------------------------------------------------------------------------------------------------------------- COCO


@pytest.mark.parametrize("encode", [compressed, uncompressed])
def test_run_lengths_in_every_form_of_file(tmp_path: Path, encode: Any) -> None:
    first, second = ids_of(1, 0), ids_of(0, 1)
    expected = ids_of(3, 400, dtype=np.uint16)
    annotations = [
        {"image_id": 7, "id": 900100, "category_id": 1, "object_id": 3, "segmentation": encode(first)},
        {"image_id": 7, "id": 900101, "category_id": 1, "object_id": 400, "segmentation": encode(second)},
    ]
    image = {"id": 7, "file_name": "video/00000.jpg", "height": 12, "width": 16}
    whole = write_json(tmp_path / "whole.json", {"images": [image], "annotations": annotations})
    assert read_mask(whole).dtype == np.uint16
    assert np.array_equal(read_mask(whole, size=(12, 16)), expected)
    assert np.array_equal(read_mask(write_json(tmp_path / "list.json", annotations)), expected)
    assert np.array_equal(read_mask(write_json(tmp_path / "one.json", encode(first))), first)


def test_random_masks_survive_both_encodings(tmp_path: Path) -> None:
    for seed in range(20):
        mask = np.random.default_rng(seed).random((17, 23)) < seed / 19
        for encode in (compressed, uncompressed):
            assert np.array_equal(read_mask(write_json(tmp_path / "m.json", encode(mask))), mask)


def test_polygons(tmp_path: Path) -> None:
    square = [2, 2, 10, 2, 10, 8, 2, 8]
    image = {"id": 1, "file_name": "a.jpg", "height": 12, "width": 16}
    data = {"images": [image], "annotations": [{"image_id": 1, "id": 5, "segmentation": [square]}]}
    mask = read_mask(write_json(tmp_path / "m.json", data))
    assert set(np.unique(mask)) == {0, 5}
    assert mask[5, 5] == 5
    assert mask.shape == (12, 16)
    flat = write_json(tmp_path / "flat.json", [{"id": 5, "segmentation": square}])
    assert np.array_equal(read_mask(flat, size=(12, 16)), mask)
    with pytest.raises(ValueError, match="polygons need the size of the image"):
        read_mask(flat)
    with pytest.raises(ValueError, match="a polygon must be at least 3 points"):
        read_mask(write_json(tmp_path / "bad.json", [{"id": 5, "segmentation": [[1, 2, 3, 4]]}]), size=(12, 16))


def test_one_image_of_several(tmp_path: Path) -> None:
    images = [{"id": index, "file_name": f"v/{index:05d}.jpg", "height": 12, "width": 16} for index in range(12)]
    annotations = [{"id": 1 + index, "image_id": index, "segmentation": compressed(ids_of(1))} for index in range(11)]
    path = write_json(tmp_path / "m.json", {"images": images, "annotations": annotations})
    for image in (3, "3", "v/00003.jpg", "00003.jpg", "00003", "v/00003"):
        assert np.array_equal(read_coco_masks(path, image=image), ids_of(4))
    assert not read_coco_masks(path, image=11).any()
    with pytest.raises(ValueError, match=r"masks of 12 images: choose one .*00000\.jpg, .*12 in all") as error:
        read_mask(path)
    one_line(error)
    with pytest.raises(ValueError, match=r"no image x\.jpg in this file; it has v/00000\.jpg"):
        read_coco_masks(path, image="x.jpg")
    results = write_json(tmp_path / "results.json", annotations)
    assert np.array_equal(read_coco_masks(results, image=2), ids_of(3))
    with pytest.raises(ValueError, match="masks of 11 images"):
        read_coco_masks(results)


def test_sources_of_object_ids(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = {"segmentation": compressed(ids_of(1, 0))}, {"segmentation": compressed(ids_of(0, 1))}
    path = tmp_path / "m.json"
    assert np.array_equal(read_mask(write_json(path, [first, second])), ids_of(1, 2))
    kinds = [{"id": 4, "category_id": 1, **first}, {"id": 5, "category_id": 1, **second}]
    assert np.array_equal(read_mask(write_json(path, kinds)), ids_of(4, 5))
    assert np.array_equal(
        read_mask(write_json(path, [{"category_id": 9, **first}, {"category_id": 9, **second}])), ids_of(9, 9)
    )
    assert not caplog.records
    with pytest.raises(ValueError, match="only some annotations have id"):
        read_mask(write_json(path, [{"id": 4, **first}, second]))
    for value in (0, -1, 65536, "7", True, 1.0):
        assert np.array_equal(read_mask(write_json(path, [{"id": value, **first}])), ids_of(1, 0))


def test_later_annotations_win(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    annotations = [{"id": index, "segmentation": compressed(ids_of(1))} for index in (5, 3)]
    assert np.array_equal(read_mask(write_json(tmp_path / "m.json", annotations)), ids_of(3))
    assert "overlap in 72 pixels" in caplog.text


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ("41", "covers 21 pixels|damaged"),  # pycocotools alone reads past the end of this one
        ("zzzzz", "damaged"),
        ("é", "damaged"),
        ("", "covers 0 of"),
        ([3, 4], "covers 7 of 4x4 = 16 pixels"),
        ([-3, 19], "damaged"),
        ([1.5, 14.5], "damaged"),
        (None, "damaged"),
    ],
)
def test_damaged_run_lengths(tmp_path: Path, counts: object, reason: str) -> None:
    path = write_json(tmp_path / "m.json", {"size": [4, 4], "counts": counts})
    with pytest.raises(ValueError, match=rf"m\.json: annotation 0 .*({reason})") as error:
        read_mask(path)
    one_line(error)


def test_bad_coco_files(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    with pytest.raises(FileNotFoundError, match=r"m\.json: no such file"):
        read_coco_masks(path)
    for text in ("{", "[1,"):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"m\.json: not a JSON file") as error:
            read_mask(path)
        one_line(error)
    wrong: list[object] = [3, {"images": []}, {"annotations": {}}]
    for data in wrong:
        with pytest.raises(ValueError, match="not COCO masks"):
            read_mask(write_json(path, data))
    with pytest.raises(ValueError, match="must be JSON objects"):
        read_mask(write_json(path, [1, 2]))
    with pytest.raises(ValueError, match="the only image has neither annotations nor a size"):
        read_mask(write_json(path, []))
    with pytest.raises(ValueError, match="no segmentation"):
        read_mask(write_json(path, [{"id": 1, "bbox": [0, 0, 2, 2]}]))
    with pytest.raises(ValueError, match=r"two positive integers \(height, width\), not \[0, 4\]"):
        read_mask(write_json(path, {"size": [0, 4], "counts": []}))
    with pytest.raises(ValueError, match=r"10000000x10000000 .* is too large for an image"):
        read_mask(write_json(path, {"size": [10**7, 10**7], "counts": [10**14]}))
    with pytest.raises(ValueError, match="a point lies far outside the image of 12x16"):
        read_mask(write_json(path, [{"id": 1, "segmentation": [[1e18, 1, 5, 5, 9, 1]]}]), size=(12, 16))
    with pytest.raises(ValueError, match="frames are 6x12"):
        read_coco_masks(write_json(path, compressed(ids_of(1))), size=(6, 12))
    sizes = [{"id": 1, "segmentation": compressed(ids_of(1))}, {"id": 2, "segmentation": compressed(np.ones((4, 4)))}]
    with pytest.raises(ValueError, match=r"object 2\): the mask is 4x4 .* the image is 12x16"):
        read_mask(write_json(path, sizes))


class Asked(dict):
    """An annotation that counts how often its image is asked for."""

    count = 0

    def get(self, key: Any, default: Any = None) -> Any:
        Asked.count += key == "image_id"
        return super().get(key, default)


def test_annotations_are_sorted_by_image_in_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [{"id": index, "file_name": f"{index}.jpg", "height": 12, "width": 16} for index in range(20)]
    square = [[1, 1, 5, 1, 5, 5]]
    annotations = [
        Asked(id=n, track_id=1 + n // 20, image_id=str(n % 20) if n % 2 else n % 20, segmentation=square)
        for n in range(60)
    ]
    data = {"images": images, "annotations": annotations}
    monkeypatch.setattr(json_files, "load_json", lambda _: data)
    monkeypatch.setattr(Asked, "count", 0)
    masks = json_files.JsonMasks([tmp_path / "m.json"])
    assert [image.names for image in masks.images] == [(f"{n}.jpg", str(n)) for n in range(20)]
    assert [[region.key for region in image.regions] for image in masks.images] == [[1, 2, 3]] * 20
    assert [region.where for region in masks.images[7].regions] == [
        f"{tmp_path / 'm.json'}: annotation {n} (7.jpg" for n in (7, 27, 47)
    ]
    assert Asked.count == len(annotations)


def test_annotations_without_an_image_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = {"id": 1, "height": 12, "width": 16}
    annotations = [{"id": n, "image_id": n, "segmentation": compressed(ids_of(1))} for n in (1, 7)]
    mask = read_mask(write_json(tmp_path / "m.json", {"images": [image], "annotations": annotations}))
    assert np.array_equal(mask, ids_of(1))
    assert "m.json: left out 1 annotations whose image_id matches no image in the file" in caplog.text


def test_coco_image_without_objects(tmp_path: Path) -> None:
    data: dict[str, list] = {"images": [{"id": 1, "height": 12, "width": 16}], "annotations": []}
    assert np.array_equal(read_mask(write_json(tmp_path / "m.json", data)), np.zeros((12, 16)))


@pytest.mark.parametrize("palette", [id_palette(), bright_palette(), davis_palette()])
def test_a_mask_in_known_colors_has_no_smooth_edges(tmp_path: Path, palette: bytes) -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[:, :20], mask[:, 20:40], mask[:, 40:] = 32, 39, 3
    mask[5:32, 20] = 29  # its color of id_palette lies between those of its neighbors
    write_mask(tmp_path / "own.png", mask, palette=palette)
    assert np.array_equal(read_mask(tmp_path / "own.png"), mask)


def test_a_written_mask_is_read_as_it_was(tmp_path: Path) -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[:, :20], mask[5:32, 20] = 26, 47
    write_mask(tmp_path / "own.png", mask)
    assert np.array_equal(read_written_mask(tmp_path / "own.png"), mask)
    large = np.where(mask == 26, np.uint16(65535), np.uint16(0))
    write_mask(tmp_path / "large.png", large)
    assert np.array_equal(read_written_mask(tmp_path / "large.png"), large)
    with pytest.raises(ValueError, match=r"own\.png"):
        read_written_mask(tmp_path / "own.png", (40, 30))
