"""Simulated annotation: rules that choose the next frame, propagation between given frames, and the whole program."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from programs import run_program
from small_models import save_small_aost

import dataset_trees as trees
from voskit.dataloaders.datasets import open_dataset

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import effort

BENCHMARKS = Path(effort.__file__).parent


class Copies:
    """Segmenter that repeats the last given mask; the further from it, the less sure."""

    def __init__(self) -> None:
        self.given: list[int] = []
        self.reset()

    def reset(self) -> None:
        self.since = 0

    def step(self, frame: np.ndarray, mask: np.ndarray | None = None, complete: bool = False) -> np.ndarray:
        self.since += 1
        if mask is not None:
            assert complete
            self.mask = mask
        return self.mask

    @property
    def quality(self) -> dict[int, SimpleNamespace]:
        return {1: SimpleNamespace(confidence=1 / self.since), 2: SimpleNamespace(confidence=1.0)}


@pytest.fixture
def clip(tmp_path: Path) -> effort.Clip:
    """A clip whose object moves by one pixel from frame to frame."""
    dataset = open_dataset("davis2017", trees.davis2017(tmp_path))
    made = effort.Clip(dataset.video("bear"), Copies(), None)
    made.truth = [np.zeros((4, 20), np.uint16) for _ in range(9)]
    for at, mask in enumerate(made.truth):
        mask[:, at : at + 6] = 1
    made.frames, made.ids = [np.zeros((4, 20, 3), np.uint8)] * 9, [1]
    return made


def test_the_first_mask_is_propagated_to_the_end(clip: effort.Clip) -> None:
    state = clip.begin()
    assert state.given == [0]
    assert all((mask == clip.truth[0]).all() for mask in state.masks)
    assert clip.accuracy(state)[:2] == [1, pytest.approx(5 / 7)]


def test_a_correction_is_propagated_both_ways_up_to_the_nearest_given_frames(clip: effort.Clip) -> None:
    state = clip.begin()
    clip.correct(state, 6)
    clip.correct(state, 3)
    sources = [0, 3, 3, 3, 3, 3, 6, 6, 6]
    assert all((mask == clip.truth[k]).all() for mask, k in zip(state.masks, sources, strict=True))
    assert state.confidence == [1, 1 / 3, 1 / 2, 1, 1 / 2, 1 / 3, 1, 1 / 2, 1 / 3]
    assert state.open == [1, 2, 4, 5, 7, 8]


def test_between_two_masks_a_frame_may_take_the_nearer_one(clip: effort.Clip) -> None:
    clip.between = "half"
    state = clip.begin()
    clip.correct(state, 6)
    clip.correct(state, 3)
    sources = [0, 0, 3, 3, 3, 6, 6, 6, 6]
    assert all((mask == clip.truth[k]).all() for mask, k in zip(state.masks, sources, strict=True))


def test_each_rule_chooses_its_frame(clip: effort.Clip) -> None:
    state, args = clip.begin(), effort.Args(data_root=Path())
    clip.correct(state, 6)
    state.confidence[2] = 0.01
    chosen = {rule: effort.choosers_of(rule, clip, "bear", args)[0](state) for rule in effort.COLORS}
    assert (chosen["worst"], chosen["confidence"], chosen["distance"]) == (1, 2, 3)
    assert chosen["random"] in state.open
    with pytest.raises(ValueError, match="--choices best: choose among"):
        effort.choosers_of("best", clip, "bear", args)


def test_corrections_end_at_the_target(clip: effort.Clip) -> None:
    args = effort.Args(data_root=Path(), target=0.85)
    reached = effort.corrections(
        clip, clip.begin(), lambda state: effort.lowest(clip.accuracy(state), state.open), args
    )
    assert reached[-1] >= 0.85 > reached[-2]
    everything = effort.Args(data_root=Path(), target=1.0)
    assert len(effort.corrections(clip, clip.begin(), effort.middle, everything)) == 9


@pytest.mark.thorough
def test_the_program_saves_its_figures(tmp_path: Path) -> None:
    weights, davis = save_small_aost(tmp_path), trees.davis2017(tmp_path / "davis")
    command = [sys.executable, "effort.py", "--data_root", str(davis), "--videos", "dog", "--model", "aost"]
    command += ["--ckpt_path", str(weights), "--seeds", "1", "--most", "1", "--target", "1.0", "--between", "both"]
    command += ["--plot", str(tmp_path / "effort.svg"), "--output", str(tmp_path / "figures.json")]
    done = run_program(command, cwd=BENCHMARKS)
    assert done.returncode == 0, done.stderr
    row = json.loads((tmp_path / "figures.json").read_text())["rows"][-1]
    assert row["video"] == "mean" and all(0 <= row[choice] <= 1 for choice in effort.COLORS)
    assert "corrected frames" in (tmp_path / "effort.svg").read_text()
