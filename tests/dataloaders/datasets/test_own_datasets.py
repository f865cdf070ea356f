"""Your own dataset by its JSON file, and errors about datasets that differ from their descriptions."""

from __future__ import annotations

import shutil
from pathlib import Path
from unicodedata import normalize

import cv2
import numpy as np
import pytest
from media_files import write_video
from PIL import Image

import dataset_trees as trees
from voskit.dataloaders.datasets import Dataset, Problem, open_dataset
from voskit.dataloaders.datasets.check import check_dataset
from voskit.dataloaders.datasets.index import read_video_list
from voskit.dataloaders.training.records import folder_records, video_records
from voskit.dataloaders.video.frames import open_frames


def one_line(error: pytest.ExceptionInfo[BaseException]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


class TestCustom:
    def describe(self, root: Path, **fields: object) -> Path:
        return trees.write_json(root / "dances.json", fields)

    def test_frame_folders(self, tmp_path: Path) -> None:
        trees.custom(tmp_path)
        dataset = open_dataset(self.describe(tmp_path, title="my dances"))
        video = dataset.videos[0]
        assert dataset.name == "dances" and list(video.given) == ["00000", "00002"]
        assert video.object_ids == (1, 200) and video.wanted == trees.FRAMES

    def test_list_and_other_folders(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            trees.video(tmp_path, "clips/{}", "ids/{}", name, trees.FRAMES)
        trees.text(tmp_path / "lists/train.txt", "b\n")
        description = self.describe(
            tmp_path / "elsewhere",
            name="x",
            frames="clips/{video}",
            masks="ids/{video}",
            given="first",
            splits=["train"],
            video_list="lists/{split}.txt",
        )
        dataset = open_dataset(description, tmp_path)
        assert [v.name for v in dataset] == ["b"] and list(dataset.videos[0].given) == ["00000"]

    @pytest.mark.parametrize("listed", [False, True])
    @pytest.mark.parametrize("names", [("2024.01.05", "2024.01.06"), ("v1", "v1.2", "v1.2.3"), ("a.mp4", "a.avi")])
    def test_folder_names_may_contain_dots(self, tmp_path: Path, names: tuple[str, ...], listed: bool) -> None:
        for name in names:
            trees.video(tmp_path, "frames/{}", "masks/{}", name)
        if listed:
            trees.text(tmp_path / "all.txt", "\n".join(names))
        dataset = open_dataset(self.describe(tmp_path))
        assert sorted(v.name for v in dataset) == sorted(names)
        assert all(v.given["00000"].parent == tmp_path / "masks" / v.name for v in dataset)
        assert check_dataset(tmp_path / "dances.json").summary.endswith("nothing wrong")

    @pytest.mark.parametrize("place", ["masks/a/00000.bmp", "masks/a/00000.TIF", "masks/a.bmp"])
    def test_given_masks_of_a_different_format_are_named(self, tmp_path: Path, place: str) -> None:
        trees.video(tmp_path, "frames/{}", "masks/{}", "a", truth=())
        (tmp_path / place).parent.mkdir(parents=True)
        Image.fromarray(trees.ids_mask((1, 2))).save(tmp_path / place)
        with pytest.raises(FileNotFoundError, match=r"masks/a: video a has no given mask: masks must be PNG") as error:
            open_dataset(self.describe(tmp_path))
        assert f"unlike {Path(place).name}: convert" in one_line(error)
        with pytest.raises(ValueError, match=r"masks/a: video a has no mask: masks must be PNG"):
            folder_records(tmp_path / "frames", tmp_path / "masks", ["a"])

    def test_true_masks_of_a_different_format_are_named(self, tmp_path: Path) -> None:
        trees.video(tmp_path, "frames/{}", "masks/{}", "a", trees.FRAMES)
        (tmp_path / "ground_truth/a").mkdir(parents=True)
        Image.fromarray(trees.ids_mask((1, 2))).save(tmp_path / "ground_truth/a/00000.bmp")
        with pytest.raises(FileNotFoundError, match=r"ground_truth/a: video a has no true mask: masks must be PNG"):
            open_dataset(self.describe(tmp_path))

    @pytest.mark.parametrize("truth", [(1, 2), (7, 9), (255,), (128, 255)])
    def test_true_masks_elsewhere_do_not_change_the_ids_of_given_ones(self, tmp_path: Path, truth: tuple) -> None:
        trees.video(tmp_path, "frames/{}", "ground_truth/{}", "a", trees.FRAMES, ids=truth, grayscale=True)
        ids = trees.ids_mask((1, 2))
        colors = np.array([(0, 0, 0), (0, 0, 255), (255, 0, 0)], np.uint8)[ids]
        path = tmp_path / "masks/a/00000.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(colors).save(path)
        video = open_dataset(self.describe(tmp_path)).videos[0]
        assert (video.masks.read(path, "00000") == ids).all()
        true = video.truth_frames["00001"]
        assert set(np.unique(video.true_masks.read(true, "00001"))) - {0} == ({1} if truth == (255,) else set(truth))

    def test_a_true_mask_in_color_changes_no_given_one_and_is_reported(self, tmp_path: Path) -> None:
        trees.video(tmp_path, "frames/{}", "masks/{}", "a", ids=(5, 9), grayscale=True)
        trees.video(tmp_path, "frames/{}", "ground_truth/{}", "a", trees.FRAMES, ids=(5, 9), grayscale=True)
        path = tmp_path / "ground_truth/a/00001.png"
        Image.fromarray(trees.ids_mask((5, 9))).convert("RGB").save(path)
        description = self.describe(tmp_path)
        assert open_dataset(description).videos[0].object_ids == (5, 9)
        assert [problem.path for problem in check_dataset(description).problems] == [path]

    @pytest.mark.parametrize("junk", ["__MACOSX", "@eaDir", ".ipynb_checkpoints", "lost+found", "$RECYCLE.BIN"])
    def test_system_folders_are_not_videos(self, tmp_path: Path, junk: str) -> None:
        trees.video(tmp_path, "frames/{}", "masks/{}", "waltz")
        for folder in ("frames", "masks", "frames/waltz"):
            trees.image(tmp_path / folder / junk / "._00000.jpg")
        dataset = open_dataset(self.describe(tmp_path))
        assert [v.name for v in dataset] == ["waltz"] and dataset.videos[0].frame_names == trees.FRAMES
        assert check_dataset(tmp_path / "dances.json").summary.endswith("nothing wrong")

    @pytest.mark.parametrize(("listed", "stored"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFC", "NFC")])
    def test_accented_names_in_either_unicode_form(self, tmp_path: Path, listed: str, stored: str) -> None:
        """A Mac unpacks folders in one form, lists are typed in the other."""
        name = "Tänzerin é"
        trees.video(tmp_path, "frames/{}", "masks/{}", normalize(stored, name))
        trees.text(tmp_path / "all.txt", normalize(listed, name) + "\n")
        (video,) = open_dataset(self.describe(tmp_path))
        assert video.name == normalize(listed, name) and list(video.given) == ["00000"]

    @pytest.mark.parametrize("line", ["waltz", "waltz/", "waltz\\", " waltz \t", "waltz\r"])
    def test_a_line_of_a_list(self, tmp_path: Path, line: str) -> None:
        trees.video(tmp_path, "frames/{}", "masks/{}", "waltz")
        (tmp_path / "all.txt").write_bytes(f"\n{line}\n\n".encode())
        assert [v.name for v in open_dataset(self.describe(tmp_path))] == ["waltz"]

    def test_a_list_with_file_extensions_is_refused_with_advice(self, tmp_path: Path) -> None:
        trees.text(tmp_path / "frames/waltz.mp4", "")
        trees.text(tmp_path / "all.txt", "waltz.mp4\n")
        with pytest.raises(ValueError, match=r"waltz\.mp4: all\.txt lists this file: .* their extension: waltz"):
            open_dataset(self.describe(tmp_path))

    def test_a_single_mask_of_a_folder_whose_name_has_a_dot(self, tmp_path: Path) -> None:
        trees.video(tmp_path, "frames/{}", "", "2024.01.05", ())
        trees.mask(tmp_path / "masks/2024.01.05.png")
        assert list(open_dataset(self.describe(tmp_path)).videos[0].given) == ["00000"]

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
    def test_lists_of_any_unicode_encoding(self, tmp_path: Path, encoding: str) -> None:
        trees.video(tmp_path, "frames/{}", "masks/{}", "Tänzerin")
        (tmp_path / "all.txt").write_bytes("Tänzerin\r\n".encode(encoding))
        (tmp_path / "dances.json").write_bytes("{}".encode(encoding))
        assert [v.name for v in open_dataset(tmp_path / "dances.json")] == ["Tänzerin"]

    def test_a_list_in_an_old_encoding_is_refused(self, tmp_path: Path) -> None:
        trees.video(tmp_path, "frames/{}", "masks/{}", "Tänzerin")
        (tmp_path / "all.txt").write_bytes("Tänzerin\n".encode("cp1252"))
        with pytest.raises(ValueError, match=r"all\.txt: line 1 is not UTF-8 text: save the file as UTF-8"):
            open_dataset(self.describe(tmp_path))

    def test_names_in_a_list_may_contain_spaces(self, tmp_path: Path) -> None:
        trees.video(tmp_path, "frames/{}", "masks/{}", "my dance")
        trees.text(tmp_path / "all.txt", "my dance \n")
        assert [v.name for v in open_dataset(self.describe(tmp_path))] == ["my dance"]
        for line in ("my dance/0.jpg 0.png 1.png", "..", "frames/../0.jpg"):
            trees.text(tmp_path / "all.txt", line)
            with pytest.raises(
                ValueError, match=r"all\.txt: line 1: .* is neither the name of a video nor a pair of files"
            ):
                open_dataset(self.describe(tmp_path))

    def test_frames_come_in_natural_order(self, tmp_path: Path) -> None:
        names = [f"frame{number}" for number in range(1, 13)]
        trees.video(tmp_path, "frames/{}", "masks/{}", "dance", names[1::8], names=names)
        dataset = open_dataset(self.describe(tmp_path))
        video = dataset.videos[0]
        with open_frames(tmp_path / "frames/dance") as source:
            assert [frame.name for frame in source] == list(video.frame_names) == names
        assert list(video.given) == ["frame2", "frame10"]
        assert [path.stem for path in video_records(dataset)[0].masks] == ["frame2", "frame10"]
        shutil.rmtree(tmp_path / "frames")
        video = open_dataset(self.describe(tmp_path), require_frames=False).videos[0]
        assert video.frame_names == ("frame2", "frame10")

    def test_extensions_may_be_in_upper_case(self, tmp_path: Path) -> None:
        (tmp_path / "frames").mkdir()
        write_video(tmp_path / "frames/tango.MP4", "mpeg4", 3, size=trees.SIZE)
        trees.video(tmp_path, "frames/{}", "masks/{}", "waltz")
        trees.video(tmp_path, "frames/{}", "ground_truth/{}", "waltz", trees.FRAMES)
        for path in [*tmp_path.glob("frames/waltz/*"), *tmp_path.glob("*/waltz/*.png")]:
            path.rename(path.with_suffix(path.suffix.upper()))
        trees.mask(tmp_path / "masks/tango.png", (3,)).rename(tmp_path / "masks/tango.PNG")
        dataset = open_dataset(self.describe(tmp_path))
        tango, waltz = dataset
        assert tango.video_file == tmp_path / "frames/tango.MP4" and tango.object_ids == (3,)
        assert tango.given == {"00000": tmp_path / "masks/tango.PNG"}
        truth = [tmp_path / f"ground_truth/waltz/{name}.PNG" for name in trees.FRAMES]
        assert list(waltz.truth_frames.values()) == truth and waltz.object_ids == (1,)
        assert check_dataset(self.describe(tmp_path), full=True).problems == []
        shutil.rmtree(tmp_path / "frames")
        waltz = open_dataset(self.describe(tmp_path), require_frames=False).video("waltz")
        assert waltz.frame_size == trees.SIZE

    def test_training_takes_masks_whose_extension_is_in_upper_case(self, tmp_path: Path) -> None:
        trees.video(tmp_path, "frames/{}", "masks/{}", "waltz")
        trees.video(tmp_path, "frames/{}", "ground_truth/{}", "waltz", trees.FRAMES[:2])
        path = (tmp_path / "ground_truth/waltz/00001.png").rename(tmp_path / "ground_truth/waltz/00001.PNG")
        [record] = video_records(open_dataset(self.describe(tmp_path)))
        assert record.masks[1] == path

    def test_a_video_that_occurs_twice(self, tmp_path: Path) -> None:
        for name in ("tango.mp4", "tango.AVI"):
            trees.text(tmp_path / "frames" / name, "")
        with pytest.raises(ValueError, match="frames: tango occurs several times"):
            open_dataset(self.describe(tmp_path))

    def test_videos(self, tmp_path: Path) -> None:
        path = tmp_path / "frames/walk.avi"
        path.parent.mkdir()
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, trees.SIZE[::-1])
        for level in range(5):
            writer.write(np.full((*trees.SIZE, 3), 40 * level, np.uint8))
        writer.release()
        trees.mask(tmp_path / "masks/walk/00000.png", (7,))
        trees.mask(tmp_path / "masks/walk/00003.png", (9,))
        video = open_dataset(self.describe(tmp_path)).videos[0]
        assert video.video_file == path and video.frame_size == trees.SIZE and video.object_ids == (7, 9)
        assert video.frame_names == video.wanted == tuple(f"{i:05d}" for i in range(5))
        with video.source() as source:
            assert sum(1 for _ in source) == 5

    def test_one_mask_named_like_the_video(self, tmp_path: Path) -> None:
        trees.video(tmp_path, "frames/{}", "", "a", ())
        trees.mask(tmp_path / "masks/a.png", (3,))
        assert list(open_dataset(self.describe(tmp_path)).videos[0].given) == ["00000"]

    def test_base_dataset(self, tmp_path: Path) -> None:
        trees.mose(tmp_path)
        assert len(open_dataset(self.describe(tmp_path, base="mosev1", name="more"))) == 2

    def test_errors(self, tmp_path: Path) -> None:
        trees.custom(tmp_path)
        for fields, message in (
            ({"frmes": "x"}, "no field 'frmes': did you mean frames"),
            ({"base": "mose"}, "unknown dataset 'mose'"),
            ({"given": "some"}, "field 'given'"),
        ):
            with pytest.raises(ValueError, match=rf"dances\.json: .*{message}") as error:
                open_dataset(self.describe(tmp_path, **fields))
            one_line(error)
        with pytest.raises(FileNotFoundError, match=r"none\.json: no such file"):
            open_dataset(tmp_path / "none.json")
        trees.mask(tmp_path / "masks/dance/00009.png")
        with pytest.raises(ValueError, match=r"00009\.png: no frame has the name of this mask"):
            open_dataset(self.describe(tmp_path))


class TestErrors:
    def test_wrong_root(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError) as error:
            open_dataset("davis2017", tmp_path)
        expected = f"ImageSets/2017/val.txt not found in {tmp_path}: is data_root the folder that contains JPEGImages?"
        assert one_line(error) == expected
        with pytest.raises(FileNotFoundError, match="no such folder: data_root must be the folder of davis2017"):
            open_dataset("davis2017", tmp_path / "none")
        with pytest.raises(ValueError, match="data_root is missing: set it to the folder of the dataset"):
            open_dataset("davis2017")

    def test_wrong_names(self, tmp_path: Path) -> None:
        root = trees.davis2017(tmp_path)
        with pytest.raises(ValueError, match="no split 'vall': known: val, test-dev"):
            open_dataset("davis2017", root, split="vall")
        with pytest.raises(ValueError, match="no field 'resolution'"):
            open_dataset("davis2017", root, resolution="480p")

    def test_missing_video(self, tmp_path: Path) -> None:
        root = trees.davis2017(tmp_path)
        shutil.rmtree(root / "JPEGImages/480p/dog")
        with pytest.raises(FileNotFoundError, match=r"480p/dog: no such folder of frames, but val\.txt lists") as error:
            open_dataset("davis2017", root)
        one_line(error)

    def test_missing_mask(self, tmp_path: Path) -> None:
        root = trees.davis2017(tmp_path)
        shutil.rmtree(root / "Annotations/480p/dog")
        with pytest.raises(FileNotFoundError, match=r"Annotations/480p/dog: video dog has no given mask"):
            open_dataset("davis2017", root)

    def test_problems_can_be_collected(self, tmp_path: Path) -> None:
        root = trees.davis2017(tmp_path)
        shutil.rmtree(root / "JPEGImages/480p/dog")
        problems: list[Problem] = []
        dataset = open_dataset("davis2017", root, report=problems.append)
        assert [v.name for v in dataset] == ["bear"] and dataset.listed == ("bear", "dog")
        assert [p.video for p in problems] == ["dog"]

    def test_broken_files(self, tmp_path: Path) -> None:
        root = trees.youtube(tmp_path)
        meta = root / "valid/meta.json"
        for content, message in (("{", "not a JSON file"), ("{}", "expected a JSON object with 'videos'")):
            meta.write_text(content)
            with pytest.raises(ValueError, match=rf"meta\.json: {message}") as error:
                open_dataset("youtubevos2019", root)
            one_line(error)
        meta.write_text('{"videos": {"vid1": {"objects": [1]}}}')
        with pytest.raises(ValueError, match=r"video vid1: its entry is invalid"):
            open_dataset("youtubevos2019", root)

    def test_list_entries(self, tmp_path: Path) -> None:
        root = trees.davis2017(tmp_path)
        for content, message in (("bear\nbear\n", "line 2: bear is listed twice"), ("\n", "the list is empty")):
            (root / "ImageSets/2017/val.txt").write_text(content)
            with pytest.raises(ValueError, match=rf"val\.txt: {message}"):
                open_dataset("davis2017", root)

    def test_a_list_of_names_and_pairs_keeps_its_order(self, tmp_path: Path) -> None:
        pairs = ["/JPEGImages/480p/bear/0.jpg /Annotations/480p/bear/0.png", "JPEGImages/480p/bear/1.jpg"]
        trees.text(tmp_path / "all.txt", "\n".join(["dog", pairs[0], "bear", "cat", pairs[1], pairs[0], "dog"]))
        problems: list[Problem] = []
        videos = read_video_list(tmp_path / "all.txt", problems.append)
        assert videos.names == ["dog", "bear", "cat"]
        assert videos.files == {
            "bear": [
                ("JPEGImages/480p/bear/0.jpg", "Annotations/480p/bear/0.png"),
                ("JPEGImages/480p/bear/1.jpg", None),
            ]
        }
        assert [problem.text for problem in problems] == [
            "line 3: bear is listed twice",
            "line 6: JPEGImages/480p/bear/0.jpg is listed twice",
            "line 7: dog is listed twice",
        ]

    def test_the_frames_of_a_list_are_not_compared_with_each_other(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trees.text(tmp_path / "all.txt", "\n".join(f"JPEGImages/bear/{number}.jpg" for number in range(100)))
        compared = 0

        def equal(one: Path, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str(one) == str(other)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "__eq__", equal)
            videos = read_video_list(tmp_path / "all.txt", lambda _: None)
        assert len(videos.files["bear"]) == 100
        assert compared < 100

    def test_frame_twice(self, tmp_path: Path) -> None:
        root = trees.davis2017(tmp_path)
        trees.image(root / "JPEGImages/480p/bear/00001.png")
        with pytest.raises(ValueError, match="frame 00001 occurs with several extensions"):
            open_dataset("davis2017", root)

    def test_frames_may_be_absent_for_scoring(self, tmp_path: Path) -> None:
        root = trees.davis2017(tmp_path)
        shutil.rmtree(root / "JPEGImages")
        dataset = open_dataset("davis2017", root, require_frames=False)
        video = dataset.videos[0]
        assert video.frame_names == trees.FRAMES and not video.files and video.frame_size == trees.SIZE
        with pytest.raises(FileNotFoundError, match="frames are missing"):
            video.source()


class TestFirstMaskWithoutObject:
    """``given: first`` with masks of all frames, of which the first ones are empty."""

    def opened(self, root: Path, empty: int, masks: int = 3) -> Dataset:
        for place, name in enumerate(trees.FRAMES):
            trees.image(root / f"frames/late/{name}.jpg")
            if place < masks:
                trees.mask(root / f"masks/late/{name}.png", () if place < empty else (1, 2))
        return open_dataset(trees.write_json(root / "own.json", {"given": "first", "ground_truth": "masks/{video}"}))

    @pytest.mark.parametrize("empty", [0, 1, 2])
    def test_the_first_mask_that_shows_an_object_is_given(self, tmp_path: Path, empty: int) -> None:
        (video,) = self.opened(tmp_path, empty)
        assert list(video.given) == [trees.FRAMES[empty]] and video.object_ids == (1, 2)
        assert video.ground_truth == tmp_path / "masks/late"
        problems = check_dataset(tmp_path / "own.json").problems
        told = (
            [f"the first mask shows no object: the mask of frame {trees.FRAMES[empty]} is given instead"]
            if empty
            else []
        )
        assert [problem.text for problem in problems] == told

    @pytest.mark.parametrize("masks", [1, 3])
    def test_if_no_mask_shows_an_object_the_first_is_given(self, tmp_path: Path, masks: int) -> None:
        (video,) = self.opened(tmp_path, 3, masks)
        assert list(video.given) == ["00000"] and video.object_ids == ()
        assert "the given mask shows no object" in [p.text for p in check_dataset(tmp_path / "own.json").problems]

    def test_a_damaged_mask_is_reported_and_not_skipped(self, tmp_path: Path) -> None:
        (video,) = self.opened(tmp_path, 2)
        (tmp_path / "masks/late/00001.png").write_bytes(b"\x89PNG")
        assert list(video.given) == ["00001"]
        with pytest.raises(ValueError, match=r"00001\.png"):
            video.mask("00001")
