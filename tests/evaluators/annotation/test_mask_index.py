"""Index of masks: ranges of frames, revisions, objects and confidences by frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voskit.evaluators.annotation.storage.mask_index import FrameRanges, MaskIndex, MaskRecord


def test_ranges_are_those_of_a_set() -> None:
    rng = np.random.default_rng(0)
    ranges, numbers = FrameRanges(), set()
    for number in rng.integers(0, 20, 600).tolist():
        if rng.random() < 0.55:
            ranges.add(number)
            numbers.add(number)
        else:
            ranges.discard(number)
            numbers.discard(number)
        assert {n for a, b in ranges for n in range(a, b + 1)} == numbers
        assert all(b + 1 < c for (_, b), (c, _) in zip(list(ranges)[:-1], list(ranges)[1:], strict=True))


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    (tmp_path / "masks").mkdir()
    return [tmp_path / "masks" / f"{number}.png" for number in range(4)]


def put(index: MaskIndex, path: Path, number: int, *ids: int, given: bool = False, **confidence: float) -> int:
    path.write_bytes(b"mask")
    revision = index.stamp(path)
    sure = {int(name[1:]): value for name, value in confidence.items()}
    index.set(number, revision, given=given, record=MaskRecord(ids, sure))
    return revision


def test_revisions_objects_and_confidences_stay_through_a_restart(paths: list[Path], tmp_path: Path) -> None:
    index = MaskIndex(tmp_path / "log", paths, [])
    first = put(index, paths[1], 1, 3, 7, given=True)
    second = put(index, paths[2], 2, 7, o7=0.25)
    third = put(index, paths[3], 3, 7, o7=0.5)
    assert first < second < third
    index = MaskIndex(tmp_path / "log", paths, [1])
    assert index.revisions == {1: first, 2: second, 3: third}
    assert index.given == [1]
    assert list(index.ranges) == [(1, 3)]
    assert index.frames_with == {3: 1, 7: 3}
    assert index.given_with == {3: 1, 7: 1}
    assert index.confidences() == {2: {7: 0.25}, 3: {7: 0.5}}
    index.set(1, 0, given=False)
    assert index.frames_with == {7: 2}
    assert not index.given_with
    assert index.revision(1) == 0


def test_a_restored_mask_has_its_confidence_again(paths: list[Path], tmp_path: Path) -> None:
    index = MaskIndex(tmp_path / "log", paths, [])
    revision = put(index, paths[0], 0, 1, o1=0.75)
    put(index, paths[0], 0, 1, given=True)
    assert index.confidences() == {}
    index.set(0, revision, given=False)
    assert index.confidences() == {0: {1: 0.75}}


def test_lost_records_are_marked_as_unknown(paths: list[Path], tmp_path: Path) -> None:
    index = MaskIndex(tmp_path / "log", paths, [])
    put(index, paths[0], 0, 1)
    put(index, paths[1], 1, 2)
    text = (tmp_path / "log").read_text()
    (tmp_path / "log").write_text(text[:-5])  # a kill cut the last line short
    index = MaskIndex(tmp_path / "log", paths, [])
    assert index.unknown() == [1]
    index.learn(1, [2])
    assert MaskIndex(tmp_path / "log", paths, []).unknown() == []


def test_a_log_of_many_old_masks_is_shortened(paths: list[Path], tmp_path: Path) -> None:
    index = MaskIndex(tmp_path / "log", paths, [])
    for _ in range(1100):
        put(index, paths[0], 0, 1, o1=0.5)
    MaskIndex(tmp_path / "log", paths, [])
    assert len((tmp_path / "log").read_text().split("\n")) == 2
    assert MaskIndex(tmp_path / "log", paths, []).confidences() == {0: {1: 0.5}}
