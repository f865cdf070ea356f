"""Time and memory of a training step, and throughput of the data loader.

    python benchmarks/training.py --models aott deaott --crop 193 --batch_size 4 --clip_length 4 --amp none bf16
    python benchmarks/training.py --device cuda --models r50_aotl --amp none fp16          (465 pixels, 16 x 5 frames)

Steps run on batches in memory. The throughput of one loader process is measured separately; ``workers`` is the number
of processes that keep up with the steps. Ratios are relative to the first row.
"""

from __future__ import annotations

from common import Table, grid_mask, moving_frames, save  # isort: skip  (makes the project importable)

import math
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from PIL import Image

from voskit.configs.stages import StageConfig, get_stage_config
from voskit.dataloaders.masks.files import write_mask
from voskit.dataloaders.training import TrainingData, build_training_data
from voskit.networks import build_model, compile_network
from voskit.networks.memory_usage import peak_memory
from voskit.trainers.activation_checkpointing import checkpoint_activations
from voskit.trainers.trainer import Trainer, TrainerOptions


@dataclass(frozen=True, kw_only=True)
class Args:
    """Time and memory of a training step, and throughput of the data loader."""

    models: tuple[str, ...] = ("aott",)
    crop: int = 465
    batch_size: int = 16
    clip_length: int = 5
    amp: tuple[str, ...] = ("none",)
    """none, fp16, bf16"""
    how: tuple[str, ...] = ("plain",)
    """plain, compiled (torch.compile), checkpointed (activations are recomputed in the backward pass)"""
    freeze_backbone: bool = False
    data_path: Path | None = None
    """Training data with static images. Default: images of noise."""
    device: str | None = None
    warm_up: int = 2
    steps: int = 6
    output: Path | None = None


def noise_images(root: Path, count: int = 8) -> None:
    """Write a training set of JPEGs of 480 x 640 pixels with twelve objects each."""
    for folder in ("JPEGImages", "Annotations"):
        (root / folder / "noise").mkdir(parents=True)
    mask = grid_mask(12, 480, 640)
    for i, frame in enumerate(moving_frames(count, 480, 640)):
        Image.fromarray(frame).save(root / "JPEGImages" / "noise" / f"{i}.jpg", quality=90)
        write_mask(root / "Annotations" / "noise" / f"{i}.png", mask)


def clips_per_second(data: TrainingData, seconds: float = 5.0) -> float:
    """Measure the clips per second of one loader process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    data[0]
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        data[count % len(data)]
        count += 1
    torch.set_num_threads(threads)
    return count / (time.perf_counter() - start)


class Repeated:
    """Dataset that repeats a few clips from memory."""

    def __init__(self, data: TrainingData, count: int) -> None:
        self.clips = [data[i % len(data)] for i in range(count)]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Any:
        return self.clips[index]

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: all epochs have the same clips."""


def measure(name: str, stage: StageConfig, data: Repeated, amp: str, how: str, args: Args) -> dict[str, Any]:
    """Return the median seconds and the memory of a step."""
    network = build_model(name, device=args.device, freeze_backbone=args.freeze_backbone)
    device = next(network.parameters()).device
    if how == "compiled":
        compile_network(network)
    elif how == "checkpointed":
        checkpoint_activations(network)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with tempfile.TemporaryDirectory() as folder:
        options = TrainerOptions(amp=None if amp == "none" else amp, progress=False)
        trainer = Trainer(network, stage, data, Path(folder), options=options)
        times: list[float] = []
        for _ in range(args.warm_up + args.steps):
            batch = next(trainer._batches(trainer.step + 1))
            start = time.perf_counter()
            trainer._train_step(batch)  # reads the loss back, which waits for the device
            trainer.step += 1
            times.append(time.perf_counter() - start)
    figures = {
        "model": name, "amp": amp, "how": how, "seconds": statistics.median(times[args.warm_up :]),
        "memory_GiB": peak_memory(device) / 2**30, "device": str(device),
    }  # fmt: skip
    if device.type == "cuda":
        figures["device"] = torch.cuda.get_device_name(device)
    return figures


def main(args: Args) -> None:
    """Measure all settings."""
    with tempfile.TemporaryDirectory() as folder:
        if args.data_path is None:
            noise_images(Path(folder))
        stage = get_stage_config(
            "pre", crop=args.crop, batch_size=args.batch_size, clip_length=args.clip_length, workers=0
        )
        data = build_training_data(stage, args.data_path or folder)
        rate = clips_per_second(data)
        print(f"one loader process: {rate:.1f} clips/s of {args.clip_length} frames of {args.crop} pixels")
        clips = Repeated(data, 2 * args.batch_size)
    settings = [(m, a, h) for m in args.models for a in args.amp for h in args.how]
    table = Table(model="", amp="", how="", seconds=".3f", ratio=".2f", memory_GiB=".2f", workers="d")
    for name, amp, how in settings:
        row = measure(name, stage, clips, amp, how, args)
        row["workers"] = math.ceil(args.batch_size / row["seconds"] / rate)
        row["ratio"] = (table.rows or [row])[0]["seconds"] / row["seconds"]
        table.add(row)
    save("training", args, clips_per_second_of_a_loader=rate, rows=table.rows)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
