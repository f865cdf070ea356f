"""Parts of clips, several videos, exports and messages of voskit demo."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from media_files import write_video
from moving_clip import H, W, moving_frames, squares
from PIL import Image
from pycocotools.coco import COCO

from voskit.dataloaders.masks.files import read_mask, write_mask
from voskit.dataloaders.video.frames import open_frames
from voskit.networks import build_model, save_weights
from voskit.tools import demo, open_file


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "aott.safetensors"
    save_weights(build_model("aott", device="cpu"), path)
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    (tmp_path / "clip").mkdir()
    for number, frame in enumerate(moving_frames(6)):
        Image.fromarray(frame).save(tmp_path / "clip" / f"{number:05d}.png")
    write_mask(tmp_path / "first.png", squares(1, 4))
    return tmp_path / "clip"


def call(monkeypatch, checkpoint: Path, *arguments: object) -> int:
    words = ["demo", "--model", "aott", "--ckpt_path", checkpoint, "--device", "cpu", *arguments]
    monkeypatch.setattr(sys, "argv", list(map(str, words)))
    return demo.main()


def test_a_part_of_a_clip_is_segmented_and_exported(clip, tmp_path, checkpoint, monkeypatch, caplog) -> None:
    monkeypatch.setattr("voskit.tools.bfloat16.bfloat16_is_fast", lambda: True)
    caplog.set_level("INFO")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    code = call(
        monkeypatch, checkpoint, clip, "--mask", tmp_path / "first.png", "--output_path", tmp_path / "out",
        "--start", 2, "--end", "00004", "--export", "coco", "alpha:bits=16", "--palette", "davis", "--open",
    )  # fmt: skip
    assert code == 0
    folder = tmp_path / "out" / "clip"
    assert sorted(path.stem for path in (folder / "masks").iterdir()) == ["00002", "00003", "00004"]
    assert (read_mask(folder / "masks" / "00002.png") == squares(1, 4)).all()
    data = COCO(str(folder / "exports" / "coco.json"))
    assert [image["file_name"] for image in data.dataset["images"]] == ["00002.png", "00003.png", "00004.png"]
    assert {row["track_id"] for row in data.dataset["annotations"]} == {1, 4}
    assert sorted(path.name for path in (folder / "exports" / "alpha").iterdir()) == ["1", "4"]
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "aott on cpu"
    assert lines.pop(1) == "this CPU is about twice as fast with --amp (bfloat16), at a small loss of accuracy"
    assert lines[1] == f"results go to {folder}; watch overlay.incomplete.mp4 and contact_sheet.png grow there"
    assert "3 frames, 2 objects" in lines[2]
    assert lines[3] == f"--open: there is no desktop; open this file yourself: {folder / 'overlay.mp4'}"
    assert len(lines) == 4, "no word of tensors"


def test_a_complete_run_is_exported_without_segmenting(clip, tmp_path, checkpoint, monkeypatch, capsys) -> None:
    flags = (clip, "--mask", tmp_path / "first.png", "--output_path", tmp_path / "out", "--start", 4)
    assert call(monkeypatch, checkpoint, *flags) == 0
    monkeypatch.setattr("voskit.evaluators.VideoSegmenter.step", lambda *_, **__: pytest.fail("segmented again"))
    assert call(monkeypatch, checkpoint, *flags, "--resume", "--export", "csv", "youtube-vis") == 0
    exports = tmp_path / "out" / "clip" / "exports"
    assert len((exports / "objects.csv").read_text().splitlines()) == 5
    assert json.loads((exports / "youtube-vis.json").read_text())["videos"][0]["length"] == 2
    assert call(monkeypatch, checkpoint, *flags, "--resume", "--export", "rgba") == 1
    assert "soft edges of rgba need the network's probabilities" in capsys.readouterr().err
    flags = (*flags[:-1], 3)
    assert call(monkeypatch, checkpoint, *flags, "--resume") == 1
    assert "differ from this run in settings" in capsys.readouterr().err


def test_a_rate_changes_the_overlay_and_neither_the_frames_nor_their_times(tmp_path, checkpoint, monkeypatch) -> None:
    video = write_video(tmp_path / "clip.mp4", "mpeg4", 12, size=(H, W), noise=True)  # 10 frames/s
    write_mask(tmp_path / "first.png", squares(1))
    flags = (video, "--mask", tmp_path / "first.png", "--output_path", tmp_path / "out", "--start", "0.5s")
    assert call(monkeypatch, checkpoint, *flags, "--end", "0.8s", "--fps", 25, "--export", "csv") == 0
    folder = tmp_path / "out" / "clip"
    rows = [row.split(",")[:2] for row in (folder / "exports" / "objects.csv").read_text().splitlines()[1:]]
    assert rows == [[f"{number:05d}", f"{number / 10:.6f}"] for number in (5, 6, 7, 8)]
    with open_frames(folder / "overlay.mp4") as overlay:
        assert [frame.time for frame in overlay] == pytest.approx([0, 0.04, 0.08, 0.12], abs=1e-4)


def test_a_folder_of_videos_is_segmented_and_a_bad_one_is_reported(tmp_path, checkpoint, monkeypatch, caplog) -> None:
    for folder in ("videos", "masks"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b", "c"):
        write_video(tmp_path / "videos" / f"{name}.mp4", "mpeg4", 2, size=(H, W), noise=True)
        write_mask(tmp_path / "masks" / f"{name}.png", squares(1) if name != "b" else squares(1) * 0)
    flags = (tmp_path / "videos", "--mask", tmp_path / "masks", "--output_path", tmp_path / "out")
    assert call(monkeypatch, checkpoint, *flags, "--export", "png") == 1
    assert f"{tmp_path / 'videos' / 'b.mp4'}: {tmp_path / 'masks' / 'b.png'}" in caplog.text
    assert "1 of 3 clips failed" in caplog.text
    for name in ("a", "c"):
        assert len(list((tmp_path / "out" / name / "exports" / "png").iterdir())) == 2


@pytest.mark.parametrize(("platform", "program"), [("linux", "xdg-open"), ("darwin", "open")])
def test_the_overlay_is_opened_by_the_desktops_program(
    tmp_path: Path, monkeypatch, platform: str, program: str
) -> None:
    started = []
    monkeypatch.setattr(open_file.sys, "platform", platform)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(open_file.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(open_file.subprocess, "Popen", lambda command, **_: started.append(command))
    (tmp_path / "contact_sheet.png").touch()
    open_file.open_result(tmp_path)
    (tmp_path / "overlay.mp4").touch()
    open_file.open_result(tmp_path)
    assert started == [[f"/usr/bin/{program}", str(tmp_path / name)] for name in ("contact_sheet.png", "overlay.mp4")]
