"""A tiny network and data set that a trainer can be tried on, also by two processes."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.multiprocessing as mp
from programs import CONTEXT

from voskit.configs.stages import get_stage_config
from voskit.dataloaders.training import TrainClip
from voskit.networks import build_model
from voskit.trainers.distributed import Processes, join_processes
from voskit.trainers.trainer import Trainer, TrainerOptions

SMALL = {"num_layers": 1, "embed_dim": 32, "ffn_dim": 64, "self_heads": 2, "attention_heads": 2, "window": 5}


class Squares:
    """Clips of a bright square that moves over noise; a function of epoch and index."""

    def __init__(self, length: int = 6, poison: int | None = None) -> None:
        self.length, self.poison, self.epoch = length, poison, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> TrainClip:
        rng = np.random.default_rng((self.epoch, index))
        frames = rng.normal(0, 0.3, (3, 3, 49, 49)).astype(np.float32)
        labels = np.zeros((3, 49, 49), np.uint8)
        y, x = rng.integers(0, 20, 2)
        for t in range(3):
            labels[t, y + t : y + t + 20, x + t : x + t + 20] = 1
        frames += 2.0 * (labels == 1)[:, None]
        if index == self.poison:
            frames[:] = np.nan
        return TrainClip(torch.from_numpy(frames), torch.from_numpy(labels), 1, f"clip {index}")


def small_stage(**changes: object):
    fields = {
        "crop": 49, "clip_length": 3, "total_steps": 8, "batch_size": 2, "workers": 0, "save_every": 3, "keep": 2,
        "log_every": 2, "lr": 1e-3,
    }  # fmt: skip
    return get_stage_config("pre", **{**fields, **changes})


def make(
    output: Path,
    data: Squares | None = None,
    drop_path: float = 0.1,
    options=None,
    processes=None,
    validate=None,
    start=None,
    freeze_backbone: bool = True,  # a step then takes half as long
    **changes,
):
    torch.manual_seed(0)
    network = build_model("aott", device="cpu", **SMALL, drop_path=drop_path, freeze_backbone=freeze_backbone)
    options = options or TrainerOptions(progress=False)
    return Trainer(
        network,
        small_stage(**changes),
        data or Squares(),
        output,
        options=options,
        processes=processes,
        validate=validate,
        start=start,
    )


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    own = {f"own {k}": v for k, v in trainer.network.state_dict().items()}
    return own | {f"average {k}": v for k, v in trainer.average.weights.items()}


def join(rank: int, port: int) -> Processes:
    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(rank), WORLD_SIZE="2", LOCAL_RANK=str(rank), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
    )
    return join_processes(torch.device("cpu"))


def in_two_processes(work: Callable[[int, int, str], None], output: Path) -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    mp.start_processes(work, args=(port, str(output)), nprocs=2, start_method=CONTEXT.get_start_method())
