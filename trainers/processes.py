"""The processes that train together: one, or those that ``torchrun`` started on one or several machines."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Processes:
    """This process among those that take part."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this one writes files and talks."""
        return self.rank == 0

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, in order of rank."""
        if self.count == 1:
            return [value]
        out: list[Any] = [None] * self.count
        dist.all_gather_object(out, value)
        return out

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a tensor over all processes, not finite where one of them isn't."""
        if self.count == 1:
            return value
        value = value.clone()
        dist.all_reduce(value)
        return value / self.count

    def barrier(self) -> None:
        """Wait for all."""
        if self.count > 1:
            dist.barrier()


def join_processes(device: torch.device) -> Processes:
    """Join the processes that the environment names (``RANK``, ``WORLD_SIZE``, ...): NCCL on CUDA, else gloo."""
    count = int(os.environ.get("WORLD_SIZE", 1))
    if count == 1:
        return Processes()
    if not dist.is_initialized():
        # validation takes long, and not on all processes equally
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timedelta(hours=4))
    return Processes(dist.get_rank(), count)
