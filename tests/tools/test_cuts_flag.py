"""The flag for scene cuts."""

from __future__ import annotations

from pathlib import Path

import pytest
from media_files import ids_of, save_mask, write_video

from voskit.dataloaders.masks.frame_masks import masks_for
from voskit.dataloaders.video.frames import open_frames
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.clips.run import segment_clip
from voskit.networks import build_model
from voskit.tools.flags.batch import BatchArgs
from voskit.tools.flags.clips import ClipArgs
from voskit.tools.flags.model import ModelArgs


def test_cuts_are_detected_off_or_listed_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "cuts.txt"
    path.write_text("12\n40\n")
    assert ModelArgs().known_cuts() is None
    assert ModelArgs(cuts="auto").known_cuts() == "auto"
    assert ModelArgs(cuts=str(path)).known_cuts() == {12, 40}


def test_a_missing_file_is_reported_before_weights_are_loaded() -> None:
    with pytest.raises(ValueError, match=r"--cuts: give auto, off or a file of frame numbers \(nosuch: no such file"):
        ModelArgs(cuts="nosuch").build_segmenter()


def test_models_with_text_prompts_have_no_cuts() -> None:
    with pytest.raises(ValueError, match="--cuts is for models with masks"):
        ModelArgs(model="r50_referformer", cuts="auto").build_referring_segmenter()


@pytest.mark.parametrize("flag", ["backwards", "fuse"])
def test_a_file_of_cuts_is_for_one_direction(tmp_path: Path, flag: str) -> None:
    with pytest.raises(ValueError, match=f"--cuts cuts.txt: --{flag} also reads the clip backwards"):
        ClipArgs(data_path=(Path("a.mp4"),), cuts="cuts.txt", **{flag: True}).check()
    ClipArgs(data_path=(Path("a.mp4"),), cuts="auto", **{flag: True}).check()
    segmenter = VideoSegmenter(build_model("aott", device="cpu"), cuts=[2])
    with open_frames(write_video(tmp_path / "a.mp4", "mpeg4")) as source:
        masks = masks_for(save_mask(tmp_path / "first.png", ids_of(1, size=(32, 48))), source)
        with pytest.raises(ValueError, match="listed cuts count forwards"):
            segment_clip(segmenter, source, masks, tmp_path / "out", **{flag: True})
    with pytest.raises(ValueError, match=f"--cuts cuts.txt: --{flag} also reads the clip backwards"):
        BatchArgs(data_path="list.csv", cuts="cuts.txt", **{flag: True}).check()
