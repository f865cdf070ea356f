"""Every registered dataset, opened in a miniature of its real layout."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dataset_trees as trees
from voskit.configs.datasets import DatasetConfig, get_dataset_config, list_datasets, register_dataset
from voskit.dataloaders.datasets import open_dataset
from voskit.dataloaders.datasets.check import check_dataset
from voskit.evaluators.metrics import score
from voskit.evaluators.submissions.pack import pack


@pytest.fixture(scope="module")
def metrics(request: pytest.FixtureRequest) -> Path:
    """Miniature benchmarks."""
    folder = request.getfixturevalue("aot_goldens").parent / "metrics"
    if not folder.is_dir():
        pytest.skip(f"miniature benchmarks are not at {folder}")
    return folder


@pytest.mark.parametrize("name", list_datasets())
def test_config_survives_json(name: str) -> None:
    config = get_dataset_config(name)
    assert config.name == name and config.title
    assert type(config).from_dict(json.loads(config.to_json())) == config


def test_config_errors() -> None:
    with pytest.raises(ValueError, match="unknown dataset 'davis17': did you mean davis201"):
        get_dataset_config("davis17")
    with pytest.raises(ValueError, match=r"no field 'full_rez'"):
        get_dataset_config("davis2017", full_rez=True)
    with pytest.raises(ValueError, match=r"unknown placeholder \{vid\}"):
        get_dataset_config("custom", frames=("a/{vid}",))
    with pytest.raises(ValueError, match=r"must contain \{video\}"):
        get_dataset_config("custom", frames=("a",))
    with pytest.raises(ValueError, match="split_folders must have one entry"):
        get_dataset_config("custom", split_folders=("a", "b"))
    with pytest.raises(ValueError, match="registered twice"):
        register_dataset("vost")(DatasetConfig)


@pytest.mark.parametrize("name", list_datasets())
def test_every_dataset_opens(name: str, tmp_path: Path) -> None:
    dataset = open_dataset(name, trees.TREES[name](tmp_path))
    assert len(dataset) > 0 and dataset.split == dataset.config.splits[0] and dataset.name == name
    for video in dataset:
        assert video.object_ids or video.expressions
        assert video.frame_size == trees.SIZE
        assert set(video.submitted) <= set(video.wanted) <= set(video.frame_names)
        assert set(video.given) <= set(video.frame_names)
        assert dataset.video(video.name) is video
        with video.source() as source:
            assert [frame.name for frame in source] == list(video.frame_names)
            assert source.name == video.name
        for frame in video.given:
            ids = video.mask(frame)
            assert ids is not None and ids.shape == trees.SIZE and ids.dtype in (np.uint8, np.uint16)
            assert set(np.unique(ids)) - {0} <= set(video.object_ids)
        assert all(video.mask(frame) is None for frame in video.frame_names if frame not in video.given)
    with pytest.raises(ValueError, match="no video 'zebra'"):
        dataset.video("zebra")


def test_opening_decodes_no_image(tmp_path: Path) -> None:
    root = trees.davis2017(tmp_path)
    for path in [*root.rglob("*.jpg"), *root.rglob("*.png")]:
        path.write_bytes(b"no image")
    assert [len(v.frame_names) for v in open_dataset("davis2017", root)] == [3, 3]


class TestDavis:
    def test_2017(self, tmp_path: Path) -> None:
        dataset = open_dataset("davis2017", trees.davis2017(tmp_path))
        video = dataset.videos[0]
        assert [v.name for v in dataset] == ["bear", "dog"]
        assert list(video.given) == ["00000"] and video.object_ids == (1, 2)
        assert video.frame_size == (24, 32)
        assert dataset.has_ground_truth and video.ground_truth == tmp_path / "Annotations/480p/bear"
        assert dataset.config.published_folder == "Annotations/480p"

    def test_full_resolution(self, tmp_path: Path) -> None:
        root = trees.davis2017(tmp_path)
        for path in root.glob("JPEGImages/Full-Resolution/*/*"):
            trees.image(path, (54, 96))
        dataset = open_dataset("davis2017", root, full_resolution=True)
        video = dataset.videos[0]
        assert next(iter(video.files.values())) == root / "JPEGImages/Full-Resolution/bear/00000.jpg"
        assert video.given["00000"] == root / "Annotations/Full-Resolution/bear/00000.png"
        assert video.ground_truth == root / "Annotations/Full-Resolution/bear"
        assert video.frame_size == (54, 96)
        assert dataset.config.published_folder == "Annotations/Full-Resolution"

    @pytest.mark.parametrize("split", ["test-dev", "test"])
    def test_test_dev_has_first_masks_only(self, tmp_path: Path, split: str) -> None:
        dataset = open_dataset("davis2017", trees.davis2017(tmp_path, "test-dev", truth=["00000"]), split=split)
        assert len(dataset) == 2 and not dataset.has_ground_truth and dataset.videos[0].ground_truth is None

    @pytest.mark.parametrize("root", ["DAVIS", "2017/trainval", "DAVIS/2017/trainval"])
    def test_the_root_may_be_in_a_subfolder(self, tmp_path: Path, root: str) -> None:
        trees.davis2017(tmp_path / root)
        assert open_dataset("davis2017", tmp_path).root == tmp_path / root

    def test_2016_in_the_2017_package(self, tmp_path: Path) -> None:
        video = open_dataset("davis2016", trees.davis2017(tmp_path, year="2016")).videos[0]
        mask = video.mask("00000")
        assert mask is not None and set(np.unique(mask)) == {0, 1} and video.object_ids == (1,)
        assert (mask > 0).sum() == (trees.ids_mask((1, 2)) > 0).sum()

    @pytest.mark.parametrize("full_resolution", [False, True])
    def test_2016_package_of_file_pairs(self, tmp_path: Path, full_resolution: bool) -> None:
        dataset = open_dataset("davis2016", trees.davis2016_package(tmp_path), full_resolution=full_resolution)
        video = dataset.videos[1]
        folder = "1080p" if full_resolution else "480p"
        assert [v.name for v in dataset] == ["bear", "dog"]
        assert next(iter(video.files.values())) == tmp_path / f"JPEGImages/{folder}/dog/00000.jpg"
        assert list(video.given.values()) == [tmp_path / f"Annotations/{folder}/dog/00000.png"]
        mask = video.mask("00000")
        assert mask is not None and set(np.unique(mask)) == {0, 1}
        assert dataset.has_ground_truth

    @pytest.mark.parametrize("full_resolution", [False, True])
    @pytest.mark.parametrize("root", ["", "DAVIS/"])
    @pytest.mark.parametrize("package", ["lists", "whole"])
    def test_2016_beside_the_2017_package_that_has_its_list(
        self, tmp_path: Path, full_resolution: bool, root: str, package: str
    ) -> None:
        """As XMem has it: frames and masks of 2016, the list of 2017."""
        trees.davis2016_package(tmp_path / root / "2016")
        shutil.rmtree(tmp_path / root / "2016/ImageSets")
        trees.text(tmp_path / root / "2017/trainval/ImageSets/2016/val.txt", "bear\ndog\n")
        if package == "whole":
            trees.davis2017(tmp_path / root / "2017/trainval")
        dataset = open_dataset("davis2016", tmp_path, full_resolution=full_resolution)
        folder = "1080p" if full_resolution else "480p"
        where = tmp_path / root / "2016"
        assert list(dataset.videos[1].given.values()) == [where / f"Annotations/{folder}/dog/00000.png"]
        assert next(iter(dataset.videos[1].files.values())) == where / f"JPEGImages/{folder}/dog/00000.jpg"
        assert dataset.has_ground_truth

    @pytest.mark.parametrize("year", ["2016", None])
    def test_2016_at_full_resolution_by_a_list_of_names_or_of_480p(self, tmp_path: Path, year: str | None) -> None:
        trees.davis2016_package(tmp_path)
        shutil.rmtree(tmp_path / "ImageSets/1080p")
        if year:
            shutil.rmtree(tmp_path / "ImageSets/480p")
            trees.text(tmp_path / f"ImageSets/{year}/val.txt", "bear\ndog\n")
        dataset = open_dataset("davis2016", tmp_path, full_resolution=True)
        assert {path.parents[1].name for video in dataset for path in video.files.values()} == {"1080p"}
        assert {path.parents[1].name for video in dataset for path in video.given.values()} == {"1080p"}

    def test_2016_at_full_resolution_in_the_2017_package(self, tmp_path: Path) -> None:
        root = trees.davis2017(tmp_path, year="2016")
        dataset = open_dataset("davis2016", root, full_resolution=True, results_at="480p")
        video = dataset.videos[0]
        assert next(iter(video.files.values())).parents[1].name == "Full-Resolution"
        assert video.ground_truth == root / "Annotations/480p/bear" and dataset.result_size(video) == trees.SIZE

    def test_unsupervised_lists_of_2019_come_first(self, tmp_path: Path) -> None:
        root = trees.davis_unsupervised(tmp_path)
        trees.text(root / "ImageSets/2017/test-dev.txt", "other\n")
        trees.text(root / "ImageSets/2019/test-dev.txt", "bear\n")
        video = open_dataset("davis2017_unsupervised", root, split="test-dev").videos[0]
        assert video.name == "bear" and not video.given and video.object_ids == tuple(range(1, 21))

    @pytest.mark.parametrize("davis", [True, False])
    def test_referring(self, tmp_path: Path, davis: bool) -> None:
        video = open_dataset("refdavis17", trees.ref_davis(tmp_path, davis)).videos[0]
        assert len(video.expressions) == 8 and video.object_ids == (1, 2) and video.ground_truth is not None


@pytest.mark.parametrize("archive", ["DAVIS-2017-trainval-480p.zip", "valid.tar.gz", "x.7z"])
def test_the_message_suggests_unpacking_archives(tmp_path: Path, archive: str) -> None:
    trees.text(tmp_path / archive, "")
    with pytest.raises(FileNotFoundError, match=f"JPEGImages\\? It contains {archive}: unpack it there"):
        open_dataset("davis2017", tmp_path)


@pytest.mark.parametrize(
    ("name", "file", "key"),
    [
        ("refytvos", "meta_expressions/valid/meta_expressions.json", "expressions"),
        ("mosev2", "valid/meta.json", "objects"),
    ],
)
def test_a_meta_file_of_another_format_is_refused(tmp_path: Path, name: str, file: str, key: str) -> None:
    trees.TREES[name](tmp_path)
    data = json.loads((tmp_path / file).read_text())
    video = next(iter(data["videos"]))
    del data["videos"][video][key]
    trees.write_json(tmp_path / file, data)
    with pytest.raises(ValueError, match=f"video {video}: its entry has no '{key}': is this the file of the"):
        open_dataset(name, tmp_path)


class TestYouTube:
    def test_val(self, tmp_path: Path) -> None:
        video = open_dataset("youtubevos2019", trees.youtube(tmp_path)).videos[0]
        assert video.frame_names == video.wanted == video.submitted == ("00000", "00002", "00004")
        assert list(video.given) == ["00000", "00002"] and video.object_ids == (1, 4)
        assert video.frame_size == trees.SIZE

    @pytest.mark.parametrize("layout", ["", "all_frames"])
    def test_all_frames(self, tmp_path: Path, layout: str) -> None:
        root = trees.youtube(tmp_path)
        if layout:
            (root / layout).mkdir()
            shutil.move(root / "valid_all_frames", root / layout)
        video = open_dataset("youtubevos2018", root, split="val_all_frames").videos[0]
        assert video.wanted == tuple(f"{i:05d}" for i in range(6))  # 00005 lies after the last scored frame
        assert video.submitted == ("00000", "00002", "00004")

    def test_listed_frame_is_missing(self, tmp_path: Path) -> None:
        root = trees.youtube(tmp_path)
        (root / "valid/JPEGImages/vid1/00004.jpg").unlink()
        with pytest.raises(FileNotFoundError, match=r"vid1: frame 00004 is listed in meta\.json, but missing"):
            open_dataset("youtubevos2019", root)


class TestReferring:
    def test_test_videos_are_left_out(self, tmp_path: Path) -> None:
        dataset = open_dataset("refytvos", trees.ref_youtube(tmp_path))
        assert [v.name for v in dataset] == ["vid1"]
        assert dict(dataset.videos[0].expressions) == {"0": "phrase 0", "1": "phrase 1"}

    def test_missing_test_expressions_are_warned_about_once(self, tmp_path: Path, caplog) -> None:
        root = trees.ref_youtube(tmp_path)
        shutil.copytree(root / "valid/JPEGImages/vid1", root / "valid/JPEGImages/vid2")
        shutil.rmtree(root / "meta_expressions/test")
        assert [v.name for v in open_dataset("refytvos", root)] == ["vid1", "vid2"]
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert (
            "meta_expressions/test/meta_expressions.json: no such file, so the videos that it lists aren't left out"
            in caplog.text
        )

    def test_no_warning_otherwise(self, tmp_path: Path, caplog) -> None:
        root = trees.ref_youtube(tmp_path)
        shutil.copytree(root / "valid/JPEGImages/vid1", root / "test/JPEGImages/vid2")
        for split in ("val", "test"):
            open_dataset("refytvos", root, split=split)
        assert not caplog.records

    def test_test_split(self, tmp_path: Path) -> None:
        root = trees.ref_youtube(tmp_path)
        shutil.copytree(root / "valid/JPEGImages/vid1", root / "test/JPEGImages/vid2")
        assert [v.name for v in open_dataset("refytvos", root, split="test")] == ["vid2"]

    def test_expressions_of_several_objects_define_no_object_ids(self, tmp_path: Path) -> None:
        root = trees.mevis(tmp_path)
        plain = open_dataset("mevis", root).videos[0]
        path = root / "valid/meta_expressions.json"
        path.write_text(path.read_text().replace('"exp":', '"obj_id": [0, 1], "exp":'))
        video = open_dataset("mevis", root).videos[0]
        assert dict(video.expressions) == {"0": "phrase 0"} and video.object_ids == plain.object_ids


class TestLvos:
    def test_objects_are_given_in_their_first_frames(self, tmp_path: Path) -> None:
        dataset = open_dataset("lvos", trees.lvos(tmp_path))
        video = dataset.videos[0]
        assert dict(video.new_ids) == {"00000001": (1,), "00000011": (3,)}
        later = video.mask("00000011")
        assert later is not None and set(np.unique(later)) == {0, 3}
        assert dataset.has_ground_truth and video.object_ids == (1, 3)

    def test_the_test_set_has_first_masks_only(self, tmp_path: Path) -> None:
        dataset = open_dataset("lvos", trees.lvos(tmp_path, "test", complete=False), split="test")
        assert list(dataset.videos[0].given) == ["00000001", "00000011"] and not dataset.has_ground_truth

    def test_all_masks_of_a_folder_of_first_masks_are_given(self, tmp_path: Path) -> None:
        root = trees.lvos(tmp_path)
        trees.mask(root / "valid/Annotations_first_only/aaaa/00000006.png", (1,))
        video = open_dataset("lvos", root).videos[0]
        assert list(video.given) == ["00000006"] and not video.new_ids

    def test_start_as_number(self, tmp_path: Path) -> None:
        root = trees.lvos(tmp_path)
        path = root / "valid/valid_meta.json"
        path.write_text(path.read_text().replace('"00000011"', "11"))
        assert list(open_dataset("lvos", root).videos[0].given) == ["00000001", "00000011"]


@pytest.mark.parametrize("official", [False, True])
def test_burst(tmp_path: Path, official: bool) -> None:
    video = open_dataset("burst", trees.burst(tmp_path, official)).videos[0]
    assert video.name == "HACS_-_clip_a" and len(video.frame_names) == 6
    assert video.wanted == ("frame0000", "frame0020", "frame0040")
    assert list(video.given) == ["frame0000", "frame0020"]
    mask = video.mask("frame0020")
    assert np.array_equal(mask, np.where(trees.ids_mask((1, 2)) == 2, 2, 0))


class TestBurst:
    def train(self, root: Path, official: bool) -> Path:
        """The training split as it is published: one file with the masks of all frames."""
        trees.burst(root, official)
        given = root / ("annotations/val" if official else "val") / "first_frame_annotations.json"
        data = json.loads(given.read_text())
        (sequence,) = data["sequences"]
        first, second = sequence["segmentations"][:2]
        sequence["segmentations"] = [first, {**first, **second}, {**first, **second}]
        data["categories"] = [{"id": 4, "name": "a"}, {"id": 7, "name": "b"}]
        data["split"] = "train"
        given.unlink()
        trees.write_json(given.with_name("train.json"), data)
        for folder in ("val", "annotations/val", "frames/val"):
            if (root / folder).is_dir():
                (root / folder).rename(root / folder.replace("val", "train"))
        return root

    @pytest.mark.parametrize("official", [False, True])
    def test_the_training_split_is_one_file(self, tmp_path: Path, official: bool) -> None:
        dataset = open_dataset("burst", self.train(tmp_path, official), split="train")
        (video,) = dataset
        assert dataset.has_ground_truth and video.ground_truth is not None and video.ground_truth.name == "train.json"
        assert list(video.given) == ["frame0000", "frame0020"]  # a mask is given in which a track begins, not later
        assert np.array_equal(video.mask("frame0020"), np.where(trees.ids_mask((1, 2)) == 2, 2, 0))
        assert check_dataset("burst", tmp_path, split="train").summary.endswith("2 objects: nothing wrong")

    @pytest.mark.parametrize("official", [False, True])
    def test_the_training_split_is_scored(self, tmp_path: Path, official: bool) -> None:
        root = self.train(tmp_path, official)
        truth = next(root.rglob("train.json"))
        scores = score("burst", root, truth, split="train", num_workers=1)
        assert scores.tables["global"]["HOTA"]["all"] == 100
        with pytest.raises(FileNotFoundError, match=r"common_classes\.json"):
            score("burst", root, truth, split="train", task="open_world", num_workers=1)

    def test_the_truth_never_becomes_a_result(self, tmp_path: Path) -> None:
        dataset = open_dataset("burst", self.train(tmp_path / "data", False), split="train")
        for frame in dataset.videos[0].wanted:
            trees.mask(tmp_path / "results/HACS_-_clip_a" / f"{frame}.png", ())  # nothing is found
        pack(dataset, tmp_path / "results", tmp_path / "results.json")
        (sequence,) = json.loads((tmp_path / "results.json").read_text())["sequences"]
        assert [sorted(frame) for frame in sequence["segmentations"]] == [["1"], ["2"], []]

    def test_png_masks_of_jointformer_are_read(self, tmp_path: Path) -> None:
        root = trees.burst(tmp_path)
        for frame, ids in (("frame0000", (2, 0)), ("frame0020", (0, 1))):  # not those of the JSON file
            trees.mask(root / f"val/Annotations_first_only/HACS_-_clip_a/{frame}.png", ids)
        (video,) = open_dataset("burst", root)
        assert list(video.given) == ["frame0000", "frame0020"] and video.wanted == (
            "frame0000", "frame0020", "frame0040",
        )  # fmt: skip
        assert np.array_equal(video.mask("frame0000"), trees.ids_mask((2, 0)))
        assert check_dataset("burst", root).summary.endswith("2 objects: nothing wrong")

    def test_a_video_without_png_masks_is_reported(self, tmp_path: Path) -> None:
        (trees.burst(tmp_path) / "val/Annotations_first_only/other").mkdir(parents=True)
        with pytest.raises(FileNotFoundError, match="video HACS_-_clip_a has no given mask"):
            open_dataset("burst", tmp_path)

    def test_only_all_classes_defines_where_tracks_begin(self, tmp_path: Path) -> None:
        trees.burst(tmp_path)
        trees.TRUTH["burst"](tmp_path)
        (tmp_path / "val/first_frame_annotations.json").unlink()
        (video,) = open_dataset("burst", tmp_path)
        assert list(video.given) == ["frame0000"] and video.object_ids == (1, 2)


def test_longvideo_wants_annotated_frames(tmp_path: Path) -> None:
    root = trees.longvideo(tmp_path)
    for split, folder in (("1x", "long_video"), ("3x", "long_video_x3")):
        video = open_dataset("longvideo", root, split=split).videos[0]
        assert folder in str(next(iter(video.files.values()))) and len(video.frame_names) == 6
        assert video.wanted == ("00000", "00003") and list(video.given) == ["00000"]


def test_void_in_vost_is_not_an_object(tmp_path: Path) -> None:
    video = open_dataset("vost", trees.vost(tmp_path)).videos[0]
    assert video.object_ids == (1,)


def test_visor_leaves_the_given_frame_out(tmp_path: Path) -> None:
    dataset = open_dataset("visor", trees.visor(tmp_path))
    video = dataset.videos[0]
    assert video.submitted == video.wanted[1:] and len(video.wanted) == 3
    assert dataset.object_names[video.name] == {1: "left hand", 2: "onion"}


def test_vipseg_segments_are_numbered(tmp_path: Path) -> None:
    video = open_dataset("vipseg", trees.vipseg(tmp_path)).videos[0]
    assert np.array_equal(video.mask("00000"), trees.ids_mask((1, 2, 3)))
    assert video.meta is not None and [s.id for s in video.meta.segments.values()] == list(trees.SEGMENTS)
    assert video.meta.segments[3].isthing and not video.meta.segments[1].isthing


@pytest.mark.parametrize(
    ("name", "folder", "videos", "frames"),
    [
        ("davis2016", "davis2016", 3, True),
        ("davis2017", "davis2017", 4, True),
        ("davis2017_unsupervised", "davis2017", 4, True),
        ("youtubevos2018", "ytvos", 3, True),
        ("refytvos", "refytvos", 2, True),
        ("visor", "visor", 3, True),
        ("refdavis17", "refdavis17", 2, True),
        ("mosev2", "mosev2", 2, False),
        ("lvos", "lvos", 3, False),
        ("vost", "vost", 3, False),
        ("burst", "burst", 3, False),
        ("longvideo", "longtime", 2, False),
        ("vipseg", "vipseg", 2, False),
    ],
)
def test_miniature_benchmarks(metrics: Path, name: str, folder: str, videos: int, frames: bool) -> None:
    dataset = open_dataset(name, metrics / folder, require_frames=frames)
    assert len(dataset) == videos and dataset.has_ground_truth
    for video in dataset:
        for frame in video.given:
            ids = video.mask(frame)
            assert ids is not None and set(np.unique(ids)) - {0} <= set(video.object_ids)


@pytest.mark.parametrize(
    ("name", "folder", "split", "frames"),
    [
        ("davis2017", "xmem/evaluator/data/DAVIS", "val", {"market": 6, "street": 5}),
        ("youtubevos2019", "xmem/evaluator/data/YouTube", "val_all_frames", {"aa01": 8, "bb02": 8}),
        ("youtubevos2019", "jointformer/evaluator/data", "val_all_frames", {"aa01": 8, "bb02": 8}),
        ("mosev1", "jointformer/evaluator/data", "val", {"0a1b": 5, "2c3d": 4}),
    ],
)
def test_layouts_of_other_evaluators(metrics: Path, name: str, folder: str, split: str, frames: dict) -> None:
    dataset = open_dataset(name, metrics.parent / folder, split=split)
    assert {v.name: len(v.frame_names) for v in dataset} == frames


def test_real_sequences(real_data: Path) -> None:
    dataset = open_dataset("davis2017", real_data / "vos_eval_open")
    assert sum(len(v.frame_names) for v in dataset) == 329 and dataset.has_ground_truth
    assert all(v.frame_size == (480, 854) for v in dataset)


def test_turned_frames(tmp_path: Path) -> None:
    trees.custom(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    for path in (tmp_path / "frames/dance").iterdir():
        Image.new("RGB", trees.SIZE).save(path, exif=exif)
    video = open_dataset("custom", tmp_path).videos[0]
    with video.source() as source:
        assert video.frame_size == source.size == trees.SIZE
