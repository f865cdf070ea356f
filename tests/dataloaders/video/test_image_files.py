"""Frames from folders of images and single images, and their errors."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from media_files import BLUE, GRAY, GREEN, RED, four_colors, one_line, quarters, save_images
from PIL import Image, ImageFile

from voskit.dataloaders.images import image_to_rgb, list_images, load_image
from voskit.dataloaders.video.frames import check_source, open_frames


def test_a_folder_is_sorted_in_natural_order(tmp_path: Path) -> None:
    folder = save_images(tmp_path / "walk", "frame2.png", "frame10.JPG", "frame1.bmp", "Frame3.webp", "frame4.tiff")
    save_images(folder / "nested", "frame0.png")
    (folder / ".frame0.png").write_bytes(b"hidden")
    (folder / "notes.txt").write_text("no image")
    with open_frames(folder) as source:
        assert (source.name, source.size, source.fps, source.num_frames) == ("walk", (20, 30), None, 5)
        assert [frame.name for frame in source] == ["frame1", "frame2", "Frame3", "frame4", "frame10"]
        assert [frame.index for frame in source] == [0, 1, 2, 3, 4]


def test_images_by_their_numbers(tmp_path: Path) -> None:
    with open_frames(save_images(tmp_path / "walk", "1.png", "2.png", "3.png")) as source:
        assert [frame.name for frame in source.between(2, 0)] == ["3", "2", "1"]
        assert [frame.index for frame in source.between(1, 2)] == [1, 2]
        for number in (3, -1):
            with pytest.raises(ValueError, match=f"no frame {number}, the last one is 2"):
                next(source.between(number, number))


def test_single_image_is_one_frame(tmp_path: Path) -> None:
    Image.fromarray(four_colors()).save(tmp_path / "photo.png")
    with open_frames(str(tmp_path / "photo.png")) as source:
        assert (source.name, source.num_frames) == ("photo", 1)
        (frame,) = source
    assert np.array_equal(frame.image, four_colors())
    assert frame.name == "photo"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(four_colors()).save(tmp_path / "phone.jpg", exif=exif, quality=95)
    expected = {
        1: [RED, GREEN, BLUE, GRAY],
        2: [GREEN, RED, GRAY, BLUE],
        3: [GRAY, BLUE, GREEN, RED],
        4: [BLUE, GRAY, RED, GREEN],
        5: [RED, BLUE, GREEN, GRAY],
        6: [BLUE, RED, GRAY, GREEN],
        7: [GRAY, GREEN, BLUE, RED],
        8: [GREEN, GRAY, RED, BLUE],
    }
    with open_frames(tmp_path / "phone.jpg") as source:
        assert source.size == ((32, 48) if orientation < 5 else (48, 32))
        assert quarters(next(iter(source)).image) == expected[orientation]


def test_all_pixel_formats_become_rgb(tmp_path: Path) -> None:
    image = Image.fromarray(four_colors())
    gray = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    palette = image.convert("P", palette=Image.Palette.ADAPTIVE)
    cases = {
        "rgba.png": image.convert("RGBA"),
        "palette.png": palette,
        "cmyk.jpg": image.convert("CMYK"),
        "gray.png": image.convert("L"),
        "alpha.png": image.convert("LA"),
        "bits.png": image.convert("1"),
        "deep.png": Image.fromarray(gray),
        "deep.tif": Image.fromarray(gray),
    }
    for name, picture in cases.items():
        options: dict[str, Any] = {"transparency": bytes([0, 128, 255, 255])} if name == "palette.png" else {}
        picture.save(tmp_path / name, **options)
        with open_frames(tmp_path / name) as source:
            (frame,) = source
        assert frame.image.dtype == np.uint8
        assert frame.image.flags.writeable
        if name in ("rgba.png", "palette.png", "cmyk.jpg"):
            assert quarters(frame.image) == [RED, GREEN, BLUE, GRAY]
        elif name.startswith("deep"):
            assert np.array_equal(frame.image, np.repeat((gray >> 8).astype(np.uint8)[..., None], 3, axis=2))
        else:
            assert np.array_equal(frame.image[..., 0], np.asarray(picture.convert("L")))


@pytest.mark.parametrize("bits", (8, 10, 12, 14, 16))
@pytest.mark.parametrize(("suffix", "colors"), [(".png", False), (".tif", False), (".png", True), (".tif", True)])
def test_all_16_bit_frames_of_a_folder_are_scaled_by_the_bits_in_use(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, bits: int, suffix: str, colors: bool
) -> None:
    caplog.set_level("INFO")
    ramp = np.linspace(0, 2**bits - 1, 600).astype(np.uint16).reshape(20, 30)
    ramp = np.stack([ramp, ramp // 2, ramp // 4], 2) if colors else ramp
    dark = ramp // 8  # a dark frame stays darker than the others
    for name, image in (("1", dark), ("2", ramp), ("3", dark)):
        assert cv2.imwrite(str(tmp_path / f"{name}{suffix}"), image[..., ::-1] if colors else image)
    with open_frames(tmp_path) as source:
        frames = [frame.image for frame in source]
    for frame, image in zip(frames, (dark, ramp, dark), strict=True):
        expected = (image >> (bits - 8)).astype(np.uint8)
        assert np.array_equal(frame, expected if colors else np.repeat(expected[..., None], 3, axis=2))
    lines = [record.getMessage() for record in caplog.records]
    told = f"{tmp_path}: the 16-bit images use only {bits} bits: values 0 to {2**bits - 1} become 0 to 255"
    assert lines == ([] if bits == 16 else [told])
    path = tmp_path / f"1{suffix}"
    assert np.array_equal(image_to_rgb(load_image(path), path), frames[0]), "training and pages read the same values"


def test_a_16_bit_frame_brighter_than_the_folder_is_clipped_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for i in range(140):
        value = 60000 if i == 1 else 1000  # frame 1 isn't among those that are looked at
        Image.fromarray(np.full((4, 6), value, np.uint16)).save(tmp_path / f"{i}.png")
    with open_frames(tmp_path) as source:
        values = [int(frame.image[0, 0, 0]) for frame in source]
    assert values == [250, 255, *[250] * 138]
    assert f"{tmp_path / '1.png'}: values above 1023, the range of the other frames, are clipped" in caplog.text


def test_pixels_of_unknown_range_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(ValueError, match=r"float\.tif: floating-point"):
        open_frames(tmp_path / "float.tif")
    Image.fromarray(np.full((4, 4), 1 << 20, np.int32)).save(tmp_path / "wide.tif")
    with pytest.raises(ValueError, match=r"wide\.tif: 32-bit"):
        open_frames(tmp_path / "wide.tif")


@pytest.mark.parametrize("name", ["a.webp", "a.png", "a.tif"])
def test_several_images_in_one_file_are_refused(tmp_path: Path, name: str) -> None:
    pictures = [Image.fromarray(np.full((20, 30, 3), level, np.uint8)) for level in (0, 90, 200)]
    pictures[0].save(tmp_path / name, save_all=True, append_images=pictures[1:])
    with pytest.raises(
        ValueError, match=f"{name} contains 3 images: convert it to a video or to a folder of single images"
    ) as error:
        open_frames(tmp_path / name)
    one_line(error)


@pytest.mark.parametrize("name", ["2.webp", "2.png", "2.tif"])
def test_several_images_in_one_file_of_a_folder_are_refused(tmp_path: Path, name: str) -> None:
    pictures = [Image.fromarray(np.full((20, 30, 3), level, np.uint8)) for level in (0, 90, 200)]
    pictures[0].save(tmp_path / "1.png")
    pictures[0].save(tmp_path / name, save_all=True, append_images=pictures[1:])
    with open_frames(tmp_path) as source, pytest.raises(ValueError, match=f"{name} contains 3 images"):
        list(source)


def test_images_of_unsupported_formats_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = save_images(tmp_path / "images", "1.png", "2.PNG")
    for name in ("1.dng", "3.heic", "4.avif", "notes.txt", "Thumbs.db", ".5.heic"):
        (folder / name).touch()
    with open_frames(folder) as source:
        assert source.num_frames == 2
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder}: its 2 images (.PNG, .png) are the frames; 2 files are left out, such as 3.heic"
    ]


def test_images_read_in_several_threads_leave_pillow_as_it_was(tmp_path: Path, monkeypatch) -> None:
    folder = save_images(tmp_path / "images", "1.png", "2.png", size=(64, 64))
    cut = tmp_path / "cut.png"
    cut.write_bytes((folder / "1.png").read_bytes()[:-30])
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    filters = list(warnings.filters)

    def refused(path: Path) -> bool:
        try:
            load_image(path)
        except ValueError:
            return True
        return False

    paths = [folder / "1.png", cut, folder / "2.png"] * 100
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(refused, paths)) == [path == cut for path in paths]
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True
    assert warnings.filters == filters


@pytest.mark.parametrize("name", ["2.jpg", "2.png", "2.webp", "2.tif", "2.bmp"])
def test_truncated_image_is_named(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_images(tmp_path / "images", "1.png", "3.png", size=(64, 64))
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(folder / name)
    (folder / name).write_bytes((folder / name).read_bytes()[:-900])
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # set by another library
    names: list[str] = []
    with open_frames(folder) as source, pytest.raises(ValueError, match=name) as error:
        names.extend(frame.name for frame in source)
    assert names == ["1"]
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True
    one_line(error)


def test_png_with_a_flipped_bit(tmp_path: Path) -> None:
    folder = save_images(tmp_path / "images", "1.png", size=(64, 64))
    data = bytearray((folder / "1.png").read_bytes())
    data[data.index(b"IDAT") + 12] ^= 4
    (folder / "1.png").write_bytes(data)
    with pytest.raises(ValueError, match=r"1\.png: the image is truncated or damaged"):
        open_frames(folder)


def test_a_file_that_is_not_an_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.png").write_text("<html>404</html>")
    with pytest.raises(ValueError, match=r"page\.png: not an image"):
        open_frames(tmp_path / "page.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(ValueError, match=r"empty\.png: the file is empty"):
        open_frames(tmp_path / "empty.png")


def test_size_that_changes_within_a_folder(tmp_path: Path) -> None:
    folder = save_images(tmp_path / "images", "1.png", "2.png")
    save_images(folder, "3.png", size=(30, 20))
    read = 0
    with open_frames(folder) as source, pytest.raises(ValueError, match=r"3\.png: .*30x20.*20x30"):
        for _ in source:
            read += 1
    assert read == 2


def test_same_stem_twice(tmp_path: Path) -> None:
    folder = save_images(tmp_path / "images", "00001.jpg", "00001.png")
    with pytest.raises(ValueError, match=r"00001\.jpg and 00001\.png have the same stem"):
        open_frames(folder)


def test_folder_without_images(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no image in this folder \(looked for \.bmp, \.jpeg, \.jpg"):
        open_frames(tmp_path)
    (tmp_path / "clip.mp4").touch()
    with pytest.raises(ValueError, match=r"it holds 1 other file\(s\), e\.g\. clip\.mp4"):
        open_frames(tmp_path)


def test_missing_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.mp4: no such file or folder") as error:
        open_frames(tmp_path / "gone.mp4")
    one_line(error)
    with pytest.raises(FileNotFoundError, match="empty string"):
        open_frames("")


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("0", "camera", None),
        ("rtsp://host/live", "stream", None),
        ("images", "folder", None),
        ("1.png", "image", None),
        ("clip.mp4", "video", None),
        ("gone.mp4", None, r"gone\.mp4: no such file or folder"),
        ("none", None, r"none: no image in this folder"),
        ("empty.mp4", None, r"empty\.mp4: the file is empty \(0 bytes\)"),
        ("moving.webp", None, r"moving\.webp contains 2 images"),
        ("", None, "empty string"),
    ],
)
def test_sources_are_checked_without_decoding(tmp_path: Path, monkeypatch, name, kind, message) -> None:
    monkeypatch.chdir(tmp_path)
    save_images(tmp_path / "images", "1.png")
    save_images(tmp_path, "1.png")
    (tmp_path / "none").mkdir()
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "clip.mp4").write_bytes(b"not looked at")
    pictures = [Image.fromarray(np.full((4, 6, 3), value, np.uint8)) for value in (0, 200)]
    pictures[0].save(tmp_path / "moving.webp", save_all=True, append_images=pictures[1:])
    if message is None:
        assert check_source(name) == kind
        return
    for check in (check_source, open_frames):
        with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
            check(name)
        one_line(error)


def test_a_link_to_an_image_that_isn_t_there_is_named(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "0.png")
    (tmp_path / "1.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(FileNotFoundError, match=r"1\.png: a link to .*gone\.png, which doesn't exist"):
        list_images(tmp_path)
