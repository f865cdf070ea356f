"""Scores of two folders of masks: 0 and 255, ``binary``, ``ignore_id``, and ids without a match."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from PIL import Image

from voskit.evaluators.metrics import score

SIZE = (24, 32)


def blocks(values: Iterable[int]) -> np.ndarray:
    """Return a mask with a block for each value, side by side; 0 leaves a block out."""
    ids = np.zeros(SIZE, np.uint8)
    for place, value in enumerate(values):
        ids[4:14, 2 + 10 * place : 9 + 10 * place] = value
    return ids


def write(folder: Path, frames: Iterable[np.ndarray]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, ids in enumerate(frames):
        Image.fromarray(ids).save(folder / f"{number:05d}.png")
    return folder.parent


def j_and_f(truth: Path, results: Path, **options: str) -> float:
    return score("folder", truth, results, num_workers=1, **options).tables["global"]["J&F"]


def test_0_and_255_is_one_object_even_if_some_frames_lack_it(tmp_path: Path) -> None:
    truth = write(tmp_path / "truth/a", [blocks([v]) for v in (255, 255, 0, 255, 255)])
    ones = write(tmp_path / "ones/a", [blocks([v]) for v in (1, 1, 0, 1, 1)])
    assert j_and_f(truth, ones) == 100
    assert j_and_f(truth, truth) == 100
    assert j_and_f(truth, ones, ignore_id="255") == 100
    half = write(tmp_path / "half/a", [blocks([v]) for v in (1, 1, 0, 0, 1)])
    assert j_and_f(truth, half) == pytest.approx(100 * 2 / 3)


def test_a_soft_edge_is_read_as_in_given_masks(tmp_path: Path) -> None:
    soft = blocks([255])
    soft[3, 2:9], soft[14, 2:9] = (40, 60, 80, 100, 110, 120, 127), (128, 140, 160, 180, 200, 220, 240)
    sharp = (soft > 127).astype(np.uint8)
    truth, results = write(tmp_path / "truth/a", [soft] * 3), write(tmp_path / "results/a", [sharp] * 3)
    assert j_and_f(truth, results) == 100
    assert j_and_f(truth, results, binary="yes") == 100


def test_black_and_white_of_1_bit_is_one_object_as_in_given_masks(tmp_path: Path) -> None:
    shapes = [blocks([v]) for v in (1, 1, 0, 1, 1)]
    truth = write(tmp_path / "truth/a", [shape > 0 for shape in shapes])
    half = write(tmp_path / "half/a", [blocks([v]) for v in (1, 1, 0, 0, 1)])
    for options in ({}, {"binary": "yes"}):
        assert j_and_f(truth, write(tmp_path / "ones/a", shapes), **options) == 100
        assert j_and_f(truth, half, **options) == pytest.approx(100 * 2 / 3)
    mixed = write(tmp_path / "mixed/a", [blocks([255]), shapes[1] > 0, shapes[2], blocks([255]), shapes[4] > 0])
    assert j_and_f(mixed, half) == pytest.approx(100 * 2 / 3)


def test_void_is_left_out_if_the_truth_has_other_values_too(tmp_path: Path) -> None:
    # the third frame has void alone, which isn't an object, as other frames of the video have ids
    truth = write(tmp_path / "truth/a", [blocks([1, 255]), blocks([1, 255]), blocks([0, 255]), blocks([1, 255])])
    results = write(tmp_path / "results/a", [blocks([1, 0]), blocks([1, 1]), blocks([0, 1]), blocks([1, 0])])
    assert j_and_f(truth, results, ignore_id="255") == 100
    assert j_and_f(truth, results) < 50
    assert j_and_f(truth, results, ignore_id="255", binary="yes") == 100


def test_binary_is_any_value(tmp_path: Path) -> None:
    truth = write(tmp_path / "truth/a", [blocks([7, 9])] * 3)
    results = write(tmp_path / "results/a", [blocks([1, 1])] * 3)
    assert j_and_f(truth, results, binary="yes") == 100
    with pytest.raises(ValueError, match=r"results/a: its ids \(1\) and those of the ground truth \(7, 9\) have none"):
        j_and_f(truth, results)


def test_results_that_lost_objects_are_scored(tmp_path: Path) -> None:
    truth = write(tmp_path / "truth/a", [blocks([1, 2]), blocks([1, 0]), blocks([1, 2])])
    results = write(tmp_path / "results/a", [blocks([1, 2]), blocks([0, 2]), blocks([1, 2])])
    assert j_and_f(truth, results) == 0
    assert j_and_f(truth, write(tmp_path / "none/a", [blocks([])] * 3)) == 0


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_of_videos_may_have_different_unicode_forms(tmp_path: Path, caplog, forms: tuple[str, str]) -> None:
    truth, results = (tmp_path / "truth", tmp_path / "results")
    for folder, form in zip((truth, results), forms, strict=True):
        write(folder / "a", [blocks([1])] * 3)
        write(folder / normalize(form, "hünd"), [blocks([1])] * 3)
    per_sequence = score("folder", truth, results, num_workers=1).tables["per_sequence"]
    assert list(per_sequence) == ["a", normalize(forms[0], "hünd")]
    assert "left out" not in caplog.text


def test_the_truth_may_be_the_output_of_a_run(tmp_path: Path) -> None:
    for run in ("truth", "results"):
        write(tmp_path / run / "a/masks", [blocks([1])] * 3)
        Image.new("RGB", (8, 8)).save(tmp_path / run / "a/contact_sheet.png")
    assert j_and_f(tmp_path / "truth", tmp_path / "results") == 100


def test_true_masks_with_upper_case_names_are_not_left_out(tmp_path: Path) -> None:
    truth, results = (write(tmp_path / name / "a", [blocks([1])] * 4) for name in ("truth", "results"))
    (truth / "a/00001.png").rename(truth / "a/00001.PNG")
    with pytest.raises(ValueError, match=r"truth/a/00001\.PNG: .* must be named \*\.png, in lower case: rename it"):
        j_and_f(truth, results)


def test_the_command_line_has_the_same_options(tmp_path: Path, run_score: Callable[..., tuple[int, str]]) -> None:
    truth = write(tmp_path / "truth/a", [blocks([7, 255])] * 3)
    results = write(tmp_path / "results/a", [blocks([1, 0])] * 3)
    flags = ("--dataset", "folder", "--data_root", truth, "--results", results, "--output", tmp_path / "s.json")
    assert run_score(*flags, "--num_workers", 1)[0] == 1
    assert run_score(*flags, "--num_workers", 1, "--binary", "--ignore_id", 255) == (0, "")
    assert '"J&F": 100.0' in (tmp_path / "s.json").read_text()
    assert "--ignore_id 0: give an integer from 1" in run_score(*flags, "--ignore_id", 0)[1]


def test_without_objects_there_is_no_page(tmp_path: Path, run_score: Callable[..., tuple[int, str]]) -> None:
    for side in ("truth", "results"):
        write(tmp_path / side / "video", [blocks([0])] * 3)
    folders = ("--data_root", tmp_path / "truth", "--results", tmp_path / "results")
    assert run_score("--dataset", "folder", *folders, "--output", tmp_path, "--num_workers", "1")[0] == 0
    assert (tmp_path / "scores.json").exists() and not (tmp_path / "scores_frames.png").exists()


def test_the_last_frame_has_the_highest_number(tmp_path: Path) -> None:
    """It doesn't count; as texts, 9 would come after 12."""
    for side, last in (("truth", 1), ("results", 0)):
        for number in range(13):
            (tmp_path / side / "a").mkdir(parents=True, exist_ok=True)
            Image.fromarray(blocks([last if number == 12 else 1])).save(tmp_path / side / "a" / f"{number}.png")
    assert j_and_f(tmp_path / "truth", tmp_path / "results") == 100


def test_an_id_above_255_that_is_lost_counts_as_lost(tmp_path: Path) -> None:
    """Masks without it are of 8 bits."""
    both, one = blocks([1]).astype(np.uint16), blocks([1])
    both[4:14, 22:29] = 300
    truth = write(tmp_path / "truth/a", [both] * 4)
    assert j_and_f(truth, write(tmp_path / "results/a", [both, one, both, both])) == pytest.approx(75)


class TestVideosThatDoNotCount:
    """The first and the last true mask don't count, so a video of two masks has no score."""

    def folders(self, root: Path, lengths: dict[str, int]) -> tuple[Path, Path]:
        for video, length in lengths.items():
            for side in ("truth", "results"):
                write(root / side / video, [blocks([1])] * length)
        return root / "truth", root / "results"

    def test_a_warning_counts_them(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        assert j_and_f(*self.folders(tmp_path, {"a": 5, "b": 2, "c": 1})) == 100
        assert "2 of 3 videos have no frame that counts, such as b: the first and the last true mask" in caplog.text
        caplog.clear()
        assert j_and_f(tmp_path / "truth", tmp_path / "results", frames="all") == 100
        assert not caplog.records

    @pytest.mark.parametrize("year", ["2016", "2017"])
    def test_they_do_not_change_the_means_of_davis(self, tmp_path: Path, year: str) -> None:
        for video, length in {"a": 5, "b": 2}.items():
            for side in ("data/Annotations/480p", "results"):
                write(tmp_path / side / video, [blocks([1])] * length)
        (tmp_path / "data/ImageSets" / year).mkdir(parents=True)
        (tmp_path / "data/ImageSets" / year / "val.txt").write_text("a\nb\n")
        scores = score(f"davis{year}", tmp_path / "data", tmp_path / "results", num_workers=1)
        assert scores.tables["global"]["J&F-Mean"] == 1
        assert list(scores.tables["per_sequence"]) == ["a"]

    @pytest.mark.parametrize("length", [1, 2])
    def test_if_none_counts_there_is_no_score(self, tmp_path: Path, length: int) -> None:
        truth, results = self.folders(tmp_path, {"a": length, "b": length})
        with pytest.raises(ValueError, match=r"no frame of 2 videos counts: .* --frames all counts"):
            j_and_f(truth, results)
        assert j_and_f(truth, results, frames="all") == 100

    @pytest.mark.parametrize(("dataset", "length"), [("mosev1", 1), ("mosev1", 2), ("longvideo", 2), ("visor", 1)])
    def test_given_masks_alone_are_no_ground_truth(self, tmp_path: Path, dataset: str, length: int) -> None:
        masks, lists = {
            "mosev1": ("valid/Annotations", None),
            "longvideo": ("Annotations", None),
            "visor": ("Annotations/480p", "ImageSets/2022/val.txt"),
        }[dataset]
        write(tmp_path / "data" / masks / "a", [blocks([1])] * length)
        if lists:
            (tmp_path / "data" / lists).parent.mkdir(parents=True)
            (tmp_path / "data" / lists).write_text("a\n")
        write(tmp_path / "results/a", [blocks([1])] * 5)
        with pytest.raises(ValueError, match=r"no frame of 1 videos counts: .*: give the ground truth of all frames"):
            score(dataset, tmp_path / "data", tmp_path / "results", num_workers=1)

    def test_a_sequence_with_an_empty_first_true_mask_is_reported(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        for side in ("data/valid/Annotations", "results"):
            write(tmp_path / side / "late", [blocks([value]) for value in (0, 1, 1, 1)])
            write(tmp_path / side / "early", [blocks([1])] * 4)
        scores = score("mosev1", tmp_path / "data", tmp_path / "results", num_workers=1)
        assert list(scores.tables["per_sequence"]) == ["early"]
        assert "1 of 2 sequences don't count, such as late: their first true mask shows no object" in caplog.text


class TestOutput:
    @pytest.mark.parametrize(
        ("output", "file"),
        [
            (None, "scores.json"),
            ("new", "new/scores.json"),
            ("new/deep", "new/deep/scores.json"),
            ("new.json", "new.json"),
            ("new/S.JSON", "new/S.JSON"),
            ("run.v2", "run.v2/scores.json"),
            ("2024.01.05", "2024.01.05/scores.json"),
            ("there", "there/scores.json"),
            ("there.json", "there.json/scores.json"),
        ],
    )
    def test_a_folder_or_a_file(
        self, tmp_path: Path, run_score: Callable[..., tuple[int, str]], output: str | None, file: str
    ) -> None:
        truth = write(tmp_path / "truth/a", [blocks([1])] * 3)
        results = write(tmp_path / "results/a", [blocks([1])] * 3)
        for folder in ("there", "there.json"):
            (tmp_path / folder).mkdir()
        flags = ("--dataset", "folder", "--data_root", truth, "--results", results, "--num_workers", 1)
        where = () if output is None else ("--output", tmp_path / output)
        assert run_score(*flags, *where)[0] == 0
        assert '"J&F": 100.0' in (tmp_path / file).read_text()

    def test_scores_of_an_evaluation_are_written_to_its_folder(
        self, tmp_path: Path, run_score: Callable[..., tuple[int, str]]
    ) -> None:
        truth = write(tmp_path / "truth/a", [blocks([1])] * 3)
        write(tmp_path / "results/Annotations/a", [blocks([1])] * 3)
        flags = ("--dataset", "folder", "--data_root", truth, "--num_workers", 1)
        assert run_score(*flags, "--results", tmp_path / "results")[0] == 0
        assert (tmp_path / "results" / "scores.json").exists() and not (tmp_path / "scores.json").exists()

    def test_scores_of_a_batch_are_written_to_its_folder(
        self, tmp_path: Path, run_score: Callable[..., tuple[int, str]]
    ) -> None:
        truth = write(tmp_path / "truth/a", [blocks([1])] * 3)
        write(tmp_path / "out/a/masks", [blocks([1])] * 3)
        flags = ("--dataset", "folder", "--data_root", truth, "--num_workers", 1)
        assert run_score(*flags, "--results", tmp_path / "out")[0] == 0
        assert '"J&F": 100.0' in (tmp_path / "out" / "scores.json").read_text()

    @pytest.mark.parametrize("output", ["scores.csv", "scores.txt", "scores.zip", "a_file"])
    def test_another_file_is_refused_before_scoring(
        self, tmp_path: Path, run_score: Callable[..., tuple[int, str]], output: str
    ) -> None:
        (tmp_path / "a_file").write_text("")
        flags = ("--dataset", "folder", "--data_root", tmp_path, "--results", tmp_path, "--num_workers", 1)
        code, errors = run_score(*flags, "--output", tmp_path / output)
        assert code == 1 and f"--output {tmp_path / output}: give a folder, or a file named *.json" in errors


class TestResults:
    @pytest.mark.parametrize("folder", ["", "Annotations", "Annotations/480p", "Annotations/Full-Resolution", "480p"])
    def test_the_folder_of_an_evaluation_stands_for_its_videos(self, tmp_path: Path, folder: str) -> None:
        truth = write(tmp_path / "truth/a", [blocks([1])] * 3)
        write(tmp_path / "results" / folder / "a", [blocks([1])] * 3)
        assert j_and_f(truth, tmp_path / "results") == 100

    def test_masks_of_one_video_are_not_a_folder_of_videos(self, tmp_path: Path) -> None:
        write(tmp_path / "truth/a", [blocks([1])] * 3)
        write(tmp_path / "out/a/masks", [blocks([1])] * 3)
        with pytest.raises(ValueError, match=r"out/a/masks contains the masks of one video: give its parent folder"):
            score("folder", tmp_path / "truth", tmp_path / "out/a/masks")

    def test_a_video_may_have_such_a_name(self, tmp_path: Path) -> None:
        for side in ("truth", "results"):
            for video in ("480p", "720p"):
                write(tmp_path / side / video, [blocks([1])] * 3)
        assert j_and_f(tmp_path / "truth", tmp_path / "results") == 100

    @pytest.mark.parametrize("name", ["a.zip", "results"])
    def test_an_archive_must_be_unpacked_first(self, tmp_path: Path, name: str) -> None:
        truth = write(tmp_path / "truth/a", [blocks([1])] * 3)
        shutil.make_archive(str(tmp_path / "packed"), "zip", truth)
        (tmp_path / "packed.zip").rename(tmp_path / name)
        with pytest.raises(ValueError, match="an archive: unpack it, and give the folder of the results"):
            score("folder", truth, tmp_path / name)
