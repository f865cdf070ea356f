"""Archives for the servers: member names, errors, and reproducible bytes."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from programs import run_program

import dataset_trees as trees
from dataset_trees import answer
from voskit.configs.datasets import get_dataset_config, list_datasets
from voskit.dataloaders.datasets import Dataset, open_dataset
from voskit.dataloaders.datasets.mask_readers import BurstMaskReader
from voskit.dataloaders.masks.files import read_mask, write_mask
from voskit.evaluators.metrics import SCORERS
from voskit.evaluators.submissions.pack import SubmissionError, check_results, pack, result_name

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def metrics(request: pytest.FixtureRequest) -> Path:
    """Miniature benchmarks."""
    folder = request.getfixturevalue("aot_goldens").parent / "metrics"
    if not folder.is_dir():
        pytest.skip(f"miniature benchmarks are not at {folder}")
    return folder


def members(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as file:
        assert file.testzip() is None
        return file.namelist()


def listed(expected: Path, case: str) -> list[str]:
    return sorted(json.loads(expected.read_text())[case]["members"])


@pytest.mark.parametrize("name", list_datasets())
def test_every_dataset_is_packed(name: str, tmp_path: Path) -> None:
    dataset = open_dataset(name, trees.TREES[name](tmp_path / "data"))
    results = answer(dataset, tmp_path / "results")
    assert check_results(dataset, results) == []
    archive = tmp_path / f"out/archive{dataset.config.archive_suffix}"
    names = pack(dataset, results, archive)
    if archive.suffix == ".zip":
        assert members(archive) == names == sorted(set(names))
        assert all(not name.startswith(("/", ".")) and "\\" not in name and "__MACOSX" not in name for name in names)
    assert [p.name for p in archive.parent.iterdir()] == [archive.name]  # no temporary file is left
    assert dataset.config.scoring in ("", *SCORERS.names())


class TestMemberNames:
    @pytest.mark.parametrize(
        ("case", "name", "root", "results", "options"),
        [
            ("ytvos", "youtubevos2018", "ytvos", "ytvos/results/Annotations", {}),
            ("ytvos", "youtubevos2019", "ytvos", "ytvos/results", {"split": "val_all_frames"}),
            ("mose", "mosev1", "mosev2", "mosev2/results", {}),
            ("mose", "mosev2", "mosev2", "mosev2/results", {}),
            ("lvos", "lvos", "lvos", "lvos/results", {}),
            ("refytvos", "refytvos", "refytvos", "refytvos/results/Annotations", {}),
            ("vipseg", "vipseg", "vipseg", "vipseg/results", {}),
            ("visor", "visor", "visor", "visor/results", {}),
        ],
    )
    def test_miniature_results(
        self, metrics: Path, tmp_path: Path, case: str, name: str, root: str, results: str, options: dict
    ) -> None:
        dataset = open_dataset(name, metrics / root, require_frames=False, **options)
        names = pack(dataset, metrics / results, tmp_path / "a.zip")
        assert members(tmp_path / "a.zip") == names == listed(metrics / "formats_expected.json", case)

    def test_mevis(self, metrics: Path, tmp_path: Path) -> None:
        excluded = ("meta_expressions/test/meta_expressions.json",)
        dataset = open_dataset("mevis", metrics / "refytvos", excluded_meta=excluded)
        pack(dataset, metrics / "refytvos/results/Annotations", tmp_path / "a.zip")
        assert members(tmp_path / "a.zip") == listed(metrics / "formats_expected.json", "mevis")

    def test_davis(self, metrics: Path, tmp_path: Path) -> None:
        dataset = open_dataset("davis2017", metrics / "davis2017")
        pack(dataset, answer(dataset, tmp_path / "results"), tmp_path / "a.zip")
        assert members(tmp_path / "a.zip") == listed(metrics / "formats_expected.json", "davis2017_test_dev_style")

    def test_archives_of_aots_evaluator(self, aot_goldens: Path, tmp_path: Path) -> None:
        for number, case in enumerate(json.loads((aot_goldens / "eval_layout.json").read_text())):
            root, name, split = tmp_path / str(number), case["dataset"], case["split"]
            videos = self.layout_tree(root / "data", name)
            options = {"full_resolution": True} if case["full_resolution"] else {}
            dataset = open_dataset(name, root / "data", split=split, **options)
            step = None if "given by path" in case["checkpoint"] else "test"
            stem = result_name(
                name,
                split,
                "default_AOTT",
                "PRE_YTB_DAV",
                step,
                ema=case["ema"],
                flip=case["flip"],
                scales=case["multiscale"],
            )
            written = {entry[0]: entry[1] for entry in case["results_relative_to_the_evaluation_directory"]}
            results = answer(dataset, root / name / stem / dataset.config.published_folder)
            made = {f"{name}/{stem}.zip": pack(dataset, results, root / "a.zip", layout="aot")}
            if split in dataset.config.all_frames_splits:
                made[f"{name}/{stem}_sparse.zip"] = pack(dataset, results, root / "s.zip", layout="aot_sparse")
            assert made == {path: entry for path, entry in written.items() if path.endswith(".zip")}
            assert [v.name for v in dataset] == videos
            pngs = {p.relative_to(root).as_posix() for p in (root / name).rglob("*.png")}
            assert pngs == {path for path in written if path.endswith(".png") and "_sparse/" not in path}

    @staticmethod
    def layout_tree(root: Path, name: str) -> list[str]:
        if name.startswith("davis"):
            for split in ("val", "test-dev"):
                trees.davis2017(root, split)
            trees.davis2017(root, year="2016")
            return ["bear", "dog"]
        names = [f"{i:05d}" for i in range(3)]
        for video in ("vid1", "vid2"):
            trees.video(root, "valid_all_frames/JPEGImages/{}", "valid/Annotations/{}", video, ids=(1, 2), names=names)
            trees.video(root, "valid/JPEGImages/{}", "", video, (), names=names[::2])
        objects = {"objects": {i: {"category": "x", "frames": names[::2]} for i in ("1", "2")}}
        trees.write_json(root / "valid/meta.json", {"videos": {"vid1": objects, "vid2": objects}})
        return ["vid1", "vid2"]


class TestRefusals:
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Dataset:
        return open_dataset("davis2017", trees.davis2017(tmp_path / "data"))

    @pytest.fixture
    def results(self, dataset: Dataset, tmp_path: Path) -> Path:
        return answer(dataset, tmp_path / "results")

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lambda r: (r / "dog/00001.png").unlink(), "dog/00001.png: this frame is missing"),
            (lambda r: (r / "dog/00002.png").write_bytes(b"x"), "dog/00002.png: not an image"),
            (lambda r: shutil.rmtree(r / "dog"), "dog: no results for this video"),
            (lambda r: trees.mask(r / "cat/00000.png"), "cat: does not belong here"),
            (lambda r: trees.text(r / "scores.json", "{}"), "scores.json: does not belong here"),
            (lambda r: trees.mask(r / "dog/00003.png"), "dog/00003.png: does not belong here: no frame"),
            (lambda r: trees.text(r / "dog/.DS_Store", ""), "dog/.DS_Store: does not belong here"),
            (lambda r: trees.text(r / "dog/.00001.png.ab.tmp", ""), "left by an interrupted run"),
            (lambda r: trees.mask(r / "dog/00001.png", (1, 3)), "00001.png: has ids that the video doesn't have: 3"),
            (lambda r: trees.mask(r / "dog/00001.png", (255,)), "doesn't have: 255 (the video has 1, 2)"),
            (lambda r: trees.mask(r / "dog/00001.png", size=(20, 30)), "is 20x30 (height x width), must be 24x32"),
            (lambda r: trees.mask(r / "dog/00001.png", grayscale=True), "has mode L, must be a palette PNG"),
            (lambda r: Image.new("RGB", (32, 24)).save(r / "dog/00001.png"), "has mode RGB"),
            (
                lambda r: write_mask(r / "dog/00001.png", trees.ids_mask((1,)), palette=bytes(range(9))),
                "a different palette",
            ),
        ],
    )
    def test_unsound_results(
        self, dataset: Dataset, results: Path, tmp_path: Path, damage: Callable[[Path], object], message: str
    ) -> None:
        damage(results)
        archive = tmp_path / "out/a.zip"
        with pytest.raises(SubmissionError) as error:
            pack(dataset, results, archive)
        assert len(error.value.problems) == 1 and message in str(error.value)
        assert not archive.parent.exists()

    def test_all_problems_are_kept_and_twenty_shown(self, dataset: Dataset, results: Path, tmp_path: Path) -> None:
        for i in range(30):
            trees.mask(results / f"dog/9{i:04d}.png")
        with pytest.raises(SubmissionError) as error:
            pack(dataset, results, tmp_path / "a.zip")
        assert len(error.value.problems) == 30
        assert len(str(error.value).splitlines()) == 22 and "... and 10 more" in str(error.value)

    def test_no_results(self, dataset: Dataset, tmp_path: Path) -> None:
        with pytest.raises(SubmissionError, match="no such folder of results"):
            pack(dataset, tmp_path / "none", tmp_path / "a.zip")

    def test_wrong_archive_or_layout(self, dataset: Dataset, results: Path, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"the submission of davis2017 is a \.zip file"):
            pack(dataset, results, tmp_path / "a.tar")
        with pytest.raises(ValueError, match="has no sparse archive"):
            pack(dataset, results, tmp_path / "a.zip", layout="aot_sparse")
        (tmp_path / "d.zip").mkdir()
        with pytest.raises(IsADirectoryError, match=r"d\.zip"):
            pack(dataset, results, tmp_path / "d.zip")

    def test_copy_of_the_given_mask_may_have_its_size_and_void(self, tmp_path: Path) -> None:
        root = trees.davis2017(tmp_path / "data")
        trees.mask(root / "Annotations/480p/dog/00000.png", (1, 2, 255))
        dataset = open_dataset("davis2017", root)
        results = answer(dataset, tmp_path / "results")
        shutil.copy(root / "Annotations/480p/dog/00000.png", results / "dog/00000.png")
        assert not check_results(dataset, results)

    def test_expressions_are_0_and_255(self, tmp_path: Path) -> None:
        dataset = open_dataset("refytvos", trees.ref_youtube(tmp_path / "data"))
        results = answer(dataset, tmp_path / "results")
        trees.mask(results / "vid1/1/00001.png", (1,), grayscale=True)
        trees.mask(results / "vid1/0/00001.png", (1,))
        (results / "vid1/1/00002.png").unlink()
        texts = [str(p) for p in check_results(dataset, results)]
        assert len(texts) == 3
        assert any("vid1/1/00001.png: has ids" in t for t in texts)
        assert any("vid1/0/00001.png: has mode P" in t for t in texts)


class TestReproducible:
    @pytest.mark.parametrize("name", ["davis2017", "youtubevos2019", "visor", "vipseg", "burst"])
    def test_same_bytes(self, name: str, tmp_path: Path) -> None:
        dataset = open_dataset(name, trees.TREES[name](tmp_path / "data"))
        first = answer(dataset, tmp_path / "a")
        second = tmp_path / "b"
        for path in sorted(first.rglob("*.png"), reverse=True):  # another order, other times and permissions
            copy = second / path.relative_to(first)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
            copy.chmod(0o600)
        suffix = dataset.config.archive_suffix
        pack(dataset, first, tmp_path / f"a{suffix}")
        pack(dataset, second, tmp_path / f"b{suffix}", workers=1)
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()

    def test_times_and_permissions_are_fixed(self, tmp_path: Path) -> None:
        dataset = open_dataset("mosev1", trees.mose(tmp_path / "data"))
        pack(dataset, answer(dataset, tmp_path / "a"), tmp_path / "a.zip")
        with zipfile.ZipFile(tmp_path / "a.zip") as file:
            kinds = {(i.date_time, i.external_attr, i.create_system, i.compress_type) for i in file.infolist()}
        assert kinds == {((1980, 1, 1, 0, 0, 0), 0o100644 << 16, 3, zipfile.ZIP_STORED)}

    def test_an_earlier_archive_survives_a_refusal(self, tmp_path: Path) -> None:
        dataset = open_dataset("mosev1", trees.mose(tmp_path / "data"))
        results = answer(dataset, tmp_path / "a")
        pack(dataset, results, tmp_path / "a.zip")
        before = (tmp_path / "a.zip").read_bytes()
        (results / "0a1b/00001.png").unlink()
        with pytest.raises(SubmissionError):
            pack(dataset, results, tmp_path / "a.zip")
        assert (tmp_path / "a.zip").read_bytes() == before


class TestYouTube:
    def test_cut_to_the_scored_frames(self, tmp_path: Path) -> None:
        dataset = open_dataset("youtubevos2019", trees.youtube(tmp_path / "data"), split="val_all_frames")
        results = answer(dataset, tmp_path / "Annotations")
        names = pack(dataset, tmp_path, tmp_path / "a.zip")  # the folder above Annotations works, too
        assert names == [f"Annotations/vid1/{frame}.png" for frame in ("00000", "00002", "00004")]
        (results / "vid1/00001.png").unlink()
        assert not check_results(dataset, results)  # frames that aren't submitted may be missing


class TestVisor:
    def test_published_converters_output(self, metrics: Path, tmp_path: Path) -> None:
        dataset = open_dataset("visor", metrics / "visor")
        assert pack(dataset, metrics / "visor/results", tmp_path / "val.zip") == ["val.json"]
        with zipfile.ZipFile(tmp_path / "val.zip") as file:
            written = json.loads(file.read("val.json"))
        expected = json.loads((metrics / "visor/expected_val_json.json").read_text())
        assert written["video_annotations"] == expected["video_annotations"]
        assert list(written["info"]) == expected["info keys"]

    def test_object_without_a_name(self, tmp_path: Path) -> None:
        root = trees.visor(tmp_path / "data")
        (root / "val_data_mapping.json").write_text("{}")
        dataset = open_dataset("visor", root)
        with pytest.raises(ValueError, match="object 1 has no name"):
            pack(dataset, answer(dataset, tmp_path / "r"), tmp_path / "a.zip")


def test_burst_as_the_published_results(metrics: Path, tmp_path: Path) -> None:
    """Results of the exemplar task, decoded to masks and packed again, have equal encodings except in given frames."""
    dataset = open_dataset("burst", metrics / "burst", require_frames=False)
    expected = json.loads((metrics / "burst/results/exemplar_guided.json").read_text())
    for video, sequence in zip(dataset, expected["sequences"], strict=True):
        folder = tmp_path / "results" / video.name
        folder.mkdir(parents=True)
        for frame in video.wanted:
            write_mask(folder / f"{frame}.png", BurstMaskReader(sequence).read(folder, frame))
    pack(dataset, tmp_path / "results", tmp_path / "a.json")
    written = json.loads((tmp_path / "a.json").read_text())
    assert written.keys() == expected.keys() and written["categories"] == expected["categories"]
    same = 0
    for ours, theirs, video in zip(written["sequences"], expected["sequences"], dataset, strict=True):
        assert video.meta is not None and video.meta.sequence is not None
        assert ours == {**video.meta.sequence, "segmentations": ours["segmentations"]} and ours.keys() == theirs.keys()
        assert len(ours["segmentations"]) == len(ours["annotated_image_paths"])
        published = dict(zip(theirs["annotated_image_paths"], theirs["segmentations"], strict=True))
        for frame, own in zip(video.wanted, ours["segmentations"], strict=True):
            other = published[f"{frame}.jpg"]
            given = video.mask(frame)
            inputs = set() if given is None else {str(i) for i in np.unique(given)}
            ids = read_mask(tmp_path / "results" / video.name / f"{frame}.png")  # a mask has no overlaps
            assert own.keys() == {str(i) for i in np.unique(ids)} - {"0"} | (inputs - {"0"})
            for track in own.keys() - inputs:
                assert own[track] == {"rle": trees.run_lengths(ids == int(track))}
                same += own[track]["rle"] == other[track]["rle"]
    assert same > 10


class TestVipseg:
    def test_object_ids_become_segments(self, tmp_path: Path) -> None:
        dataset = open_dataset("vipseg", trees.vipseg(tmp_path / "data"))
        pack(dataset, answer(dataset, tmp_path / "ids"), tmp_path / "a.zip")
        with zipfile.ZipFile(tmp_path / "a.zip") as file:
            file.extractall(tmp_path / "packed")
        frames = json.loads((tmp_path / "packed/pred.json").read_text())["annotations"][0]["annotations"]
        assert [s["id"] for s in frames[0]["segments_info"]] == list(trees.SEGMENTS)
        assert [s["isthing"] for s in frames[0]["segments_info"]] == [0, 0, 1]
        assert sum(s["area"] for s in frames[0]["segments_info"]) == (trees.ids_mask((1, 2, 3)) > 0).sum()
        assert pack(dataset, tmp_path / "packed", tmp_path / "b.zip") == members(tmp_path / "a.zip")
        assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()

    def test_json_and_masks_must_agree(self, metrics: Path, tmp_path: Path) -> None:
        results = shutil.copytree(metrics / "vipseg/results", tmp_path / "results")
        dataset = open_dataset("vipseg", metrics / "vipseg", require_frames=False)
        data = json.loads((results / "pred.json").read_text())
        data["annotations"][0]["annotations"][0]["segments_info"].pop()
        data["annotations"][1]["annotations"].pop()
        (results / "pred.json").write_text(json.dumps(data))
        texts = [str(p) for p in check_results(dataset, results)]
        assert len(texts) == 2
        assert "00000000.png: segment 968 is in the mask, but not in pred.json" in texts[0]
        assert "video 1202_bbbb: its frames must be those of the dataset" in texts[1]


def test_ref_davis_has_a_folder_for_each_annotator(metrics: Path, tmp_path: Path) -> None:
    dataset = open_dataset("refdavis17", metrics / "refdavis17")
    names = pack(dataset, metrics / "refdavis17/results", tmp_path / "a.zip")
    assert len(names) == 4 * 11 and names[0] == "anno_0/maple/00000.png"


def test_binary_results_may_be_grayscale(tmp_path: Path) -> None:
    dataset = open_dataset("davis2016", trees.davis2016_package(tmp_path / "data"))
    results = answer(dataset, tmp_path / "results")
    for path in (results / "bear").iterdir():
        trees.mask(path, (255,), grayscale=True)
    assert not check_results(dataset, results)
    assert read_mask(results / "dog/00001.png").max() == 1


def test_result_name() -> None:
    assert result_name("davis2017", "val", "default_AOTT", "PRE", 20000) == "davis2017_val_default_AOTT_PRE_ckpt_20000"
    assert result_name("davis2017", "val", "default_AOTT", None, "AOTT") == "davis2017_val_default_AOTT_ckpt_AOTT"
    name = result_name("d", "s", "e", "g", None, ema=True, flip=True, scales=(1, 1.3))
    assert name == "d_s_e_g_ckpt_unknown_ema_flip_ms_1dot0_1dot3"


def test_descriptions_contain_no_memory_address() -> None:
    assert not any("http" in get_dataset_config(name).to_json() for name in list_datasets())


def test_command_line(tmp_path: Path) -> None:
    root = trees.mose(tmp_path / "data")
    results = answer(open_dataset("mosev1", root), tmp_path / "out/Annotations")
    command = [sys.executable, "tools/pack.py", "--dataset", "mosev1", "--data_root", root, "--results", results]
    done = run_program(list(map(str, command)), cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert members(tmp_path / "out/mosev1_val.zip")[0] == "0a1b/00000.png"
    shutil.rmtree(root / "valid/JPEGImages")  # packing needs no frames, but then their names are unknown
    (results / "0a1b/00000.png").unlink()
    done = run_program(list(map(str, command)), cwd=ROOT)
    assert done.returncode == 1 and "0a1b/00000.png: this frame is missing" in done.stderr


def test_values_of_ids(tmp_path: Path) -> None:
    """Gaps between ids, as in YouTube-VOS, are kept."""
    dataset = open_dataset("youtubevos2018", trees.youtube(tmp_path / "data"))
    results = answer(dataset, tmp_path / "r")
    assert set(np.unique(read_mask(results / "vid1/00002.png"))) == {0, 1, 4}
    assert not check_results(dataset, results)
