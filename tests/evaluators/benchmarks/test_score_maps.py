"""Score maps: written frame by frame, completely or not at all, and merged for complete evaluations only."""

from __future__ import annotations

import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from voskit.dataloaders.masks.files import read_mask
from voskit.evaluators.benchmarks.score_maps import IDS, ScoreMaps, score_map
from voskit.tools import merge


def probabilities(seed: int, size: tuple[int, int] = (6, 8)) -> torch.Tensor:
    return torch.rand((3, *size), generator=torch.Generator().manual_seed(seed)).softmax(0)


def write(folder: Path, *videos: str, seed: int = 0) -> Path:
    for video in videos:
        with ScoreMaps(folder / "Scores" / f"{video}.npz") as maps:
            for frame in range(3):
                maps.add(f"{frame:05d}", probabilities(seed + frame))
            maps.finish((1, 7))
    return folder


def test_the_file_is_what_numpy_writes(tmp_path: Path) -> None:
    write(tmp_path, "a")
    arrays = {f"{frame:05d}": score_map(probabilities(frame)) for frame in range(3)}
    np.savez_compressed(tmp_path / "numpy.npz", **{IDS: np.asarray((1, 7), np.uint16)}, **arrays)
    ours, numpy = np.load(tmp_path / "Scores" / "a.npz"), np.load(tmp_path / "numpy.npz")
    assert set(ours.files) == set(numpy.files)
    for name in numpy.files:
        assert ours[name].dtype == numpy[name].dtype
        assert np.array_equal(ours[name], numpy[name])
    assert [p.name for p in (tmp_path / "Scores").iterdir()] == ["a.npz"]


def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    frame = probabilities(0, (300, 400))
    tracemalloc.start()
    with ScoreMaps(tmp_path / "a.npz") as maps:
        for number in range(20):
            maps.add(f"{number:05d}", frame)
        maps.finish((1, 7))
    assert tracemalloc.get_traced_memory()[1] < 5 * frame.numel()
    tracemalloc.stop()


def test_an_error_leaves_nothing_but_the_earlier_file(tmp_path: Path) -> None:
    before = write(tmp_path, "a").joinpath("Scores", "a.npz").read_bytes()

    def break_off(name: str) -> None:
        with ScoreMaps(tmp_path / "Scores" / name) as maps:
            maps.add("00000", probabilities(5))
            raise ValueError("a damaged frame")

    for name in ("a.npz", "b.npz"):
        with pytest.raises(ValueError, match="a damaged frame"):
            break_off(name)
    assert [p.name for p in (tmp_path / "Scores").iterdir()] == ["a.npz"]
    assert (tmp_path / "Scores" / "a.npz").read_bytes() == before


def call(monkeypatch: pytest.MonkeyPatch, output: Path, *results: Path) -> int:
    monkeypatch.setattr(sys, "argv", ["merge.py", "--results", *map(str, results), "--output_path", str(output)])
    return merge.main()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_an_incomplete_run_is_refused_in_any_order(order, tmp_path: Path, monkeypatch, capsys) -> None:
    runs = [write(tmp_path / "one", "a", "b"), write(tmp_path / "two", "a", seed=9)]
    (tmp_path / "two/Scores/.b.npz.5f3a.tmp").write_bytes(b"left by a killed run")
    out = tmp_path / "out"
    assert call(monkeypatch, out, *(runs[i] for i in order)) == 1
    assert "two lacks score maps of 1 of 2 videos, such as b: finish its voskit eval" in capsys.readouterr().err
    assert not out.exists()
    write(tmp_path / "two", "b", seed=9)
    assert call(monkeypatch, out, *runs) == 0
    merged = read_mask(out / "Annotations" / "b" / "00002.png")
    total = score_map(probabilities(2)).astype(int) + score_map(probabilities(11))
    assert np.array_equal(merged, np.array([0, 1, 7])[total.argmax(0)])


def test_an_error_while_merging_leaves_nothing_that_blocks_the_next_run(tmp_path: Path, monkeypatch, capsys) -> None:
    runs = [write(tmp_path / "one", "a", "b"), write(tmp_path / "two", "a", "b", seed=9)]
    whole = (tmp_path / "two/Scores/b.npz").read_bytes()
    np.savez_compressed(tmp_path / "two/Scores/b.npz", **{IDS: np.asarray((1,), np.uint16)})
    assert call(monkeypatch, tmp_path / "out", *runs) == 1
    assert "differ in frames or objects" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())
    (tmp_path / "two/Scores/b.npz").write_bytes(whole)
    assert call(monkeypatch, tmp_path / "out", *runs) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["Annotations"]


def test_a_damaged_map_is_an_error_that_names_its_file(tmp_path: Path, monkeypatch, capsys) -> None:
    runs = [write(tmp_path / "one", "a"), write(tmp_path / "two", "a", seed=9)]
    path = tmp_path / "two/Scores/a.npz"
    whole = path.read_bytes()
    for damaged in (whole[:200], whole[:200] + bytes(9) + whole[209:]):  # cut off, overwritten
        path.write_bytes(damaged)
        assert call(monkeypatch, tmp_path / "out", *runs) == 1
        lines = capsys.readouterr().err.splitlines()
        assert lines[-1] == f"error: {path} is damaged: remove it and run voskit eval with --save_scores again"
        assert not list((tmp_path / "out").iterdir())
