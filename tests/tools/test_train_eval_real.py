"""Both stages by ``train_eval.sh`` on real images and videos: the loss falls, videos that weren't trained on gain."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

ROOT = Path(__file__).resolve().parents[2]
HELD_OUT = ("bear", "boat")
STEPS = 60


@pytest.fixture
def data(real_data: Path, tmp_path: Path) -> Path:
    """Pets as static images; the DAVIS training videos, two of them for validation."""
    root = tmp_path / "data"
    for kind in ("JPEGImages", "Annotations"):
        (root / "Static" / kind).mkdir(parents=True)
        (root / "Static" / kind / "PETS").symlink_to(real_data / "static_open" / kind / "PETS")
    videos = real_data / "vos_train_open"
    lists = root / "DAVIS" / "ImageSets" / "2017"
    lists.mkdir(parents=True)
    for kind in ("JPEGImages", "Annotations"):
        (root / "DAVIS" / kind).symlink_to(videos / kind)
    names = sorted(path.name for path in (videos / "JPEGImages" / "480p").iterdir())
    (lists / "train.txt").write_text("\n".join(n for n in names if n not in HELD_OUT) + "\n")
    (lists / "val.txt").write_text("\n".join(HELD_OUT) + "\n")
    return root


def scalars(run: Path, name: str) -> list[float]:
    return [x.value for x in EventAccumulator(str(run / "log")).Reload().Scalars(name)]


@pytest.mark.thorough
def test_the_loss_falls_and_held_out_videos_improve(data: Path, real_data: Path, tmp_path: Path) -> None:
    encoder = real_data / "weights" / "mobilenet_v2_imagenet.pth"
    fields = f"total_steps={STEPS} batch_size=4 crop=97 clip_length=3 workers=1 save_every={STEPS // 2} log_every=1"
    fields += " lr=1e-3 hard_pixel_ratio=1.0 reference_weight=0"  # losses of all steps are of the same pixels
    train = f"--device cpu --amp --encoder_ckpt {encoder} --set_model freeze_backbone=true --set {fields}"
    environment = {
        **os.environ,
        "PYTHON": sys.executable,
        "MODEL": "deaott",
        "DATA": str(data),
        "OUT": str(tmp_path / "out"),
        "STAGES": "pre pre_dav",
        "DATASETS": f"davis2017:val:{data}/DAVIS",
        "TRAIN": f"{train} --val_dataset davis2017 --val_split val --val_root {data}/DAVIS",
        "EVAL": "--device cpu",
    }
    done = subprocess.run(["bash", str(ROOT / "train_eval.sh")], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    runs = [tmp_path / "out" / "default_DeAOTT" / stage for stage in ("PRE", "PRE_DAV")]
    losses, scores = ([scalars(run, name) for run in runs] for name in ("loss", "validation"))
    print("J&F:", scores, "losses:", [(x[:10], x[-10:]) for x in losses])
    for own in losses:
        assert len(own) == STEPS
    assert statistics.mean(losses[0][-10:]) < 0.85 * statistics.mean(losses[0][:10])
    assert statistics.mean(losses[1][-10:]) < statistics.mean(losses[0][-10:])
    assert scores[0][0] < scores[0][-1] < scores[1][-1]
    assert scores[1][-1] > scores[0][0] + 0.1
    final = json.loads((runs[1] / "eval_davis2017_val" / "scores.json").read_text())
    assert final["global"]["J&F-Mean"] == pytest.approx(scores[1][-1], abs=0.01)
