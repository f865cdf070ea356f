"""Export formats, each read back by an independent reader."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import av
import cv2
import numpy as np
import pytest
from exported_clip import NAMES, TIMES, H, W, ids_of_frame
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from voskit.dataloaders.masks.files import read_mask
from voskit.dataloaders.masks.frame_masks import masks_for
from voskit.dataloaders.video.frames import open_frames
from voskit.dataloaders.video.source import Playback
from voskit.evaluators.clips.video.formats import PRORES_4444, VP9_ALPHA
from voskit.evaluators.clips.video.writer import VideoWriter
from voskit.evaluators.exports.base import EXPORTS, build_export
from voskit.evaluators.exports.results import export_masks

Exported = Callable[..., Path]
FRAMES = [f"{number:05d}" for number in range(len(TIMES))]
LABELS = {1: "1_Ring", 7: "7_two_pieces_é"}


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


def expected(number: int, object_id: int) -> np.ndarray:
    return ids_of_frame(number) == object_id


def test_png_has_ids(exported: Exported) -> None:
    for palette in ("davis", "gray"):
        folder = exported(f"png:palette={palette}")
        for number, name in enumerate(FRAMES):
            with Image.open(folder / f"{name}.png") as image:
                assert image.mode == ("L" if palette == "gray" else "P")
                assert np.array_equal(np.array(image), ids_of_frame(number))


def test_binary_has_a_sequence_of_each_object_with_all_frames(exported: Exported) -> None:
    folder = exported("binary")
    assert sorted(path.name for path in folder.iterdir()) == list(LABELS.values())
    for object_id, label in LABELS.items():
        for number, name in enumerate(FRAMES):
            picture = pixels(folder / label / f"{name}.png")
            assert np.array_equal(picture, expected(number, object_id) * 255), (label, name)


def test_binary_of_all_objects(exported: Exported) -> None:
    folder = exported("binary:objects=together")
    assert np.array_equal(pixels(folder / "my_clip" / "00002.png"), (ids_of_frame(2) > 0) * 255)


@pytest.mark.parametrize("kind", ["coco", "coco-vid"])
def test_coco_is_read_by_pycocotools(exported: Exported, kind: str) -> None:
    path = exported(kind)
    data = COCO(str(path))
    assert [image["frame_index"] for image in data.loadImgs(data.getImgIds())] == list(range(len(FRAMES)))
    assert {row["name"] for row in data.loadCats(data.getCatIds())} == set(NAMES.values())
    for number, image_id in enumerate(data.getImgIds()):
        seen = np.zeros((H, W), np.uint8)
        for annotation in data.loadAnns(data.getAnnIds(imgIds=[image_id])):
            mask = data.annToMask(annotation)
            seen[mask > 0] = annotation["track_id"]
            assert annotation["area"] == mask.sum()
            assert annotation["bbox"] == list(cv2.boundingRect(mask))
            assert data.loadCats([annotation["category_id"]])[0]["name"] == NAMES[annotation["track_id"]]
        assert np.array_equal(seen, ids_of_frame(number))
        image = data.loadImgs([image_id])[0]
        assert (image["width"], image["height"], image["time"]) == (W, H, pytest.approx(TIMES[number]))
        assert image["file_name"] == ("my clip/" if kind == "coco-vid" else "") + f"{FRAMES[number]}.jpg"


def test_coco_vid_has_videos_frames_and_instances(exported: Exported) -> None:
    data = json.loads(exported("coco-vid").read_text())
    assert data["videos"] == [{"id": 1, "name": "my clip", "width": W, "height": H, "length": len(FRAMES)}]
    assert [image["frame_id"] for image in data["images"]] == list(range(len(FRAMES)))
    assert {(row["video_id"], row["instance_id"]) for row in data["annotations"]} == {(1, 1), (1, 7)}


@pytest.mark.parametrize("kind", ["coco", "youtube-vis"])
def test_json_is_read_by_voskit(exported: Exported, clip: Path, kind: str) -> None:
    path = exported(kind)
    with open_frames(clip) as source:
        masks = masks_for(path, source)
        for frame in source:
            ids = masks(frame)
            want = ids_of_frame(frame.index)
            if kind == "youtube-vis":  # its objects are numbered in the order of their ids
                want = np.where(want == 7, 2, want)
            assert np.array_equal(np.zeros((H, W)) if ids is None else ids, want)
        assert sorted(masks.names.values()) == sorted(NAMES.values())


def test_youtube_vis_has_an_entry_for_each_frame(exported: Exported) -> None:
    data = json.loads(exported("youtube-vis").read_text())
    (video,) = data["videos"]
    assert (video["width"], video["height"], video["length"]) == (W, H, len(FRAMES))
    assert video["file_names"] == [f"my clip/{name}.jpg" for name in FRAMES]
    categories = {row["id"]: row["name"] for row in data["categories"]}
    assert [row["id"] for row in data["annotations"]] == [1, 7]
    for row in data["annotations"]:
        assert categories[row["category_id"]] == NAMES[row["id"]]
        assert row["video_id"] == video["id"]
        assert len(row["segmentations"]) == len(row["bboxes"]) == len(row["areas"]) == len(FRAMES)
        for number, encoding in enumerate(row["segmentations"]):
            want = expected(number, row["id"])
            if encoding is None:
                assert not want.any() and row["bboxes"][number] is None and row["areas"][number] is None
            else:
                assert np.array_equal(coco_mask.decode(encoding), want)
                assert row["areas"][number] == want.sum()


def test_davis_is_a_dataset_that_voskit_reads(exported: Exported, tmp_path: Path, clip: Path) -> None:
    from voskit.dataloaders.datasets import open_dataset

    with zipfile.ZipFile(exported("davis")) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "davis")
    dataset = open_dataset("davis2017", tmp_path / "davis", split="val")
    assert [video.name for video in dataset] == ["my_clip"]
    masks = tmp_path / "davis" / "Annotations" / "480p" / "my_clip"
    for number, name in enumerate(FRAMES):
        assert np.array_equal(read_mask(masks / f"{name}.png"), ids_of_frame(number))
    with open_frames(clip) as source:
        first = next(iter(source)).image
    jpeg = pixels(tmp_path / "davis" / "JPEGImages" / "480p" / "my_clip" / "00000.jpg")
    assert np.abs(jpeg.astype(int) - first).mean() < 3


def test_cvat_has_tracks_of_masks(exported: Exported) -> None:
    root = ElementTree.parse(exported("cvat")).getroot()
    assert root.findtext("version") == "1.1"
    task = root.find("meta/task")
    assert task is not None
    assert (task.findtext("name"), task.findtext("size"), task.findtext("mode")) == ("my clip", "6", "interpolation")
    assert (task.findtext("original_size/width"), task.findtext("original_size/height")) == (str(W), str(H))
    assert [label.findtext("name") for label in task.iterfind("labels/label")] == list(NAMES.values())
    assert [(track.get("id"), track.get("label")) for track in root.iterfind("track")] == [
        (str(object_id), name) for object_id, name in NAMES.items()
    ]
    for track in root.iterfind("track"):
        object_id = int(track.get("id", ""))
        shown = {}
        for mask in track.iterfind("mask"):
            if mask.get("outside") == "0":
                shown[int(mask.get("frame", ""))] = mask_of_cvat(mask)
        assert sorted(shown) == [number for number in range(6) if expected(number, object_id).any()]
        for number, mask in shown.items():
            assert np.array_equal(mask, expected(number, object_id))
    ends = [mask.get("frame") for mask in root.iterfind("track[@id='7']/mask[@outside='1']")]
    assert ends == ["4"]


def test_cvat_replaces_what_xml_cannot_hold(clip: Path, masks: Path, tmp_path: Path) -> None:
    names = {1: "caf\udce9", 7: "bell\a \U0001f6b4 <a>"}  # the first is a file name in Latin-1, as Python reads it
    (path,) = export_masks(clip, masks, tmp_path, ["cvat"], names=names)
    labels = [label.findtext("name") for label in ElementTree.parse(path).iterfind("meta/task/labels/label")]
    assert labels == ["caf\ufffd", "bell\ufffd \U0001f6b4 <a>"]


def mask_of_cvat(element: ElementTree.Element) -> np.ndarray:
    """Decode a mask as CVAT documents it: rows of the box, runs of 0 and 1 in turn, the first of 0."""
    left, top, width, height = (int(element.get(key, "")) for key in ("left", "top", "width", "height"))
    values: list[int] = []
    for place, run in enumerate(element.get("rle", "").split(",")):
        values += [place % 2] * int(run)
    canvas = np.zeros((H, W), bool)
    canvas[top : top + height, left : left + width] = np.array(values).reshape(height, width)
    return canvas


def test_yolo_has_polygons_of_the_masks(exported: Exported) -> None:
    folder = exported("yolo-seg")
    names = re.findall(r"^  (\d+): \"(.*)\"$", (folder / "data.yaml").read_text(), re.MULTILINE)
    assert [name for _, name in names] == ["Ring", r"two pieces / \u00e9"]
    for number, name in enumerate(FRAMES):
        lines = (folder / "labels" / f"{name}.txt").read_text().splitlines()
        present = [object_id for object_id in NAMES if expected(number, object_id).any()]
        assert [line.split()[0] for line in lines] == [str(list(NAMES).index(object_id)) for object_id in present]
        for object_id, line in zip(present, lines, strict=True):
            points = np.array(line.split()[1:], float).reshape(-1, 2) * (W, H)
            filled = cv2.fillPoly(np.zeros((H, W), np.uint8), [points.astype(np.int32)], 1) > 0
            want = expected(number, object_id)
            extra = 20 if object_id == 7 else 0  # the line that joins its two pieces
            assert not (want & ~filled).any()
            assert (filled & ~want).sum() <= extra
        assert pixels(folder / "images" / f"{name}.jpg").shape == (H, W, 3)


def test_yolo_names_have_no_surrogates_which_yaml_does_not_join(clip: Path, masks: Path, tmp_path: Path) -> None:
    (folder,) = export_masks(clip, masks, tmp_path, ["yolo-seg"], names={1: 'a \U0001f6b4 "b"', 7: "\\é"})
    lines = (folder / "data.yaml").read_text().splitlines()
    assert lines[-2:] == [r'  0: "a \U0001f6b4 \"b\""', r'  1: "\\\u00e9"']


def test_csv_has_a_row_for_each_frame_and_object(exported: Exported) -> None:
    quality = {"00003": {7: {"confidence": 0.51234, "margin": 0.25}}}
    rows = list(csv.DictReader(io.StringIO(exported("csv", quality=quality).read_text(encoding="utf-8"))))
    assert [(row["frame"], row["object"]) for row in rows] == [
        (name, str(object_id)) for number, name in enumerate(FRAMES) for object_id in (1, *([7] if number > 1 else []))
    ]
    for row in rows:
        number = int(row["frame"])
        want = expected(number, int(row["object"]))
        assert float(row["time"]) == pytest.approx(TIMES[number])
        assert row["name"] == NAMES[int(row["object"])]
        assert (row["present"], row["area"]) == (str(int(want.any())), str(want.sum()))
        if want.any():
            box = [int(row[key]) for key in ("left", "top", "width", "height")]
            assert box == list(cv2.boundingRect(want.astype(np.uint8)))
            moments = cv2.moments(want.astype(np.uint8), binaryImage=True)
            assert float(row["center_x"]) == pytest.approx(moments["m10"] / moments["m00"], abs=0.01)
            assert float(row["center_y"]) == pytest.approx(moments["m01"] / moments["m00"], abs=0.01)
        else:
            assert row["left"] == row["center_x"] == ""
    measured = [(row["frame"], row["object"], row["confidence"], row["margin"]) for row in rows if row["confidence"]]
    assert measured == [("00003", "7", "0.5123", "0.2500")]


def test_npz_is_read_by_numpy(exported: Exported) -> None:
    with np.load(exported("npz")) as data:
        assert data["frames"].tolist() == FRAMES
        assert data["times"] == pytest.approx(TIMES)
        assert dict(zip(data["object_ids"].tolist(), data["object_names"].tolist(), strict=True)) == NAMES
        for number, name in enumerate(FRAMES):
            assert np.array_equal(data[f"masks/{name}"], ids_of_frame(number))


@pytest.mark.parametrize("bits", [8, 16])
def test_alpha_has_mattes_of_8_or_16_bits(exported: Exported, bits: int) -> None:
    folder = exported(f"alpha:bits={bits}")
    for object_id, label in LABELS.items():
        for number, name in enumerate(FRAMES):
            matte = pixels(folder / label / f"{name}.png")
            assert matte.dtype == (np.uint8 if bits == 8 else np.uint16)
            assert np.array_equal(matte, expected(number, object_id) * (2**bits - 1))


def test_rgba_has_cut_outs(exported: Exported, clip: Path) -> None:
    folder = exported("rgba")
    with open_frames(clip) as source:
        for frame in source:
            cut_out = pixels(folder / LABELS[7] / f"{frame.name}.png")
            want = expected(frame.index, 7)
            assert np.array_equal(cut_out[..., 3], want * 255)
            assert np.array_equal(cut_out[want][:, :3], frame.image[want])
            assert not cut_out[~want].any()


def test_positions_of_cropped_cut_outs_are_in_a_table(exported: Exported, clip: Path) -> None:
    folder = exported("rgba:crop=true")
    rows = list(csv.DictReader((folder / "places.csv").open(encoding="utf-8")))
    assert sorted(row["file"] for row in rows) == sorted(
        f"{LABELS[i]}/{name}.png" for i in NAMES for n, name in enumerate(FRAMES) if expected(n, i).any()
    )
    for row in rows:
        label, name = Path(row["file"]).parts
        cut_out = pixels(folder / label / name)
        left, top, width, height = (int(row[key]) for key in ("left", "top", "width", "height"))
        assert cut_out.shape == (height, width, 4)
        canvas = np.zeros((H, W), np.uint8)
        canvas[top : top + height, left : left + width] = cut_out[..., 3]
        assert np.array_equal(canvas > 0, expected(int(name[:5]), int(label[0])))


def decoded(path: Path, decoder: str | None = None) -> tuple[list[av.VideoFrame], list[float], bool]:
    """Frames of a video, their times, and whether there is audio."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        codec = av.CodecContext.create(decoder, "r") if decoder else stream.codec_context
        packets = list(container.demux(stream))
        frames = [frame for packet in packets for frame in codec.decode(packet)]
        base = stream.time_base
        return frames, [float(frame.pts * base) for frame in frames], bool(container.streams.audio)


@pytest.mark.parametrize(
    ("kind", "suffix", "decoder", "color"), [("prores4444", "mov", None, 3), ("webm-alpha", "webm", "libvpx-vp9", 16)]
)
def test_videos_with_alpha(exported: Exported, clip: Path, kind: str, suffix: str, decoder: str | None, color) -> None:
    frames, times, audio = decoded(exported(kind) / f"my_clip.{suffix}", decoder)
    assert times == pytest.approx(TIMES, abs=0.001)
    assert audio
    with open_frames(clip) as source:
        for frame, video in zip(source, frames, strict=True):
            rgba = video.to_ndarray(format="rgba")
            want = ids_of_frame(frame.index) > 0
            assert rgba.shape == (H, W, 4)
            assert np.array_equal(rgba[..., 3] > 127, want)
            inner = cv2.erode(want.astype(np.uint8), np.ones((5, 5))) > 0  # away from color subsampling at the edges
            assert np.abs(rgba[inner][:, :3].astype(int) - frame.image[inner]).mean() < color


def test_transparent_pixels_of_a_prores_are_all_transparent() -> None:
    """At widths that aren't multiples of 16, FFmpeg's threads write random pixels."""
    picture = np.zeros((480, 854, 4), np.uint16)
    for _ in range(20):
        alpha = PRORES_4444.picture(picture).planes[3]
        pixels = np.frombuffer(alpha, np.uint16).reshape(alpha.height, -1)[:, : alpha.width]
        assert not pixels.any()


def test_a_webm_with_non_square_pixels_declares_square_ones(tmp_path, caplog) -> None:
    playback = Playback(pixel_aspect=Fraction(4, 3))
    with VideoWriter(tmp_path / "a.webm", 25, playback=playback, kind=VP9_ALPHA) as writer:
        writer.write(np.zeros((32, 48, 4), np.uint8))
    assert "a.webm: WebM is written with square pixels" in caplog.text


def test_the_header_of_a_webm_states_the_rate_of_the_source(exported: Exported, clip: Path) -> None:
    with av.open(str(exported("webm-alpha") / "my_clip.webm")) as video, open_frames(clip) as source:
        assert source.fps is not None and abs(source.fps - 25) > 1  # 25 is the default
        assert float(video.streams.video[0].guessed_rate) == pytest.approx(source.fps, rel=0.02)


def test_a_webm_ends_with_its_last_frame(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.webm", 25, kind=VP9_ALPHA) as writer:
        for time, duration in ((0.0, 0.1), (0.1, 0.9), (0.5, 0.1)):  # as of frames stored in another order
            writer.write(np.zeros((32, 48, 4), np.uint8), time, duration)
    with av.open(str(tmp_path / "a.webm")) as video:
        assert video.duration == 600_000


def test_a_video_of_each_object_has_all_frames(exported: Exported) -> None:
    folder = exported("prores4444:objects=each")
    assert sorted(path.stem for path in folder.iterdir()) == list(LABELS.values())
    for object_id, label in LABELS.items():
        frames, times, _ = decoded(folder / f"{label}.mov")
        assert times == pytest.approx(TIMES, abs=0.001)
        for number, frame in enumerate(frames):
            assert np.array_equal(frame.to_ndarray(format="rgba")[..., 3] > 127, expected(number, object_id))


def test_a_green_screen_is_green(exported: Exported) -> None:
    frames, times, audio = decoded(exported("greenscreen:color=00ff00") / "my_clip.mp4")
    assert times == pytest.approx(TIMES, abs=0.001)
    assert audio
    for number, frame in enumerate(frames):
        rgb = frame.to_ndarray(format="rgb24").astype(int)[:H, :W]
        background = cv2.erode((ids_of_frame(number) == 0).astype(np.uint8), np.ones((5, 5))) > 0
        objects = cv2.erode((ids_of_frame(number) > 0).astype(np.uint8), np.ones((5, 5))) > 0
        assert np.abs(rgb[background] - (0, 255, 0)).mean() < 8
        assert rgb[objects][:, 0].min() > 30


def test_a_single_mask_is_refused_as_a_folder_of_masks(clip: Path, tmp_path: Path) -> None:
    Image.fromarray(ids_of_frame(0).astype(np.uint8)).save(tmp_path / "first.png")
    with pytest.raises(ValueError, match=r"first\.png is one mask: give a folder of masks named like the frames"):
        export_masks(clip, tmp_path / "first.png", tmp_path / "out", ["csv"])


def test_folders_of_clips_without_objects_are_empty(clip: Path, tmp_path: Path) -> None:
    kinds = ["binary", "rgba", "alpha", "webm-alpha:objects=each"]
    paths = export_masks(clip, lambda frame: None, tmp_path, kinds)
    assert [list(path.iterdir()) for path in paths] == [[]] * 4


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fps": 0}, "fps must be a positive number of frames per second, not 0"),
        ({"fps": float("nan")}, "fps must be a positive number"),
        ({"num_frames": 0}, "num_frames must be at least 1, not 0"),
    ],
)
def test_rates_and_numbers_of_frames_are_positive(exported: Exported, wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        exported("csv", **wrong)


def test_ids_above_255_are_kept(clip: Path, tmp_path: Path) -> None:
    def masks(frame) -> np.ndarray:
        return ids_of_frame(frame.index).astype(np.uint16) * 300

    png, array, table = export_masks(clip, masks, tmp_path, ["png", "npz", "csv"])
    assert np.array_equal(pixels(png / "00002.png"), ids_of_frame(2).astype(np.uint16) * 300)
    with np.load(array) as data:
        assert data["object_ids"].tolist() == [300, 2100]
    assert {row["object"] for row in csv.DictReader(table.open(encoding="utf-8"))} == {"300", "2100"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("coc", "unknown export format 'coc': did you mean coco?"),
        ("alpha:bit=8", "alpha has no option 'bit': did you mean bits?"),
        ("alpha:bits=9", "bits must be 8 or 16, not 9"),
        ("alpha:bits=many", "bits must be a whole number, not 'many'"),
        ("alpha:black=0.9", "black and white must be 0 <= black < white <= 1, not 0.9 and 0.9"),
        ("rgba:crop", "'crop' must have the form name=value"),
        ("rgba:objects=some", "objects must be each or together, not some"),
        ("greenscreen:color=green", "color must be six hexadecimal digits"),
        ("davis:quality=100", "quality must be between 1 and 95, not 100"),
        ("csv:delimiter=;", "csv has no option 'delimiter'"),
    ],
)
def test_unknown_formats_and_options_suggest_similar_ones(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        build_export(text)


def test_a_missing_encoder_is_reported_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voskit.evaluators.clips.video.formats.has_encoder", lambda _: False)
    with pytest.raises(ValueError, match="export 'prores4444': FFmpeg has no encoder prores_ks here"):
        build_export("prores4444")


def test_every_format_is_documented() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "exports.md").read_text(encoding="utf-8")
    for name in EXPORTS:
        assert f"`{name}`" in page, name
        for option in build_export(name).__dataclass_fields__:  # type: ignore[attr-defined]
            assert f"`{option}" in page, f"{name}: {option}"
