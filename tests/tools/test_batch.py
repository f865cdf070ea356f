"""voskit batch as users call it: several processes, kill -9 in the middle, torchrun, Ray."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from moving_clip import moving_frames, squares
from PIL import Image
from small_models import SMALL, build_small

from voskit.dataloaders.masks.files import write_mask
from voskit.evaluators.parallel.parent import GRACE
from voskit.networks import save_weights
from voskit.tools.flags.batch import BatchArgs

ROOT = Path(__file__).resolve().parents[2]
VIDEOS, FRAMES = 5, 8
SLOW = """
import time
from voskit.evaluators.segmenter import VideoSegmenter

whole = VideoSegmenter.step

def slow(self, *args, **options):
    time.sleep(0.15)
    return whole(self, *args, **options)

VideoSegmenter.step = slow
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips, masks, a list, weights, and a plugin that makes networks slow enough to be killed in the middle."""
    folder = tmp_path_factory.mktemp("batch")
    rows = ["video,mask,name"]
    for number in range(VIDEOS):
        clip = folder / f"clip{number}"
        clip.mkdir()
        for t, frame in enumerate(moving_frames(FRAMES)):
            Image.fromarray(np.roll(frame, number, 1)).save(clip / f"{t}.png")
        write_mask(folder / f"mask{number}.png", squares(1, number + 2))
        rows.append(f"clip{number},mask{number}.png,")
    (folder / "list.csv").write_text("\n".join(rows))
    (folder / "slow_steps.py").write_text(SLOW)
    torch.manual_seed(0)
    save_weights(build_small("aott"), folder / "aott.safetensors")
    return folder


def command(data: Path, output: Path, *flags: object) -> list[str]:
    small = [f"{name}={value}" for name, value in SMALL.items()]
    options = ["--model", "aott", "--ckpt_path", data / "aott.safetensors", "--device", "cpu", "--set", *small]
    return [*map(str, ["batch", data / "list.csv", "--output_path", output, *options, "--no-overlay", *flags])]


def start(arguments: list[str], launcher: tuple[str, ...] = ("-m", "voskit")) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *launcher, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process: subprocess.Popen) -> str:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def results(output: Path) -> dict[str, bytes]:
    files = [*output.glob("*/masks/*.png"), *output.glob("*/contact_sheet.png")]
    return {str(path.relative_to(output)): path.read_bytes() for path in sorted(files)}


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("undisturbed")
    finish(start(command(data, output)))
    found = results(output)
    assert len(found) == VIDEOS * (FRAMES + 1)
    return found


def states(output: Path) -> list[str]:
    return [json.loads(path.read_text())["state"] for path in (output / ".batch").glob("*.json")]


def wait_until_running(output: Path, count: int) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if sum(state == "running" for state in states(output)) >= count:
            return
        time.sleep(0.05)
    raise AssertionError(f"no worker began: {states(output)}")


@pytest.mark.thorough
def test_killed_workers_are_replaced_and_results_equal_an_uninterrupted_run(
    data: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    output = tmp_path / "out"
    process = start(command(data, output, "--gpu_num", 2, "--plugin", data / "slow_steps.py"))
    wait_until_running(output, 2)
    time.sleep(0.4)
    for worker in psutil.Process(process.pid).children():
        os.kill(worker.pid, signal.SIGKILL)
    text = finish(process)
    assert "its worker was killed: another worker resumes it" in text
    assert results(output) == undisturbed
    rows = list(csv.DictReader((output / "summary.csv").open()))
    assert [row["state"] for row in rows] == ["done"] * VIDEOS


@pytest.mark.thorough
def test_a_killed_command_ends_its_workers_and_resumes(
    data: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    output = tmp_path / "out"
    process = start(command(data, output, "--gpu_num", 2, "--plugin", data / "slow_steps.py"))
    wait_until_running(output, 1)
    workers = psutil.Process(process.pid).children()
    process.kill()
    process.wait()
    finish(start(command(data, output)))
    assert results(output) == undisturbed
    # one that was still connecting to the killed command doesn't react to SIGTERM
    assert not psutil.wait_procs(workers, timeout=GRACE + 30)[1]


@pytest.mark.thorough
def test_ranks_of_torchrun_share_the_videos(data: Path, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "voskit")
    finish(start(command(data, tmp_path / "out"), launcher))
    assert results(tmp_path / "out") == undisturbed
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["done"] == VIDEOS


@pytest.mark.thorough
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray isn't installed")
def test_ray_replaces_a_killed_worker(data: Path, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    output = tmp_path / "out"
    flags = ("--engine", "ray", "--gpu_num", 2, "--plugin", data / "slow_steps.py")
    process = start(command(data, output, *flags))
    wait_until_running(output, 1)
    actors = [p for p in psutil.process_iter(["cmdline"]) if "ray::_Actor" in " ".join(p.info["cmdline"] or ())]
    own = [p for p in actors if output.exists() and str(process.pid) in map(str, _ancestors(p))]
    assert own
    own[0].kill()
    assert "its worker was killed" in finish(process)
    assert results(output) == undisturbed


def _ancestors(process: psutil.Process) -> list[int]:
    return [parent.pid for parent in process.parents()]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--gpu_num", "0"], "--gpu_num must be at least 1"),
        (["--engine", "torchrun"], "--engine torchrun: RANK is not set"),
        (["--mask", "masks"], "--mask is for a folder of videos"),
        (["--target_fps", "5"], "--target_fps: masks depend on the machine's speed"),
        (["--export", "cooc"], "did you mean coco"),
    ],
)
def test_wrong_flags_are_reported_before_weights_are_loaded(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    flags: list,
    message: str,
) -> None:
    from voskit.tools import batch

    monkeypatch.delenv("RANK", raising=False)
    model = ["--model", "aott", "--ckpt_path", str(tmp_path / "missing.pth")]
    monkeypatch.setattr(
        sys, "argv", ["voskit batch", str(data / "list.csv"), "--output_path", str(tmp_path), *model, *flags]
    )
    assert batch.main() == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in error and "missing.pth" not in error


def test_prompts_that_the_model_cannot_take_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    from voskit.tools import batch

    (tmp_path / "list.csv").write_text("video,text\na.mp4,a dog\n")
    monkeypatch.setattr(sys, "argv", ["voskit batch", str(tmp_path / "list.csv"), "--output_path", str(tmp_path)])
    assert batch.main() == 1
    assert "deaott takes masks, but a has text prompts" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"gpus_per_worker": 0.5}, "--gpus_per_worker is for --engine ray"),
        ({"scratch": Path("work")}, "--scratch is for an --output_path that is a URL"),
    ],
)
def test_flags_of_other_engines_and_outputs_are_refused(tmp_path: Path, flags: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BatchArgs(data_path="list.csv", output_path=str(tmp_path), **flags).check()


@pytest.mark.parametrize("flag", ["backwards", "fuse"])
def test_streams_are_refused_before_a_model_is_loaded_if_they_are_read_twice(tmp_path: Path, flag: str) -> None:
    (tmp_path / "list.csv").write_text("video,mask\na.mp4,a.png\nhttps://example.com/b.mp4,b.png\n")
    args = BatchArgs(data_path=str(tmp_path / "list.csv"), **{flag: True})
    with pytest.raises(ValueError, match=rf"--{flag}: https://example.com/b.mp4 can be read only once"):
        args.read_jobs()
    (tmp_path / "list.csv").write_text("video,mask\na.mp4,a.png\n")
    assert [job.name for job in args.read_jobs()] == ["a"]
