"""Annotation: masks that a person gives, propagated and corrected; all of it in files."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from moving_clip import H, W, moving_frames, squares
from PIL import Image
from small_models import build_small

from voskit.dataloaders.masks.files import read_mask, write_mask
from voskit.dataloaders.masks.frame_masks import FrameMasks
from voskit.dataloaders.video.frames import open_frames
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.annotation import session
from voskit.evaluators.annotation.session import Annotation, BusyError, StaleRevisionError
from voskit.evaluators.clips.run import segment_clip
from voskit.evaluators.clips.video.writer import VideoWriter
from voskit.evaluators.fusion import propagate_between

FRAMES = 6


@pytest.fixture(scope="module")
def segmenter() -> VideoSegmenter:
    torch.manual_seed(0)
    return VideoSegmenter(build_small("aott"))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    with VideoWriter(path) as writer:
        for frame in moving_frames(FRAMES):
            writer.write(frame)
    return path


@pytest.fixture
def annotation(segmenter: VideoSegmenter, clip: Path, tmp_path: Path) -> Iterator[Annotation]:
    with Annotation(segmenter, open_frames(clip), tmp_path / "work") as annotation:
        yield annotation


def cropped(*ids: int) -> np.ndarray:
    """Squares in a mask of the video's size, which is even."""
    return np.pad(squares(*ids), ((0, H % 2), (0, W % 2)))


def test_a_mask_is_propagated_forwards_and_backwards(annotation: Annotation, segmenter: VideoSegmenter) -> None:
    assert len(annotation) == FRAMES
    given = cropped(1, 7)
    annotation.give(2, given)
    assert annotation.given == [2]
    assert [frame.index for frame, _ in annotation.propagate(2, 5)] == [3, 4, 5]
    assert [frame.index for frame, _ in annotation.propagate(2, 0)] == [1, 0]
    segmenter.reset()
    for number in (2, 1, 0):
        expected = segmenter.step(annotation.image(number), given if number == 2 else None)
        found = annotation.mask(number)
        assert found is not None
        assert np.array_equal(found, expected)
    segmenter.reset()
    assert np.array_equal(read_mask(annotation.folder / "given" / "00002.png"), given)


def test_given_masks_on_the_way_stay_unchanged(annotation: Annotation, segmenter: VideoSegmenter) -> None:
    first, later = cropped(1, 7), cropped(0, 7, 9)
    annotation.give(0, first)
    annotation.give(3, later)
    assert len(list(annotation.propagate(0, FRAMES - 1))) == FRAMES - 1
    assert np.array_equal(annotation.mask(3), later)
    segmenter.reset()
    segmenter.step(annotation.image(0), first)
    for number in range(1, FRAMES):
        ids = segmenter.step(annotation.image(number), later if number == 3 else None, complete=True)
        assert np.array_equal(annotation.mask(number), ids)
    segmenter.reset()


def test_it_can_be_stopped_and_continued_later(annotation: Annotation, segmenter, clip: Path) -> None:
    annotation.give(0, cropped(1))
    run = annotation.propagate(0, 5)
    assert [next(run)[0].index, next(run)[0].index] == [1, 2]
    run.close()
    annotation.close()
    later = Annotation(segmenter, open_frames(clip), annotation.folder)
    assert later.given == [0]
    assert [later.mask(number) is not None for number in range(FRAMES)] == [True, True, True, False, False, False]
    later.forget(0)
    assert later.given == []
    assert later.mask(0) is None
    assert [frame.index for frame, _ in later.propagate(2, 3)] == [3]  # from a propagated mask


def test_results_of_the_demo_are_continued_and_then_protected_from_it(
    segmenter: VideoSegmenter, clip: Path, tmp_path: Path
) -> None:
    Image.fromarray(cropped(1, 2).astype(np.uint8)).save(tmp_path / "first.png")
    folder = tmp_path / "out"
    segment_clip(segmenter, open_frames(clip), FrameMasks(tmp_path / "first.png"), folder, progress=False)
    annotation = Annotation(segmenter, open_frames(clip), folder)
    assert (folder / "overlay.mp4").exists()
    annotation.give(4, cropped(0, 2))
    annotation.close()
    assert sorted(path.name for path in folder.glob("[!.]*")) == ["given", "masks", "source.json"]
    with pytest.raises(ValueError, match=r"contains 6 PNGs that no earlier run wrote, such as masks of voskit"):
        segment_clip(segmenter, open_frames(clip), FrameMasks(tmp_path / "first.png"), folder, progress=False)


@pytest.mark.parametrize("high", [200, 256, 60000])
def test_masks_of_any_ids_are_read_as_they_were_given(annotation: Annotation, high: int) -> None:
    noise = np.random.default_rng(0).integers(0, high, annotation.source.size)
    for ids in (noise, cropped(255), cropped(65535), np.where(noise % 2, 255, 0)):
        annotation.give(0, ids)
        assert np.array_equal(annotation.mask(0), ids)


def test_an_object_is_deleted_everywhere(annotation: Annotation) -> None:
    annotation.give(0, cropped(1, 300))
    annotation.give(1, cropped(1))
    annotation.give(2, cropped(300))
    assert annotation.delete_object(300) == 2
    assert [np.unique(annotation.mask(n)).tolist() for n in range(2)] == [[0, 1], [0, 1]]
    assert annotation.given == [0, 1]  # an empty mask would say that frame 2 has no object
    assert annotation.mask(2) is None


def test_masks_that_are_given_or_removed_during_a_propagation_stay_so(annotation: Annotation) -> None:
    annotation.give(0, cropped(1))
    later = cropped(9)
    for _ in range(5):
        for frame, _ids in annotation.propagate(0, 3):
            if frame.index == 1:
                annotation.give(1, later)  # its propagated mask may wait to be written
                annotation.give(3, later)
            if frame.index == 2:
                annotation.forget(2)
        assert annotation.given == [0, 1, 3]
        assert np.array_equal(annotation.mask(1), later)
        assert annotation.mask(2) is None
        assert np.array_equal(annotation.mask(3), later)
        annotation.forget(1)
        annotation.forget(3)


def test_an_object_can_t_be_deleted_during_a_propagation(annotation: Annotation) -> None:
    annotation.give(0, cropped(1, 7))
    run = annotation.propagate(0, 3)
    next(run)
    with pytest.raises(ValueError, match="a propagation is running: stop it first"):
        annotation.delete_object(7)
    with pytest.raises(ValueError, match="a propagation is running: stop it first"):
        next(annotation.propagate(0, 3))
    run.close()
    assert annotation.delete_object(7) >= 1
    assert len(list(annotation.propagate(0, 3))) == 3


def test_one_program_writes_to_a_folder(annotation: Annotation, segmenter: VideoSegmenter, clip: Path) -> None:
    with pytest.raises(ValueError, match="work: another program is writing to it: wait, or give another folder"):
        Annotation(segmenter, open_frames(clip), annotation.folder)
    annotation.close()
    Annotation(segmenter, open_frames(clip), annotation.folder).close()


def test_masks_of_another_clip_of_the_same_name_are_refused(
    annotation: Annotation, segmenter: VideoSegmenter, clip: Path, tmp_path: Path
) -> None:
    annotation.give(0, cropped(1))
    annotation.close()
    moved = tmp_path / "elsewhere" / clip.name
    moved.parent.mkdir()
    clip.rename(moved)
    with Annotation(segmenter, open_frames(moved), annotation.folder) as same:
        assert same.given == [0]
    for frames in (moving_frames(FRAMES - 1), [frame // 2 for frame in moving_frames(FRAMES)]):
        with VideoWriter(clip) as writer:
            for frame in frames:
                writer.write(frame)
        with pytest.raises(ValueError, match=r"holds masks of a clip other than clip .* or remove .*source.json"):
            Annotation(segmenter, open_frames(clip), annotation.folder)
    (annotation.folder / "source.json").write_text("{")
    with pytest.raises(ValueError, match=r"source.json is damaged: remove it if"):
        Annotation(segmenter, open_frames(clip), annotation.folder)


def test_masks_of_a_folder_that_doesn_t_name_their_clip_are_accepted(
    annotation: Annotation, segmenter: VideoSegmenter, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert not (annotation.folder / "source.json").exists()
    annotation.give(0, cropped(1))
    assert not caplog.messages
    (annotation.folder / "source.json").unlink()
    annotation.close()
    assert Annotation(segmenter, open_frames(clip), annotation.folder).given == [0]
    assert "has no source.json: its masks are assumed to be of this clip" in caplog.text


def test_pictures(annotation: Annotation) -> None:
    annotation.give(1, cropped(1))
    assert list(annotation.make_previews()) == list(range(FRAMES))
    with open_frames(annotation.folder / "overlay.mp4") as video:
        assert video.count() == FRAMES
    assert (annotation.folder / "contact_sheet.png").exists()
    annotation.give(1, cropped(2))
    assert not (annotation.folder / "overlay.mp4").exists()  # it showed other masks


def test_pictures_have_the_chosen_colors(annotation: Annotation) -> None:
    mask = cropped(1, 2)
    annotation.give(0, mask)
    pictures = []
    for color in ("#ff00ff", "#00ff00"):
        annotation.change_object(1, color=color)
        list(annotation.make_previews())
        with open_frames(annotation.folder / "overlay.mp4") as video:
            pictures.append(next(iter(video)).image.astype(int))
    change = pictures[1] - pictures[0]
    red, green, blue = change[mask == 1].mean(0)
    assert green > 10 and red < -10 and blue < -10
    assert np.abs(change[mask == 2].mean(0)).max() < 5


def test_impossible_actions_are_reported(annotation: Annotation) -> None:
    with pytest.raises(ValueError, match="frame 0 has no mask with an object to propagate"):
        next(annotation.propagate(0, 3))
    with pytest.raises(ValueError, match="the mask has shape"):
        annotation.give(0, squares(1)[:5])
    with pytest.raises(ValueError, match="object ids must be between 0 and 65535"):
        annotation.give(0, cropped(70000))
    assert annotation.given == []
    annotation.give(0, cropped())
    with pytest.raises(ValueError, match="frame 0 has no mask with an object to propagate"):
        next(annotation.propagate(0, 3))
    with pytest.raises(ValueError, match="there is no frame 6"):
        annotation.image(6)


def test_every_change_can_be_undone_even_in_a_later_session(annotation: Annotation, segmenter, clip: Path) -> None:
    def state() -> tuple:
        masks = [annotation.mask(number) for number in range(FRAMES)]
        return annotation.given, annotation.objects, [None if mask is None else mask.tobytes() for mask in masks]

    states = [state()]

    def changes() -> Iterator[str]:
        annotation.give(0, cropped(1, 7), action="painting")
        yield "painting, frame 0"
        assert len(list(annotation.propagate(0, FRAMES - 1))) == FRAMES - 1
        yield "propagation 0-5"
        annotation.change_object(7, name="coin", color="#00ff00")
        yield "name or color of object 7"
        annotation.merge_objects(1, 7)
        yield "merging of object 1 into 7"
        annotation.forget(3)
        yield "removal of a mask, frame 3"
        assert annotation.add_object("new") == 1
        yield "new object 1"
        annotation.delete_object(7)
        yield "deletion of object 7"

    texts = []
    for text in changes():
        texts.append(text)
        states.append(state())
        assert annotation.undo_text == text
    for text, before in zip(texts[::-1], states[-2::-1], strict=True):
        annotation.close()
        annotation.__init__(segmenter, open_frames(clip), annotation.folder)  # type: ignore[misc]
        undone = annotation.undo()
        assert undone is not None
        assert undone[0] == text
        assert state() == before
    assert annotation.undo() is None
    for text, after in zip(texts, states[1:], strict=True):
        assert annotation.redo_text == text
        annotation.redo()
        assert state() == after
    assert annotation.redo() is None


def test_a_change_of_an_old_revision_is_refused_and_an_undo_restores_its_revision(annotation: Annotation) -> None:
    assert annotation.revision(0) == 0
    annotation.give(0, cropped(1), revision=0)
    first = annotation.revision(0)
    annotation.give(0, cropped(2), revision=first)
    for change in (lambda: annotation.give(0, cropped(3), revision=first), lambda: annotation.forget(0, revision=0)):
        with pytest.raises(StaleRevisionError, match="the mask of frame 0 has changed in the meantime"):
            change()
    assert np.array_equal(annotation.mask(0), cropped(2))
    annotation.undo()
    assert annotation.revision(0) == first
    annotation.forget(0, revision=first)
    assert annotation.revision(0) == 0


def test_changes_during_a_propagation_are_undone_in_order(annotation: Annotation) -> None:
    annotation.give(0, cropped(1))
    run = annotation.propagate(0, 5)
    next(run), next(run)
    with pytest.raises(BusyError):
        while annotation.undo_text != "painting, frame 0":  # until a propagated mask is written
            annotation.undo()
    annotation.give(1, cropped(9), action="painting")
    assert len(list(run)) == 3
    assert annotation.undo_text == "propagation 0-5"
    annotation.undo()
    assert np.array_equal(annotation.mask(1), cropped(9))
    annotation.undo()
    mask = annotation.mask(1)
    assert mask is None or not (mask == 9).any()
    while annotation.undo() is not None:
        pass
    assert annotation.masked == []


def test_chosen_objects_are_propagated_and_locked_ones_stay(annotation: Annotation) -> None:
    annotation.give(0, cropped(1, 7))
    assert len(list(annotation.propagate(0, 2))) == 2
    before = annotation.mask(1)
    annotation.give(0, cropped(0, 7, 1))
    assert len(list(annotation.propagate(0, 2, objects=[7]))) == 2
    assert np.array_equal(annotation.mask(1) == 1, before == 1)
    annotation.change_object(1, locked=True)
    assert len(list(annotation.propagate(0, 2))) == 2
    assert np.array_equal(annotation.mask(1) == 1, before == 1)
    annotation.change_object(7, locked=True)
    with pytest.raises(ValueError, match="frame 0 has no mask with an object to propagate: all its objects are locked"):
        next(annotation.propagate(0, 2))
    with pytest.raises(ValueError, match="not the chosen objects"):
        next(annotation.propagate(0, 2, objects=[3]))


def test_both_directions_are_joined_between_given_masks(annotation: Annotation, segmenter: VideoSegmenter) -> None:
    first, last = cropped(1, 7), cropped(1, 7)
    annotation.give(1, first)
    annotation.give(4, last)
    assert [frame.index for frame, _ in annotation.propagate(1, 5, fuse=True)] == [2, 3, 4, 5]
    scratch = annotation.folder.parent / "scratch"
    for frame, ids in propagate_between(segmenter, annotation.source, (first, last), (1, 4), scratch):
        assert np.array_equal(annotation.mask(frame.index), ids)
    assert np.array_equal(annotation.mask(4), last)
    assert set(annotation.confidences()) == {2, 3, 5}
    assert annotation.undo_text == "propagation 1-5"
    annotation.undo()
    assert annotation.masked == [(1, 1), (4, 4)]
    assert [frame.index for frame, _ in annotation.propagate(4, 0, fuse=True)] == [2, 3, 1, 0]
    annotation.undo()
    assert list(annotation.propagate(1, 4, fuse=True, wanted=lambda: False)) == []
    assert annotation.masked == [(1, 1), (4, 4)]


def test_propagated_frames_have_confidences_until_they_are_corrected(annotation: Annotation) -> None:
    annotation.give(0, cropped(1, 7))
    assert len(list(annotation.propagate(0, 3))) == 3
    assert set(annotation.confidences()) == {1, 2, 3}
    assert all(set(found) <= {1, 7} for found in annotation.confidences().values())
    before = annotation.confidence(2)
    annotation.give(2, cropped(1, 7))
    assert annotation.confidence(2) == {}
    annotation.undo()
    assert annotation.confidence(2) == before


def test_a_change_stopped_by_a_full_disk_leaves_everything_unchanged(
    annotation: Annotation, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotation.give(0, cropped(1))
    annotation.give(1, cropped(1, 2))
    before = annotation.revisions

    def full(path: Path, *_: object, **__: object) -> None:
        if path.name == "00001.png":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write(path, *_, **__)

    write = session.write_mask
    monkeypatch.setattr(session, "write_mask", full)
    for change in (lambda: annotation.give(1, cropped(3)), lambda: annotation.merge_objects(1, 2)):
        with pytest.raises(OSError, match="No space left"):
            change()
    monkeypatch.undo()
    assert annotation.revisions == before
    assert np.array_equal(annotation.mask(0), cropped(1))
    assert np.array_equal(annotation.mask(1), cropped(1, 2))
    assert annotation.undo_text == "change of a mask, frame 1"


def test_a_given_mask_left_half_written_by_a_kill_is_repaired(annotation: Annotation, segmenter, clip: Path) -> None:
    annotation.give(0, cropped(1))
    annotation.give(0, cropped(2))
    annotation.close()
    write_mask(annotation.folder / "masks" / "00000.png", cropped(3))
    with Annotation(segmenter, open_frames(clip), annotation.folder) as later:
        assert np.array_equal(read_mask(later.folder / "given" / "00000.png"), cropped(3))


def test_object_names_of_the_demo_survive_the_removal_of_its_report(segmenter, clip: Path, tmp_path: Path) -> None:
    for object_id, name in ((1, "cat"), (2, "cup")):
        (tmp_path / "objects").mkdir(exist_ok=True)
        Image.fromarray((cropped(1, 2) == object_id).astype(np.uint8) * 255).save(tmp_path / "objects" / f"{name}.png")
    folder = tmp_path / "out"
    segment_clip(segmenter, open_frames(clip), FrameMasks(tmp_path / "objects"), folder, progress=False)
    for _ in range(2):
        with Annotation(segmenter, open_frames(clip), folder) as annotation:
            for _frame in annotation.read_objects():
                pass
            assert sorted(one.name for one in annotation.objects.values()) == ["cat", "cup"]
            annotation.give(4, cropped(0, 2))
