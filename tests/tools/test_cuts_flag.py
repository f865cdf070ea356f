"""The flag for scene cuts."""

from __future__ import annotations

from pathlib import Path

import pytest

from voskit.tools.flags.clips import ClipArgs
from voskit.tools.flags.model import ModelArgs


def test_cuts_are_detected_off_or_listed_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "cuts.txt"
    path.write_text("12\n40\n")
    assert ModelArgs().known_cuts() is None
    assert ModelArgs(cuts="auto").known_cuts() == "auto"
    assert ModelArgs(cuts=str(path)).known_cuts() == {12, 40}


def test_a_missing_file_is_told_before_weights_are_loaded() -> None:
    with pytest.raises(ValueError, match=r"--cuts: give auto, off or a file of frame numbers \(nosuch: no such file"):
        ModelArgs(cuts="nosuch").build_segmenter()


def test_models_with_text_prompts_have_no_cuts() -> None:
    with pytest.raises(ValueError, match="--cuts is for models with masks"):
        ModelArgs(model="r50_referformer", cuts="auto").build_referring_segmenter()


@pytest.mark.parametrize("flag", ["backwards", "fuse"])
def test_a_file_of_cuts_is_for_one_direction(flag: str) -> None:
    with pytest.raises(ValueError, match=f"--cuts cuts.txt: --{flag} also reads the clip backwards"):
        ClipArgs(data_path=(Path("a.mp4"),), cuts="cuts.txt", **{flag: True}).check()
    ClipArgs(data_path=(Path("a.mp4"),), cuts="auto", **{flag: True}).check()
