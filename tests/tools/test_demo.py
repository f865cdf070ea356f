"""voskit demo as users call it, on small clips with random weights."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

from voskit.configs import get_model_config
from voskit.dataloaders.files import exclusive_lock
from voskit.dataloaders.masks.files import read_mask, write_mask
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.clips import scenes, sources
from voskit.networks import build_model, save_weights
from voskit.tools import bfloat16, demo
from voskit.tools.flags.model import BUNDLED_WEIGHTS

ROOT = Path(__file__).resolve().parents[2]
H, W, T = 48, 64, 7


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "aott.safetensors"
    save_weights(build_model("aott", device="cpu"), path)
    return path


@pytest.fixture
def frames() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    base = np.kron(rng.integers(0, 255, (20, 20, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
    return [np.ascontiguousarray(base[t : t + H, 2 * t : 2 * t + W]) for t in range(T)]


@pytest.fixture
def mask() -> np.ndarray:
    mask = np.zeros((H, W), np.uint8)
    mask[5:20, 5:30] = 1
    mask[25:45, 30:60] = 7
    return mask


def write_video(path: Path, frames: list[np.ndarray]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = W, H, "yuv444p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def write_folder(folder: Path, frames: list[np.ndarray]) -> Path:
    folder.mkdir(parents=True)
    for t, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{t:03d}.png")
    return folder


def call(monkeypatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["demo.py", "--model", "aott", *map(str, arguments)])
    return demo.main()


def test_your_own_mp4(tmp_path, frames, mask, checkpoint, monkeypatch) -> None:
    video = write_video(tmp_path / "my video.mp4", frames)
    write_mask(tmp_path / "first.png", mask)
    out = tmp_path / "out"
    code = call(
        monkeypatch, "--data_path", video, "--mask", tmp_path / "first.png", "--ckpt-path", checkpoint,
        "--output_path", out, "--device", "cpu",
    )  # fmt: skip
    assert code == 0
    folder = out / "my video"
    assert sorted(p.name for p in (folder / "masks").iterdir()) == [f"{t:05d}.png" for t in range(T)]
    segmenter = VideoSegmenter(build_model("aott", checkpoint=checkpoint, device="cpu"))
    with av.open(str(video)) as container:
        decoded = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    for t, frame in enumerate(decoded):
        want = segmenter.step(frame, mask if t == 0 else None)
        assert np.array_equal(read_mask(folder / "masks" / f"{t:05d}.png"), want)
    with av.open(str(folder / "overlay.mp4")) as container:
        shown = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
        assert float(container.streams.video[0].average_rate) == 10
    assert [s.shape for s in shown] == [(H, W, 3)] * T
    with Image.open(folder / "contact_sheet.png") as sheet:
        assert sheet.width > W
    report = json.loads((folder / "report.json").read_text())
    assert (report["frames"], report["objects"], report["complete"]) == (T, 2, True)


def test_scenes_and_masks_of_later_frames(tmp_path, frames, mask, checkpoint, monkeypatch) -> None:
    for scene in ("a", "b"):
        write_folder(tmp_path / "images" / scene, frames)
        (tmp_path / "masks" / scene).mkdir(parents=True)
        write_mask(tmp_path / "masks" / scene / "000.png", mask)
    later = np.zeros((H, W), np.uint8)
    later[:5, 40:60] = 9
    write_mask(tmp_path / "masks" / "b" / "003.png", later)
    code = call(monkeypatch, "--data_path", tmp_path, "--ckpt_path", checkpoint, "--output_path", tmp_path / "out")
    assert code == 0
    assert np.array_equal(read_mask(tmp_path / "out" / "b" / "masks" / "003.png")[:5, 40:60], later[:5, 40:60])
    assert json.loads((tmp_path / "out" / "b" / "report.json").read_text())["objects"] == 3
    arguments = ("--data_path", tmp_path, "--ckpt_path", checkpoint, "--output_path", tmp_path / "complete")
    assert call(monkeypatch, *arguments, "--complete_masks") == 0
    assert np.array_equal(read_mask(tmp_path / "complete" / "b" / "masks" / "003.png"), later)


def test_a_scene_s_mask_may_be_a_file_and_its_name_is_its_own(tmp_path, frames, mask, checkpoint, monkeypatch, capsys):
    write_folder(tmp_path / "images" / "a", frames[:2])
    (tmp_path / "masks").mkdir()
    write_mask(tmp_path / "masks" / "a.png", mask)
    arguments = ("--data_path", tmp_path, "--ckpt_path", checkpoint, "--output_path", tmp_path / "out")
    assert call(monkeypatch, *arguments) == 0
    assert np.array_equal(read_mask(tmp_path / "out" / "a" / "masks" / "000.png"), mask)
    write_video(tmp_path / "images" / "a.mp4", frames[:2])
    assert call(monkeypatch, *arguments) == 1
    assert "several scenes are named a" in capsys.readouterr().err


def test_a_run_that_can_t_begin_leaves_earlier_results(tmp_path, frames, mask, checkpoint, monkeypatch, capsys) -> None:
    first, out = tmp_path / "first.png", tmp_path / "out"
    write_mask(first, mask)
    Image.fromarray(frames[0]).save(tmp_path / "rgb.png")
    folder = write_folder(tmp_path / "clip", frames[:3])
    arguments = ("--data_path", folder, "--ckpt_path", checkpoint, "--output_path", out)
    assert call(monkeypatch, *arguments, "--mask", first) == 0
    (out / "clip" / ".overlay.mp4.99.tmp.mp4").touch()  # a killed one's
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for mask_path, error in (
        (tmp_path / "rgb.png", "rgb.png"),
        (out / "clip" / "masks", "whose files the results replace: give another output folder"),
        (out / "clip" / "masks" / "000.png", "whose files the results replace: give another output folder"),
    ):
        assert call(monkeypatch, *arguments, "--mask", mask_path) == 1
        assert error in capsys.readouterr().err
    assert call(monkeypatch, *arguments, "--mask", first, "--max_frames", 0) == 1
    assert "--max_frames must be at least 1" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert call(monkeypatch, *arguments, "--mask", first) == 0
    assert not list(out.rglob(".*tmp*"))


def test_results_are_not_written_among_the_frames(tmp_path, frames, mask, checkpoint, monkeypatch, capsys) -> None:
    write_mask(tmp_path / "first.png", mask)
    (tmp_path / "overlay").mkdir()
    sources = (
        write_folder(tmp_path / "clip", frames[:2]),
        write_folder(tmp_path / "masks" / "masks", frames[:2]),
        write_video(tmp_path / "overlay" / "overlay.mp4", frames[:2]),
    )
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for source in sources:
        out = source.parent if source.is_dir() else source.parents[1]
        arguments = ("--data_path", source, "--ckpt_path", checkpoint, "--mask", tmp_path / "first.png")
        assert call(monkeypatch, *arguments, "--output_path", out) == 1
        assert f"{source}: the results would go there too, to " in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_two_runs_do_not_write_into_one_folder(tmp_path, frames, mask, checkpoint, monkeypatch, capsys) -> None:
    write_mask(tmp_path / "first.png", mask)
    folder, out = write_folder(tmp_path / "clip", frames[:3]), tmp_path / "out"
    arguments = (
        "--data_path", folder, "--ckpt_path", checkpoint, "--output_path", out, "--mask", tmp_path / "first.png",
    )  # fmt: skip
    assert call(monkeypatch, *arguments) == 0
    (out / "clip" / ".backwards").mkdir()
    with exclusive_lock(out / "clip"):
        assert call(monkeypatch, *arguments, "--max_frames", 1) == 1
        assert f"{out / 'clip'}: another program is writing to it" in capsys.readouterr().err
        assert len(list((out / "clip" / "masks").iterdir())) == 3
        assert (out / "clip" / ".backwards").is_dir()
    assert call(monkeypatch, *arguments, "--max_frames", 1) == 0
    assert [p.name for p in (out / "clip" / "masks").iterdir()] == ["000.png"]
    assert not (out / "clip" / ".backwards").exists()


def test_one_bad_scene_is_reported_and_the_others_run(tmp_path, frames, mask, checkpoint, monkeypatch, caplog) -> None:
    for scene in ("a", "b"):
        write_folder(tmp_path / "images" / scene, frames)
        (tmp_path / "masks" / scene).mkdir(parents=True)
        write_mask(tmp_path / "masks" / scene / "000.png", mask[:-1] if scene == "a" else mask)
    code = call(monkeypatch, "--data_path", tmp_path, "--ckpt_path", checkpoint, "--output_path", tmp_path / "out")
    assert code == 1
    assert "scene a: " in caplog.text
    assert "1 of 2 clips failed" in caplog.text
    assert len(list((tmp_path / "out" / "b" / "masks").iterdir())) == T


def test_a_corrupt_frame_loses_nothing_that_was_done(tmp_path, frames, mask, checkpoint, monkeypatch, capsys) -> None:
    folder = write_folder(tmp_path / "clip", frames)
    whole = (folder / "004.png").read_bytes()
    (folder / "004.png").write_bytes(whole[: len(whole) // 2])
    write_mask(tmp_path / "first.png", mask)
    arguments = ("--data_path", folder, "--mask", tmp_path / "first.png", "--ckpt_path", checkpoint)
    assert call(monkeypatch, *arguments, "--output_path", tmp_path / "out") == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert "004.png" in error
    out = tmp_path / "out" / "clip"
    assert sorted(p.stem for p in (out / "masks").iterdir()) == ["000", "001", "002", "003"]
    with av.open(str(out / "overlay.incomplete.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 4
    assert not (out / "overlay.mp4").exists()
    assert not json.loads((out / "report.json").read_text())["complete"]
    (folder / "004.png").write_bytes(whole)
    assert call(monkeypatch, *arguments, "--output_path", tmp_path / "out") == 0
    assert (out / "overlay.mp4").exists()
    assert not (out / "overlay.incomplete.mp4").exists()


def test_results_of_a_longer_run_are_removed(tmp_path, frames, mask, checkpoint, monkeypatch) -> None:
    write_mask(tmp_path / "first.png", mask)
    folder = write_folder(tmp_path / "clip", frames)
    arguments = ("--data_path", folder, "--mask", tmp_path / "first.png", "--ckpt_path", checkpoint)
    assert call(monkeypatch, *arguments, "--output_path", tmp_path / "out") == 0
    assert call(monkeypatch, *arguments, "--output_path", tmp_path / "out", "--max_frames", 3) == 0
    assert len(list((tmp_path / "out" / "clip" / "masks").iterdir())) == 3


def test_options_reach_the_segmenter(tmp_path, frames, mask, checkpoint, monkeypatch, caplog) -> None:
    write_mask(tmp_path / "first.png", mask)
    folder = write_folder(tmp_path / "clip", frames[:3])
    caplog.set_level("INFO")
    code = call(
        monkeypatch, "--data_path", folder, "--mask", tmp_path / "first.png", "--ckpt_path", checkpoint,
        "--output_path", tmp_path / "out", "--max_resolution", 60, "--amp", "--flip", "--ms", 1.0, 1.3,
        "--long_term_mem_gap", 2, "--max_memory_frames", "unbounded", "--set", "short_term_skip=2", "--verbose",
    )  # fmt: skip
    assert code == 0
    assert "aott on cpu" in caplog.text
    for text in ("max_long_edge=100", "long_term_gap=2", "short_term_skip=2"):
        assert text in caplog.text
    for text in ("max_memory_frames", "max_objects"):  # as the model has them
        assert text not in caplog.text


def bad(name: str, folder: Path, frames, mask) -> tuple[list[object], str]:
    """Arguments that can't work, and what the error has to say."""
    clip, first = folder / "clip", folder / "first.png"
    base = ["--data_path", clip, "--mask", first]
    if name == "no data":
        return ["--data_path", folder / "nothing.mp4", "--mask", first], "nothing.mp4"
    if name == "no mask":
        return ["--data_path", clip], "--mask is missing"
    if name == "absent mask":
        return ["--data_path", clip, "--mask", folder / "none.png"], "none.png"
    if name == "RGB mask":
        Image.fromarray(frames[0]).save(folder / "rgb.png")
        return ["--data_path", clip, "--mask", folder / "rgb.png"], "rgb.png"
    if name == "mask of another size":
        write_mask(folder / "small.png", mask[:20])
        return ["--data_path", clip, "--mask", folder / "small.png"], "small.png"
    if name == "empty mask":
        write_mask(folder / "empty.png", mask * 0)
        return ["--data_path", clip, "--mask", folder / "empty.png"], "empty.png"
    if name == "text for a video":
        (folder / "notes.mp4").write_text("not a video")
        return ["--data_path", folder / "notes.mp4", "--mask", first], "notes.mp4"
    if name == "masks of frames that aren't there":
        (folder / "masks").mkdir()
        write_mask(folder / "masks" / "000.png", mask)
        write_mask(folder / "masks" / "999.png", mask)
        return ["--data_path", clip, "--mask", folder / "masks"], "999.png"
    if name == "somebody's folder":
        (folder / "out" / "clip" / "masks").mkdir(parents=True)
        write_mask(folder / "out" / "clip" / "masks" / "mine.png", mask)
        return base, "give another output folder"
    if name == "a file for the output":
        (folder / "out").write_text("")
        return base, "out is a file: give a folder for the results"
    return {
        "unknown model": ([*base, "--model", "aotx"], "unknown model 'aotx'"),
        "another model": ([*base, "--model", "deaott"], "doesn't fit deaott"),
        "absent checkpoint": ([*base, "--ckpt_path", folder / "none.pth"], "none.pth does not exist"),
        "unknown field": ([*base, "--set", "encodr=x"], "no field 'encodr'"),
        "field without value": ([*base, "--set", "encoder"], "not of the form name=value"),
        "wrong memory bound": ([*base, "--max_memory_frames", "0"], "at least 1"),
        "wrong scale": ([*base, "--ms", "0"], "positive numbers"),
        "absent device": ([*base, "--device", "tpu"], "device 'tpu'"),
    }[name]


BAD = (
    "no data", "no mask", "absent mask", "RGB mask", "mask of another size", "empty mask", "text for a video",
    "masks of frames that aren't there", "somebody's folder", "a file for the output", "unknown model",
    "another model", "absent checkpoint", "unknown field", "field without value", "wrong memory bound", "wrong scale",
    "absent device",
)  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_a_code(name, tmp_path, frames, mask, checkpoint, monkeypatch, capsys) -> None:
    write_folder(tmp_path / "clip", frames)
    write_mask(tmp_path / "first.png", mask)
    arguments, message = bad(name, tmp_path, frames, mask)
    code = call(monkeypatch, "--ckpt_path", checkpoint, "--output_path", tmp_path / "out", *arguments)
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert code == 1
    assert len(errors) == 1
    assert message in errors[0]
    assert not list(tmp_path.rglob(".*tmp*"))


def test_missing_weights_are_a_one_line_error() -> None:
    command = [sys.executable, "tools/demo.py", "--model", "aott"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: AOTT_PRE_YTB_DAV.pth is missing")
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_bundled_weights_are_the_default(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(
        sys, "argv", ["demo.py", "--max_frames", "2", "--device", "cpu", "--output_path", str(tmp_path)]
    )
    assert demo.main() == 0
    assert len(list((tmp_path / "bunny" / "masks").glob("*.png"))) == 2


def test_a_video_may_come_without_its_flag(tmp_path, monkeypatch) -> None:
    scenes_ = str(sources.BUNDLED_SCENES)
    seen = []
    monkeypatch.setattr(scenes, "run_clip", lambda clip, *_: seen.append((clip.source, str(clip.mask))))
    monkeypatch.setattr(sys, "argv", ["demo.py", f"{scenes_}/images/bunny.mp4", "--mask", f"{scenes_}/masks/bunny"])
    assert demo.main() == 0
    assert seen == [(f"{scenes_}/images/bunny.mp4", f"{scenes_}/masks/bunny")]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--video", "a.mp4"), "unknown flag --video: use --data_path"),
        (("-i", "a.mp4"), "unknown flag -i: use --data_path"),
        (("--output", "o"), "unknown flag --output: use --output_path"),
        (("--weights=w.pth",), "unknown flag --weights: use --ckpt_path"),
        (("--max-frame", "3"), "did you mean max_frames"),
        (("a.mp4", "b.mp4", "--mask", "m.png"), "--mask m.png: no such file or folder"),
        (("--export", "coc"), "unknown export format 'coc': did you mean coco?"),
        (("--export", "alpha:bits=9"), "export 'alpha:bits=9': bits must be 8 or 16, not 9"),
        (("--export", "coco", "coco"), "export coco: give each format once"),
        (("--start", "99999"), "bunny has no frame 99999: it has 76 frames, counted from 0"),
        (("--end", "noon"), "end 'noon': give a frame's number (counted from 0) or name, or a time"),
        (("--start", "50", "--end", "40"), "the end, frame 40, comes before the start, frame 50"),
        (("nothing.mp4", "--mask", "m.png"), "nothing.mp4: no such file or folder"),
        (("--scene", "bunnny"), "did you mean bunny?"),
        (("--scene", "bunny", "--mask", "m.png"), "--mask is for a single source"),
        (("--mask", "m.png", "my_video.mp4"), "--mask needs a video: give it first"),
        (("0", "--mask", "m.png", "--fuse"), "--fuse: a camera or stream can be read only once"),
        (("rtsp://host/a", "--mask", "m.png", "--backwards"), "--backwards: a camera or stream can be read only once"),
        (("rtsp://host/a", "--box", "1:2,2,9,9"), "--box: a camera or stream can be read only once"),
        (("a.mp4", "--mask", "m.png", "--prompter", "sam"), "--prompter sam is for --box and --point"),
        (("--threads", "0"), "--threads must be at least 1, got 0"),
    ],
)
def test_flags_and_paths_are_checked_before_weights_are_loaded(monkeypatch, capsys, flags, message) -> None:
    monkeypatch.setattr("voskit.networks.build_model", lambda *_, **__: pytest.fail("the model was built"))
    monkeypatch.setattr(sys, "argv", ["demo.py", *flags])
    assert demo.main() == 1
    assert message in capsys.readouterr().err


def test_an_unreadable_mask_is_refused_before_weights_are_loaded(tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "mask.png").write_bytes(b"no picture")
    video = str(sources.BUNDLED_SCENES / "images" / "bunny.mp4")
    monkeypatch.setattr("voskit.networks.build_model", lambda *_, **__: pytest.fail("the model was built"))
    monkeypatch.setattr(sys, "argv", ["demo.py", video, "--mask", str(tmp_path / "mask.png")])
    assert demo.main() == 1
    assert "mask.png" in capsys.readouterr().err


def test_a_mask_that_comes_too_late_is_refused_before_weights_are_loaded(tmp_path, frames, mask, monkeypatch, capsys):
    video = write_folder(tmp_path / "clip", frames)
    (tmp_path / "masks").mkdir()
    write_mask(tmp_path / "masks" / "005.png", mask)
    monkeypatch.setattr("voskit.networks.build_model", lambda *_, **__: pytest.fail("the model was built"))
    monkeypatch.setattr(sys, "argv", ["demo.py", str(video), "--mask", str(tmp_path / "masks"), "--max_frames", "3"])
    assert demo.main() == 1
    assert "no frame of clip among the first 3 has a mask" in capsys.readouterr().err


CABINET = ("--scene", "cabinet")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), (None, 1040, True, None)),
        (CABINET, (780, 1380, False, 64)),
        ((*CABINET, "--short_edge", "96"), (96, 1040, False, 64)),
        ((*CABINET, "--max_resolution", "480"), (None, 800, False, 64)),
        ((*CABINET, "--ckpt_path", "bundled"), (None, 1040, False, None)),
        ((*CABINET, "--set", "background=true", "self_top_k=9"), (780, 1380, True, 9)),
        ((*CABINET, "--data_path", "scenes"), (None, 1040, True, None)),
    ],
)
def test_only_the_bundled_cabinet_is_enlarged_and_without_background(monkeypatch, flags, expected) -> None:
    places = {"bundled": str(BUNDLED_WEIGHTS), "scenes": str(sources.BUNDLED_SCENES)}
    seen = []
    monkeypatch.setattr(scenes, "run_clip", lambda clip, segmenter, *_: seen.append(segmenter.config))
    monkeypatch.setattr(sys, "argv", ["demo.py", "--device", "cpu", *(places.get(flag, flag) for flag in flags)])
    assert demo.main() == 0
    assert [(c.short_edge, c.max_long_edge, c.background, c.self_top_k) for c in seen] == [expected]


@pytest.mark.parametrize(
    ("flags", "amp"), [((), "bf16"), (("--amp",), "bf16"), (("--no-amp",), None), (("--no_amp",), None)]
)
def test_flags_override_the_precision_of_the_cabinet(monkeypatch, tmp_path, flags, amp) -> None:
    (tmp_path / "cpuinfo").write_text("vendor_id : AuthenticAMD\nflags : fpu avx512_bf16\n")
    monkeypatch.setattr(bfloat16, "_CPUINFO", tmp_path / "cpuinfo")
    seen = []
    monkeypatch.setattr(scenes, "run_clip", lambda clip, segmenter, *_: seen.append(segmenter.amp))
    output = ("--output_path", str(tmp_path / "out"))
    monkeypatch.setattr(sys, "argv", ["demo.py", "--device", "cpu", *CABINET, *output, *flags])
    assert demo.main() == 0
    assert seen == [amp]


@pytest.mark.parametrize(
    ("processor", "fast"),
    [
        ("vendor_id : GenuineIntel\nflags : fpu avx512_bf16 amx_tile amx_bf16\n", True),
        ("vendor_id : AuthenticAMD\nflags : fpu avx512_bf16\n", True),
        ("vendor_id : GenuineIntel\nflags : fpu avx512_bf16\n", False),
        ("Features : fp asimd bf16\n", False),
        (None, False),
    ],
)
def test_the_cabinet_runs_in_bfloat16_if_that_is_faster(monkeypatch, tmp_path, processor, fast) -> None:
    if processor is not None:
        (tmp_path / "cpuinfo").write_text(processor)
    monkeypatch.setattr(bfloat16, "_CPUINFO", tmp_path / "cpuinfo")
    flags = {"device": "cpu", "output_path": tmp_path}
    assert demo.Args(scene="cabinet", **flags).for_bundled_scenes().amp is fast
    assert demo.Args(scene="cabinet", max_resolution=828, **flags).for_bundled_scenes().amp is False
    assert demo.Args(scene="bunny", **flags).for_bundled_scenes().amp is False
    assert demo.Args(scene="cabinet", device="cuda").for_bundled_scenes().amp is False


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ({"policy": "nonsense"}, "nonsense"),
        ({"model": "aost", "target_fps": 5.0, "resume": True}, "--resume: with --target_fps"),
        ({"target_fps": 5.0}, "--target_fps: r50_deaotl has one depth only"),
        ({"ms": (0.0,)}, "scales must be one or more positive numbers"),
        ({"short_edge": 0}, "short_edge"),
        ({"max_memory_frames": 0}, "max_memory_frames"),
        ({"policy": "gated", "max_memory_frames": 4}, "--max_memory_frames has no effect with --policy"),
        ({"policy": "gated", "long_term_mem_gap": 2}, "--long_term_mem_gap has no effect with --policy"),
    ],
)
def test_wrong_values_are_reported_before_weights_are_downloaded(
    tmp_path: Path, monkeypatch, flag, message: str
) -> None:
    def download(*_: object) -> Path:
        raise AssertionError("weights were asked for")

    monkeypatch.setattr("voskit.networks.weights.find_weights", download)
    args = demo.Args(**{"model": "r50_deaotl", "device": "cpu", "output_path": tmp_path, **flag})
    with pytest.raises(ValueError, match=message):
        demo.run(args)


def test_unknown_flags_suggest_similar_ones() -> None:
    done = subprocess.run(
        [sys.executable, "tools/demo.py", "--ckpt_pth", "x"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "did you mean ckpt_path or output_path?" in done.stderr


def test_the_memory_is_bounded_by_default() -> None:
    def bound(**flags: Any) -> int | None:
        args = demo.Args(**flags)
        return args.memory_bound(get_model_config(args.model))

    assert (bound(), bound(model="aott"), bound(ckpt_path=Path("own.pth"))) == (16, 10, 10)
    assert bound(ckpt_path=BUNDLED_WEIGHTS) == 16
    assert (bound(max_memory_frames=3), bound(max_memory_frames="unbounded"), bound(model="jointformer")) == (None,) * 3
    assert (bound(set=("max_memory_frames=40",)), bound(set=("max_memory_frames=none",))) == (None, None)
    assert bound(policy="prototypes:max_frames=30") is None


def test_the_bound_of_a_file_or_of_set_stays_and_a_propagator_is_bounded(tmp_path: Path) -> None:
    save_weights(build_model("aott", device="cpu", max_memory_frames=40), tmp_path / "own.safetensors")
    flags: dict[str, Any] = {"device": "cpu", "threads": 1}
    own = demo.Args(model="aott", ckpt_path=tmp_path / "own.safetensors", **flags)
    assert own.build_segmenter(bounded=True).config.max_memory_frames == 40
    changed = demo.Args(set=("max_memory_frames=30",), **flags)
    assert changed.build_segmenter(bounded=True).config.max_memory_frames == 30
    propagator = demo.Args(model="r50_referformer", propagate="deaott", **flags).build_propagator(bounded=True)
    assert propagator is not None and propagator.config.max_memory_frames == 16
